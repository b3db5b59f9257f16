"""The information bottleneck curve: the most that can be known about y for what is kept of x."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import xarray as xr

from flowplane.bottleneck.codebook import Problem
from flowplane.bottleneck.grid import MANY, default_betas
from flowplane.bottleneck.joint import States, check_betas, checked_joint, information
from flowplane.bottleneck.lower import lower_bound
from flowplane.bottleneck.solve import Solution, corner, solve
from flowplane.core.points import check_count, check_positive, check_seed
from flowplane.core.results import stamp
from flowplane.core.threads import one_thread
from flowplane.errors import InputError

__all__ = ["ib_curve"]

#: The note where labels are a function of x.
DETERMINISTIC = (
    "y is a function of x, so the curve is the straight line from the origin to (H(Y), H(Y)) and level from there on. No "
    "beta traces it: below 1 the origin is optimal, above 1 the corner, at 1 each point of the line (Kolchinsky, Tracey and "
    "Van Kuyk 2019, arXiv:1808.07593). For points in between use deterministic_ib and concave_hull, or a rule p(y|x) that "
    "is not deterministic."
)
#: The description of `gap`.
PROVED = (
    "proved upper bound, over all encoders: F of this one less the greatest of three lower bounds on F of any, among them "
    "the dual with log2 of a ceiling over c(q) for all q, by branch and bound"
)


def ib_curve(
    joint: Any,
    betas: Any = None,
    *,
    starts: int = 32,
    seed: int = 0,
    tolerance: float = 1e-9,
    merge: bool = True,
    encoders: bool = False,
) -> xr.Dataset:
    """The optimum of min I(X;T) − β I(T;Y) over all encoders p(t|x), for each β (§B6).

    Solved as a convex problem in the distribution over codewords p(y|t), whose solution is optimal if no codeword is
    missing; see `flowplane.bottleneck.codebook`. Each β is solved by itself, whatever the others. That no
    codeword is missing is proved by branch and bound, usually to 1e-9 bit with up to four classes and 100 states. With
    more the search for one is as thorough, but the proof would take too long: `gap` is then what could be proved, a bound of
    tenths of a bit or of bits, which says little about how near the solution is (`flowplane.bottleneck.lower`).

    Arguments:
        joint: p(x, y), rows x, columns y: a NumPy array, tensor or DataArray; or a Task.
        betas: values of β in any order; None for 100 that show the whole curve of this joint (30
            with more than 200 states).
        starts: random mixtures of p(y|x) from which better codewords are looked for in the end, one after the other, besides
            all p(y|x): with more of them the Lagrangian is never larger. Not needed, and not used, with two classes.
        seed: of those mixtures.
        tolerance: bits that the Lagrangian may be above the optimum. `gap` is larger where that cannot be proved.
        merge: whether x with equal p(y|x) become one state first, which is exact.
        encoders: whether to return the optimal p(t|x), on the original x, and p(y|t).

    Returns:
        Dataset over `beta`, in the order given: `i_xt`, `i_ty`, `lagrangian` = i_xt − β i_ty and `gap`, how far the
        Lagrangian is above the optimum at most, proved, in bits; `clusters`; `iterations`, steps of all kinds. `encoders`
        adds `p_t_given_x` (beta, x, cluster) and `p_y_given_t` (beta, cluster, y), 0 for clusters that a β does not have.
        In attrs: `i_xy` = I(X;Y) and `h_x` = H(X) in bits, `states` after merging, `gap_kind`, `deterministic_labels` (1 or
        0: netCDF has no booleans) and, where y is a function of x and no β traces the curve, a `note`.

    Raises:
        InputError: not a valid joint (NaN, negative, not summing to 1, a row of zeros, one class), β that is not above 0.

    Example:
        >>> curve = ib_curve([[0.4, 0.1], [0.1, 0.4]], [1.5, 5.0])  # the first β is below 1/λ_2 = 2.78
        >>> curve.i_xt.values.round(4), curve.i_ty.values.round(4)
        (array([0.    , 0.8649]), array([0.   , 0.256]))
    """
    given = checked_joint(joint)
    starts, seed = check_count("starts", starts, 0), check_seed(seed)
    tolerance = check_positive("tolerance", tolerance, "a number of bits above 0")
    if not isinstance(merge, bool):
        raise InputError("merge", merge, "True or False")
    states = States.of(given, merge)
    (mass, conditional, _), i_xy = states.merged, information(states.merged.mass, states.merged.conditional)
    weights = np.random.default_rng(seed).dirichlet(np.ones(len(mass)), 0 if conditional.shape[1] == 2 else starts)
    mixtures = torch.from_numpy(weights) @ conditional
    with one_thread(len(mass) <= MANY):
        chosen = default_betas(mass, conditional) if betas is None else check_betas(betas)
        distinct, place = np.unique(chosen, return_inverse=True)
        problem = Problem(mass, conditional, torch.from_numpy(distinct))
        nats = tolerance * math.log(2.0)
        solution = corner(problem) if states.deterministic else solve(problem, nats / 4, mixtures)
        if not states.deterministic:
            solution = solution._replace(bound=lower_bound(problem, solution.dual, solution.book, nats))
        variables = _plane(problem, solution)
    if encoders:
        variables |= _encoders(problem, solution, states, given.shape[1])
    attrs = {
        "units": "bits",
        "i_xy": i_xy,
        "h_x": float(torch.special.entr(given.sum(1)).sum()) / math.log(2.0),
        "states": len(mass),
        "deterministic_labels": int(states.deterministic),
        "gap_kind": PROVED,
        "starts": starts,
        "tolerance": tolerance,
        "merge": int(merge),
    }
    if states.deterministic:
        attrs["note"] = DETERMINISTIC
    return stamp(xr.Dataset(variables, {"beta": distinct}, attrs).isel(beta=place), "ib_curve", seed=seed)


def _plane(problem: Problem, solution: Solution) -> dict[str, Any]:
    i_xt, i_ty = (value / math.log(2.0) for value in solution.book.plane(problem))
    gap = (solution.value - solution.bound).clamp(min=0.0) / math.log(2.0)
    clusters = (solution.book.weight > 0).sum(1)
    found = {
        "i_xt": (i_xt, "I(X;T)", "bits"),
        "i_ty": (i_ty, "I(T;Y)", "bits"),
        "lagrangian": (i_xt - problem.betas * i_ty, "I(X;T) − β I(T;Y)", "bits"),
        "gap": (gap, "Lagrangian above the optimum, at most (proved)", "bits"),
        "clusters": (clusters, "clusters", "1"),
        "iterations": (solution.steps, "iterations", "1"),
    }
    return {
        name: ("beta", values.numpy(), {"units": units, "long_name": long_name})
        for name, (values, long_name, units) in found.items()
    }


def _encoders(problem: Problem, solution: Solution, states: States, classes: int) -> dict[str, Any]:
    book = solution.book
    encoder = book.encoder(problem)[:, states.merged.state]
    decoder = torch.zeros(*book.weight.shape, classes, dtype=torch.float64, device=book.weight.device)
    decoder[..., states.columns] = book.words.exp() * (book.weight > 0)[..., None]
    about = {"units": "1"}
    return {
        "p_t_given_x": (("beta", "x", "cluster"), encoder.numpy(), about | {"long_name": "p(t|x)"}),
        "p_y_given_t": (("beta", "cluster", "y"), decoder.numpy(), about | {"long_name": "p(y|t)"}),
    }
