"""Values as bytes come back as they were, to the last bit; a name differs wherever the value does."""

import math

import numpy as np
import pytest
import torch
import xarray as xr

import flowplane as fp
from flowplane.core.packing import Unpackable, digest, packed, unpacked

NAN = np.frombuffer(np.uint64(0x7FF8000000000123).tobytes(), np.float64)  # one of many


def dataset():
    return xr.Dataset(
        {
            "i_xt": (("layer", "epoch"), np.array([[0.1, -0.0], [np.inf, 1e-320]], np.float32), {"units": "bits"}),
            "state": ("layer", np.array(["crossed", "never"])),
            "flags": ("layer", np.array([1, 2], np.int32), {"flag_masks": np.array([1, 2]), "flag_meanings": "a b"}),
            "one": ((), np.float64(0.1), {"wide": (1, 2.5, None), "nested": {"a": [True, math.inf]}}),
        },
        {"layer": ["fc", "head"], "epoch": [0, 3], "width": ("layer", [3, 4]), "resolution": 0.1},
        {"seed": 0, "result": "measure", "confidence": 0.95},
    )


def test_datasets_come_back_with_types_attributes_and_coordinates():
    whole, again = dataset(), unpacked(packed(dataset()))
    assert again.identical(whole) and list(again.variables) == list(whole.variables)
    for name, variable in whole.variables.items():
        assert again[name].dtype == variable.dtype and again[name].values.tobytes() == variable.values.tobytes(), name
        assert [type(value) for value in again[name].attrs.values()] == [type(value) for value in variable.attrs.values()]
    assert type(again.one.attrs["wide"][1]) is float and again.one.attrs["nested"]["a"][0] is True
    again["i_xt"].values[:] = 0  # what comes back can be written to


@pytest.mark.parametrize(
    "value",
    [None, True, 7, 10**30, 0.1, -0.0, math.inf, "σ", (1, [2, (3,)]), {}, {1: "a", "b": None}, [], np.float32(0.1)],
    ids=repr,
)
def test_what_json_does_not_know_comes_back(value):
    again = unpacked(packed(value))
    assert type(again) is type(value) and repr(again) == repr(value)


@pytest.mark.parametrize("array", [NAN, np.zeros((0, 3)), np.arange(6).reshape(2, 3).T, np.array("text"), np.array([True])])
def test_arrays_come_back_to_the_last_bit(array):
    again = unpacked(packed(array))
    assert (again.dtype, again.shape, again.tobytes()) == (array.dtype, array.shape, array.tobytes())


def test_names_differ_wherever_values_do():
    values = [
        1,
        1.0,
        True,
        "1",
        (1,),
        [1],
        np.float64(1),
        np.float32(1),
        np.array([1]),
        np.array([[1]]),
        torch.ones(1),
        -0.0,
    ]
    values += [0.0, None, {}, {"a": 1}, fp.Binned(30), fp.Binned(31), fp.KSG(), fp.KSG(3), fp.Pairwise(0.1), dataset()]
    values += [fp.Pairwise(0.1, rows=None), fp.SlicedMI(fp.KSG()), fp.SlicedMI(fp.KSG(3)), dataset().assign_attrs(seed=1)]
    assert len(set(map(digest, values))) == len(values)
    assert digest(fp.Binned(30)) == digest(fp.Binned(30)) and digest(dataset()) == digest(dataset())


class Mine(fp.Binned):
    pass


@pytest.mark.parametrize("value", [len, lambda x: x, object(), Mine(30), fp.Binned, (1, {"a": [print]}), iter(())])
def test_what_has_no_identity_has_no_name(value):
    with pytest.raises(Unpackable):
        digest(value)


@pytest.mark.parametrize("data", [b"", b"12345678", packed(dataset())[:-9], b"\x02" + bytes(7) + b"{}", packed([1])[:-1]])
def test_other_bytes_are_refused(data):
    with pytest.raises((ValueError, KeyError, TypeError)):
        unpacked(data)
