"""How hard samples are to denoise at each noise level: the curve whose area is their information (§C1)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from flowplane.bridge.denoising import POINTS, Denoising, unit_variance
from flowplane.bridge.layers import upper_bound
from flowplane.bridge.levels import Levels
from flowplane.bridge.points import Points
from flowplane.bridge.reading import BIT, STUDENT, folds_of
from flowplane.bridge.training import Schedule
from flowplane.core.results import Z
from flowplane.core.threads import one_thread, shared
from flowplane.information.estimator import Estimator, raised
from flowplane.information.known import Estimates, Known, Quantity
from flowplane.information.pairwise import TOTAL
from flowplane.information.probes.folds import grouped_error

__all__ = ["Spectra", "Spectrum", "of_law", "of_population"]

CHANNEL = "Gaussian noise of the resolution times the layer's total variance at that epoch"
#: Parts of a `Quantity`.
ENDS = ("value", "lower", "upper")


class Spectrum(NamedTuple):
    """The curves of one batch member of total variance 1, at noise variances t, each (start,)."""

    #: E|T − g_t|², of the best denoiser or of one that was learned, and of the best linear one.
    mmse: Quantity
    linear: Float[Tensor, " start"]
    #: I(T;T_t) in nats, by the integral of `mmse`.
    information: Quantity
    #: The same by densities, −E ln p_t(T_t) less the noise's entropy, and its standard error; NaN where none is known.
    by_density: Float[Tensor, " start"]
    density_error: Float[Tensor, " start"]


def of_law(t: Float[Tensor, "sample unit"], known: Known, noise: tuple[float, ...]) -> Spectrum:
    """The curves of the law that lies on the samples; intervals cover the error of the noise drawn."""
    law = Points(t, known.mass)
    levels = Levels.between(noise, 1.0, t.device).with_starts
    curve, count = law.curve(levels, known.seed), len(noise)
    spread, surprise = known.mass @ curve.spread, known.mass @ curve.surprise
    error = STUDENT / Z
    information = levels.integral(spread) + levels.tail(law.variances)
    errors = (levels.weights.square() @ curve.errors[0].square()).sqrt()
    starts = torch.tensor(noise, dtype=torch.float64, device=t.device)
    linear = (law.variances[:, None] * starts / (law.variances[:, None] + starts)).sum(0)
    return Spectrum(
        Quantity.around(spread[-count:], error * curve.errors[0, -count:]).within(0.0, 1.0),
        linear,
        Quantity.around(information, error * errors),
        surprise[-count:],
        curve.errors[2, -count:],
    )


def of_population(
    t: Float[Tensor, "sample unit"], known: Known, noise: tuple[float, ...], schedule: Schedule | None
) -> Spectrum:
    """By denoisers that are judged on samples they were not fitted to; intervals cover the sampling error."""
    folds, groups = folds_of(known)
    starts = torch.tensor(noise, dtype=torch.float64, device=t.device)
    found = upper_bound(t[None], folds, starts[None], known.seed, schedule)
    missed, terms = found.missed[0], found.terms[0]
    return Spectrum(
        Quantity.around(missed.mean(0), grouped_error(missed.T, groups)),
        found.linear[0].mean(0),
        Quantity.around(terms.mean(0), grouped_error(terms.T, groups)),
        torch.full_like(starts, math.nan),
        torch.full_like(starts, math.nan),
    )


@dataclass(frozen=True)
class Spectra(Estimator):
    """The curves of `Denoising(c, relative="total")` over resolutions c: `i_xt` (…, resolution), `mmse`, `linear_mmse` and
    `fisher`, all in units in which the layer's total variance is 1.

    Example:
        >>> found = Spectra((0.1, 1.0), "points")([[-1.0], [1.0]])
        >>> found.i_xt.values.round(5).tolist(), found.mmse.values.round(4).tolist()
        ([0.99676, 0.48594], [0.0024, 0.4496])
    """

    values: tuple[float, ...]
    denoiser: str | None = None
    deterministic: bool = True

    def __post_init__(self) -> None:
        Denoising(1.0, self.denoiser)  # refuses what it does not know

    def _one(self) -> Denoising:
        return Denoising(self.values[0], self.denoiser, TOTAL)

    def _about(self, known: Known) -> dict[str, Any]:
        about = self._one()._about(known)
        attrs = {"long_name": "resolution", "units": "1", "description": "share of the layer's total variance that is noise"}
        share, inverse = {"units": "1", "dims": ("resolution",)}, {"units": "1/total variance", "dims": ("resolution",)}
        bound = about["i_xt"]["bound"]
        how = f"denoiser={about['denoiser']!r}, relative={TOTAL!r}"
        said = {"estimator": "Denoising", "parameters": how, "channel": CHANNEL, "bound": bound}
        mmse = share | said | {"long_name": "error of denoising, of the total variance"}
        bits = {"units": "bits", "dims": ("resolution",)}
        nats = {"units": "nats/total variance", "dims": ("resolution",)}
        more = {
            "mmse": mmse,
            "mmse_lower": share | {"long_name": "error of denoising, lower end"},
            "mmse_upper": share | {"long_name": "error of denoising, upper end"},
            "linear_mmse": share | {"long_name": "error of linear denoising, of the total variance"},
            "information_by_density": bits | {"long_name": "I(X;T + noise) by densities"},
            "information_by_density_error": bits | {"long_name": "I(X;T + noise) by densities, standard error"},
            "fisher": inverse | {"long_name": "Fisher information J of T + noise, by the error of denoising"},
            "entropy_rate": nats | {"long_name": "rate dh/dt of the entropy of T + noise, by differences of densities"},
        }
        return about | {
            "estimator": "Denoising",
            "parameters": how,
            "channel": CHANNEL,
            "dims": ("resolution",),
            "more": more,
            "coords": {"resolution": ("resolution", list(self.values), attrs)},
        }

    def _estimate(self, values: Float[Tensor, "batch sample unit"], known: Known) -> Estimates:
        known, one = replace(known, classes=None, rule=None, targets=None), self._one()
        if (rows := one.rows(known)) is not None:
            values, known = values[:, rows], known.some(rows)
        refused = one.refused(known)
        if any(refused.values()) or not self.deterministic:
            return self._missing(values, known, refused)
        kind = one.kind(known)
        scaled, power = unit_variance(values, known.mass)
        order = sorted(range(len(self.values)), key=self.values.__getitem__)
        noise = tuple(self.values[place] for place in order)
        back = torch.tensor(np.argsort(order), device=values.device)
        found: dict[int, Spectrum] = {}

        def work(first: int, last: int) -> None:
            for place in range(first, last):
                if kind == POINTS:
                    found[place] = of_law(scaled[place], known, noise)
                else:
                    found[place] = of_population(scaled[place], known, noise, one.schedule(known))

        _ = known.mass, known.symbols  # before threads ask for them
        with torch.inference_mode(False), one_thread(values.device.type == "cpu"):
            scaled = scaled.clone()
            shared(work, len(values), 1e9 * len(values))
        each = [found[place] for place in range(len(values))]
        i_xt = Quantity(*(torch.stack([getattr(one.information, end) for one in each])[:, back] / BIT for end in ENDS))
        mmse = [torch.stack([getattr(one.mmse, end) for one in each])[:, back] for end in ENDS]
        starts, units = torch.tensor(self.values, dtype=torch.float64, device=values.device), values.shape[2]
        h_z = units * (0.5 * (2 * math.pi * math.e * starts).log2() + power.log2()[:, None])
        log_noise = torch.tensor(noise, dtype=torch.float64, device=values.device).log()
        by_density = torch.stack([one.by_density for one in each])
        entropy = by_density + 0.5 * units * log_noise
        more = dict(zip(("mmse", "mmse_lower", "mmse_upper"), mmse, strict=True))
        more["information_by_density"] = by_density[:, back] / BIT
        more["information_by_density_error"] = torch.stack([one.density_error for one in each])[:, back] / BIT
        more["linear_mmse"] = torch.stack([one.linear for one in each])[:, back]
        more["fisher"] = (units * starts - mmse[0]) / starts.square()
        rate = torch.gradient(entropy, spacing=(log_noise,), dim=1)[0] if len(noise) > 1 else entropy * torch.nan
        more["entropy_rate"] = rate[:, back] / starts
        constant = (values.amin(1) == values.amax(1)).all(1)
        flags = torch.stack(
            [
                raised(known, values, constant_units=constant, **one.limits(scaled, known, bits, starts[None, place]))
                for place, bits in enumerate(i_xt.value.T)
            ],
            2,
        )
        missing = Quantity(*(torch.full_like(i_xt.value, torch.nan) for _ in range(3)))
        return Estimates(i_xt, missing, Quantity(*(end + h_z for end in i_xt)), flags, more)

    def _missing(self, values: Tensor, known: Known, refused: Mapping[str, bool]) -> Estimates:
        nan = torch.full((len(values), len(self.values)), torch.nan, dtype=torch.float64, device=values.device)
        missing = Quantity(nan, nan, nan)
        flags = raised(
            known, values, **refused, not_a_function={"i_xt": not self.deterministic, "h_t": not self.deterministic}
        )
        names = self._about(known)["more"]
        flags = flags[:, :, None].expand(-1, -1, len(self.values))
        return Estimates(missing, missing, missing, flags, dict.fromkeys(names, nan))
