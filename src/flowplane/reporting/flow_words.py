"""What a flow does, in sentences: what moves, how straight, what it costs, how many steps are enough (§E2, §E3)."""

from __future__ import annotations

import numpy as np
import xarray as xr

from flowplane.plot.figures.steps import SOLVERS
from flowplane.reporting.flow_numbers import distance_moved, few, share, with_error
from flowplane.reporting.markup import count, listed, number

__all__ = ["cost_words", "movement_words", "path_words", "step_words", "straight_words"]

#: Per cent of the energy below which a waste is called small.
SMALL = 1.0
FAR = (
    "the particles lie too far apart to find the best pairing of starts with ends, so what is wasted on coupling cannot be "
    "separated from it"
)
LENGTH, SQUARE = "units of x", "squared units of x"


def path_words(attrs: dict) -> str:
    """What a generative model predicts, and on which path; a guided one has none. Empty for any other flow."""
    if "predicts" not in attrs:
        return ""
    path, (first, last) = str(attrs["path"]), attrs["tau"]
    if path.startswith("none"):
        weight = path.rsplit("weight ", 1)[-1]
        return (
            f"The model is taken to predict “{attrs['predicts']}” and is guided with weight {weight}: its velocity makes a "
            "flow, but one that belongs to no Gaussian path, so the density at the end is that of the flow and not the one "
            "that the model was trained on."
        )
    ends = f"from τ = {first:.3g} to τ = {last:.3g}"
    return f"The model is taken to predict “{attrs['predicts']}” on the path “{path}”, followed {ends}."


def movement_words(budget: xr.Dataset | None, profile: xr.Dataset | None) -> list[str]:
    """How far particles move, and what becomes of the variance and the entropy."""
    found = []
    if budget is not None:
        found.append(
            f"From start to end the particles move by {with_error(*distance_moved(budget), LENGTH)} (root mean square)."
        )
    if profile is not None:
        found += [_change(profile, "variance", "Their variance, summed over all coordinates,", SQUARE)]
        found += [_change(profile, "entropy", "The entropy", "nats")]
    return [sentence for sentence in found if sentence]


def _change(profile: xr.Dataset, name: str, what: str, units: str) -> str:
    ends = [with_error(float(profile[name][k]), float(profile[f"{name}_error"][k])) for k in (0, -1)]
    if not np.isfinite(profile[name].values[[0, -1]]).all():
        return ""
    return f"{what} goes from {ends[0]} to {ends[1]} {units}."


def straight_words(budget: xr.Dataset | None) -> list[str]:
    """Whether paths are straight lines at one speed."""
    if budget is None:
        return []
    energy = float(budget["energy"])
    if energy <= 0:
        return ["Nothing moves, so there is nothing to waste."]
    bending, pace = (100 * float(budget[term]) / energy for term in ("bending", "pace"))
    told = "The paths are straight lines, or nearly so" if bending < SMALL else "The paths bend"
    speed = "at a nearly steady pace" if pace < SMALL else "at an uneven pace"
    return [
        f"{told}, and are run {speed}: bending takes {share(budget, 'bending')} of the energy and an uneven pace "
        f"{share(budget, 'pace')}."
    ]


def cost_words(budget: xr.Dataset | None) -> list[str]:
    """The energy, what transport must cost of it, and how far W_2 can be believed."""
    if budget is None:
        return []
    energy = with_error(float(budget["energy"]), float(budget["energy_error"]), SQUARE)
    spent = f"The flow spends {energy}, the mean of ∫|u|² ds with time scaled to run from 0 to 1."
    if float(budget["energy"]) <= 0:
        return [spent]
    needed = f"Of that, {share(budget, 'transport')} is W_2², what transport between the same two densities must cost"
    wasted = f"{share(budget, 'coupling')} is wasted on coupling: particles go to other places than in the best pairing"
    if few(budget, "coupling"):
        return [spent, f"{needed}, or less: {FAR}.", *_distance(budget)]
    return [spent, f"{needed}, and {wasted}.", *_distance(budget)]


def _distance(budget: xr.Dataset) -> list[str]:
    """W_2 as far as it is known, and how far it can be trusted."""
    square = float(budget["transport"])
    distance = max(square, 0.0) ** 0.5
    if budget.attrs["method"] == "closed form":
        return [f"W_2 is {number(distance, LENGTH)}, in closed form."]
    error = float(budget["transport_error"]) / (2 * distance) if distance > 0 else 0.0
    slices = with_error(float(budget["sliced_wasserstein"]), float(budget["sliced_wasserstein_error"]), LENGTH)
    return [
        f"W_2 is {with_error(distance, error, LENGTH)} between the starts and ends of "
        f"{budget.attrs['samples']:,} particles. With this few it tends to come out too large, and the waste on "
        f"coupling too small; a lower bound, by slices, is {slices}."
    ]


def step_words(steps: xr.Dataset | None) -> list[str]:
    """How many steps of each method end where the flow does, within the error asked for."""
    if steps is None:
        return []
    within, moved, most = float(steps.attrs["within"]), float(steps.attrs["moved"]), int(steps["steps"].max())
    if moved == 0:
        return ["Nothing moves, so no step is needed."]
    told = [_needed(float(steps["least_steps"].sel(solver=solver)), solver, most) for solver in SOLVERS]
    asked = f"{number(within, LENGTH)} (root mean square, {100 * within / moved:.3g} % of how far the particles move)"
    return [f"To end within {asked} of where the flow ends: {listed(told)}.", _adaptive(steps, within)]


def _needed(least: float, solver: str, most: int) -> str:
    name = SOLVERS[solver][0]
    if not np.isfinite(least):
        return f"{most} steps of {name}’s method are not enough"
    calls = int(least) * (2 if solver == "heun" else 1)
    return f"{name}’s method needs {count(int(least), 'step')}, {count(calls, 'evaluation')} of the velocity"


def _adaptive(steps: xr.Dataset, within: float) -> str:
    """The fewest evaluations with which the adaptive solver is within the error."""
    calls, distance = steps["adaptive_evaluations"].values, steps["adaptive_distance"].values
    does = distance <= within
    if not does.any():
        finest = steps["tolerance"].values.min()
        return f"The adaptive solver is not within that at any tolerance tried (the finest: {finest:g})."
    k = np.flatnonzero(does)[calls[does].argmin()]
    tolerance = float(steps["tolerance"][k])
    return f"An adaptive solver needs {count(int(calls[k]), 'evaluation')}, at a tolerance of {tolerance:g}."
