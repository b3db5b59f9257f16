"""What the critical points of the bottleneck must satisfy."""

import numpy as np
import pytest
from oracles_encoder import decoder, instability, kl, lagrangian, solution
from scipy.special import expit

import flowplane as fp
from flowplane.bottleneck.bifurcation import critical_betas
from flowplane.bottleneck.curve import ib_curve
from flowplane.errors import InputError


def symmetric(error):
    """A fair bit sent through a binary symmetric channel."""
    return np.array([[1 - error, error], [error, 1 - error]]) / 2


def skewed():
    return np.random.default_rng(1).dirichlet(np.full(24, 0.6)).reshape(8, 3)


@pytest.fixture(scope="module")
def found():
    return critical_betas(skewed(), np.geomspace(1.0, 7.0, 25))


def kinds(found, kind):
    return found.isel(critical=found.kind.values == kind)


def best_of(joint, beta, clusters):
    """The better of some plain solutions with as many clusters."""
    return min((solution(joint, beta, clusters, seed) for seed in range(4)), key=lambda one: lagrangian(one, joint, beta))


def highest_c(encoder, joint, beta, parts=120):
    """max log Σ_x p(x) exp(−β KL(p(y|x) ‖ q))/Z(x) over a grid of the triangle."""
    p_t, p_yt = decoder(encoder, joint)
    p_x = joint.sum(1)
    rule = joint / p_x[:, None]
    z = [sum(w * np.exp(-beta * kl(row, q)) for w, q in zip(p_t, p_yt, strict=True) if w > 0) for row in rule]
    q = np.array([(i, j, parts - i - j) for i in range(1, parts) for j in range(1, parts - i)]) / parts
    apart = (rule[:, None] * (np.log(rule[:, None]) - np.log(q))).sum(2)
    return float(np.log((p_x / z) @ np.exp(-beta * apart)).max())


@pytest.mark.parametrize("error", [0.05, 0.2, 0.4])
def test_a_symmetric_channel_has_one(error):
    found = critical_betas(symmetric(error))
    assert found.kind.values.tolist() == ["stability lost"]
    assert float(found.beta[0]) == pytest.approx(1 / (1 - 2 * error) ** 2, rel=1e-9)
    assert (int(found.clusters_before[0]), int(found.clusters_after[0])) == (1, 2)
    np.testing.assert_allclose([found.i_xt[0], found.i_ty[0]], 0, atol=1e-12)


def test_the_reference_task():
    task = fp.tasks.spherical_rule(information=0.99)
    found = critical_betas(task, [1.0, 1.003, 1.01, 2.0, 8.0, 15.0, 18.0])
    lost, changed = kinds(found, "stability lost"), kinds(found, "clusters change")
    assert found.attrs["first"] == pytest.approx(1.0055, abs=5e-5)
    assert float(lost.beta[0]) == pytest.approx(found.attrs["first"], rel=1e-9)
    np.testing.assert_allclose(lost.clusters_before, [1, 2])
    assert (changed.beta.values < lost.beta.values).all()  # the optimum leaves first
    np.testing.assert_allclose(changed.beta, lost.beta, rtol=1e-3)


def test_the_first_is_the_inverse_of_the_second_singular_value():
    distance = fp.tasks.spherical_strength((np.arange(4096)[:, None] >> np.arange(12)) & 1)
    distance = distance - distance.mean()
    joint = np.stack([expit(-10 * distance), expit(10 * distance)], 1) / 4096
    found = critical_betas(joint, [1.0, 1.09, 1.1])
    first = kinds(found, "stability lost").beta
    np.testing.assert_allclose(first, [1 / 0.912486], rtol=1e-6)
    assert found.attrs["first"] == pytest.approx(float(first[0]), rel=1e-9)
    # the trivial solution is the best before the clusters change, and is not behind
    before = float(kinds(found, "clusters change").beta[0])
    assert 1.0958 < before < 1.09582


def test_a_cluster_loses_stability_where_beta_lambda_is_one(found):
    lost = kinds(found, "stability lost")
    assert lost.clusters_before.values.tolist() == [1, 2, 3]
    for k, clusters in enumerate([1, 2, 3]):
        beta = float(lost.beta[k])
        encoder = best_of(skewed(), beta, clusters)
        order = np.argsort(decoder(encoder, skewed())[1][:, 0])
        values = [beta * instability(encoder, skewed(), t) for t in order]
        assert max(values) == pytest.approx(1.0, abs=1e-6)
        assert int(np.argmax(values)) == int(lost.cluster[k])
        np.testing.assert_allclose(lost.p_y_given_t[k], decoder(encoder, skewed())[1][order[np.argmax(values)]], atol=1e-6)


def test_the_clusters_change_where_the_certificate_breaks(found):
    changed = kinds(found, "clusters change")
    assert changed.clusters_before.values.tolist() == [1, 2, 3, 4]
    for k in range(2):
        beta, clusters = float(changed.beta[k]), int(changed.clusters_before[k])
        below, above = (beta * (1 + side * 2e-3) for side in (-1, 1))
        assert highest_c(best_of(skewed(), below, clusters), skewed(), below) < 1e-9
        assert highest_c(best_of(skewed(), above, clusters), skewed(), above) > 1e-5
        better = best_of(skewed(), above, clusters + 2)
        assert lagrangian(better, skewed(), above) < lagrangian(best_of(skewed(), above, clusters), skewed(), above)


def test_each_has_its_place_on_the_curve(found):
    curve = ib_curve(skewed(), kinds(found, "clusters change").beta.values)
    changed = kinds(found, "clusters change")
    np.testing.assert_allclose(changed.i_xt, curve.i_xt, atol=1e-5)
    np.testing.assert_allclose(changed.i_ty, curve.i_ty, atol=1e-5)
    assert (np.diff(found.beta) > 0).all() and found.i_xt.attrs["units"] == "bits"


def test_splitting_x_and_the_order_of_betas_change_nothing(found):
    share = np.random.default_rng(0).uniform(0.2, 0.8, 8)[:, None]
    twice = critical_betas(np.concatenate([skewed() * share, skewed() * (1 - share)]), np.geomspace(7.0, 1.0, 25))
    assert twice.kind.values.tolist() == found.kind.values.tolist()
    np.testing.assert_allclose(twice.beta, found.beta, rtol=1e-7)


def test_a_rule_that_is_a_function():
    found = critical_betas([[0.5, 0.0], [0.25, 0.0], [0.0, 0.25]])
    np.testing.assert_allclose(found.beta, [1.0], rtol=1e-9)
    assert int(found.clusters_after[0]) == 2
    assert len(critical_betas(symmetric(0.1), [1.0, 1.2]).critical) == 0


def test_a_class_that_never_occurs_changes_nothing(found):
    wider = critical_betas(np.insert(skewed(), 1, 0.0, axis=1), np.geomspace(1.0, 7.0, 25))
    assert (wider.p_y_given_t[:, 1] == 0).all()
    for name in ("i_xt", "i_ty", "beta"):
        np.testing.assert_allclose(wider[name], found[name], rtol=1e-9)
    np.testing.assert_allclose(wider.p_y_given_t[:, [0, 2, 3]], found.p_y_given_t, rtol=1e-9)


@pytest.mark.parametrize(
    ("call", "argument"),
    [
        (lambda: critical_betas(np.full((3, 2), 1 / 6)), "joint"),
        (lambda: critical_betas(symmetric(0.1) * 2), "joint"),
        (lambda: critical_betas(symmetric(0.1), [-1.0]), "betas"),
    ],
)
def test_bad_input_is_named(call, argument):
    with pytest.raises(InputError) as raised:
        call()
    assert raised.value.argument == argument


@pytest.mark.parametrize("tiny", [1e-12, 1e-4])
def test_what_drowns_in_rounding_is_refused(tiny):
    nearly = {1e-12: [[0.5, 0.5 - tiny], [tiny, 0.0]], 1e-4: [[0.25 + tiny, 0.25 - tiny], [0.25 - tiny, 0.25 + tiny]]}
    with pytest.raises(InputError, match="joint"):
        critical_betas(nearly[tiny])
