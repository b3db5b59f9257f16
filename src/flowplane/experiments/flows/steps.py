"""X-steps: the less a flow bends, the fewer steps it takes (§E3)."""

from __future__ import annotations

import numpy as np
import xarray as xr
from scipy.stats import spearmanr

from flowplane import plot
from flowplane.core.results import stamp
from flowplane.experiments.claim import Claim
from flowplane.experiments.flows.budget import SCALES
from flowplane.experiments.flows.measured import CLOCKED, DAE, TRAINED, measured, narrow, shares
from flowplane.experiments.registry import Context, Result
from flowplane.experiments.verdicts import at_least_log, sign

__all__ = ["SCALES", "all_claims", "ranks", "run"]

#: Flows that are run at a nearly even pace, of which bending is to tell.
EVEN = (*TRAINED, "DAE, even")
#: All, by whatever clock.
ANY = (*TRAINED, *DAE, CLOCKED)


def run(context: Context) -> Result:
    """Euler's least steps of every flow beside its bending, over seeds."""
    found = measured(context, SCALES[context.scale])
    parts = stamp(shares(found), "experiment", seed=context.seed)
    shown = parts.sel(flow=list(ANY)).rename(seed="replica")
    title = "How many steps of Euler flows take"
    figure = plot.sweep(shown, "steps", along="flow", by="case", title=title, log=True)
    return Result(
        datasets={"steps": parts, "distances": stamp(found, "experiment", seed=context.seed)},
        figures={"steps": narrow(figure, "faint: every seed · strong: mean, 95 % interval").update_xaxes(title="")},
        claims=all_claims(parts),
    )


def ranks(parts: xr.Dataset, name: str, flows: tuple[str, ...]) -> np.ndarray:
    """Spearman's correlation over flows of a share and the least steps, (seed, case); 0 where either is all the same.

    Example:
        >>> bending, steps = xr.DataArray([[[0.1, 0.2, 0.3]]], dims=("seed", "case", "flow")), 8.0
        >>> some = xr.Dataset({"bending": bending, "steps": steps * bending}, {"flow": ["a", "b", "c"]})
        >>> ranks(some, "bending", ("a", "b", "c"))
        array([[1.]])
    """
    chosen = parts[[name, "steps"]].sel(flow=list(flows)).transpose("seed", "case", "flow")
    rows = zip(*(chosen[key].values.reshape(-1, len(flows)) for key in (name, "steps")), strict=True)
    found = [float(spearmanr(*row)[0]) if all(len(set(side)) > 1 for side in row) else 0.0 for row in rows]
    return np.reshape(found, (chosen.sizes["seed"], chosen.sizes["case"]))


def all_claims(parts: xr.Dataset) -> list[Claim]:
    """Rank correlations, and that clocks count as well; numbers stand for targets, over seeds."""
    names = ", ".join(map(str, parts["case"].values))

    def least(flow: str) -> np.ndarray:
        return parts["steps"].sel(flow=flow).transpose("seed", "case").values

    return [
        Claim(
            id="X-steps",
            role="part",
            statement="the less a flow bends, the fewer steps of Euler take it to within 1 % of √E|Δ|²: Spearman's "
            f"correlation of bending and steps over {', '.join(EVEN)}: {names}",
            **sign(ranks(parts, "bending", EVEN)),
            units="1",
        ),
        Claim(
            id="X-steps.rectified",
            role="part",
            statement=f"steps of the flow of independent pairs over those of its rectified one: {names}",
            **at_least_log(least("independent") / least("rectified"), 1.0),
            units="1",
        ),
        Claim(
            id="X-steps.clock",
            role="control",
            statement="bending is not all: the rectified flow by another clock, s² for s, bends no more and takes more "
            f"steps: steps over those before: {names}",
            **at_least_log(least(CLOCKED) / least("rectified"), 1.0),
            units="1",
        ),
        Claim(
            id="X-steps.clocks",
            role="reported",
            statement=f"the correlation of bending and steps with flows by any clock among them, {', '.join(ANY)}: {names}",
            **sign(ranks(parts, "bending", ANY)),
            units="1",
        ),
        Claim(
            id="X-steps.straightness",
            role="reported",
            statement=f"the same of bending and pace together, which Liu et al. call straightness: {names}",
            **sign(ranks(parts, "straightness", ANY)),
            units="1",
        ),
    ]
