"""What holds of every result: it says what it is, `explain` is right about it whatever flag is raised, a file keeps it."""

import numpy as np
import pytest
import xarray as xr
from makers import MAKERS

import flowplane as fp
from flowplane.core.older import load
from flowplane.core.results import BOUNDS, RESULTS, Flags, quantities, save, with_flags


@pytest.fixture(scope="module")
def made(rec, soft, flow):
    """Each result, made once."""
    found = {}

    def make(result):
        if result not in found:
            found[result] = MAKERS[result](rec, soft, flow)
        return found[result]

    return make


def test_every_result_is_made():
    assert set(RESULTS) - set(MAKERS) <= {"experiment", "sweep"}  # made in tests of their own


@pytest.mark.parametrize("result", MAKERS)
def test_a_result_says_what_it_is(result, made):
    dataset = made(result)
    assert isinstance(dataset, xr.Dataset)
    assert (dataset.attrs["result"], dataset.attrs["version"]) == (result, fp.__version__)
    for name in quantities(dataset):
        about = dataset[name].attrs
        if dataset[name].dtype.kind == "f":
            assert "units" in about, name
        if "bound" in about:
            assert about["bound"] in BOUNDS and about["estimator"] and about["channel"]
    every = [*dataset.attrs.values(), *(value for array in dataset.variables.values() for value in array.attrs.values())]
    assert not any(isinstance(value, str) and value.startswith(("{", "[")) for value in every)  # no JSON


def told(dataset):
    """What the first sentence about an estimate may be about."""
    of_all = [str(label) for label in dataset.coords["estimator"].values] if "estimator" in dataset.dims else []
    return [*of_all, *(dataset[name].attrs["estimator"] for name in quantities(dataset))]


@pytest.mark.parametrize("result", MAKERS)
def test_explain_is_right_about_each_flag_of_each_quantity(result, made):
    dataset = made(result)
    flagged = [name for name in quantities(dataset) if f"{name}_flags" in dataset]
    bare = dataset.copy()
    for name in flagged:
        bare[f"{name}_flags"] = xr.zeros_like(dataset[f"{name}_flags"])
    bare = with_flags(bare)
    said = fp.explain(bare)
    plain = any("bound" not in dataset[name].attrs for name in quantities(dataset))
    assert said.startswith(f"{result}: {RESULTS[result]}") if plain else said.partition(":")[0] in told(dataset)
    if not flagged:
        assert "flag" not in said
        return
    assert said.endswith("No validity warnings.")
    for place, name in enumerate(flagged):
        alphabet = Flags.of(dataset[f"{name}_flags"])
        every = list(alphabet)
        for flag in every if place == 0 else every[place % len(every) :][:2]:  # all of the first, two of each other
            raised = bare.copy()
            bits = np.array(bare[f"{name}_flags"].values)
            bits.flat[0] = alphabet.bits(flag)
            raised[f"{name}_flags"] = bare[f"{name}_flags"].copy(data=bits)
            raised = with_flags(raised)
            assert Flags.names(raised.flags) == (flag,)
            lines = [line for line in fp.explain(raised).split("\n") if line not in said]
            assert len(lines) == 1 and lines[0].startswith((f"{flag}:", f"{flag} ("))
            assert alphabet[flag].meaning in lines[0] and alphabet[flag].advice in lines[0]
            concerned = dataset[name].attrs.get("long_name", name) in lines[0].partition(": ")[0]
            assert concerned == (len(flagged) > 1)


@pytest.mark.parametrize("result", MAKERS)
def test_a_file_keeps_it(result, made, tmp_path):
    dataset = made(result)
    save(dataset, tmp_path / "result.nc")
    with load(tmp_path / "result.nc") as again:
        xr.testing.assert_equal(again.load(), dataset)
        assert fp.explain(again) == fp.explain(dataset)
        for name in quantities(dataset):
            assert again[name].attrs.get("units") == dataset[name].attrs.get("units")
            if f"{name}_flags" in dataset:
                assert dict(Flags.of(again[f"{name}_flags"])) == dict(Flags.of(dataset[f"{name}_flags"]))
