"""The β at which an encoder comes nearest to the information bottleneck's self-consistent equations, and how near."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float, Int
from torch import Tensor

from flowplane.bottleneck.joint import Merged, check_betas, checked_joint, information, merged
from flowplane.bottleneck.matching import match_encoders, match_symbols
from flowplane.core.arrays import as_tensor, batch_dims, require_finite
from flowplane.core.threads import shared
from flowplane.errors import InputError, Text

__all__ = ["encoder_beta", "symbol_beta"]

#: Where β* is looked for by default.
LEAST, GREATEST = 0.01, 1e4
#: Nanoseconds that one encoder takes.
MEMBER = 4.5e6


def encoder_beta(p_t_given_x: Any, joint: Any, betas: Any = None) -> xr.Dataset:
    """β* = argmin_β E_x KL(p(t|x) ‖ p_β(t|x)) of encoders, and that divergence: how far they are from IB solutions (§B6).

    p_β(t|x) = p(t)/Z(x, β)·exp(−β KL(p(y|x) ‖ p(y|t))) is made of the encoder's own p(t) and p(y|t), so the divergence is 0
    exactly where the self-consistent equations hold at β. It is convex in β, since log Z is, and at β = 0 it is I(X;T):
    the residual's natural scale. Z depends on x through p(y|x) only and is computed on its distinct rows.

    Arguments:
        p_t_given_x: (*batch, x, cluster), rows that sum to 1.
        joint: p(x, y), rows x; or a Task.
        betas: the least and the greatest of these bound the search; 0.01 and 10,000 if None.

    Returns:
        Dataset over the leading dimensions: `beta_star`; `edge`, 1 where the divergence falls up to the greatest β (as it
        does for T = X, whose β* is infinite), −1 where it rises from the least or is level (T knows nothing of Y), else 0;
        `residual`, the divergence at β*, `i_xt` and `i_ty` in bits; `residual_merged`, what is left of the residual where x
        with equal p(y|x) are one: less I(X;T|p(y|x)), which no solution of the equations keeps.

    Raises:
        InputError: encoders or a joint that are not distributions, the wrong number of x, β that are not above 0.

    Example:
        >>> joint = [[0.4, 0.1], [0.1, 0.4]]
        >>> found = encoder_beta([[0.9, 0.1], [0.1, 0.9]], joint)
        >>> round(float(found.beta_star), 4), round(float(found.residual), 9)
        (3.5011, 0.0)
    """
    law = merged(p := checked_joint(joint))
    encoders = _checked_encoders(p_t_given_x, len(p))
    batch = encoders.shape[:-2]
    flat = encoders.reshape(-1, *encoders.shape[-2:])
    p_x = p.sum(1)
    together = flat.new_zeros(len(flat), len(law.mass), flat.shape[2]).index_add_(1, law.state, p_x[:, None] * flat)
    marginal = p_x @ flat
    i_xt = torch.xlogy(flat, torch.where(flat > 0, flat / marginal[:, None], 1.0)).sum(2) @ p_x
    found = np.empty((len(flat), 6))
    low, high = _ends(betas)
    _shared_out(match_encoders, (together.numpy(), i_xt.numpy()), (law.conditional.numpy(), low, high), found)
    dims, coords = batch_dims(p_t_given_x, len(batch))
    return _dataset(found.reshape(*batch, 6), dims, coords, law, (low, high))


def symbol_beta(symbols: Any, joint: Any, betas: Any = None) -> xr.Dataset:
    """As `encoder_beta` for deterministic encoders, given as the symbol t(x) of each x.

    The divergence is E_x −log p_β(t(x)|x) and I(X;T) = H(T). Symbols with equal p(y|t) share their term of Z.

    Arguments:
        symbols: (*batch, x), whole numbers from 0 to below the number of x.
        joint, betas: as for `encoder_beta`.

    Returns:
        As `encoder_beta`.

    Raises:
        InputError: invalid symbols, the wrong number of x, and as `encoder_beta`.

    Example:
        >>> found = symbol_beta([0, 1], [[0.4, 0.1], [0.1, 0.4]])
        >>> int(found.edge), float(found.i_xt)
        (1, 1.0)
    """
    law = merged(p := checked_joint(joint))
    numbers = _checked_symbols(symbols, len(p))
    batch = numbers.shape[:-1]
    flat = numbers.reshape(-1, len(p)).contiguous()
    found = np.empty((len(flat), 6))
    low, high = _ends(betas)
    common = (p.sum(1).numpy(), law.state.numpy(), law.conditional.numpy(), low, high)
    _shared_out(match_symbols, (flat.numpy(),), common, found)
    dims, coords = batch_dims(symbols, len(batch))
    return _dataset(found.reshape(*batch, 6), dims, coords, law, (low, high))


def _dataset(
    found: Float[np.ndarray, "*batch 6"],
    dims: tuple[str, ...],
    coords: dict[str, Any],
    law: Merged,
    searched: tuple[float, float],
) -> xr.Dataset:
    bits = found[..., 2:] / math.log(2.0)
    direction = {
        "long_name": "end of the search at which β* lies",
        "flag_values": np.array([-1, 0, 1], np.int8),
        "flag_meanings": "least inside greatest",
    }
    return xr.Dataset(
        {
            "beta_star": (dims, found[..., 0], {"units": "1", "long_name": "β*"}),
            "edge": (dims, found[..., 1].astype(np.int8), direction),
            "residual": (dims, bits[..., 0], {"units": "bits", "long_name": "E KL(p(t|x) ‖ p_β*(t|x))"}),
            "i_xt": (dims, bits[..., 1], {"units": "bits", "long_name": "I(X;T)"}),
            "i_ty": (dims, bits[..., 2], {"units": "bits", "long_name": "I(T;Y)"}),
            "residual_merged": (dims, bits[..., 3], {"units": "bits", "long_name": "residual, x with equal p(y|x) as one"}),
        },
        coords,
        {"units": "bits", "betas": list(searched), "information": information(law.mass, law.conditional)},
    )


# -- what is given -----------------------------------------------------------------------------------------------------


def _ends(betas: Any) -> tuple[float, float]:
    if betas is None:
        return LEAST, GREATEST
    given = check_betas(betas)
    if not given.min() < given.max():
        raise InputError("betas", Text(f"{given.min():g} alone"), "a least and a greatest β between which to look")
    return float(given.min()), float(given.max())


def _checked_encoders(encoders: Any, x: int) -> Float[Tensor, "*batch x cluster"]:
    given = as_tensor("p_t_given_x", encoders).to("cpu", torch.float64)
    if given.ndim < 2 or given.shape[-2] != x or 0 in given.shape:
        raise InputError("p_t_given_x", Text(f"shape {tuple(given.shape)}"), f"shape (…, {x}, clusters), {x} x in the joint")
    require_finite("p_t_given_x", given)
    totals = given.sum(-1, keepdim=True)
    if float(given.min()) < 0 or float((totals - 1.0).abs().max()) > 1e-6:
        raise InputError("p_t_given_x", Text("rows that are not distributions"), "rows ≥ 0 that sum to 1")
    return given / totals


def _checked_symbols(symbols: Any, x: int) -> Int[Tensor, "*batch x"]:
    given = as_tensor("symbols", symbols).cpu()
    if given.ndim < 1 or given.shape[-1] != x or 0 in given.shape:
        raise InputError(
            "symbols", Text(f"shape {tuple(given.shape)}"), f"shape (…, {x}), one symbol for each x of the joint"
        )
    if given.is_floating_point() or int(given.min()) < 0 or int(given.max()) >= x:
        found = Text(f"{given.dtype}, {given.min().item()} … {given.max().item()}")
        raise InputError("symbols", found, f"whole numbers from 0, below {x}")
    return given.long()


def _shared_out(work: Any, members: tuple[np.ndarray, ...], common: tuple[Any, ...], found: np.ndarray) -> None:
    """`work` over the members, shared out over the processors."""

    def part(first: int, last: int) -> None:
        work(*(array[first:last] for array in members), *common, found[first:last])

    shared(part, len(found), MEMBER * len(found))
