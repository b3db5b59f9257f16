"""The report claims no more than what is so: wide intervals, training that diverged, parts that are missing."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch
import xarray as xr
from page_reading import Read
from slower import first_ones

import flowplane as fp
from flowplane.core.results import stamp
from flowplane.errors import InputError
from flowplane.information.resolution import shown
from flowplane.information.schema import FLAGS
from flowplane.reporting import page
from flowplane.reporting.finite import finite_part
from flowplane.reporting.glossary import WORDS
from flowplane.reporting.gradients import gradient_words
from flowplane.reporting.layers import LayerNumbers, Learned, Quantity, layer_numbers
from flowplane.reporting.moves import move_words
from flowplane.reporting.reasons import reason
from flowplane.reporting.subject import Subject
from flowplane.reporting.tables import difference_table
from flowplane.reporting.training import training_words

DIMS = ("replica", "epoch", "layer")


def words(text) -> str:
    return " ".join(text.split())


def made_plane(i_ty, lower, upper, epochs=(0, 1, 4), flags=0, **attrs) -> xr.Dataset:
    """Two layers whose I(T;Y) rises to `i_ty`, with these ends, of H(Y) = 1 and H(X) = 6 bits."""
    shape = (1, len(epochs), 2)
    rising = np.linspace(0, 1, len(epochs))[None, :, None] * np.ones(shape) if len(epochs) > 1 else np.ones(shape)
    values = {
        "i_xt": 3.0 * np.ones(shape),
        "i_ty": i_ty * rising,
        "i_ty_lower": lower + 0 * rising,
        "i_ty_upper": upper + 0 * rising,
    }
    told = {"estimator": "Pairwise", "parameters": "noise_variance=0.1", "channel": "noise"}
    own = {"i_xt": {"bound": "upper", **told}, "i_ty": {"bound": "estimate", **told}}
    parts = {name: (DIMS, value, {"units": "bits", **own.get(name, {})}) for name, value in values.items()}
    for name in own:
        parts[f"{name}_flags"] = (DIMS, np.full(shape, flags, np.int32), FLAGS.attrs(name))
    about = {"input_entropy": 6.0, "label_information": 1.0} | attrs
    plane = xr.Dataset(parts, {"replica": [0], "epoch": list(epochs), "layer": ["a", "b"]})
    return stamp(plane, "information_plane", **about)


def read_of(plane) -> Read:
    return Read(page.page_of([Subject("x", "about", plane=plane, notes={})]))


@pytest.mark.parametrize(("lower", "upper", "wide"), [(0.1, 0.95, True), (0.1, 0.85, False)])
def test_bounds_far_apart_are_no_numbers_to_trust(lower, upper, wide):
    read = read_of(made_plane(0.5, lower, upper))
    summary, validity = words(read.sections["summary"]), words(read.sections["validity"])
    assert ("✓ no warning" in summary) is not wide
    findings = summary.partition("Layer by layer")[0]
    assert ("%" in findings) is not wide
    assert ("These dates are those of the estimate" in findings) is wide
    assert (f"anywhere between {lower:.3f} and {upper:.3f}" in findings) is wide
    assert ("difference of bounds" in validity) is wide
    assert ("No validity warnings." in validity) is not wide


def test_bounds_far_apart_show_behind_a_narrow_interval_of_the_replicas():
    one = made_plane(0.5, 0.0, 1.0)
    several = xr.concat([one.assign_coords(replica=[k]) for k in range(4)], "replica")
    assert layer_numbers(several)[0].far == {"i_ty": (0.0, 1.0)}


def test_of_one_snapshot_nothing_is_said_of_training():
    said = words(" ".join(read_of(made_plane(0.5, 0.4, 0.6, epochs=(7,))).sections.values()))
    assert "At epoch 7 the last layer" in said
    for untrue in ("At the end of training", "training changed", "no compression", "at the last epoch;"):
        assert untrue not in said, untrue
    assert "– (one snapshot)" in said


def test_where_all_inputs_are_the_same_none_stands_alone():
    said = words(
        " ".join(read_of(made_plane(0.0, 0.0, 0.0, flags=1, input_entropy=0.0, label_information=0.0)).sections.values())
    )
    assert "almost every input" not in said.partition("What the terms mean")[0].lower()
    assert "saturated" not in said.partition("What the terms mean")[0]
    assert "all inputs are the same" in said


def layer(name, depth) -> LayerNumbers:
    nothing = Learned(0.0, 1.0, 3.0, 3.0, 3.0, 1)
    return LayerNumbers(name, depth, 4, Quantity(float(depth)), Quantity(0.5), nothing, 0.0, 0.0)


def test_layers_are_paired_by_name_else_the_last_with_the_last():
    named = difference_table([layer("a", 1), layer("b", 2)], [layer("z", 1), layer("a", 2)], ("one", "two"))
    assert "left out: b of one; z of two" in named
    assert ">a<" in named and "+1.00" in named
    apart = difference_table([layer("a", 1), layer("b", 2), layer("c", 3)], [layer("y", 1), layer("z", 2)], ("one", "two"))
    assert "c / z" in apart and "a / y" not in apart
    assert "left out: a and b of one; y of two" in apart


def metrics(**values) -> xr.Dataset:
    parts = {name: (("replica", "train_epoch"), np.array([row], float)) for name, row in values.items()}
    return xr.Dataset(parts, {"replica": [0], "train_epoch": np.arange(1, 1 + len(next(iter(values.values()))))})


def test_a_loss_that_is_nan_or_infinite_is_said_to_be():
    nan, inf = np.nan, np.inf
    assert training_words(metrics(loss=[2, 1, nan, nan]))[0] == "Loss is NaN from epoch 3."
    assert training_words(metrics(train_loss=[2, inf, nan]))[0] == "Training loss is infinite from epoch 2."
    assert training_words(metrics(loss=[2, 1, nan]))[1] == "From epoch 1 to 3: loss went from 2.00 to 1.00 by epoch 2."
    # given every second epoch only
    assert not any("NaN" in said for said in training_words(metrics(val_loss=[nan, 1, nan, 0.5, nan])))
    assert training_words(metrics(loss=[2])) == ["At epoch 1: loss was 2.00."]


def diverging(path, from_epoch, hidden_only=False, epochs=6):
    """A model whose weights become infinite at an epoch."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.ReLU(), torch.nn.Linear(4, 3), torch.nn.Sigmoid())
    inputs = torch.rand(40, 5)
    said = pytest.warns(RuntimeWarning, match=f"at epoch {from_epoch}") if from_epoch <= epochs else nullcontext()
    with (
        said,
        fp.Recorder(
            model, inputs, torch.arange(40) % 2, path=path, epochs=epochs, snapshots=epochs + 1, keep=("activations",)
        ) as recorder,
    ):
        for epoch in range(1, epochs + 1):
            if epoch >= from_epoch:
                with torch.no_grad():
                    model[2].bias.fill_(torch.inf if hidden_only else torch.nan)
            recorder.step(epoch=epoch, loss=float("nan") if epoch >= from_epoch else 1.0 / epoch)
    return fp.open(path)


@pytest.mark.parametrize("hidden_only", first_ones(1, [False, True]))
def test_what_came_before_training_diverged_is_shown(tmp_path, hidden_only):
    rec = diverging(tmp_path / "diverging.fp", 4, hidden_only)
    before, said = finite_part(rec)
    assert said.startswith("From epoch 4 on, activations are NaN or infinite: training diverged")
    assert before.epochs.tolist() == [epoch for epoch in rec.epochs if epoch < 4]
    read = Read(fp.report(rec, tmp_path / "report.html").read_text())
    summary = words(read.sections["summary"])
    assert summary.startswith(f"Summary {said}")
    assert "At epoch 3 the last layer" in summary
    assert "At the end of training" not in summary
    assert "Loss is NaN from epoch 4." in words(read.sections["training"])
    assert {"information-plane", "transport-profile"} <= set(read.figures())
    both = words(Read(fp.report([rec, rec], tmp_path / "two.html").read_text()).sections["summary"])
    assert both.count(said) == 2
    assert "Differences at the last epoch" in both


def test_finite_recordings_are_left_whole(small):
    part, said = finite_part(small)
    assert said == ""
    assert part.epochs.tolist() == small.epochs.tolist()


def test_diverged_from_the_start(tmp_path, monkeypatch):
    rec = diverging(tmp_path / "start.fp", 1, epochs=3)
    rec = rec.sel(epoch=[1, 2, 3])
    assert finite_part(rec)[0] is None
    read = Read(fp.report(rec, tmp_path / "report.html").read_text())
    summary = words(read.sections["summary"])
    assert "At every snapshot from epoch 1 on, activations are NaN or infinite: training diverged" in summary
    assert "Loss is NaN or infinite at every epoch." in words(read.sections["training"])
    assert "found" not in words(read.sections["transport"] + read.sections["gradients"] + read.sections["plane"])
    assert set(read.figures()) == set()


@pytest.mark.parametrize(
    ("section", "error", "said"),
    [
        ("gradients", InputError("rec", "a recording", "one"), "No step of an optimiser was seen"),
        ("gradients", InputError("batches", 0, "a whole number"), "No step of an optimiser was seen"),
        ("gradients", InputError("gradients", "a recording", "one"), "Gradients were not kept."),
        ("gradients", InputError("epochs", [0.0], "two epochs"), "Too few snapshots"),
        ("gradients", InputError("gradient", "values that are negative", "norms"), "`fp.gradient_phases(rec)` says why"),
        ("transport", InputError("rec", "3 samples", "16"), "Too few samples to follow"),
    ],
)
def test_reasons_are_sentences(section, error, said):
    text = reason(section, error)
    assert said in text
    assert "expected" not in text


def test_gradients_without_a_step_or_a_second_snapshot(tmp_path, small):
    rec = diverging(tmp_path / "no.fp", 99)
    read = Read(fp.report(rec, tmp_path / "report.html").read_text())
    assert "Gradients were not kept." in read.sections["gradients"]
    model = torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
    with fp.Recorder(model, torch.rand(40, 5), torch.arange(40) % 2) as recorder:
        pass  # no step
    read = Read(fp.report(recorder.recording, tmp_path / "forgotten.html").read_text())
    assert "No step of an optimiser was seen" in read.sections["gradients"]
    assert "found" not in words(read.sections["gradients"])
    read = Read(fp.report(small.sel(epoch=0), tmp_path / "one.html").read_text())
    assert "Too few snapshots" in read.sections["gradients"]
    assert "At the end of training" not in " ".join(read.sections.values())


def test_plans_are_between_the_samples_there_are(small):
    found = fp.layer_transport(small.sel(epoch=small.epochs[-2:].tolist()), exact=1000)
    assert found.attrs["exact_samples"] == len(small.task) == 128
    assert "plans between 128 points" in move_words(found)[-1]
    assert "plans between 128 points" in move_words(found.assign_attrs(exact_samples=1000))[-1]  # as stored before


def test_layers_without_gradients_may_be_frozen():
    nan = np.full((1, 2, 1), np.nan)
    phases = xr.Dataset(
        {"gradient_mean": (DIMS, nan), "median_state": ("layer", ["undefined"]), "crossing_median": ("layer", [np.nan])},
        {"replica": [0], "epoch": [1, 2], "layer": ["a"]},
    )
    assert gradient_words(phases)[-1] == "Gradients are NaN or infinite in every layer."
    assert gradient_words(phases, ["a"])[1:] == []


def test_names_are_escaped_once(hostile, tmp_path):
    read = Read(fp.report(hostile, tmp_path / "report.html").read_text())
    assert "&amp;lt;" not in str(read.figures())
    assert "1 replica" not in str([attrs.get("aria-label") for attrs in read.of("div")])


def test_words_are_explained_in_few(small, tmp_path):
    read = Read(fp.report(small, tmp_path / "report.html").read_text())
    said = words(read.sections["summary"])
    for word, meaning in WORDS.items():
        assert word in said and meaning in said
        assert len(meaning.split()) <= 24
    facts = words(read.sections["provenance"])
    assert f"0 to 60, {len(small.epochs)} snapshots kept" in facts


def test_what_a_probe_decodes_is_read_also_where_every_input_stands_alone(tmp_path):
    """I(X;T) saturates by its channel; the label is decoded without one."""
    rng = np.random.default_rng(0)
    y = np.arange(120) % 2
    start, end = rng.normal(size=(120, 60)), rng.normal(size=(120, 60)) + 2.0 * y[:, None]
    rec = fp.from_arrays({"wide": np.stack([start, end, end])}, y, epochs=range(3))
    (layer,) = layer_numbers(shown(fp.information_plane(rec)))
    assert layer.saturated and not layer.label_saturated and layer.learned.epoch == 1
    said = words(Read(fp.report(rec, tmp_path / "report.html").read_text()).sections["summary"])
    assert "cannot be read" not in said and "by epoch 1" in said
