"""Names of layers as figures write them: short, and never read as markup."""

from __future__ import annotations

import html
import re

import xarray as xr

from flowplane.plot.style import layer_label

__all__ = ["about", "escaped", "layer_texts", "layer_titles", "panel_names", "replica_text", "shortened"]

#: Letters of a name that an axis has room for.
MOST = 18


def escaped(text: object) -> str:
    """A text with < > & written so that a figure shows them. Plotly knows no entities of quotes: these stay.

    Example:
        >>> escaped("<b>'a' & b")
        "&lt;b&gt;'a' &amp; b"
    """
    return html.escape(str(text), quote=False)


def replica_text(found: xr.Dataset) -> str:
    """How many replicas a subtitle names; none for a user's own model, which is always one.

    Example:
        >>> one = xr.Dataset(coords={"replica": [0]}, attrs={"network": "12-5-2"})
        >>> replica_text(one), replica_text(one.assign_attrs(network="ConvNet, 5 layers"))
        ('1 replica', '')
    """
    count, network = found.sizes["replica"], str(found.attrs.get("network", ""))
    if count == 1 and network and not re.fullmatch(r"[\d-]+", network):
        return ""
    return f"{count} replica{'s' if count > 1 else ''}"


def shortened(name: str, most: int = MOST) -> str:
    """A name, cut in the middle where it is long, with < > & written so that a figure shows them.

    Example:
        >>> shortened("transformer.h.11.attn.c_proj"), shortened("<b>")
        ('transform…n.c_proj', '&lt;b&gt;')
    """
    if len(name) > most:
        end = (most - 1) // 2
        name = f"{name[: most - 1 - end]}…{name[-end:]}"
    return escaped(name)


def layer_texts(found: xr.Dataset, most: int = MOST) -> list[str]:
    """What an axis calls the layers of a Dataset: their names without the dotted parts that all of them begin or end with.

    Layers of an ensemble, "layer1", "layer2", …, are called by their numbers.

    Example:
        >>> layer_texts(xr.Dataset(coords={"layer": ["layer1", "layer3"]}))
        ['1', '3']
        >>> layer_texts(xr.Dataset(coords={"layer": ["net.h.0.mlp", "net.h.1.mlp", "net.head.mlp"]}))
        ['h.0', 'h.1', 'head']
    """
    names = [str(name) for name in found["layer"].values]
    if all(name.startswith("layer") and name[5:].isdigit() for name in names):
        return [name[5:] for name in names]
    parts = [name.split(".") for name in names]
    spare = min(map(len, parts)) - 1
    start = _common(parts, spare)
    end = _common([part[::-1] for part in parts], spare - start)
    return [shortened(".".join(part[start : len(part) - end]), most) for part in parts]


def layer_titles(found: xr.Dataset) -> list[str]:
    """What panels and legends call the layers: those of an ensemble by number, the last one as the softmax, also where
    others are not shown; those of a model by name.

    Example:
        >>> layer_titles(xr.Dataset(coords={"layer": ["layer2", "layer3"], "depth": ("layer", [2, 3])}))
        ['2', '3 (softmax)']
        >>> layer_titles(xr.Dataset(coords={"layer": ["fc", "head"], "depth": ("layer", [1, 2])}))
        ['fc', 'head']
    """
    texts = layer_texts(found)
    numbered = [f"layer{text}" for text in texts] == [str(name) for name in found["layer"].values]
    if not numbered or "depth" not in found.coords:
        return texts
    depths = found["depth"].values
    last = str(found.attrs["network"]).count("-") if "network" in found.attrs else int(depths.max())
    return [layer_label(int(depth), last) for depth in depths]


def panel_names(found: xr.Dataset) -> list[str]:
    """What each layer's panel is called; the softmax is recognised by the network's depth, also where it is not shown."""
    return [f"layer {title}" for title in layer_titles(found)]


def about(found: xr.Dataset) -> str:
    """Network, task and replicas, for a subtitle."""
    parts = (found.attrs.get("network"), found.attrs.get("activation"), found.attrs.get("task"))
    return " · ".join(escaped(part) for part in (*parts, replica_text(found)) if part)


def _common(parts: list[list[str]], most: int) -> int:
    """How many leading parts all names share, at most `most`; none of a single name."""
    shared = 0
    while len(parts) > 1 and shared < most and len({part[shared] for part in parts}) == 1:
        shared += 1
    return shared
