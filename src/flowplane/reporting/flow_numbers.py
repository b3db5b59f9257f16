"""The numbers of flows, each with its unit and standard error."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr

from flowplane.core.results import Flags
from flowplane.plot.figures.steps import SOLVERS
from flowplane.reporting.markup import Markup, count, joined, listed, number, paragraphs, table
from flowplane.reporting.subject import Measured

__all__ = ["WASTES", "distance_moved", "few", "numbers_table", "share", "with_error"]

#: Errors below this share of a number are rounding errors; digits after the point before powers of ten are used.
ROUNDING, DIGITS = 1e-12, 6
#: What a budget says, in the order of a table.
WASTES = ("transport", "coupling", "bending", "pace")
ROWS = {
    "transport": "transport: W_2²",
    "coupling": "wasted on coupling",
    "bending": "wasted on bending",
    "pace": "wasted on pace",
}

FEW = "* Particles lie too far apart to pair starts with ends: W_2 is too large, the waste on coupling a lower bound near 0."


def with_error(value: float, error: float, units: str = "") -> str:
    """A number with its standard error, both to its second digit, and its units; mere rounding error is left out.

    Example:
        >>> with_error(0.1234, 0.0021, "units of x"), with_error(2.0, 0.0), with_error(12345.6, 120.0), with_error(0, 1e-14)
        ('0.1234 ± 0.0021 units of x', '2.00', '12,346 ± 120', '0')
    """
    told = number(value)
    if np.isfinite(error) and error > ROUNDING * max(1.0, abs(value)):
        digits = 1 - int(np.floor(np.log10(error)))
        told = (
            f"{value:.1e} ± {error:.1e}" if digits > DIGITS else f"{value:,.{max(digits, 0)}f} ± {error:,.{max(digits, 0)}f}"
        )
    return f"{told} {units}".rstrip()


def share(spent: xr.Dataset, term: str) -> str:
    """A term of the budget in per cent of the energy, with its error.

    Example:
        >>> share(xr.Dataset({"energy": 2.0, "bending": 0.5, "bending_error": 0.02}), "bending")
        '25 ± 1 %'
    """
    energy = float(spent["energy"])
    if energy <= 0:
        return "–"
    value, error = (100 * float(spent[name]) / energy for name in (term, f"{term}_error"))
    digits = 0 if value >= 10 and error >= 0.5 else 1
    told = f"{max(value, 0.0):.{digits}f}"
    if error >= 0.05:
        told += f" ± {error:.{digits}f}"
    return f"{told} %"


def distance_moved(spent: xr.Dataset) -> tuple[float, float]:
    """√E|Δ|², how far particles are from where they began, and its standard error: at most the sum of those of W_2² and of
    the coupling, which add up to E|Δ|²."""
    squared = max(float(spent["transport"]) + float(spent["coupling"]), 0.0)
    error = float(spent["transport_error"]) + float(spent["coupling_error"])
    value = squared**0.5
    return value, error / (2 * value) if value > 0 else 0.0


def numbers_table(flows: Mapping[str, Measured]) -> Markup:
    """What flows cost and need, one column per flow; nothing where none was measured."""
    rows = [row for row in (*_spent(flows), *_needed(flows)) if any(cell != "–" for cell in row[1:])]
    if not rows:
        return Markup("")
    sizes = sorted({flow.dimension for flow in flows.values()})
    apart = (
        f"They run in {listed([str(size) for size in sizes])} dimensions: energies and distances cannot be compared."
        if len(sizes) > 1
        else ""
    )
    star = any(few(flow.budget, term) for flow in flows.values() for term in WASTES)
    said = FEW if star else ""
    caption = "The flow in numbers" if len(flows) == 1 else "The flows in numbers"
    return joined(table(caption, ["what", *flows], rows), paragraphs([apart, said]))


def _spent(flows: Mapping[str, Measured]) -> list[list[str]]:
    budgets = [None if flow.budget is None else _rounded(flow.budget) for flow in flows.values()]
    length, square = "[units of x]", "[squared units of x]"
    moved = ["–" if spent is None else with_error(*distance_moved(spent)) for spent in budgets]
    energy = [
        "–" if spent is None else with_error(float(spent["energy"]), float(spent["energy_error"])) for spent in budgets
    ]
    rows = [[f"distance moved, rms {length}", *moved], [f"energy {square}", *energy]]
    for term, name in ROWS.items():
        cells = [
            "–"
            if spent is None
            else f"{with_error(float(spent[term]), float(spent[f'{term}_error']))} ({share(spent, term)})"
            f"{'*' if few(spent, term) else ''}"
            for spent in budgets
        ]
        rows.append([f"{name} {square}", *cells])
    return rows


def _rounded(spent: xr.Dataset) -> xr.Dataset:
    """The same without terms that are mere rounding error."""
    least = ROUNDING * float(spent["energy"])
    return spent.assign({name: spent[name].where(spent[name] > least, 0.0) for name in WASTES})


def few(spent: xr.Dataset | None, term: str) -> bool:
    """Whether there were too few particles to measure a term."""
    return spent is not None and f"{term}_flags" in spent and bool(Flags.names(spent[f"{term}_flags"]))


def _needed(flows: Mapping[str, Measured]) -> list[list[str]]:
    found = [flow.steps for flow in flows.values()]
    rows = [
        ["error asked for, rms [units of x]", *("–" if each is None else number(each.attrs["within"]) for each in found)]
    ]
    for solver, (name, _, _) in SOLVERS.items():
        rows.append(
            [f"steps of {name}’s method that reach it", *("–" if each is None else _least(each, solver) for each in found)]
        )
    return rows


def _least(found: xr.Dataset, solver: str) -> str:
    least = float(found["least_steps"].sel(solver=solver))
    return f"{least:,.0f}" if np.isfinite(least) else f"more than {count(int(found['steps'].max()), 'step')}"
