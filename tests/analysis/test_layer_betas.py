"""What β*, residuals and distances of a recording's layers must satisfy."""

import numpy as np
import pytest
from oracles_encoder import best_beta, indicator, kl, point

import flowplane as fp
from flowplane.analysis.betas import layer_betas
from flowplane.bottleneck.curve import ib_curve
from flowplane.bottleneck.distance import curve_distance
from flowplane.errors import InputError


@pytest.fixture(scope="module")
def soft():
    return fp.tasks.spherical_rule(information=0.99)


@pytest.fixture(scope="module")
def curve(soft):
    return ib_curve(soft.joint)


@pytest.fixture(scope="module")
def rec(soft):
    return fp.train(soft, replicas=2, epochs=30, snapshots=5, labels="sampled")


@pytest.fixture(scope="module")
def found(rec, curve):
    return layer_betas(rec.thin(3), curve=curve)


def naive_symbols(values, low, high):
    """Thirty equal bins a unit, rows compared as tuples."""
    rows = [tuple(min(int((v - low) / (high - low) * 30), 29) for v in row) for row in values.astype(np.float64)]
    numbers = {row: k for k, row in enumerate(dict.fromkeys(rows))}
    return [numbers[row] for row in rows]


def objective(symbols, joint, beta):
    """E −log p_β(t(x)|x) in bits over all 4096 x, nothing merged."""
    p_x, t = joint.sum(1), np.array(symbols)
    p_t = np.bincount(t, p_x)
    word = np.stack([np.bincount(t, column) for column in joint.T], 1) / p_t[:, None]
    rule = joint / p_x[:, None]
    own = np.where(rule > 0, rule * np.log(np.where(rule > 0, rule, 1)), 0).sum(1)
    apart = own[:, None] - rule @ np.log(np.maximum(word, 1e-320)).T
    exponent = np.log(p_t) - beta * apart
    top = exponent.max(1)
    log_z = np.log(np.exp(exponent - top[:, None]).sum(1)) + top
    return float(p_x @ (log_z - exponent[np.arange(len(t)), t])) / np.log(2)


def test_a_layer_against_everything_built_naively(rec, found, soft, curve):
    epoch = int(found.epoch[-1])
    for layer, low in (("layer5", -1.0), ("layer6", 0.0)):
        values = rec.activations(layer).sel(replica=1, epoch=epoch).values
        symbols = naive_symbols(values, low, 1.0)
        here = found.sel(replica=1, epoch=epoch, layer=layer)
        beta = float(here.beta_star)
        best = objective(symbols, soft.joint, beta)
        assert float(here.residual) == pytest.approx(best, abs=1e-9)
        assert int(here.edge) == 0
        for other in (0.9 * beta, 0.999 * beta, 1.001 * beta, 1.1 * beta, 0.02, 500.0):
            assert objective(symbols, soft.joint, other) > best
        expected = point_of(symbols, soft.joint)
        np.testing.assert_allclose([here.i_xt, here.i_ty], expected, atol=1e-9)
        down, right = curve_distance(*expected, curve, soft.joint)
        np.testing.assert_allclose([here.distance_vertical, here.distance_horizontal], [down, right], atol=1e-7)


def point_of(symbols, joint):
    """H(T) and I(T;Y) in bits by counting."""
    t = np.array(symbols)
    p_t, p_y = np.bincount(t, joint.sum(1)), joint.sum(0)
    together = np.stack([np.bincount(t, column) for column in joint.T], 1)
    word = together / p_t[:, None]
    i_ty = sum(w * kl(q, p_y) for w, q in zip(p_t, word, strict=True)) / np.log(2)
    return -(p_t * np.log2(p_t)).sum(), i_ty


def test_a_small_task_against_the_brute_force_oracle():
    rng = np.random.default_rng(0)
    inputs = np.concatenate([patterns := rng.integers(0, 2, (9, 4)), patterns[:3]])  # three x occur twice
    rule = rng.dirichlet([0.6, 0.6, 0.6], 12)
    probability = rng.dirichlet(np.ones(12))
    probability[5] = 0.0
    task = fp.tasks.Task(inputs, rule.argmax(1), probability / probability.sum(), rule)
    rec = fp.train(task, hidden=(2,), replicas=1, epochs=3, snapshots=2, train_fraction=1.0)
    found = layer_betas(rec.sel(epoch=3), estimator=fp.Binned(3))
    keys = [tuple(row) for row in inputs]
    p = task.probability
    joint = np.array(
        [
            p[i]
            * sum(p[j] * rule[j] for j in range(12) if keys[j] == keys[i])
            / max(sum(p[j] for j in range(12) if keys[j] == keys[i]), 1e-300)
            for i in range(12)
        ]
    )
    values = rec.activations("layer1").isel(replica=0, epoch=-1).values
    symbols = fp.Binned(3, range=(-1, 1)).cells(values[p > 0]).tolist()
    encoder = indicator(symbols)
    beta, residual = best_beta(encoder, joint[p > 0], 0.01, 1e4)
    here = found.sel(layer="layer1").isel(replica=0, epoch=0)
    assert float(here.residual) == pytest.approx(residual, abs=1e-9)
    if int(here.edge) == 0:
        assert float(here.beta_star) == pytest.approx(beta, rel=1e-5)
    np.testing.assert_allclose([here.i_xt, here.i_ty], point(encoder, joint[p > 0]), atol=1e-12)


def test_the_plane_is_that_of_the_estimator(rec, found):
    plane = fp.information_plane(rec.sel(epoch=found.epoch.values.tolist()))
    np.testing.assert_allclose(found.i_xt, plane.i_xt, atol=1e-9)
    np.testing.assert_allclose(found.i_ty, plane.i_ty, atol=1e-9)
    np.testing.assert_array_equal(found.flags, plane.flags)
    for name in ("channel", "parameters", "estimator"):
        assert found.i_xt.attrs[name] == plane.i_xt.attrs[name]
    assert found.attrs["information"] == pytest.approx(0.99)


def test_bounds(found):
    assert found.beta_star.dims == ("replica", "epoch", "layer")
    assert ((found.residual >= 0) & (found.residual <= found.i_xt + 1e-9)).all()
    assert (found.distance_vertical > -1e-4).all() and (found.distance_horizontal > -1e-3).all()
    first = found.sel(layer="layer1")
    assert (first.edge == 1).all() and (first.beta_star == 1e4).all()  # every pattern falls alone: T = X
    assert np.isfinite(found.to_array()).all()


def test_which_epochs(rec, curve):
    assert layer_betas(rec.sel(layer="layer6").thin(2), curve=curve).epoch.values.tolist() == [0, 30]
    every = layer_betas(rec.sel(layer="layer6", replica=0), curve=curve)
    assert every.epoch.values.tolist() == rec.epochs.tolist()
    some = layer_betas(rec.sel(layer="layer6", epoch=[30, 0]), curve=curve, betas=[0.5, 1.001])
    assert some.epoch.values.tolist() == [30, 0]
    np.testing.assert_allclose(some.i_xt.values[0], every.sel(epoch=[30, 0]).i_xt.values[0])
    assert (some.beta_star <= 1.001).all() and (some.edge == 1).any()


def test_another_rule_and_an_own_curve(rec, soft):
    blunt = 0.8 * soft.conditional + 0.1
    part = rec.sel(replica=0, layer="layer6", epoch=30)
    found = layer_betas(part, rule=blunt)
    assert found.attrs["information"] < 0.6
    down, _ = curve_distance(found.i_xt, found.i_ty, ib_curve(blunt / 4096), blunt / 4096)
    np.testing.assert_allclose(found.distance_vertical, down, atol=1e-12)


def test_bad_input_is_named(rec, soft, curve):
    hard = fp.train(fp.tasks.spherical_rule(), hidden=(2,), replicas=1, epochs=1, snapshots=2)
    noisy = fp.train(soft, hidden=(2,), replicas=1, epochs=1, snapshots=2, noise_variance=0.1, labels="sampled")
    for call, text in (
        (lambda: layer_betas("run.fp"), "rec: "),
        (lambda: layer_betas(hard), r"rec: .*hard labels.*spherical_rule\(information=0.99\)"),
        (lambda: layer_betas(hard, rule=np.eye(2)[hard.task.labels]), "rule: "),
        (lambda: layer_betas(hard, rule=[[0.5, 0.5]]), "rule: "),
        (lambda: layer_betas(rec, estimator=fp.KSG()), "estimator: "),
        (lambda: layer_betas(rec, estimator=fp.Binned(30, correction="jackknife")), "estimator: "),
        (lambda: layer_betas(noisy, curve=curve), "noise of its own"),
        (lambda: layer_betas(rec, curve=3), "curve: "),
    ):
        with pytest.raises(InputError, match=text):
            call()
    with pytest.raises(TypeError, match=r"has no argument 'epochs' any more: use rec.thin\(…\) or rec.sel\(epoch=…\)"):
        layer_betas(rec, epochs=20)
    with pytest.raises(TypeError, match="positional"):
        layer_betas(rec, 20)


def test_curves_of_another_joint_are_refused():
    task = fp.tasks.spherical_rule(information=0.99)
    rec = fp.train(task, hidden=(4,), replicas=2, epochs=2, snapshots=2)
    curve, other = fp.ib_curve(task, [1.1, 2.0, 10.0]), fp.ib_curve([[0.4, 0.1], [0.1, 0.4]], [1.0, 3.0, 5.0])
    with pytest.raises(InputError, match="curve"):
        fp.layer_betas(rec, curve=other)
    betas = fp.layer_betas(rec, curve=curve)
    for wrong in (other, betas, np.ones(3)):
        with pytest.raises(InputError):
            fp.plot.layer_betas(betas, wrong)
    for wrong in (curve, betas, {}, np.ones(3)):
        with pytest.raises(InputError, match="critical"):
            fp.plot.layer_betas(betas, curve, critical=wrong)
        with pytest.raises(InputError, match="critical"):
            fp.plot.layer_beta_curves(betas, wrong)
    with pytest.raises(InputError, match="dataset: found a Dataset without steps, capped"):
        fp.plot.critical_slowing_down(curve)


def test_layers_are_drawn_below_their_bound():
    task = fp.tasks.spherical_rule(information=0.99)
    rec = fp.train(task, hidden=(4, 3), replicas=2, epochs=3, snapshots=3)
    curve = fp.ib_curve(task, [1.1, 2.0, 10.0])
    betas = fp.layer_betas(rec, curve=curve)
    critical = fp.critical_betas([[0.4, 0.1], [0.1, 0.4]])
    figure = fp.plot.layer_betas(betas, curve, critical=critical)
    bound = next(trace for trace in figure.data if trace.name == "the bound")
    assert bound.y[-1] == pytest.approx(0.99)
    ties = next(trace for trace in figure.data if trace.name == "β* on the curve")
    assert len(ties.x) == 3 * len(rec.layers)
    lines = fp.plot.layer_beta_curves(betas, critical)
    assert [trace.name for trace in lines.data if trace.name] == ["layer 1", "layer 2", "layer 3 (softmax)"]
    assert lines.layout.shapes[0].y0 == pytest.approx(1 / 0.36)
