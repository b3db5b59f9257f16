"""Which layers of a recording are a residual stream."""

from __future__ import annotations

from typing import NamedTuple

from flowplane.recording import Recording
from flowplane.recording.models import ModelRecording

__all__ = ["Stream", "residual_stream"]


class Stream(NamedTuple):
    """A recording that shows the layers of a stream, and whether the inputs are what enters the first of them."""

    rec: Recording
    from_inputs: bool


def residual_stream(rec: Recording) -> Stream | None:
    """The longest chain of layers of one width in which each adds to the one before what it computes from it, as was seen
    when the model ran: two steps or more, the first of which may be from the inputs. None where there is none.

    An embedding to which positions are added does not begin one: these are not computed from it. Nothing is known of arrays
    that were made elsewhere.

    Example:
        >>> import flowplane as fp, torch
        >>> encoder = torch.nn.TransformerEncoder(torch.nn.TransformerEncoderLayer(4, 2, 8, 0.0, batch_first=True), 3).eval()
        >>> stream = residual_stream(fp.record(encoder, torch.randn(20, 5, 4)))
        >>> stream.rec.layers, stream.from_inputs
        (('layers.0', 'layers.1', 'layers.2'), False)
    """
    if not isinstance(rec, ModelRecording):
        return None
    about = rec.layer_coordinates()
    spaces = dict(zip(rec.layers, zip(about["width"][1], about["reduction"][1], strict=True), strict=True))
    points = rec.input_points
    chains: dict[str, list[str]] = {}
    longest, steps = None, 1
    for layer in rec.layers:
        place = rec.adds_to_of(layer)
        before = "" if place is None or place < 0 else rec.all_layers[place]
        joined = before in chains and spaces[before] == spaces[layer]
        chain = chains[layer] = [*(chains[before] if joined else []), layer]
        from_inputs = points is not None and rec.adds_to_of(chain[0]) == -1 and points.shape[1] == spaces[layer][0]
        if len(chain) - 1 + from_inputs > steps:
            longest, steps = (chain, from_inputs), len(chain) - 1 + from_inputs
    return None if longest is None else Stream(rec.sel(layer=longest[0]), longest[1])
