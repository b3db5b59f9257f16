"""How many inputs a layer tells apart, at several resolutions: shares of its total variance (§D1)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from flowplane.core.results import with_flags
from flowplane.core.threads import one_thread, shared
from flowplane.errors import InputError
from flowplane.information.arguments import row_numbers
from flowplane.information.estimator import Estimator, raised
from flowplane.information.known import Estimates, Known, Quantity
from flowplane.information.pairwise import ROWS, TOTAL, Pairwise, Spread, drawn_rows
from flowplane.information.pairwise_kernel import Distances, Kernel, entropies, with_scale

__all__ = ["RESOLUTIONS", "SHOWN", "Resolutions", "checked_resolutions", "shown", "usual_place"]

#: Resolutions that are chosen before a network is looked at, and the one that is shown where one is.
RESOLUTIONS = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
SHOWN = 0.1
#: About how long the work on a batch member takes.
MEMBER_NANOSECONDS = 1e7


def checked_resolutions(resolution: Any) -> tuple[float, ...]:
    """One resolution or several as a tuple; None for all. Raises InputError for what is not above 0, or repeated.

    Example:
        >>> checked_resolutions(0.1), len(checked_resolutions(None))
        ((0.1,), 7)
    """
    if resolution is None:
        return RESOLUTIONS
    wanted = "shares of the layer's total variance, above 0: 0.1, or several"
    try:
        values = tuple(float(value) for value in np.atleast_1d(np.asarray(resolution, dtype=float)))
    except (TypeError, ValueError) as error:
        raise InputError("resolution", resolution, wanted) from error
    if not values or len(set(values)) < len(values) or not all(0 < value < math.inf for value in values):
        raise InputError("resolution", resolution, wanted)
    return values


def usual_place(resolutions: Float[np.ndarray, " resolution"]) -> int:
    """The place of `SHOWN`, or of the one nearest to it."""
    return int(np.abs(np.log(np.asarray(resolutions) / SHOWN)).argmin())


def shown(plane: xr.Dataset) -> xr.Dataset:
    """A plane at one resolution: at `SHOWN`, or the nearest to it; as it is where it has no resolution.

    Example:
        >>> shown(xr.Dataset({"i_xt": ("resolution", [1.0, 2.0])}, {"resolution": [1.0, 0.1]})).i_xt.item()
        2.0
    """
    if "resolution" not in plane.dims:
        return plane
    one = plane.isel(resolution=usual_place(plane["resolution"].values))
    for name in ("i_xt", "h_t", "i_xt_denoised"):
        if name in one and "channel" in one[name].attrs:
            told = one[name].attrs["channel"].replace("the resolution", f"{float(one['resolution']):g}")
            one[name].attrs["channel"] = told
    return with_flags(one.drop_vars("flags", errors="ignore"))


@dataclass(frozen=True)
class Resolutions(Estimator):
    """`Pairwise(c, relative="total")` for several c: `i_xt` and `h_t` (…, resolution), the distances computed once.

    A layer that has noise of its own is NaN, with the flag `not_a_function`.

    Example:
        >>> points = np.eye(16)
        >>> found = Resolutions((0.3,))(points)
        >>> round(float(found.i_xt.sel(resolution=0.3)), 4)
        3.4855
    """

    #: The same bound for all, and no samples' labels: y has no resolution.
    values: tuple[float, ...] = RESOLUTIONS
    bound: str = "upper"
    deterministic: bool = True
    rows: int | None = ROWS

    needs_function: ClassVar[bool] = False

    def _each(self) -> list[Pairwise]:
        return [Pairwise(value, self.bound, TOTAL, self.rows) for value in self.values]

    def _about(self, known: Known) -> dict[str, Any]:
        about = self._each()[0]._about(known)
        attrs = {"long_name": "resolution", "units": "1", "description": "share of the layer's total variance that is noise"}
        return about | {
            "estimator": "Pairwise",
            "parameters": f"relative={TOTAL!r}, bound={self.bound!r}",
            "channel": "Gaussian noise of the resolution times the layer's total variance at that epoch",
            "dims": ("resolution",),
            "more": about["more"] | {"dominant_unit": about["more"]["dominant_unit"] | {"dims": ()}},
            "coords": {"resolution": ("resolution", list(self.values), attrs)},
        }

    def _estimate(self, values: Float[Tensor, "batch sample unit"], known: Known) -> Estimates:
        known = replace(known, classes=None, rule=None)
        if not self.deterministic:
            return self._missing(values, known)
        if (rows := drawn_rows(self.rows, known)) is not None:
            values, known = values[:, rows], known.some(rows)
        found: dict[int, Estimates] = {}

        def work(first: int, last: int) -> None:
            for place in range(first, last):
                found[place] = self._member(values[place], known)

        _ = known.mass, known.symbols  # before threads ask for them
        with one_thread(values.device.type == "cpu"):
            shared(work, len(values), MEMBER_NANOSECONDS * len(values))
        return Estimates.together([found[place] for place in range(len(values))])

    def _member(self, t: Float[Tensor, "sample unit"], known: Known) -> Estimates:
        spread = Spread(t, known)
        distances = Distances(spread.t, spread.total or 1.0, keep=True)
        each = [one.member(spread, distances, known, noise=one.noise_variance) for one in self._each()]
        i_xt, i_ty, h_t = (
            Quantity(*(torch.stack(ends, 1) for ends in zip(*quantity, strict=True)))
            for quantity in zip(*(one[:3] for one in each), strict=True)
        )
        more = {
            "i_xt_error": torch.stack([one.more["i_xt_error"] for one in each], 1),
            "dominant_unit": each[0].more["dominant_unit"],
        }
        return Estimates(i_xt, i_ty, h_t, torch.stack([one.flags for one in each], 2), more)

    def pointwise(
        self, t: Float[Tensor, "sample unit"], inputs: Tensor | None = None
    ) -> Float[Tensor, "resolution 2 sample"]:
        """The upper and the lower bound as means over samples of what each adds to it (delta method), so that differences
        between epochs have a paired error."""
        symbols = None if inputs is None else row_numbers(inputs)
        known = Known(len(t), inputs, None, None, None, t.device, symbols=symbols)
        if (rows := drawn_rows(self.rows, known)) is not None:
            t, known = t[rows], known.some(rows)
        spread = Spread(t, known)
        distances = Distances(spread.t, spread.total or 1.0, keep=True)
        mass = known.mass[:, None]
        found = []
        for value in self.values:
            kernel = Kernel(distances, value)
            density = kernel.times(mass[None])
            bounds = with_scale(entropies(kernel, density, mass, known), kernel, density[:, :, 0], spread.shares, known)
            terms = bounds.terms - bounds.terms.mean(1, keepdim=True)
            found.append(terms + bounds.value[:, None])
        return torch.stack(found)

    def _missing(self, values: Tensor, known: Known) -> Estimates:
        nan = torch.full((len(values), len(self.values)), torch.nan, dtype=torch.float64, device=values.device)
        missing = Quantity(nan, nan, nan)
        flags = raised(known, values, not_a_function={"i_xt": True, "h_t": True})
        flags = flags[:, :, None].expand(-1, -1, len(self.values))
        unit = torch.full((len(values),), -1, device=values.device)
        return Estimates(missing, missing, missing, flags, {"i_xt_error": nan, "dominant_unit": unit})
