"""X-budget: what flows spend on transport and waste on bending and pace, trained three ways and the papers' own (§E2)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from flowplane import plot
from flowplane.core.results import stamp
from flowplane.experiments.claim import Claim
from flowplane.experiments.flows.measured import CASES, CLOCKED, DAE, FLOWS, LONGER, TRAINED, Scale, measured, narrow, shares
from flowplane.experiments.registry import Context, Result
from flowplane.experiments.verdicts import around, at_most, at_most_log, exactly, means, sign, verdict_of_all
from flowplane.transport.profiles.budget import TERMS

__all__ = ["SCALES", "all_claims", "run"]

SCALES = {
    "quick": Scale(steps=600, pairs=5000, seeds=3, particles=400),
    "full": Scale(steps=2000, pairs=20_000, seeds=5, particles=1000),
    "tiny": Scale(steps=5, pairs=20, seeds=1, particles=10, width=0.05, numbers=(1, 2, 4)),
}
#: Of the energy, that the four terms may leave.
LEFT = 1e-3
#: Of E|Δ|²: a flow is called straight that bends by no more.
STRAIGHT = 0.01
#: Of E|Δ|², by which another clock may change what does not depend on it.
SAME = 1e-3
#: Of the squared distance to the target, that a flow's ends may lack.
MISSED = 0.05
#: Of the target's variance, by which that of the ends may be off.
SPREAD = 0.1
#: Of its bending, by which more training alone may change a flow.
UNCHANGED = 0.25
SHOWN = (*TRAINED, *DAE)

#: A quantity of one flow, (seed, case).
Of = Callable[[xr.DataArray, str], np.ndarray]


def run(context: Context) -> Result:
    """Energy, transport, coupling, bending and pace of every flow, over seeds."""
    found = measured(context, SCALES[context.scale])
    spent = stamp(found, "experiment", seed=context.seed)
    return Result(datasets={"budget": spent}, figures={"budget": _figure(found)}, claims=all_claims(found))


def _figure(found: xr.Dataset) -> go.Figure:
    figure = plot.budget(_rows(found), "What flows spend their energy on")
    subtitle = "energy E∫|u|² ds; means over seeds<br>* too few particles: coupling is a lower bound"
    return narrow(figure, subtitle, l=135).update_layout(height=700, bargap=0.25, legend_y=-0.1)


def _rows(found: xr.Dataset) -> dict[str, xr.Dataset]:
    """A row of the figure each: means over seeds, with the standard errors of the particles of one seed."""
    rows = {}
    for case in CASES:
        for flow in SHOWN:
            mean = found.sel(case=case, flow=flow).mean("seed", keep_attrs=True)
            terms = mean[[name for term in TERMS for name in (term, f"{term}_error")]]
            flags = found["coupling_flags"].sel(case=case, flow=flow).max("seed")
            rows[f"{case}: {flow}"] = terms.assign(coupling_flags=flags)
    return rows


def all_claims(found: xr.Dataset) -> list[Claim]:
    """The sum, the fall from flow to flow, the papers' own flow, controls; numbers stand for targets, over seeds."""
    names = ", ".join(map(str, found["case"].values))
    parts = shares(found)

    def of(values: xr.DataArray, flow: str) -> np.ndarray:
        return values.sel(flow=flow).transpose("seed", "case").values

    left = found["energy"] - sum(found[term] for term in TERMS if term != "energy")
    total = Claim(
        id="X-budget.sum",
        role="part",
        statement=f"transport, coupling, bending and pace, each measured by itself, add up to the energy of "
        f"{left.size} flows: the largest part that is left: {names}",
        **exactly((abs(left) / found["energy"]).max(("flow", "seed")).values, [0.0] * left.sizes["case"], LEFT),
        units="1",
    )
    falls = [
        Claim(
            id=f"X-budget.{name}",
            role="part",
            statement=f"{about} falls from independent pairs to minibatch optimal ones, and from there to the "
            f"rectified flow of independent ones: {name} over that of the one before: {names}, twice",
            **at_most_log(
                np.concatenate(
                    [of(parts[name], later) / of(parts[name], earlier) for earlier, later in pairwise(TRAINED)], axis=1
                ),
                1.0,
            ),
            reference=(1.0,) * (2 * left.sizes["case"]),
            units="1",
        )
        for name, about in (
            ("bending", "bending, as a share of E|Δ|²,"),
            ("waste", "all waste, relative to W_2² between the particles (too large on digits),"),
        )
    ]
    whole = Claim(
        id="X-budget",
        role="part",
        statement="the terms add up to the energy, and from independent over minibatch optimal pairs to the rectified flow "
        f"bending and waste fall: bending of the three flows over E|Δ|²: {names}, each of the three",
        **means(np.concatenate([of(parts["bending"], flow) for flow in TRAINED], axis=1)),
        verdict=verdict_of_all([claim.verdict for claim in (total, *falls)]),
        units="1",
    )
    return [whole, total, *falls, *_papers_claims(parts, of, names), *_controls(found, parts, of, names)]


def _papers_claims(parts: xr.Dataset, of: Of, names: str) -> list[Claim]:
    """Whether the continuous denoising autoencoder is straight."""
    dae = of(parts["bending"], "DAE")
    return [
        Claim(
            id="X-budget.dae",
            role="part",
            statement="the continuous denoising autoencoder is straight once pace is set apart: its bending over E|Δ|², "
            f"from noise of variance 1 to the target, at most {STRAIGHT:g}: {names}",
            **at_most(dae, STRAIGHT),
            reference=(STRAIGHT,) * dae.shape[1],
            units="1",
        ),
        Claim(
            id="X-budget.dae-beside",
            role="part",
            statement="it bends less than flow matching of independent pairs, which follows the same densities from wider "
            f"noise: bending over E|Δ|², its over theirs: {names}",
            **at_most_log(dae / of(parts["bending"], "independent"), 1.0),
            units="1",
        ),
        Claim(
            id="X-budget.dae-pace",
            role="part",
            statement="most of what it wastes is pace: pace less bending over E|Δ|², by its own time: " + names,
            **sign(of(parts["pace"], "DAE") - dae),
            units="1",
        ),
    ]


def _controls(found: xr.Dataset, parts: xr.Dataset, of: Of, names: str) -> list[Claim]:
    """Ends that are the target's, training that does not straighten, clocks that change pace only."""
    judged = [flow for flow in FLOWS if flow != CLOCKED]
    ends, spread = (np.concatenate([of(found[name], flow) for flow in judged], axis=1) for name in ("ends", "spread"))
    moved = [
        np.abs(of(found[term], CLOCKED) - of(found[term], "rectified")) / of(found["transport"], "rectified")
        for term in ("transport", "coupling", "bending")
    ]
    slower = of(parts["pace"], CLOCKED) - of(parts["pace"], "rectified")
    kept = at_most(np.concatenate(moved, axis=1), SAME)
    kept["verdict"] = verdict_of_all([kept["verdict"], sign(slower)["verdict"]])
    return [
        Claim(
            id="X-budget.ends",
            role="control",
            statement="no flow is straight by missing its target: sliced W_2² from its ends to the target, over that from "
            f"its starts, at most {MISSED:g}, scatter subtracted: {names} of {', '.join(judged)}",
            **at_most(ends, MISSED),
            reference=(MISSED,) * ends.shape[1],
            units="1",
        ),
        Claim(
            id="X-budget.spread",
            role="control",
            statement=f"nor by shrinking: tr Cov of its ends over that of the target: {names} of {', '.join(judged)}",
            **around(spread, 1.0, SPREAD),
            units="1",
        ),
        Claim(
            id="X-budget.longer",
            role="control",
            statement="as much more training on independent pairs straightens nothing: bending after over before: " + names,
            **around(of(parts["bending"], LONGER) / of(parts["bending"], "independent"), 1.0, UNCHANGED),
            units="1",
        ),
        Claim(
            id="X-budget.clock",
            role="control",
            statement="the rectified flow by another clock, s² for s, differs in pace only: change of transport, coupling "
            f"and bending over W_2², at most {SAME:g}: {names} of each",
            **kept,
            units="1",
        ),
    ]
