"""The information of any two arrays: which kind each is, known values, and what is refused."""

import numpy as np
import pytest
import torch
import xarray as xr

import flowplane as fp
from flowplane.core.results import Flags
from flowplane.errors import InputError

RNG = np.random.default_rng(0)
X = RNG.normal(size=1000)
Y = 0.6 * X + 0.8 * RNG.normal(size=1000)
KNOWN = -0.5 * np.log2(1 - 0.6**2)


def test_a_pair_of_normals():
    found = fp.mutual_information(X, Y)
    assert found.attrs["result"] == "mutual_information" and found.attrs["y"] == "points"
    about = found.mutual_information.attrs
    assert (about["units"], about["long_name"], about["estimator"], about["bound"]) == ("bits", "I(X;Y)", "KSG", "estimate")
    assert float(found.mutual_information_lower) < KNOWN < float(found.mutual_information_upper)
    turned = fp.mutual_information(Y, X)
    assert float(turned.mutual_information) == pytest.approx(float(found.mutual_information), abs=0.03)
    assert float(fp.mutual_information(X[:, None], Y[:, None]).mutual_information) == float(found.mutual_information)
    assert found.identical(fp.mutual_information(X, Y))


def test_an_estimator_of_ones_own():
    found = fp.mutual_information(X, Y, fp.GaussianMI())
    assert found.mutual_information.estimator == "GaussianMI"
    assert float(found.mutual_information) == pytest.approx(KNOWN, abs=3 * np.sqrt(1 / 1000))
    wide = RNG.normal(size=(1000, 8))
    assert abs(float(fp.mutual_information(wide, Y, fp.GaussianMI()).mutual_information)) < 0.05


@pytest.mark.parametrize(
    "classes",
    [
        X > 0,
        (X > 0).astype(int),
        (X > 0).astype(np.uint8),
        np.where(X > 0, "up", "down"),
        np.where(X > 0, "up", "down").tolist(),
        torch.tensor(X > 0),
        xr.DataArray(X > 0, dims="sample"),
    ],
)
def test_one_dimension_of_integers_truths_or_text_is_classes(classes):
    found = fp.mutual_information(X, classes)
    assert found.attrs["y"] == "classes"
    assert float(found.mutual_information) == pytest.approx(1.0, abs=0.05)  # the label is a function of x


def test_integers_in_two_dimensions_are_points():
    assert fp.mutual_information(X, RNG.integers(0, 9, (1000, 1))).attrs["y"] == "points"


def test_flags_are_those_of_the_one_quantity():
    found = fp.mutual_information(X, Y)
    assert Flags.names(found.flags) == () and set(found) == {
        *(f"mutual_information{end}" for end in ("", "_lower", "_upper", "_flags")),
        "flags",
    }
    assert "ties" in Flags.names(fp.mutual_information(X, np.round(Y)).flags)
    assert fp.explain(found).startswith("KSG: an estimate, in bits; channel: none.")


def test_what_is_refused():
    few = fp.mutual_information(RNG.normal(size=(40, 3)), RNG.normal(size=(40, 4)))  # by denoising, which wants 50
    assert few.mutual_information.estimator == "Denoising" and np.isnan(few.mutual_information)
    assert Flags.names(few.flags) == ("too_few_samples",)
    assert np.isfinite(fp.mutual_information(RNG.normal(size=(200, 6)), X[:200] > 0).mutual_information)
    with pytest.raises(InputError, match="y: found 9 samples, expected as many as x has, 1000"):
        fp.mutual_information(X, Y[:9])
    with pytest.raises(InputError, match="y: found 1 value that is NaN or infinite"):
        fp.mutual_information([0.0, 1.0, 2.0], [0.5, 1.5, float("nan")])
    with pytest.raises(InputError, match="estimator: found 'ksg', expected an estimator such as"):
        fp.mutual_information(X, Y, "ksg")
    with pytest.raises(InputError, match=r"x: found shape \(10, 10, 10\)"):
        fp.mutual_information(X.reshape(10, 10, 10), Y)
    with pytest.raises(InputError, match="NaN or infinite"):
        fp.mutual_information(np.append(X[:-1], np.nan), Y)
