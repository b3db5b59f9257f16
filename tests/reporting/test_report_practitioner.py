"""What a practitioner reads first: where validation loss turns, what each layer adds, what does not learn, and why not."""

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

import flowplane as fp
from flowplane.core.results import save, stamp
from flowplane.experiments.claim import Claim
from flowplane.information.schema import FLAGS
from flowplane.reporting.finite import finite_part
from flowplane.reporting.gradients import gradient_words, idle_layers, idle_words
from flowplane.reporting.layers import layer_numbers, layers_called, when_learned
from flowplane.reporting.ledger import inconclusive_words, why_inconclusive
from flowplane.reporting.markup import called, number
from flowplane.reporting.training import learning_words, training_words
from flowplane.reporting.words import decodable_words, plane_words, summary_words

DIMS = ("replica", "epoch", "layer")
NEAR = {"reference": (1.1,), "tolerance": (0.2,)}


def metrics(**rows) -> xr.Dataset:
    parts = {name: (("replica", "train_epoch"), np.array([row], float)) for name, row in rows.items()}
    return xr.Dataset(parts, {"replica": [0], "train_epoch": np.arange(1, 1 + len(next(iter(rows.values()))))})


def test_the_lowest_validation_loss_and_what_follows():
    epochs = np.arange(1, 61)
    rng = np.random.default_rng(0)
    train = 2 * np.exp(-epochs / 8)
    held = train + 0.1 + 0.006 * np.maximum(epochs - 15, 0) + 0.002 * rng.normal(size=60)
    lowest = 1 + int(held.argmin())
    said = learning_words(metrics(train_loss=train, val_loss=held))
    ends = number(held.min()), number(held[-1])
    assert said[0] == (
        f"Validation loss is lowest at epoch {lowest} ({ends[0]}) and rising since ({ends[1]} at epoch 60), "
        "while training loss still falls: the model overfits from there on."
    )
    wide = (held - train) / held > 0.1
    opens = 2 + int(np.flatnonzero(~wide)[-1])
    assert f"opens at epoch {opens} " in said[1]


@pytest.mark.parametrize(
    ("rows", "said", "unsaid"),
    [
        ({"train_loss": [3, 2, 1, 0.5], "val_loss": [3, 2.1, 1.05, 0.52]}, "lowest at the last epoch (0.520)", "rising"),
        ({"train_loss": [3, 2, 1, 0.5], "val_loss": [3, 2.1, 1.05, 0.52]}, "no gap", "opens"),
        ({"loss": [2.3, 2.3, 2.31, 2.3]}, "Loss hardly moved: the model did not learn.", "lowest"),
        ({"loss": [2.3, 3, 40, 500]}, "Loss rose: the model did not learn.", "lowest"),
        ({"loss": [2.3, 1, 0.4, 0.2]}, "", "learn"),
        ({"val_loss": [1, 0.5, 0.501, 0.5005, 0.5008, 0.5002]}, "lowest at epoch 2 (0.500) and level since", "rising"),
        (
            {"train_accuracy": [0.5, 0.97], "test_accuracy": [0.5, 0.968]},
            "Test accuracy equals training accuracy, 96.8 %.",
            "?",
        ),
        ({"train_acc": [50, 99], "val_acc": [40, 84.5]}, "84.5 %, 14.5 percentage points below training acc", "equals"),
        ({"train_loss": [-1, -2, -3], "val_loss": [-1, -1.5, -1.2]}, "lowest at epoch 2 (−1.50)", "gap"),
        ({"train_loss": [1, np.nan, np.nan], "val_loss": [1, np.inf, np.nan]}, "", "lowest"),
    ],
)
def test_losses_and_accuracies_say_no_more_than_they_show(rows, said, unsaid):
    text = " ".join(learning_words(metrics(**rows)))
    assert said in text and unsaid not in text


def test_a_metric_that_stays_is_not_said_to_move():
    assert training_words(metrics(accuracy=[0.5, 0.5]))[0] == "From epoch 1 to 2: accuracy stayed at 0.500."


def decoded(bits, error=0.02, kinds=("Linear", "ReLU", "Linear"), reduction=("as it is",) * 3) -> xr.Dataset:
    """A plane of three layers at four epochs whose last decodes `bits`; before that the share 0, 1/2 and 1 of these."""
    share = np.array([0, 0.5, 1, 1])[None, :, None]
    values = share * np.array(bits)
    told = {"estimator": "Decodable", "bound": "lower", "units": "bits"}
    found = {"i_xt": (DIMS, np.full(values.shape, 3.0), {"estimator": "Pairwise", "bound": "upper", "units": "bits"})}
    found |= {"i_ty": (DIMS, values, told), "i_ty_error": (DIMS, np.full(values.shape, error), {"units": "bits"})}
    found |= {f"{name}_flags": (DIMS, np.zeros(values.shape, np.int32), FLAGS.attrs(name)) for name in ("i_xt", "i_ty")}
    coords = {"layer_type": ("layer", list(kinds)), "reduction": ("layer", list(reduction))}
    plane = xr.Dataset(found, {"replica": [0], "epoch": [0, 1, 4, 9], "layer": ["0", "1", "2"], **coords})
    return stamp(plane, "information_plane", input_entropy=6.0, label_information=2.0)


def test_which_layers_add_nothing_decodable_and_which_lose_some():
    said = decodable_words(decoded([1.0, 1.01, 0.5]))
    assert said[0].startswith("Nothing decodable is added by layer 1 (ReLU): on the layer before")
    assert said[1] == "Some of what was decodable is lost in layer 2 (Linear), from 1.01 to 0.500 bits."
    assert said[2].endswith("no longer grows, beyond the error, after epoch 4.")
    adding = decodable_words(decoded([0.5, 1.0, 1.5]))
    assert not any("added" in sentence or "lost" in sentence for sentence in adding)
    # rows that were made in another way are not compared
    reduced = decodable_words(decoded([1.0, 1.01, 0.5], reduction=("as it is", "mean over tokens", "as it is")))
    assert not any("added" in sentence or "lost" in sentence for sentence in reduced)
    assert decodable_words(decoded([0.01, 0.0, -0.01])) == ["A linear probe decodes nothing about the label from any layer."]


def test_a_gain_within_its_error_is_not_dated():
    sure, unsure = (layer_numbers(decoded([0.1, 0.1, 0.1], error))[0].learned for error in (0.01, 0.05))
    assert sure.epoch == 4 and np.isnan(unsure.epoch)
    lost = when_learned(np.array([[1.0, 0.5, 0.2]]), np.array([0, 1, 2]))
    assert lost.gain == pytest.approx(-0.8) and np.isnan(lost.epoch)


def test_nothing_known_is_not_a_negative_share():
    layers = layer_numbers(decoded([0.5, 0.2, -0.001]))
    said = summary_words(layers, 6.0, 2.0, {"i_xt": "upper", "i_ty": "lower"})
    assert said[0].endswith("and no decodable information about the label.")
    assert "−" not in said[0] and "%" not in said[0]
    assert said[-1] == "No validity warnings at the last epoch."


def test_layers_are_called_by_name_and_kind():
    assert layers_called(decoded([1, 1, 1])) == ["layer 0 (Linear)", "layer 1 (ReLU)", "layer 2 (Linear)"]
    assert called("layer3", "dense") == "layer3"  # of an ensemble all are
    assert plane_words(layer_numbers(decoded([1, 1, 1])), np.array([0, 1, 4, 9]))[1].startswith("No layer compresses")


@pytest.mark.parametrize("value", [9.2e22, -4.6e33, 1e300, 123_456_789.0])
def test_no_number_has_more_digits_than_say_something(value):
    assert len(number(value)) <= 9 and float(number(value).replace("−", "-")) == pytest.approx(value, rel=0.05)


@pytest.fixture(scope="module")
def halted():
    """A layer that is frozen, one behind units that died, and one that learns."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(*(part for _ in range(3) for part in (torch.nn.Linear(4, 4), torch.nn.ReLU())))
    model.append(torch.nn.Linear(4, 2))
    model[0].requires_grad_(False)
    with torch.no_grad():
        model[4].bias.fill_(-100.0)
    x = torch.rand(60, 4)
    y = (x[:, 0] > 0.5).long()
    optimizer = torch.optim.Adam(model[2:].parameters(), 0.01)
    with fp.Recorder(model, x, y, epochs=4, snapshots=5) as recorder:
        for epoch in range(1, 5):
            for rows in torch.arange(60).split(20):
                loss = torch.nn.functional.cross_entropy(model(x[rows]), y[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            recorder.step(epoch=epoch, train_loss=loss)
    return recorder.recording


def test_layers_of_which_no_parameter_moves(halted):
    idle = idle_layers(halted.gradients)
    assert idle == ["0", "2", "4"]  # frozen, and before the units that died; the last one learns its bias
    assert idle_words([])[:1] == [] and "No parameter moves in layer 0 (Linear)" in idle_words(["layer 0 (Linear)"])[0]
    said = " ".join(gradient_words(fp.gradient_phases(halted), idle))
    assert "No gradients in layer 1 (ReLU), layer 3 (ReLU) and layer 5 (ReLU): no parameters" in said
    assert "layer 2" not in said


def fresh(path, broken_until, broken_loss=False):
    """A model whose batch normalisation has no statistics until it has seen data, in eval mode."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 2))
    x = torch.rand(40, 3)
    mean = model[1].running_mean.clone()
    model[1].running_mean.fill_(torch.nan)
    with (
        pytest.warns(RuntimeWarning, match="at epoch 0, before any training: the probe inputs, or what eval mode uses"),
        fp.Recorder(model, x, torch.arange(40) % 2, path=path, epochs=5, snapshots=6, keep=("activations",)) as recorder,
    ):
        for epoch in range(1, 6):
            if epoch > broken_until:
                model[1].running_mean.copy_(mean)
            recorder.step(epoch=epoch, train_loss=torch.nan if broken_loss else 1 / epoch)
    return fp.open(path)


def test_fresh_batch_statistics_are_no_divergence(tmp_path):
    part, said = finite_part(fresh(tmp_path / "late.fp", broken_until=2))
    assert part.epochs.tolist() == [3, 4, 5]
    assert said.startswith("Up to epoch 2, activations are NaN or infinite: training itself goes on")
    assert "the running statistics of layer 1 (BatchNorm1d)" in said and said.endswith("This page begins at epoch 3.")
    assert "diverged" not in said
    part, said = finite_part(fresh(tmp_path / "never.fp", broken_until=9))
    assert part is None and "At every snapshot from epoch 0 on" in said and "diverged" not in said
    part, said = finite_part(fresh(tmp_path / "diverged.fp", broken_until=9, broken_loss=True))
    assert part is None and "training diverged" in said


def claim(**numbers) -> Claim:
    return Claim(id="B-1", role="headline", statement="", verdict="inconclusive", **numbers)


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ({"measured": (0.3,), "interval": ((-0.1, 0.7),)}, "The interval [-0.100, 0.700] includes 0."),
        ({"measured": (float("nan"),)}, "Not every number could be measured."),
        (
            {"measured": (1.0,), "interval": ((0.5, 1.5),), "reference": (1.1,), "tolerance": (0.2,)},
            "reaches beyond 1.10 ± 0.200",
        ),
        (
            {"measured": (2.0,), "interval": ((1.2, 2.8),), "reference": (1.1,), "tolerance": (0.2,)},
            "outside 1.10 ± 0.200, but",
        ),
        ({"measured": (2.0,), "interval": ((1.9, 2.1),), "reference": (2.0,), "tolerance": (9.0,)}, "more replicas"),
        ({"measured": (2.0,), "scale": "tiny"}, "The tiny scale decides nothing."),
        ({"measured": (2.0,)}, "do not decide it"),
    ],
)
def test_what_is_inconclusive_says_why(numbers, said):
    found = claim(**numbers)
    assert said in why_inconclusive(found)
    assert inconclusive_words([found]) == [f"B-1 is inconclusive. {why_inconclusive(found)}"]


def test_a_plane_as_a_table(tmp_path):
    plane = decoded([1.0, 1.01, 0.5])
    plane["i_ty_flags"][:] = FLAGS.bits("ties", "clipped")
    save(plane, tmp_path / "plane.csv")
    table = pd.read_csv(tmp_path / "plane.csv", dtype={"layer": str})
    assert {"variable", "replica", "epoch", "layer", "layer_type", "value", "units", "text"} <= set(table)
    bits = table[table.variable == "i_ty"]
    assert len(bits) == plane.i_ty.size and set(bits.units) == {"bits"}
    last = bits[(bits.epoch == 9) & (bits.layer == "2")]
    assert last.value.item() == 0.5 and last.layer_type.item() == "Linear"
    assert set(table[table.variable == "i_ty_flags"].text) == {"clipped; ties"}
    assert not (table.variable == "flags").any()


def test_runs_side_by_side_share_their_curves():
    one, two = metrics(train_loss=[2, 1], val_loss=[2, 1.5]), metrics(train_loss=[3, 1, 0.5])
    means = [trace for trace in fp.plot.metrics({"a < b": one, "c": two}).data if trace.name]
    assert [trace.name for trace in means] == ["a &lt; b, train", "a &lt; b, val", "c, train"]
    assert means[0].line.color == means[1].line.color != means[2].line.color
    assert means[0].line.dash == means[2].line.dash != means[1].line.dash
    np.testing.assert_array_equal(means[2].y, [3, 1, 0.5])
