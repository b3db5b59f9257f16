"""Which layers of a recording are a residual stream."""

from __future__ import annotations

from itertools import groupby
from typing import NamedTuple

from torch import nn

from flowplane.recording import Recording

__all__ = ["Stream", "residual_stream"]


class Stream(NamedTuple):
    """A recording that shows the layers of a stream, and whether the inputs are what enters the first of them."""

    rec: Recording
    from_inputs: bool


def residual_stream(rec: Recording) -> Stream | None:
    """The layers that look like a residual stream: the longest run of two or more blocks of one class and width that follow
    each other, and what enters the first; None where there is none.

    A block is a module of the model's own, or a transformer layer of torch: for others, such as `nn.Linear`, and for arrays
    nothing says that their units mean the same from one to the next. What enters is the layer before of the same width, but
    for an `nn.Embedding`, to which positions may be added; or, where no layer is before, the inputs if they are such points.

    Example:
        >>> import flowplane as fp, torch
        >>> encoder = torch.nn.TransformerEncoder(torch.nn.TransformerEncoderLayer(4, 2, 8, 0.0, batch_first=True), 3).eval()
        >>> stream = residual_stream(fp.record(encoder, torch.randn(20, 5, 4)))
        >>> stream.rec.layers, stream.from_inputs
        (('layers.0', 'layers.1', 'layers.2'), False)
    """
    if rec.kind != "model":
        return None
    about = rec.layer_coordinates()
    kinds = list(zip(*(about[name][1] for name in ("width", "reduction", "layer_type")), strict=True))
    first, last = 0, 0
    for _, run in groupby(range(len(kinds)), kinds.__getitem__):
        places = list(run)
        if _is_block(str(kinds[places[0]][2])) and len(places) > max(1, last - first):
            first, last = places[0], places[-1] + 1
    if last == 0:
        return None
    before = kinds[first - 1] if first > 0 else None
    entered = before is not None and before[:2] == kinds[first][:2] and before[2] != "Embedding"
    points = rec.input_points
    from_inputs = points is not None and about["depth"][1][first] == 1 and points.shape[1] == kinds[first][0]
    return Stream(rec.sel(layer=list(rec.layers[first - entered : last])), from_inputs)


def _is_block(kind: str) -> bool:
    """Functions and arrays are written small; torch's own modules are not blocks, except its transformer's layers."""
    return kind.startswith("Transformer") or not (kind[:1].islower() or hasattr(nn, kind))
