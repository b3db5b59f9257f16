"""Samples that are images, side by side, with a time slider."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from jaxtyping import Float

from flowplane.plot.slider import add_slider
from flowplane.plot.style import styled, time_title

__all__ = ["film_of_images", "image_shape"]

#: Images in a row, and all that are shown.
ACROSS, MOST = 6, 18
#: Pixels across the smallest point that counts as an image.
LEAST = 4
#: Part of the values at the end, at either side, that are drawn as black and as white.
TAIL = 0.005


def image_shape(shape: tuple[int, ...]) -> tuple[int, int, int] | None:
    """Channels, height and width of a point that is an image: (h, w), (1, h, w) or (3, h, w); None of any other.

    Example:
        >>> image_shape((1, 8, 8)), image_shape((28, 28)), image_shape((4, 32, 32)), image_shape((2,))
        ((1, 8, 8), (1, 28, 28), None, None)
    """
    full = (1, *shape) if len(shape) == 2 else shape
    if len(full) != 3 or full[0] not in (1, 3) or min(full[1:]) < LEAST:
        return None
    return full[0], full[1], full[2]


def film_of_images(dataset: xr.Dataset, shape: tuple[int, int, int], title: str) -> go.Figure:
    """The first samples as images in rows, on one scale of grey or colour; the slider moves through time."""
    shown = dataset["position"].isel(sample=slice(MOST)).transpose("time", "sample", "feature").values
    low, high = np.quantile(shown[-1], [TAIL, 1 - TAIL])
    high = max(high, low + 1e-12)
    bright = np.clip((shown - low) / (high - low), 0, 1).reshape(*shown.shape[:2], *shape)
    pictures = [_picture(images) for images in bright]
    figure = go.Figure(pictures[-1])
    times = dataset["time"].values
    figure.frames = [
        go.Frame(name=f"{t:.4g}", data=[picture], traces=[0]) for t, picture in zip(times, pictures, strict=True)
    ]
    tall, wide = _montage_size(len(bright[0]), shape)
    bare = {"showticklabels": False, "showgrid": False, "constrain": "domain", "title": None}
    names = {frame.name: frame.name for frame in figure.frames}
    add_slider(figure, names, f"{time_title([dataset])} = ", y=-0.06, start=0.3, active=len(times) - 1)
    kind = "grey, black" if shape[0] == 1 else "colour, dark"
    subtitle = (
        f"{shown.shape[1]} samples, each in its own place at all times; first shown at the end; {kind} is {low:.2g} or "
        f"less, {'white' if shape[0] == 1 else 'bright'} {high:.2g} or more [units of x]"
    )
    styled(
        figure,
        title,
        subtitle,
        width=780,
        height=190 + round(700 * tall / wide),
        margin={"l": 30, "r": 30, "t": 95, "b": 80},
    )
    figure.update_xaxes(**bare, range=[-0.5, wide - 0.5], ticks="", showline=False)
    figure.update_yaxes(**bare, range=[tall - 0.5, -0.5], ticks="", showline=False, scaleanchor="x")
    return figure


def _montage_size(count: int, shape: tuple[int, int, int]) -> tuple[int, int]:
    """Pixels down and across, one between two images."""
    across = min(count, ACROSS)
    return -(-count // across) * (shape[1] + 1) - 1, across * (shape[2] + 1) - 1


def _picture(images: Float[np.ndarray, "sample channel down across"]) -> go.Image:
    """A picture of images in rows, with see-through lines between them."""
    import plotly.express as px

    tall, wide = _montage_size(len(images), images.shape[1:])
    _, _, down, across = images.shape
    whole = np.zeros((tall, wide, 4), np.uint8)
    for k, image in enumerate(images):
        row, column = divmod(k, min(len(images), ACROSS))
        top, left = row * (down + 1), column * (across + 1)
        place = whole[top : top + down, left : left + across]
        place[..., :3] = np.rint(255 * image.transpose(1, 2, 0))
        place[..., 3] = 255
    picture = px.imshow(whole, binary_string=True, binary_backend="pypng").data[0]
    return go.Image(source=picture.source, hoverinfo="skip")
