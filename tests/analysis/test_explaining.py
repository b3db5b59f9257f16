"""Results in words: each flag has its sentence, those that are not raised have none, and it says where."""

import numpy as np
import pytest
import xarray as xr

import flowplane as fp
from flowplane.analysis.transport.quantities import FLAGS as TRANSPORT
from flowplane.core.older import modern
from flowplane.core.results import BOUNDS, Flags, quantities, stamp
from flowplane.errors import InputError
from flowplane.information.schema import FLAGS, QUANTITIES, estimate_dataset


def made(flags, dims=(), coords=None, **about):
    """What an estimator might answer, with these flags for all quantities."""
    flags = np.asarray(flags)
    values = {name: np.zeros(flags.shape) for name in QUANTITIES}
    given = {"channel": "none", "estimator": "Binned", "parameters": ""} | about
    return stamp(estimate_dataset(dims, coords or {}, values, dict.fromkeys(QUANTITIES, flags), about=given), "estimate")


def layer_of(seed, n=60):
    return np.random.default_rng(seed).uniform(-1, 1, (n, 2)), np.arange(n) % 2


@pytest.mark.parametrize("alphabet", [FLAGS, TRANSPORT])
def test_every_flag_says_what_it_means_and_what_to_do(alphabet):
    for flag in alphabet.values():
        assert flag.meaning and not flag.meaning.endswith(".")
        assert flag.advice[0].isupper() and flag.advice.endswith(".")


@pytest.mark.parametrize("name", FLAGS)
def test_every_flag_has_a_sentence_of_its_own(name):
    said = fp.explain(made(FLAGS.bits(name))).split("\n")
    assert said[1:] == [f"{name}: {FLAGS[name].meaning}. {FLAGS[name].advice}"]


def test_all_flags_at_once_each_once():
    said = fp.explain(made(FLAGS.bits(*FLAGS))).split("\n")
    assert [line.split(":")[0] for line in said[1:]] == list(FLAGS)


def test_no_flag():
    layer, labels = layer_of(0, 400)
    said = fp.explain(fp.Binned(3, range=(-1, 1))(layer, labels))
    assert said.split("\n") == ["Binned: an estimate, in bits; channel: 3 equal bins on [-1, 1].", "No validity warnings."]


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
    said = fp.explain(found)
    assert said.startswith(type(estimator).__name__)
    for name in QUANTITIES:
        assert BOUNDS[found[name].bound] in said
        assert found[name].channel in said
        assert found[name].attrs.get("quantity", "") in said
    for name in FLAGS:
        raised = bool(int(found.flags) & FLAGS.bits(name))
        assert any(line.startswith((f"{name}:", f"{name} (")) for line in said.split("\n")) == raised


def test_a_bound_on_one_quantity_is_none_on_another():
    layer, labels = layer_of(1)
    upper = fp.Pairwise(0.1)(layer, labels)
    assert (upper.i_xt.bound, upper.i_ty.bound) == ("upper", "estimate")  # I(T;Y) is a difference of bounds
    said = fp.explain(upper).split("\n")
    assert said[0].startswith("Pairwise (I(X;T), H(T)): an upper bound, in bits; channel: Gaussian noise of variance 0.1")
    assert said[1].startswith("Pairwise (I(T;Y)): an estimate, in bits;")


def test_flags_belong_to_the_quantity_they_concern():
    layer, _ = layer_of(1)
    found = fp.KSG()(layer, inputs=layer**2)
    assert Flags.names(found.i_ty_flags) == ("no_labels",) and "no_labels" not in Flags.names(found.i_xt_flags)
    assert Flags.names(found.flags) == tuple(
        name for name in FLAGS if any(name in Flags.names(found[f"{quantity}_flags"]) for quantity in QUANTITIES)
    )
    assert "no_labels (I(T;Y)): I(T;Y) needs labels" in fp.explain(found)


def test_a_plane_may_take_x_and_y_from_two_estimators():
    layer, labels = layer_of(2)
    of_x, of_y = fp.Pairwise(0.1)(layer, labels), fp.KSG()(layer, labels)
    names = [f"{name}{end}" for name in ("i_xt", "i_ty") for end in ("", "_lower", "_upper", "_flags")]
    both = of_x[names[:4]].merge(of_y[names[4:]], combine_attrs="override").drop_vars("noise_variance")
    said = fp.explain(stamp(both, "information_plane")).split("\n")
    assert said[0].startswith("Pairwise (I(X;T)): an upper bound, in bits; channel: Gaussian noise of variance 0.1")
    assert said[1] == "KSG (I(T;Y)): an estimate, in bits; channel: none."


def test_where_a_flag_is_raised():
    flags = np.zeros((2, 3, 4), int)
    flags[0, 1, 2] = flags[1, 1, 2] = FLAGS.bits("clipped")
    flags[:, :, 3] |= FLAGS.bits("saturated")
    layers = [f"layer{k}" for k in range(1, 5)]
    said = fp.explain(made(flags, ("replica", "epoch", "layer"), {"layer": layers}))
    assert f"clipped (layer3; 2 of 24 values): {FLAGS['clipped'].meaning}" in said
    assert f"saturated (layer4; 6 of 24 values): {FLAGS['saturated'].meaning}" in said
    everywhere = fp.explain(made(np.full((2, 2), FLAGS.bits("no_labels")), ("replica", "epoch")))
    assert "no_labels (everywhere):" in everywhere


def test_a_table_names_the_estimators():
    layer, labels = layer_of(2)
    chosen = {"coarse": fp.Binned(2, range=(-1, 1)), "fine": fp.Binned(10**6), "normal": fp.GaussianMI()}
    said = fp.explain(fp.compare_estimators(layer, labels, estimators=chosen)).split("\n")
    assert said[0] == "coarse: an estimate, in bits; channel: 2 equal bins on [-1, 1]."
    assert said[1].startswith("fine: an estimate, in bits; channel: 1000000 equal bins")
    assert said[2] == "normal: an estimate, in bits; channel: none."
    assert any(line.startswith("saturated (fine;") for line in said)
    assert any(line.startswith("no_inputs (I(X;T); normal;") for line in said)


def test_a_plane_of_a_recording_names_the_channels_of_its_layers(rec):
    plane = fp.information_plane(rec.sel(replica=0, epoch=40), fp.Binned(30))
    said = fp.explain(plane).split("\n")
    assert said[0] == "Binned: an estimate, in bits; channel: 30 equal bins on [-1, 1]; 30 equal bins on [0, 1]."
    table = fp.compare_estimators(rec.sel(replica=0, epoch=40), estimators=[fp.Binned(30), fp.GaussianMI()])
    said = fp.explain(table).split("\n")
    assert said[0] == "Binned: an estimate, in bits; channel: 30 equal bins on [-1, 1]; 30 equal bins on [0, 1]."
    assert said[1] == "GaussianMI: an estimate, in bits; channel: none."
    assert any(line.startswith("deterministic (I(X;T); GaussianMI;") for line in said)


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
    assert "no_inputs (I(X;T)): " in said
    assert "{" not in said
    assert said.startswith("GaussianMI: an estimate, in bits; channel: none.")


def test_a_convergence():
    layer, labels = layer_of(5)
    curve = fp.information.convergence(fp.Binned(), layer, labels, values=[2, 10**6], sizes=[60], draws=1)
    said = fp.explain(curve)
    assert said.startswith("Binned: an estimate, in bits; channel: swept.")
    assert "saturated (1 of 2 values)" in said


@pytest.mark.parametrize("wrong", [None, "text", 3, [1, 2], xr.DataArray([1.0]), {"flags": 3}])
def test_what_is_no_dataset_is_refused(wrong):
    with pytest.raises(InputError, match=r"^dataset: found"):
        fp.explain(wrong)


def test_a_dataset_of_unknown_result_is_refused():
    with pytest.raises(InputError, match=r"^dataset: found a Dataset without a result's name"):
        fp.explain(xr.Dataset({"i_xt": 3.0}))
    later = made(0).assign_attrs(result="tea_leaves", version="9.1")
    with pytest.raises(InputError, match=r"^dataset: found result 'tea_leaves' of version 9.1, expected one of"):
        fp.explain(later)


def test_flags_of_another_version_are_named_and_not_mistaken():
    """Bits mean what the array itself says, in whatever order; a flag that is not known today is called by its name."""
    later = made(0)
    for name in QUANTITIES:
        attrs = {"flag_masks": np.array([1, 2], np.int32), "flag_meanings": "moonstruck clipped"}
        later[f"{name}_flags"] = xr.DataArray(np.int32(1), attrs=attrs)
    said = fp.explain(later.drop_vars("flags"))
    assert "moonstruck: a flag of another version of flowplane" in said and "saturated" not in said and "clipped" not in said
    with_words = later.copy()
    for name in QUANTITIES:
        with_words[f"{name}_flags"].attrs |= {
            "flag_descriptions": ["the moon was full", "cut"],
            "flag_advice": ["Wait.", ""],
        }
    assert "moonstruck: the moon was full. Wait." in fp.explain(with_words.drop_vars("flags"))


def test_a_plane_of_the_version_before_is_read_as_one_of_today():
    flags = xr.DataArray(
        [[[1, 4]]], dims=("replica", "epoch", "layer"), attrs={"flag_meanings": "saturated clipped constant_units"}
    )
    values = xr.DataArray([[[8.0, 2.0]]], dims=flags.dims, attrs={"units": "bits", "long_name": "I(X;T)"})
    attrs = {
        "kind": "upper bound",
        "estimator": "Pairwise",
        "channel": '{"fc": "noise of 0.1", "head": "noise of 0.2"}',
        "parameters": '{"fc": "{\\"variance\\": 0.1}", "head": "{\\"variance\\": 0.2}"}',
    }
    old = xr.Dataset({"i_xt": values, "flags": flags}, {"layer": ["fc", "head"], "epoch": [0], "replica": [0]}, attrs)
    new = modern(old)
    assert (new.attrs["result"], new.i_xt.bound, new.channel.sel(layer="head").item()) == (
        "information_plane",
        "upper",
        "noise of 0.2",
    )
    said = fp.explain(old).split("\n")
    assert said[0] == "Pairwise: an upper bound, in bits; channel: noise of 0.1; noise of 0.2."
    assert said[1] == f"saturated (fc; 1 of 2 values): {FLAGS['saturated'].meaning}. {FLAGS['saturated'].advice}"
    assert said[2].startswith("constant_units (head; 1 of 2 values)")
    assert quantities(new) == ["i_xt"]


def test_a_layer_transport_of_the_version_before_says_of_each_quantity_why_it_is_missing():
    dims, coords = ("replica", "epoch", "layer"), {"layer": ["a", "b"], "epoch": [0], "replica": [0]}
    attrs = {"flag_masks": np.array([1, 2, 4], np.int32), "flag_meanings": "no_turn width_changes many_units"}
    values = {name: (dims, [[[1.0, 2.0]]]) for name in ("wasserstein_sliced", "optimality_sliced", "affine_fit")}
    values |= {"turning": (dims, [[[np.nan, 0.5]]]), "entropy_change": (dims, [[[np.nan, np.nan]]])}
    new = modern(xr.Dataset(values | {"flags": (dims, np.array([[[3, 6]]], np.int32), attrs)}, coords))
    assert new.attrs["result"] == "layer_transport"
    assert new.turning_flags.values.tolist() == [[[1, 0]]] and new.entropy_change_flags.values.tolist() == [[[2, 2]]]
    assert not new.affine_fit_flags.any() and new.flags.values.tolist() == [[[3, 2]]]


def test_the_alphabets_are_not_mixed_up(rec):
    """The bit that is `clipped` for an estimate is another flag of how layers move their data."""
    found = fp.layer_transport(rec.sel(replica=0, epoch=40), samples=100)
    raised = Flags.names(found.flags)
    said = fp.explain(found)
    assert raised and "clipped" not in said and "range of the bins" not in said
    for name in TRANSPORT:
        assert (f"\n{name} (" in said) == (name in raised)
        assert (TRANSPORT[name].meaning in said) == (name in raised)
