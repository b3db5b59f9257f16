"""Variational information against known truths, as bounds, and its flags."""

import math

import numpy as np
import pytest
from scipy.special import entr

from flowplane.core.results import Flags
from flowplane.errors import InputError
from flowplane.information.variational import Variational

#: float32 sums in another order end, after some hundred steps of training, in other parameters; bits.
ALONE = 0.02


def normals(correlation, n, seed, units=1, batch=()):
    """Inputs and activations whose columns are pairwise normal, and I(X;T) in bits."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, units))
    t = correlation * x + math.sqrt(1 - correlation**2) * rng.normal(size=(*batch, n, units))
    return x, t, -units / 2 * math.log2(1 - correlation**2)


def two_classes(distance, n, seed, units=1):
    """T | Y ~ N(±distance, 1) in the first unit, and I(T;Y) in bits by quadrature."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    t = rng.normal(size=(n, units))
    t[:, 0] += distance * (2 * y - 1)
    grid = np.linspace(-distance - 9, distance + 9, 20_001)
    plus, minus = (np.exp(-((grid - centre) ** 2) / 2) / math.sqrt(2 * math.pi) for centre in (distance, -distance))
    entropy = entr(plus / (plus + minus)) + entr(minus / (plus + minus))
    return t, y, 1 - float(((plus + minus) / 2 * entropy).sum() * (grid[1] - grid[0])) / math.log(2)


def flags(result):
    return set(Flags.names(result.flags))


def error(result, name="i_xt"):
    """The standard error at most, by the lower end."""
    return float(result[name] - result[f"{name}_lower"]) / 1.96


def covers(result, name, truth):
    return float(result[f"{name}_lower"]) <= truth <= float(result[f"{name}_upper"])


CASES = {
    "infonce, normal": lambda seed: (Variational(), "i_xt", normals(0.6, 1000, seed)),
    "smile, normal": lambda seed: (Variational("smile"), "i_xt", normals(0.6, 1000, seed)),
    "infonce, three normals": lambda seed: (Variational(), "i_xt", normals(0.6, 1000, seed, units=3)),
    "infonce, independent": lambda seed: (Variational(), "i_xt", normals(0.0, 1000, seed)),
    "classifier, two classes": lambda seed: (Variational("classifier"), "i_ty", two_classes(1.0, 1000, seed)),
    "classifier, nearly apart": lambda seed: (Variational("classifier"), "i_ty", two_classes(3.0, 1000, seed)),
}


def covered(case, seeds):
    found = 0
    for seed in seeds:
        estimator, name, (first, second, truth) = CASES[case](seed)
        result = estimator(second, inputs=first) if name == "i_xt" else estimator(first, second)
        assert flags(result) <= {"no_labels"}
        assert 0.85 * truth - 3 * error(result, name) <= float(result[name]) <= truth + 3 * error(result, name) + 1e-9
        found += covers(result, name, truth)
    return found


@pytest.mark.parametrize("case", CASES)
def test_the_lower_end_is_one(case):
    assert covered(case, range(50, 54)) >= 3  # of four; fewer with probability 1.4 % at 95 %


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_the_lower_end_is_one_in_18_draws_of_20(case):
    assert covered(case, range(100, 120)) >= 18


def test_the_normal_cross_entropy_is_the_entropy_of_normal_activations():
    rng = np.random.default_rng(0)
    mixing = np.array([[2.0, 0.0], [1.0, 0.5]])
    truth = math.log2(2 * math.pi * math.e) + math.log2(abs(np.linalg.det(mixing)))
    estimator = Variational("classifier")
    draws = estimator(rng.normal(size=(40, 500, 2)) @ mixing.T)
    assert int((truth <= draws.h_t_upper).sum()) >= 35
    assert np.isneginf(draws.h_t_lower).all()
    assert float(draws.h_t.mean()) == pytest.approx(truth, abs=0.05)
    uniform = estimator(rng.uniform(size=(2000, 2)))
    assert float(uniform.h_t) > 0.3  # H is 0: the bound lies above by 2 · 0.254 bits
    assert "upper bound" in uniform.h_t.quantity


@pytest.mark.parametrize("kind", ["infonce", "smile"])
def test_independent_activations_tell_nothing(kind):
    x, t, _ = normals(0.0, 600, 1, units=4)
    result = Variational(kind)(t, np.arange(600) % 3, inputs=x)
    assert flags(result) == set()
    for name in ("i_xt", "i_ty"):
        assert 0 <= float(result[name]) < 0.03
        assert float(result[f"{name}_lower"]) == 0


def test_classes_are_known_no_better_than_their_entropy():
    layer = np.random.default_rng(2).normal(size=(600, 2))
    labels = (layer[:, 0] > 0.5) * 1
    entropy = -sum(p * math.log2(p) for p in np.bincount(labels) / 600)
    result = Variational("classifier")(layer, labels)
    assert 0.8 * entropy < float(result.i_ty) <= entropy + 1e-12
    assert entropy < float(result.i_ty_upper) <= 1.0
    assert np.isnan(float(result.i_xt))
    assert result.i_xt.missing == "a classifier gives I(T;Y) only"


def test_labels_are_drawn_from_a_rule():
    layer, labels, _ = two_classes(1.0, 600, 3)
    estimator = Variational("classifier")
    hard = estimator(layer, labels)
    by_rule = estimator(layer, conditional=np.eye(2)[labels])
    assert float(by_rule.i_ty) == float(hard.i_ty)
    assert by_rule.i_ty.labels == "labels drawn from the soft rule p(y|x)"
    chance = estimator(layer, conditional=np.full((600, 2), 0.5))
    assert float(chance.i_ty_lower) == 0


# -- invariances ------------------------------------------------------------------------------------------------------


def test_a_member_of_a_batch_is_what_it_is_alone():
    x, t, _ = normals(0.7, 400, 4, units=2, batch=(2, 5))
    labels = (x[:, 0] > 0) * 1
    estimator = Variational(epochs=30)
    whole = estimator(t, labels, inputs=x)
    assert whole.i_xt.dims == ("batch_0", "batch_1")
    for place in ((0, 0), (1, 3)):
        alone = estimator(t[place], labels, inputs=x)
        for name in ("i_xt", "i_ty"):
            assert float(alone[name]) == pytest.approx(float(whole[name][place]), abs=ALONE)
        assert float(alone.h_t) == pytest.approx(float(whole.h_t[place]), abs=1e-9)


def test_the_seed_decides():
    x, t, _ = normals(0.6, 400, 5)
    estimator = Variational(epochs=20)
    first, again, other = (estimator(t, inputs=x, seed=seed) for seed in (1, 1, 2))
    assert float(first.i_xt) == float(again.i_xt)
    assert float(first.i_xt) != float(other.i_xt)


def test_the_order_of_samples_and_the_names_of_classes_matter_little():
    x, t, _ = normals(0.7, 900, 6, units=2)
    labels = np.digitize(x[:, 0], [-0.5, 0.5])
    order = np.random.default_rng(0).permutation(900)
    estimator = Variational()
    base = estimator(t, labels, inputs=x)
    permuted = estimator(t[order], labels[order], inputs=x[order])
    for name in ("i_xt", "i_ty"):
        assert abs(float(base[name] - permuted[name])) < 2 * error(base, name)  # other folds
    renamed = estimator(t, np.array([9, 4, 7])[labels], inputs=x)
    assert float(renamed.i_xt) == float(base.i_xt)
    assert float(renamed.i_ty) == pytest.approx(float(base.i_ty), abs=ALONE)
    scaled = estimator(1e3 * t + 7, labels, inputs=-5 * x)
    assert float(scaled.i_ty) == pytest.approx(float(base.i_ty), abs=ALONE)
    assert abs(float(scaled.i_xt - base.i_xt)) < error(base)


# -- flags ------------------------------------------------------------------------------------------------------------


def test_flags_of_what_is_given():
    x, t, _ = normals(0.6, 400, 7, units=2)
    labels = np.arange(400) % 2
    short = {"epochs": 20, "patience": 3}
    assert flags(Variational(**short)(t, labels)) == {"no_inputs"}
    assert flags(Variational(**short)(t, inputs=x)) == {"no_labels"}
    without = Variational(deterministic=True)(t, labels, inputs=x)
    assert flags(without) == {"deterministic"}
    assert np.isnan(float(without.i_xt))
    assert flags(Variational(deterministic=True, noise_variance=0.1)(t, labels)) == {"no_inputs"}
    assert flags(Variational("classifier", **short)(t, labels)) == set()
    refused = Variational()(t, labels, inputs=x, probability=np.linspace(1, 2, 400) / 600)
    assert flags(refused) == {"weighted"}


def test_noise_makes_a_function_finite():
    x = np.random.default_rng(8).normal(size=(1000, 1))
    result = Variational(deterministic=True, noise_variance=0.5)(x, inputs=x)
    truth = 0.5 * math.log2(1 + 1 / 0.5)
    assert flags(result) == {"no_labels"}
    assert float(result.i_xt_lower) < truth < float(result.i_xt) + 0.15
    assert result.i_xt.channel == "Gaussian noise of variance 0.5 added to each unit"


def test_constant_and_dependent_units():
    x, t, _ = normals(0.6, 600, 9)
    labels = (x[:, 0] > 0) * 1
    for extra, name in ((np.full((600, 1), 0.1), "constant_units"), (2 * t, "ill_conditioned")):
        result = Variational(epochs=40)(np.hstack([t, extra]), labels, inputs=x)
        assert flags(result) == {name}
        assert np.isnan(float(result.h_t))
        assert 0.1 < float(result.i_xt) < 0.6
    nothing = Variational()(np.zeros((600, 2)), labels, inputs=x)
    assert "constant_units" in flags(nothing)
    assert float(nothing.i_xt) == pytest.approx(0, abs=0.01)
    assert float(nothing.i_ty) == pytest.approx(0, abs=0.01)


def test_the_ceiling_of_infonce():
    x, t, truth = normals(math.sqrt(1 - 2 ** (-2 * 10 / 5)), 600, 10, units=5)
    result = Variational()(t, inputs=x)
    assert flags(result) == {"batch_ceiling", "no_labels"}
    assert float(result.i_xt) < math.log2(200) < truth


def test_training_that_came_to_no_good_end():
    x, t, _ = normals(0.95, 600, 11, units=3)
    stopped = Variational(epochs=3)(t, inputs=x)
    assert flags(stopped) == {"not_converged", "no_labels"}
    wide = np.random.default_rng(11).normal(size=(400, 300))
    overfitted = Variational("classifier", patience=20)(wide, np.arange(400) % 8)
    assert "not_converged" in flags(overfitted)


@pytest.mark.parametrize("kind", ["infonce", "smile", "classifier"])
@pytest.mark.parametrize("n", [2, 5, 23, 24, 31])
def test_few_samples_are_flagged_and_never_raise(kind, n):
    x, t, _ = normals(0.6, n, 12, units=3)
    result = Variational(kind, epochs=10)(t, (np.arange(n) == 0) * 1, inputs=x)  # one class with a single sample
    assert "too_few_samples" in flags(result)
    assert np.isnan(float(result.i_ty)) == (n < 24)
    assert np.isnan(float(result.h_t)) == (n <= 3)


# -- form -------------------------------------------------------------------------------------------------------------


def test_schema():
    x, t, _ = normals(0.6, 60, 13)
    labels = np.arange(60) % 2
    for kind, bound in (("infonce", "lower"), ("smile", "estimate"), ("classifier", "lower")):
        result = Variational(kind, epochs=2)(t, labels, inputs=x)
        assert result.i_xt.bound == bound
        assert result.i_ty.bound == "lower" and result.h_t.bound == "upper"
        assert f"kind={kind!r}" in result.i_xt.parameters
        for name in ("i_ty", "h_t", *(["i_xt"] if kind != "classifier" else [])):
            assert result[f"{name}_lower"] <= result[name] <= result[f"{name}_upper"]


def test_nothing_is_changed_and_no_global_state_is_touched():
    import torch

    x, t, _ = normals(0.6, 60, 14)
    copies = x.copy(), t.copy()
    state, threads = torch.random.get_rng_state(), torch.get_num_threads()
    Variational(epochs=2)(t, np.arange(60) % 2, inputs=x)
    assert torch.equal(state, torch.random.get_rng_state())
    assert threads == torch.get_num_threads()
    assert np.array_equal(x, copies[0])
    assert np.array_equal(t, copies[1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "mine"}, "kind: found 'mine', expected one of"),
        ({"hidden": (64, 0)}, "hidden: found 0"),
        ({"batch_size": 0}, "batch_size: found 0"),
        ({"epochs": 1.5}, "epochs: found 1.5"),
        ({"patience": True}, "patience: found True"),
        ({"learning_rate": 0.0}, "learning_rate: found 0.0"),
        ({"clip": -1}, "clip: found -1"),
        ({"clip": math.nan}, "clip: found nan"),
        ({"noise_variance": 0}, "noise_variance: found 0"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        Variational(**arguments)
