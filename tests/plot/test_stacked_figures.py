"""Figures of stacks: what is on them, and what they refuse."""

import numpy as np
import pytest
import xarray as xr

import flowplane as fp
from flowplane.errors import InputError


def fields(units="units of x", dimension=2):
    rng = np.random.default_rng(0)
    return xr.Dataset(
        {
            "position": (("layer", "sample", "feature"), rng.normal(size=(2, 5, dimension)), {"units": "units of x"}),
            "displacement": (
                ("panel", "layer", "sample", "feature"),
                rng.normal(size=(3, 2, 5, dimension)),
                {"units": units},
            ),
        },
        {"panel": ["stack", "composition", "control"], "layer": [2, 3]},
    )


def errors():
    dims = ("decoders", "density", "seed", "against", "layer")
    values = np.exp(np.random.default_rng(1).normal(size=(2, 3, 4, 2, 2)))
    coords = {
        "decoders": ["affine", "curved"],
        "density": list("abc"),
        "against": ["composition", "control"],
        "layer": [2, 3],
    }
    return xr.Dataset({"error": (dims, values, {"units": "1", "long_name": "error"})}, coords, {"limit": 0.25})


def test_arrows_are_to_scale():
    given = fields()
    figure = fp.plot.displacement_fields(given, "A title")
    assert len(figure.data) == 2 * 3 * 2
    arrows, dots = figure.data[2:4]  # layer 2, composition
    place, move = given["position"].values[0], given["displacement"].values[1, 0]
    np.testing.assert_allclose(np.stack([dots.x, dots.y], 1), place)
    np.testing.assert_allclose(np.stack([arrows.x[1::6], arrows.y[1::6]], 1), place + move)
    assert figure.layout.yaxis.scaleanchor == "x"
    assert figure.layout.xaxis4.title.text == "x₁ [units of x]"
    said = {f"{panel}, layer {layer}" for panel in ("stack", "composition", "control") for layer in (2, 3)}
    assert {note.text for note in figure.layout.annotations} == said


def test_errors_with_their_controls():
    given = errors()
    figure = fp.plot.equivalence_errors(given)
    assert [trace.name for trace in figure.data if trace.showlegend] == ["composition", "control"]
    means = figure.data[1]
    first = given["error"].sel(decoders="affine", against="composition").transpose("seed", "density", "layer").values
    np.testing.assert_allclose(means.y, np.exp(np.log(first).mean(0)).ravel())
    assert list(figure.layout.xaxis.ticktext)[:2] == ["a<br>layer 2", "a<br>layer 3"]
    assert [shape.y0 for shape in figure.layout.shapes] == [0.25, 0.25]


def test_what_the_figures_refuse():
    with pytest.raises(InputError, match="dataset: found 3 dimensions, expected points in the plane"):
        fp.plot.displacement_fields(fields(dimension=3))
    with pytest.raises(InputError, match="dataset: found position in units of x, displacement in nats"):
        fp.plot.displacement_fields(fields(units="nats"))
    with pytest.raises(InputError, match="without position, displacement, with error, expected what the experiment"):
        fp.plot.displacement_fields(errors())
    with pytest.raises(InputError, match=r"dataset: found error over .*expected error over"):
        fp.plot.equivalence_errors(errors().isel(layer=0))
