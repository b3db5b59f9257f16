"""Flags in words: each flag has its sentence, those that are not raised have none, and it says where."""

import json

import numpy as np
import pytest
import xarray as xr

import flowplane as fp
from flowplane.errors import InputError
from flowplane.information.schema import FLAGS, estimate_dataset, flag_bit
from flowplane.information.words import CONSEQUENCES


def made(flags, dims=(), coords=None, **attrs):
    """What an estimator might answer, with these flags."""
    flags = np.asarray(flags)
    values = {name: np.zeros(flags.shape) for name in ("i_xt", "i_ty", "h_t")}
    about = {"kind": "estimate", "channel": "none", "estimator": "Binned", "parameters": {}} | attrs
    return estimate_dataset(dims, coords or {}, values, flags, **about)


def layer_of(seed, n=60):
    return np.random.default_rng(seed).uniform(-1, 1, (n, 2)), np.arange(n) % 2


def test_every_flag_says_what_to_do():
    assert set(CONSEQUENCES) == set(FLAGS)
    for sentence in CONSEQUENCES.values():
        assert sentence[0].isupper()
        assert sentence.endswith(".")


@pytest.mark.parametrize("name", FLAGS)
def test_every_flag_has_a_sentence_of_its_own(name):
    said = fp.explain(made(flag_bit(name))).split("\n")
    assert said[1:] == [f"{name}: {FLAGS[name]}. {CONSEQUENCES[name]}"]


def test_all_flags_at_once_each_once():
    said = fp.explain(made((1 << len(FLAGS)) - 1)).split("\n")
    assert [line.split(":")[0] for line in said[1:]] == list(FLAGS)


def test_no_flag():
    layer, labels = layer_of(0, 400)
    said = fp.explain(fp.Binned(3, range=(-1, 1))(layer, labels))
    assert said.split("\n") == [
        "Binned: an estimate, in bits; channel: 3 equal bins on [-1, 1].",
        "No flag is raised: nothing speaks against these values.",
    ]


@pytest.mark.parametrize(
    "estimator",
    [
        fp.Binned(4),
        fp.Pairwise(0.1),
        fp.Pairwise(0.1, bound="lower"),
        fp.KSG(),
        fp.GaussianMI(),
        fp.MatrixRenyi(),
        fp.SlicedMI(fp.GaussianMI(), slices=3),
    ],
)
def test_every_estimator_speaks(estimator):
    layer, labels = layer_of(1)
    found = estimator(layer, labels)
    said = fp.explain(found).split("\n")
    assert said[0].startswith(f"{type(estimator).__name__}: ")
    assert found.attrs["kind"] in said[0]
    assert found.attrs["channel"] in said[0]
    assert found.attrs.get("quantity", "") in said[0]
    for name in FLAGS:
        raised = bool(int(found.flags) & flag_bit(name))
        assert any(line.startswith(f"{name}:") for line in said) == raised


def test_the_article_fits():
    assert "a lower bound" in fp.explain(made(0, kind="lower bound"))
    assert "an upper bound" in fp.explain(made(0, kind="upper bound"))


def test_where_a_flag_is_raised():
    flags = np.zeros((2, 3, 4), int)
    flags[0, 1, 2] = flags[1, 1, 2] = flag_bit("clipped")
    flags[:, :, 3] |= flag_bit("saturated")
    layers = [f"layer{k}" for k in range(1, 5)]
    said = fp.explain(made(flags, ("replica", "epoch", "layer"), {"layer": layers}))
    assert f"clipped (layer3; 2 of 24 values): {FLAGS['clipped']}" in said
    assert f"saturated (layer4; 6 of 24 values): {FLAGS['saturated']}" in said
    everywhere = fp.explain(made(np.full((2, 2), flag_bit("no_labels")), ("replica", "epoch")))
    assert "no_labels (everywhere):" in everywhere


def test_a_table_names_the_estimators():
    layer, labels = layer_of(2)
    chosen = {"coarse": fp.Binned(2, range=(-1, 1)), "fine": fp.Binned(10**6), "normal": fp.GaussianMI()}
    said = fp.explain(fp.compare_estimators(layer, labels, estimators=chosen)).split("\n")
    assert said[0] == "coarse: an estimate, in bits; channel: 2 equal bins on [-1, 1]."
    assert said[1].startswith("fine: an estimate, in bits; channel: 1000000 equal bins")
    assert said[2] == "normal: an estimate, in bits; channel: none."
    assert any(line.startswith("saturated (fine;") for line in said)
    assert any(line.startswith("no_inputs (normal;") for line in said)


def test_a_plane_of_a_recording_names_the_channels_of_its_layers(rec):
    plane = fp.information_plane(rec.sel(replica=0, epoch=40), fp.Binned(30))
    said = fp.explain(plane).split("\n")
    assert said[0] == "Binned: an estimate, in bits; channel: 30 equal bins on [-1, 1]; 30 equal bins on [0, 1]."
    table = fp.compare_estimators(rec.sel(replica=0, epoch=40), estimators=[fp.Binned(30), fp.GaussianMI()])
    said = fp.explain(table).split("\n")
    assert said[0] == "Binned: an estimate, in bits; channel: 30 equal bins on [-1, 1]; 30 equal bins on [0, 1]."
    assert said[1] == "GaussianMI: an estimate, in bits; channel: none."
    assert any(line.startswith("deterministic (GaussianMI;") for line in said)


def test_one_estimator_alone_in_a_table():
    layer, labels = layer_of(3)
    said = fp.explain(fp.compare_estimators(layer, labels, estimators=[fp.MatrixRenyi()])).split("\n")
    assert said[0].startswith(
        "MatrixRenyi: an estimate, in bits; channel: Gaussian kernel, width 0.5 of the spread; matrix-based"
    )


def test_one_row_of_a_table():
    layer, labels = layer_of(4)
    table = fp.compare_estimators(layer, labels, estimators=[fp.Binned(3, range=(-1, 1)), fp.GaussianMI()])
    said = fp.explain(table.sel(estimator="GaussianMI"))
    assert "no_inputs: " in said
    assert "{" not in said
    assert said.startswith("GaussianMI: an estimate, in bits; channel: none.")


def test_a_convergence():
    layer, labels = layer_of(5)
    curve = fp.information.convergence(fp.Binned(), layer, labels, values=[2, 10**6], sizes=[60], draws=1)
    said = fp.explain(curve)
    assert said.startswith("Binned: an estimate, in bits; channel: swept.")
    assert "saturated (1 of 2 values)" in said


@pytest.mark.parametrize("wrong", [None, "text", 3, [1, 2], xr.DataArray([1.0]), {"flags": 3}])
def test_what_has_no_flags_is_refused(wrong):
    with pytest.raises(InputError, match=r"^plane: found"):
        fp.explain(wrong)
    with pytest.raises(InputError, match=r"^plane: found a Dataset without flags"):
        fp.explain(xr.Dataset({"i_xt": 3.0}))


def test_attributes_of_any_kind_do_no_harm():
    by_layer = made(0, channel=json.dumps({"layer1": "a", "layer2": "b"}))
    assert fp.explain(by_layer).startswith("Binned: an estimate, in bits; channel: a; b.")
    assert "in bits" in fp.explain(made(0).drop_attrs())
