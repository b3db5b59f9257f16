"""Decodable information: a lower bound that holds, against closed forms, scikit-learn and labels that mean nothing (§D2)."""

import math

import numpy as np
import pytest
import torch
from oracles_information import mixture_of_classes
from scipy.stats import ortho_group
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from slower import first_ones

import flowplane as fp
from flowplane.core.results import Flags
from flowplane.errors import InputError
from flowplane.information.probes.folds import FOLDS, Folds
from flowplane.information.probes.linear import linear

PROBES = ("linear", "mlp", "neighbours")


def two_normals(seed, n=2000, d=3, apart=2.0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    layer = rng.normal(size=(n, d))
    layer[:, 0] += apart * labels
    return layer, labels


def flags(found):
    return set(Flags.names(found.i_ty_flags))


@pytest.mark.parametrize("probe", PROBES)
def test_two_normals_in_closed_form(probe):
    layer, labels = two_normals(0)
    truth = mixture_of_classes([0.0, 2.0], [1.0, 1.0], [0.5, 0.5])
    found = fp.Decodable(probe)(layer, labels)
    assert found.i_ty.bound == "lower" and found.i_ty.estimator == "Decodable"
    assert truth - 0.08 < float(found.i_ty) < truth + 3 * float(found.i_ty_error)
    assert float(found.accuracy) == pytest.approx(0.8413, abs=0.03)  # Φ(1)
    assert float(found.accuracy_lower) < 0.8413 < float(found.accuracy_upper)
    assert np.isnan(found.i_xt) and Flags.names(found.i_xt_flags) == ("labels_only",)


def test_the_linear_probe_is_as_good_as_scikit_learns():
    """Multinomial regression with the strength chosen in the same way."""
    data = load_digits()
    layer, labels = data.data[:500], data.target[:500]
    losses = np.empty(500)
    scaled = (layer - layer.mean(0)) * math.sqrt(64 / layer.var(0).sum())
    for train, test in StratifiedKFold(5, shuffle=True, random_state=0).split(layer, labels):
        inner = StratifiedKFold(4, shuffle=True, random_state=0).split(train, labels[train])
        search, choice = next(iter(inner))
        tried = []
        for strength in (0.01, 0.1, 1.0, 10.0, 100.0):
            model = LogisticRegression(C=1 / strength, max_iter=2000).fit(scaled[train][search], labels[train][search])
            q = model.predict_proba(scaled[train][choice])
            tried.append((-np.log2(q[np.arange(len(q)), labels[train][choice]]).mean(), strength))
        model = LogisticRegression(C=1 / min(tried)[1], max_iter=2000).fit(scaled[train], labels[train])
        losses[test] = -np.log2(model.predict_proba(scaled[test])[np.arange(len(test)), labels[test]])
    share = np.bincount(labels) / 500
    peer = -(share * np.log2(share)).sum() - losses.mean()
    found = fp.Decodable()(layer, labels)
    assert peer > 3.0 and abs(float(found.i_ty) - peer) < 0.1
    assert float(found.accuracy) > 0.95


@pytest.mark.parametrize("probe", first_ones(1, PROBES))
def test_labels_that_mean_nothing(probe):
    """In 512 dimensions, 400 samples, four classes: the interval holds 0, or is below it."""
    rng = np.random.default_rng(1)
    found = fp.Decodable(probe)(rng.normal(size=(12, 400, 512)), rng.integers(0, 4, 400))
    assert (found.i_ty_lower < 0.01).all() and abs(float(found.i_ty.mean())) < 0.04


@pytest.mark.slow
@pytest.mark.parametrize("probe", ["linear", "neighbours"])
def test_coverage_as_a_lower_bound(probe):
    """The lower end of the interval is above the truth in no more than one draw in twenty, or little more."""
    truth = mixture_of_classes([0.0, 1.0, 4.0], [1.0, 0.5, 2.0], [0.5, 0.3, 0.2])
    above = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        labels = rng.choice(3, 300, p=[0.5, 0.3, 0.2])
        means, spread = np.array([0.0, 1.0, 4.0])[labels], np.array([1.0, 0.5, 2.0])[labels]
        above += float(fp.Decodable(probe)((means + spread * rng.normal(size=300))[:, None], labels).i_ty_lower) > truth
    assert above <= 15


def test_what_changes_nothing():
    """Rotation, scale, shift and repeated units; members of a batch, and which others are asked for."""
    layer, labels = two_normals(2, n=400, d=5)
    turned = [layer, 1e4 * layer + 3, layer @ ortho_group.rvs(5, random_state=0), np.repeat(layer, 4, 1)]
    values = [float(fp.Decodable()(each, labels).i_ty) for each in turned]
    np.testing.assert_allclose(values, values[0], atol=1e-4)
    together = fp.Decodable()(np.stack(turned[:3]), labels).i_ty.values
    np.testing.assert_allclose(together, values[:3], atol=1e-5)
    named = fp.Decodable()(layer, np.array(["no", "yes"])[labels])
    assert float(named.i_ty) == pytest.approx(values[0], abs=1e-9)


def test_rows_of_one_sample_are_held_out_together():
    """Random labels of prompts: plain folds find the prompt's other tokens, grouped ones nothing."""
    rng = np.random.default_rng(0)
    prompts = np.repeat(np.arange(60), 10)
    layer = rng.normal(size=(60, 8))[prompts] + 0.1 * rng.normal(size=(600, 8))
    labels = rng.integers(0, 2, 60)[prompts]
    plain = fp.Decodable("neighbours")(layer, labels)
    grouped = fp.Decodable("neighbours")(layer, labels, groups=prompts)
    assert float(plain.i_ty) > 0.4 and float(grouped.i_ty_lower) < 0.02
    assert float(grouped.i_ty_error) > 0.9 * float(plain.i_ty_error)
    inputs = rng.normal(size=(60, 2))[prompts]
    assert float(fp.Decodable("neighbours")(layer, labels, inputs=inputs).i_ty) == pytest.approx(
        float(grouped.i_ty), abs=0.05
    )


def test_groups_and_equal_inputs_join():
    """Two prompts with an equal input are one sample."""
    groups = np.array([0, 0, 1, 1, 2, 2, 3, 3] * 5) + np.repeat(np.arange(5) * 4, 8)
    inputs = np.arange(40.0)[:, None]
    inputs[2] = inputs[0]
    from flowplane.information.estimator import Known
    from flowplane.information.probes.folds import held_together

    given = {"groups": torch.from_numpy(groups), "symbols": torch.from_numpy(inputs[:, 0]).long()}
    known = Known(40, torch.from_numpy(inputs), None, None, None, torch.device("cpu"), **given)
    found = held_together(known)
    assert found[0] == found[1] == found[2] == found[3] != found[4] and len(np.unique(found)) == 19


def test_folds_hold_out_each_row_once():
    classes, groups = np.arange(200) % 3, np.arange(200) // 2
    folds = Folds.of(classes, groups, 0, torch.device("cpu"))
    seen = torch.cat([fold.held for fold in folds])
    assert sorted(seen.tolist()) == list(range(200))
    for fold in folds:
        sets = [set(groups[part.numpy()]) for part in (fold.held, fold.search, fold.choice)]
        assert all(not one & other for k, one in enumerate(sets) for other in sets[k + 1 :])
        assert len(fold.search) + len(fold.choice) == len(fold.training) == 200 - len(fold.held)
    for few in range(10, 30):
        assert all(
            len(fold.choice) and len(fold.held)
            for fold in Folds.of(np.arange(few) % 2, np.arange(few), 0, torch.device("cpu"))
        )


def test_rare_classes_count_as_not_decodable():
    layer, labels = two_normals(3, n=400, apart=8.0)
    labels[:4] = 2  # four samples of a third class
    found = fp.Decodable()(layer, labels)
    assert "rare_classes" in flags(found) and float(found.i_ty) == pytest.approx(0.99 * 0.99, abs=0.03)
    assert float(found.accuracy) <= 0.99
    alone = fp.Decodable()(np.random.default_rng(0).normal(size=(30, 2)), np.arange(30))
    assert np.isnan(alone.i_ty) and flags(alone) == {"rare_classes"}


def test_many_classes():
    """Sixty classes of six samples each: a linear probe compares with the classes' means."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(60), 6)
    means = 3 * rng.normal(size=(60, 20))
    found = fp.Decodable()(means[labels] + rng.normal(size=(360, 20)), labels)
    assert 4.5 < float(found.i_ty) <= math.log2(60) and flags(found) == set()
    mixed = np.concatenate([labels, np.arange(60, 160)])  # and a hundred that occur once
    layer = np.concatenate([means[labels] + rng.normal(size=(360, 20)), rng.normal(size=(100, 20))])
    assert 0.6 * math.log2(60) < float(fp.Decodable()(layer, mixed).i_ty) < 360 / 460 * math.log2(60)


@pytest.mark.parametrize("probe", PROBES)
def test_numbers(probe):
    """A normal pair: ½ log2 1/(1 − ρ²); and two values with a spread, of which one bit is known."""
    rng = np.random.default_rng(0)
    y = rng.normal(size=1500)
    t = np.stack([y + 0.5 * rng.normal(size=1500), rng.normal(size=1500)], 1)
    found = fp.Decodable(probe)(t, np.exp(y))  # any monotone map of it
    truth = 0.5 * math.log2(5)
    assert truth - 0.12 < float(found.i_ty) < truth + 3 * float(found.i_ty_error) and np.isnan(found.accuracy)
    side = rng.choice([-1.0, 1.0], 1500)
    found = fp.Decodable(probe)(side[:, None], side + 0.1 * rng.normal(size=1500))
    assert 0.5 < float(found.i_ty) <= 1.0
    assert float(fp.Decodable(probe)(rng.normal(size=(400, 300)), rng.normal(size=400)).i_ty_lower) < 0.02


def test_numbers_that_repeat_are_cut_into_classes():
    rng = np.random.default_rng(0)
    y = np.round(rng.normal(size=800), 1)
    found = fp.Decodable()(y[:, None] + 0.01 * rng.normal(size=(800, 1)), y)
    assert "ties" in flags(found) and 1.5 < float(found.i_ty) <= math.log2(10) and np.isfinite(found.accuracy)


def test_several_targets_each_by_itself():
    rng = np.random.default_rng(0)
    t = rng.normal(size=(600, 3))
    tags = np.stack([t[:, 0] > 0, t[:, 1] + t[:, 2] > 0, rng.normal(size=600) > 0], 1).astype(int)
    found = fp.Decodable()(t, tags)
    assert found.i_ty_each.dims == ("target",) and found.sizes["target"] == 3
    assert float(found.i_ty) == float(found.i_ty_each.max()) > 0.8
    assert abs(float(found.i_ty_each[2])) < 0.05
    alone = fp.Decodable()(t, tags[:, 0])
    assert float(found.i_ty_each[0]) == pytest.approx(float(alone.i_ty), abs=0.05)
    wider = float(found.i_ty_each_upper[0] - found.i_ty_each_lower[0])
    assert wider > float(alone.i_ty_upper - alone.i_ty_lower)  # all three at once
    one_hot = fp.Decodable()(t, np.eye(2)[tags[:, 0]])
    assert float(one_hot.i_ty) == float(alone.i_ty)


def test_no_labels_weights_and_rules():
    layer, labels = two_normals(4, n=300)
    assert np.isnan(fp.Decodable()(layer).i_ty) and flags(fp.Decodable()(layer)) == {"no_labels"}
    weights = np.random.default_rng(0).dirichlet(np.ones(300))
    assert "weighted" in flags(fp.Decodable()(layer, labels, probability=weights))
    rule = np.stack([labels == 0, labels == 1], 1).astype(float)
    assert float(fp.Decodable()(layer, conditional=rule).i_ty) == pytest.approx(float(fp.Decodable()(layer, labels).i_ty))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros(50, int), "labels: found one class only"),
        (np.zeros((50, 2)), "labels: found the same labels for all samples"),
        (np.arange(49.0), r"labels: found shape \(49,\)"),
        (np.full(50, np.nan), "labels: found 50 values that are NaN"),
    ],
)
def test_what_is_refused(labels, message):
    with pytest.raises(InputError, match=message):
        fp.Decodable()(np.random.default_rng(0).normal(size=(50, 2)), labels)
    with pytest.raises(InputError, match="probe: found 'tree'"):
        fp.Decodable("tree")
    with pytest.raises(InputError, match="groups: found shape"):
        fp.Decodable()(np.random.default_rng(0).normal(size=(50, 2)), np.arange(50) % 2, groups=np.arange(3))


@pytest.mark.parametrize("mode", ["inference", "no_grad", "default dtype"])
def test_the_callers_modes_do_not_matter(mode):
    layer, labels = two_normals(5, n=100)
    expected = [float(fp.Decodable(probe)(layer, labels).i_ty) for probe in PROBES]
    if mode == "default dtype":
        torch.set_default_dtype(torch.float64)
        try:
            found = [float(fp.Decodable(probe)(layer, labels).i_ty) for probe in PROBES]
        finally:
            torch.set_default_dtype(torch.float32)
    else:
        with torch.inference_mode() if mode == "inference" else torch.no_grad():
            found = [float(fp.Decodable(probe)(layer, labels).i_ty) for probe in PROBES]
            assert not torch.is_grad_enabled()
    assert found == expected


def test_the_probe_finds_the_least_loss():
    """With one strength and all rows the linear probe's weights are scikit-learn's."""
    from flowplane.information.probes import linear as module

    layer, labels = two_normals(6, n=300)
    x = torch.from_numpy(np.c_[layer - layer.mean(0), np.ones(300)])[None]
    start = torch.zeros(1, 4, 2, 1, dtype=torch.float64)
    taken = torch.ones(300, 1, dtype=torch.bool)
    weights = module._fitted(x, torch.from_numpy(labels), taken, torch.tensor([[2.0]], dtype=torch.float64), start, 3000)
    # a softmax of two classes penalises twice: w = (w1 − w0), |w1|² + |w0|² = |w|²/2
    model = LogisticRegression(C=1.0, tol=1e-10, max_iter=10000).fit(layer - layer.mean(0), labels)
    np.testing.assert_allclose((weights[0, :3, 1, 0] - weights[0, :3, 0, 0]).numpy(), model.coef_[0], atol=1e-4)
    assert FOLDS == 5 and linear is module.linear
