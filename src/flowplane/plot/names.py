"""Names of layers as figures write them: short, and never read as markup."""

from __future__ import annotations

import html

import xarray as xr

__all__ = ["layer_texts", "shortened"]

#: Letters of a name that an axis has room for.
MOST = 18


def shortened(name: str, most: int = MOST) -> str:
    """A name, cut in the middle where it is long, with < > & written so that a figure shows them.

    Example:
        >>> shortened("transformer.h.11.attn.c_proj"), shortened("<b>")
        ('transform…n.c_proj', '&lt;b&gt;')
    """
    if len(name) > most:
        end = (most - 1) // 2
        name = f"{name[: most - 1 - end]}…{name[-end:]}"
    return html.escape(name, quote=False)


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


def _common(parts: list[list[str]], most: int) -> int:
    """How many leading parts all names share, at most so many; none of a single name."""
    shared = 0
    while len(parts) > 1 and shared < most and len({part[shared] for part in parts}) == 1:
        shared += 1
    return shared
