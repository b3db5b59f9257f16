"""The logit lens: what a language model would say next, read from each layer's residual stream at a snapshot (§D6)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float, Int
from torch import Tensor, nn

from flowplane.errors import InputError, Text
from flowplane.recorder.inputs import ProbeInputs

__all__ = ["LogitLens"]

#: Where transformers' models keep the norm before their head.
NORMS = ("ln_f", "norm", "final_layer_norm", "final_layernorm")
#: Rows that are given to the head at once.
ROWS = 256
BITS = 1.0 / math.log(2.0)


class LogitLens:
    """Reads rows of layers as predictions of the next token.

    Arguments:
        model: the model, whose own head is taken for "auto".
        unembed: from rows (row, unit) of a residual stream to logits (row, word): a module or another callable that has
            the final norm in it; "auto": the final norm and the head of a transformers model.
        inputs: in which the tokens stand, integers (sample, token).
        tokens: the sample and the place of each row.

    Raises:
        InputError: rows that are not tokens, no token ids, no head, or something that cannot be called.
    """

    def __init__(self, model: nn.Module, unembed: Any, inputs: ProbeInputs, tokens: np.ndarray | None) -> None:
        if tokens is None:
            raise InputError("unembed", Text("rows that are not tokens"), "reduce='tokens', where every token is a row")
        self.model = model
        self.unembed = _head(model) if isinstance(unembed, str) and unembed == "auto" else unembed
        if not callable(self.unembed):
            raise InputError("unembed", unembed, "a module or a callable from rows to logits, 'auto', or None")
        ids = _ids(inputs, int(tokens[:, 1].max()) + 1)
        sample, place = tokens.T
        inside = place + 1 < ids.shape[1]
        after = ids[sample, np.minimum(place + 1, ids.shape[1] - 1)]
        if inputs.mask is not None and inputs.mask.shape == ids.shape:
            kept = inputs.mask.numpy(force=True)
            inside &= kept[sample, np.minimum(place + 1, ids.shape[1] - 1)]
        #: The token that follows each row's; −1 where none does.
        self.next = np.where(inside, after, -1)
        if not inside.any():
            raise InputError("unembed", Text("no token that is followed by another"), "sequences of two tokens or more")

    def __call__(self, names: Sequence[str], rows: Sequence[Float[np.ndarray, "row unit"]]) -> xr.Dataset:
        """For each layer (layer): entropy of the prediction, its divergence from the last layer's [bits], share of rows with
        the same first choice, loss of the next token and of token frequencies alone [bits per token]; NaN for layers that
        the unembedding does not take."""
        found = np.full((len(rows), 4), np.nan)
        following = torch.from_numpy(self.next)
        last: Tensor | None = None
        for k in reversed(range(len(rows))):
            log_q = self._predicted(rows[k])
            if log_q is None:
                continue
            last = log_q if last is None else last
            known = following >= 0
            if int(following.max()) >= log_q.shape[1]:
                wanted = f"more than {int(following.max())}, the largest token id"
                raise InputError("unembed", Text(f"{log_q.shape[1]} logits"), wanted)
            entropy = -(log_q.exp() * log_q).sum(1).mean()
            divergence = (last.exp() * (last - log_q)).sum(1).mean()
            agreement = (last.argmax(1) == log_q.argmax(1)).double().mean()
            loss = -log_q[known].gather(1, following[known][:, None]).mean()
            found[k] = float(entropy) * BITS, float(divergence) * BITS, float(agreement), float(loss) * BITS
        share = np.bincount(self.next[self.next >= 0]) / (self.next >= 0).sum()
        unigram = float(-(share[share > 0] * np.log2(share[share > 0])).sum())
        about = {
            "lens_entropy": ("entropy of the prediction", "bits"),
            "lens_divergence": ("divergence of the last layer's prediction from it", "bits"),
            "lens_agreement": ("rows with the last layer's first choice", "1"),
            "lens_loss": ("loss of the next token", "bits per token"),
        }
        variables = {
            name: ("layer", found[:, k], {"long_name": title, "units": units})
            for k, (name, (title, units)) in enumerate(about.items())
        }
        attrs = {"long_name": "loss of the next token, from token frequencies alone", "units": "bits per token"}
        variables["unigram_loss"] = ("layer", np.full(len(rows), unigram), attrs)
        return xr.Dataset(variables, {"layer": list(names)})

    @torch.no_grad()
    def _predicted(self, rows: Float[np.ndarray, "row unit"]) -> Tensor | None:
        """ln q of the next token (row, word) on the CPU, in float64; None for rows of another width than the head takes."""
        where = next((part for part in self.model.parameters()), torch.zeros((), dtype=torch.float32, device="cpu"))
        dtype = where.dtype if where.is_floating_point() else torch.float32
        parts: list[Tensor] = []
        try:
            for first in range(0, len(rows), ROWS):
                logits = self.unembed(torch.from_numpy(rows[first : first + ROWS]).to(where.device, dtype))
                parts.append(torch.log_softmax(logits.double(), -1).cpu())
        except RuntimeError:
            if not parts:
                return None
            raise
        return torch.cat(parts)


def _head(model: Any) -> Callable[[Tensor], Tensor]:
    """The final norm and the head of a transformers model."""
    head = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    if head is None:
        wanted = "a module or a callable: the final norm and the unembedding; 'auto' finds those of transformers' models"
        raise InputError("unembed", Text(f"'auto' for a {type(model).__name__}"), wanted)
    base = getattr(model, getattr(model, "base_model_prefix", ""), model)
    inside = [base, getattr(base, "decoder", None)]
    norms = (getattr(part, name, None) for part in inside for name in NORMS)
    norm = next((found for found in norms if found is not None), nn.Identity())
    return lambda rows: head(norm(rows))  # type: ignore[no-any-return]


def _ids(inputs: ProbeInputs, places: int) -> Int[np.ndarray, "sample token"]:
    for values in inputs.tensors:
        if values.ndim == 2 and not values.is_floating_point() and values.dtype != torch.bool and values.shape[1] >= places:
            return values.numpy(force=True)  # type: ignore[no-any-return]
    raise InputError("unembed", Text("inputs without token ids"), "integers (sample, token) among the inputs")
