"""How layers of recordings move their data: oracles on known maps, ensembles, models, what is missing and why."""

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from scipy.stats import ortho_group

import flowplane as fp
from flowplane.analysis.transport.quantities import FLAGS, QUANTITIES
from flowplane.analysis.transport.samples import compacted, drawn_samples
from flowplane.core.results import Flags
from flowplane.errors import InputError
from flowplane.recording import Metrics, ModelSnapshot, ModelWriter, recording_of
from flowplane.transport import layer_path, path_measures

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 3)).astype(np.float32)
A = np.array([[2.0, 0.3, 0.0], [0.0, 0.5, 0.1], [0.4, 0.0, 1.5]])


def recorded(snapshots, names, inputs=None, labels=None):
    """A recording of a model that had these activations: a list of layers a snapshot."""
    layers = [
        {"name": name, "width": values.shape[1], "activation": None, "reduce": None, "module": "Linear"}
        for name, values in zip(names, snapshots[0], strict=True)
    ]
    configuration = {
        "kind": "model",
        "model": "Made",
        "layers": layers,
        "keep": ["activations"],
        "measures": [],
        "labels": "none" if labels is None else "classes",
    }
    rows = np.zeros((len(snapshots[0][0]), 1), np.float32) if inputs is None else inputs
    task = {"name": "made", "inputs": rows, "labels": labels, "targets": None, "points": inputs is not None}
    with ModelWriter(None, "create") as writer:
        every = [
            ModelSnapshot(epoch, epoch, 0.0, 0, [values.astype(np.float32) for values in layers], None, ())
            for epoch, layers in enumerate(snapshots)
        ]
        writer.begin(configuration, task, every[0], Metrics(), len(every), "float32")
        for snapshot in every[1:]:
            writer.append(snapshot, Metrics())
        return recording_of(writer.repository, None)


def value(found, name, layer=-1, epoch=0):
    return float(found[name].isel(replica=0, epoch=epoch, layer=layer))


def why_missing(found, name):
    """Names of the flags that a quantity raises where it is NaN."""
    return Flags.names(found[f"{name}_flags"].where(np.isnan(found[name]), 0).astype(int).assign_attrs(found.flags.attrs))


def test_affine_layers_in_closed_form():
    turn = ortho_group.rvs(3, random_state=0)
    first = X @ A.T
    rec = recorded([[first, first @ turn, 2.0 * first @ turn]], ["a", "b", "c"], inputs=X)
    found = fp.layer_transport(rec)
    log_det = np.linalg.slogdet(A)[1]
    want = [log_det, 0.0, 3 * np.log(2)]
    for name in ("entropy_change", "log_det_affine"):
        np.testing.assert_allclose(found[name].values[0, 0], want, atol=1e-4)
    # neighbours: exact for turns and scales, an estimate for others
    np.testing.assert_allclose(found.entropy_change_neighbours.values[0, 0, 1:], want[1:], atol=1e-4)
    assert value(found, "entropy_change_neighbours", 0) == pytest.approx(log_det, abs=0.2)
    np.testing.assert_allclose(found.affine_fit, 1.0, atol=1e-6)
    np.testing.assert_allclose(found.cka.values[0, 0], np.ones((3, 3)) * 1.0, atol=1e-5)
    assert value(found, "optimality", 2) == pytest.approx(1.0, abs=1e-6)  # twice as large
    assert value(found, "optimality", 1) < 0.99  # a turn
    assert (found.optimality <= 1).all() and np.isnan(found.log_det).all()
    np.testing.assert_allclose(found.cost.values[0, 0, 0], np.square(first - X).sum(1).mean(), rtol=1e-5)
    np.testing.assert_allclose(found.participation.values[0, 0, 1:], value(found, "participation", 0), rtol=1e-4)


def test_measures_of_paths_are_those_of_path_measures():
    layers = [np.tanh(X @ A.T), np.tanh(X)[:, :2]]
    found = fp.layer_transport(recorded([layers], ["a", "b"], inputs=X), embedding="procrustes")
    path = path_measures(layer_path([X, *(layer.astype(np.float32) for layer in layers)], "procrustes"))
    for name in ("cost", "wasserstein", "optimality", "turning"):
        for column, rtol in ((name, 1e-4), (f"{name}_error", 1e-2)):  # the dual potentials of a plan are not unique
            np.testing.assert_allclose(
                found[column].values[0, 0], path[column].values[1:], rtol=rtol, atol=1e-12, err_msg=column
            )
    for column in ("straightness", "straightness_error"):
        np.testing.assert_allclose(float(found[column][0, 0]), float(path[column]), rtol=1e-4)
    assert found.attrs["embedding"] == "procrustes" and found.attrs["start"] == "the inputs"


def test_errors_are_the_scatter_over_points_and_directions():
    layers = [np.tanh(X @ A.T), np.tanh(X)]
    found = fp.layer_transport(recorded([layers], ["a", "b"], inputs=X, labels=np.arange(300) % 2), slices=64)
    length = np.square(layers[0].astype(np.float32).astype(float) - X).sum(1)
    assert value(found, "cost_error", 0) == pytest.approx(length.std(ddof=1) / np.sqrt(300), rel=2 / 300)
    for name in ("optimality_sliced", "distances"):
        assert (found[f"{name}_error"] > 0).all() and found[f"{name}_error"].units == found[name].units
    assert np.isnan(value(found, "turning_error", 0)) and float(found.distances_input_error) > 0


def test_a_positive_definite_layer_is_optimal():
    found = fp.layer_transport(recorded([[X @ np.diag([0.5, 1, 3])]], ["a"], inputs=X))
    assert value(found, "optimality") == pytest.approx(1.0, abs=1e-6)
    assert value(found, "wasserstein") ** 2 == pytest.approx(value(found, "cost"), rel=1e-6)
    assert value(found, "optimality_sliced") <= 1.0


def test_one_far_sample_does_not_make_a_layer_optimal():
    """Half of the way is for nothing, as the best assignment of the same points says."""
    rng = np.random.default_rng(0)
    inputs = np.r_[rng.normal(size=(200, 3)), np.full((1, 3), 1e7)].astype(np.float32)
    layer = (inputs + np.r_[0.5 * rng.normal(size=(200, 3)), np.zeros((1, 3))]).astype(np.float32)
    costs = cdist(inputs, layer, "sqeuclidean")
    expected = costs[linear_sum_assignment(costs)].mean() / costs.diagonal().mean()
    assert expected < 0.6
    found = fp.layer_transport(recorded([[layer]], ["a"], inputs=inputs))
    assert value(found, "optimality") == pytest.approx(expected, rel=1e-6)


def test_a_turn_of_a_layer_changes_what_depends_on_the_embedding_only():
    labels = (X[:, 0] > 0).astype(int)
    layers = [np.tanh(X @ A.T), np.tanh(2 * X)]
    turned = [layers[0], layers[1] @ ortho_group.rvs(3, random_state=1)]
    one, other = (fp.layer_transport(recorded([each], ["a", "b"], X, labels)) for each in (layers, turned))
    for name in (
        "participation",
        "entropy",
        "entropy_neighbours",
        "entropy_change_smoothed",
        "score_energy",
        "fisher",
        "distances",
        "log_det_affine",
        "affine_fit",
        "cka",
    ):
        np.testing.assert_allclose(one[name], other[name], rtol=2e-3, atol=1e-4, err_msg=name)
    assert abs(value(one, "cost") - value(other, "cost")) > 0.1


def test_classes_that_come_apart():
    labels = RNG.integers(0, 3, 300)
    far = X + 20.0 * np.eye(3)[labels]
    found = fp.layer_transport(recorded([[X, far]], ["a", "b"], X, labels))
    assert value(found, "probe", 1) == 1.0 > value(found, "probe", 0)
    # 3 classes at 20 e_c: tr S_between is near 400·2/3, tr S_within near 3
    assert value(found, "fisher", 1) == pytest.approx(400 * (2 / 3) / 3, rel=0.2)
    assert value(found, "distances", 1) == pytest.approx(20 * np.sqrt(2) / np.sqrt(6), rel=0.1)
    assert float(found.probe_input) == value(found, "probe", 0)


def test_models_without_labels_or_points_say_what_is_missing():
    rec = recorded([[X, np.tanh(X), X[:, :2]]], ["<script>alert(1)</script>", "h.0", "h.1"])
    found = fp.layer_transport(rec)
    assert found.layer.values[0] == "<script>alert(1)</script>"
    assert np.isnan(found.cost.values[0, 0, 0]) and np.isfinite(found.cost.values[0, 0, 1:]).all()
    assert np.isnan(found.turning.values[0, 0, :2]).all() and np.isfinite(found.turning.values[0, 0, 2])
    assert np.isfinite(found.entropy_change.values[0, 0, 1]) and np.isnan(found.entropy_change.values[0, 0, 2])
    assert np.isnan(found.probe).all() and why_missing(found, "probe") == ("no_classes",)
    assert why_missing(found, "log_det") == ("no_start", "width_changes", "no_weights")
    assert "no_start" in Flags.names(found.flags[0, 0, 0]) and "no_start" not in Flags.names(found.flags[0, 0, 1])
    assert "participation_input" not in found
    assert (found.attrs["labels"], found.attrs["network"]) == ("none", "Made, 3 layers")


def test_every_missing_value_has_a_reason():
    still, wide = np.ones((300, 2)), np.repeat(X, 200, axis=1)
    relu, soft = np.maximum(X, 0), np.exp(X) / np.exp(X).sum(1, keepdims=True)
    rec = recorded([[still, wide, relu, soft, soft[:, :1], still]], list("abcdef"), X, np.arange(300) % 2)
    for layers in (list("abcdef"), ["a"], ["b"], ["c", "d"]):
        found = fp.layer_transport(rec.sel(layer=layers), exact=0)
        for name, about in QUANTITIES.items():
            flags, absent = found[f"{name}_flags"].values, np.isnan(found[name].values)
            assert (flags[absent] > 0).all(), name
            assert (flags & ~FLAGS.bits("not_finite", *about.reasons) == 0).all(), name  # of its own kind only
            assert (found.flags.values & flags == flags).all(), name


def test_snapshots_that_are_not_finite_are_left_out():
    broken = np.tanh(X)
    broken[3, 1] = np.nan
    found = fp.layer_transport(recorded([[X, np.tanh(X)], [X, broken]], ["a", "b"], inputs=X))
    assert np.isfinite(found.cost.values[0, 0]).all()
    assert all(np.isnan(found[name].values[0, 1]).all() for name in (*QUANTITIES, "straightness", "cka"))
    assert (found.flags.values[0, 1] == FLAGS.bits("not_finite")).all()
    assert why_missing(found, "score_energy") == ("not_finite",)


def test_ensembles(rec):
    found = fp.layer_transport(rec.sel(epoch=[0, 40]), samples=150, replica=[0, 2])
    assert dict(found.cka.sizes) == {"replica": 2, "epoch": 2, "layer": 6, "other_layer": 6}
    assert np.isfinite(found.wasserstein.values[0]).all() and np.isnan(found.wasserstein.values[1]).all()
    assert why_missing(found, "wasserstein") == ("other_replica",)
    assert np.isfinite(found.wasserstein_sliced).all()
    assert (found.optimality_sliced[0] <= found.optimality[0] + 1e-9).all()
    assert (found.attrs["samples"], found.attrs["network"]) == (150, "12-10-7-5-4-3-2")
    assert np.isnan(found.entropy.values[..., -1]).all()  # a softmax is on the simplex
    again = fp.layer_transport(rec.sel(epoch=[0, 40]), samples=150, replica=[0, 2])
    assert again.identical(found)
    assert all(found[name].attrs["units"] for name in QUANTITIES)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_square_layers_of_ensembles_have_their_own_log_det(task, activation):
    rec = fp.train(task, hidden=(5, 5, 5), replicas=1, epochs=1, snapshots=2, activation=activation)
    found = fp.layer_transport(rec, samples=100)
    assert np.isnan(found.log_det.values[0, :, [0, 3]]).all() and why_missing(found, "log_det") == ("width_changes",)
    chosen = drawn_samples(rec, 100, "pad", 0, 1 << 30)
    before = torch.from_numpy(rec.activations("layer1").values[0, 1][chosen]).double()
    weight, bias = (part[0].double() for part in rec.network.unpack(torch.from_numpy(rec.weights.values[0, 1:]))[1])
    function = torch.tanh if activation == "tanh" else torch.relu
    jacobians = torch.func.vmap(torch.func.jacrev(lambda x: function(weight @ x + bias)))(before)
    want = float(torch.linalg.slogdet(jacobians)[1].mean())
    np.testing.assert_allclose(value(found, "log_det", 1, 1), want, rtol=1e-5)
    # a layer that is left out leaves a step of two layers, whose derivative is another
    skipped = fp.layer_transport(rec.sel(layer=["layer1", "layer3"]), samples=100)
    assert np.isnan(skipped.log_det).all()
    assert np.isfinite(skipped.cost).all()


def test_layers_wider_than_their_inputs_are_surfaces(task):
    rec = fp.train(task, hidden=(3, 4), replicas=1, epochs=1, snapshots=2)
    found = fp.layer_transport(rec.sel(epoch=0), samples=200)
    assert np.isfinite(value(found, "entropy_neighbours", 0)) and np.isnan(value(found, "entropy_neighbours", 1))
    assert "low_dimensional" in Flags.names(found.flags[0, 0, 1])
    assert "low_dimensional" not in Flags.names(found.flags[0, 0, 0])
    noisy = fp.train(task, hidden=(3, 4), replicas=1, epochs=1, snapshots=2, noise_variance=0.01)
    assert np.isfinite(value(fp.layer_transport(noisy.sel(epoch=0), samples=200), "entropy_neighbours", 1))


def test_all_snapshots_that_the_recording_shows_are_looked_at(task):
    rec = fp.train(task, hidden=(2,), replicas=1, epochs=60, snapshots=40)
    found = fp.layer_transport(rec.thin(12), samples=50, exact=0)
    epochs = found.epoch.values
    assert len(epochs) == 12 and epochs[0] == 0 and epochs[-1] == 60 and (np.diff(epochs) > 0).all()
    assert set(epochs) <= set(rec.epochs)
    assert found.attrs["snapshots_recorded"] == 40
    assert fp.layer_transport(rec, samples=50, exact=0).sizes["epoch"] == 40


def test_compacted_inputs_have_the_same_transport():
    x = RNG.normal(size=(20, 500))
    small = compacted(x, 3)
    assert small.shape == (20, 23)
    layer = np.tanh(x[:, :3])
    one, other = (path_measures(layer_path([start, layer, 2 * layer])) for start in (x, small))
    for name in one:
        rounding = 1e-12 if str(name).endswith("_error") else 0.0  # an error of 0 is one but for that
        np.testing.assert_allclose(one[name], other[name], rtol=1e-9, atol=rounding, err_msg=str(name))


def test_wide_layers_take_the_samples_that_fit():
    wide = RNG.normal(size=(200, 2000)).astype(np.float32)
    rec = recorded([[wide, np.tanh(wide)]], ["a", "b"], inputs=RNG.normal(size=(200, 9000)).astype(np.float32))
    found = fp.layer_transport(rec, memory_budget=20_000_000)
    assert 16 <= found.attrs["samples"] < 200
    assert np.isfinite(found.cost).all() and np.isnan(found.entropy).all()
    assert why_missing(found, "entropy") == ("too_few_samples",)
    with pytest.raises(InputError, match="memory_budget: found 1,000 bytes"):
        fp.layer_transport(rec, memory_budget=1000)


def test_what_is_refused(rec):
    with pytest.raises(InputError, match="rec: found ndarray"):
        fp.layer_transport(X)
    with pytest.raises(InputError, match=r"embedding: found 'procrust'.*did you mean"):
        fp.layer_transport(rec, embedding="procrust")
    with pytest.raises(InputError, match="samples: found 3, expected a whole number, 16"):
        fp.layer_transport(rec, samples=3)
    with pytest.raises(InputError, match="exact: found 1"):
        fp.layer_transport(rec, exact=1)
    with pytest.raises(InputError, match="smoothing: found 0"):
        fp.layer_transport(rec, smoothing=0)
    with pytest.raises(TypeError, match=r"has no argument 'epochs' any more: use rec.thin\(…\) or rec.sel\(epoch=…\)"):
        fp.layer_transport(rec, epochs=41)
    with pytest.raises(InputError, match="replica: found 7"):
        fp.layer_transport(rec, replica=7)
    few = recorded([[X[:10]]], ["a"])
    with pytest.raises(InputError, match="rec: found 10 samples, expected a recording with 16"):
        fp.layer_transport(few)


def test_plans_of_a_few_snapshots_are_those_of_all():
    x = np.random.default_rng(0).normal(size=(40, 3))
    rec = recorded([[x * (k + 2.0), np.tanh(x) + k] for k in range(6)], ("a", "b"), inputs=x)
    every, few = (fp.layer_transport(rec, exact_snapshots=count) for count in (None, 3))
    known = np.isfinite(few.optimality.values[0]).all(1)
    assert known.tolist() == [True, True, False, False, False, True]  # even in log(1 + epoch), both ends
    assert set(why_missing(few, "optimality")) == {"other_epoch"}
    for name, other in every.data_vars.items():
        plans = str(name).startswith(("wasserstein", "optimality")) and "sliced" not in str(name)
        here = known if plans and not str(name).endswith("flags") else slice(None)
        if name not in ("flags", "wasserstein_flags", "optimality_flags"):
            part = (
                (few[name].values, other.values)
                if other.dims[:2] != ("replica", "epoch")
                else (few[name].values[:, here], other.values[:, here])
            )
            np.testing.assert_array_equal(*part)
    with pytest.raises(InputError, match="exact_snapshots"):
        fp.layer_transport(rec, exact_snapshots=1)
