"""Where the bottleneck's solution gains clusters as β grows: its critical points."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
import xarray as xr
from jaxtyping import Bool, Float
from torch import Tensor

from flowplane.bottleneck.blahut_arimoto import log_probability
from flowplane.bottleneck.codebook import Codebook, Problem, as_logits
from flowplane.bottleneck.joint import Merged, States, check_betas, checked_joint
from flowplane.bottleneck.polish import polished
from flowplane.bottleneck.stability import highest, instability, split_words
from flowplane.bottleneck.weights import best_weights
from flowplane.core.results import stamp
from flowplane.core.threads import one_thread
from flowplane.errors import InputError, Text

__all__ = ["critical_betas"]

#: Number of values of β by default, from a little below 1, where nothing is worth keeping, to 100/λ_2.
BETAS, BEFORE, BEYOND = 60, 0.99, 100.0
#: log c(q) above which a codeword q is missing; weights below NEGLIGIBLE are 0; logits nearer than NEAR are one codeword.
MISSING, NEGLIGIBLE, NEAR = 1e-10, 1e-12, 1e-6
#: Values of β tried together, and how far, relative to itself, a critical one is pinned down.
TRIALS, PRECISION = 16, 1e-10
#: How far behind a critical β the new solution is first looked for.
BEHIND = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2)
#: How far apart, in logits, the codewords of a cluster are set that splits.
SPLIT = 0.05
#: Rounds of adding codewords.
TURNS = 30
#: The least λ_2: below, critical points drown in rounding. And the most changes followed: per state, and in addition.
INDEPENDENT, CHANGES, BESIDES = 1e-6, 4, 50
LOST, CHANGED = "stability lost", "clusters change"


def critical_betas(joint: Any, betas: Any = None) -> xr.Dataset:
    """The critical points of the bottleneck's curve: where a cluster loses stability, and where the optimum changes (§B6).

    The optimum moves continuously with β and is followed from the least β on, by Newton's method, under the certificate

        c(q) = Σ_x p(x) exp(−β KL(p(y|x) ‖ q)) / Z(x) ≤ 1 for each codeword q    (`flowplane.bottleneck.codebook`).

    "clusters change": a codeword with c(q) = 1 enters with weight 0, or a weight falls to 0. "stability lost": on the
    solution without that change, which annealing would keep to, cluster t splits, since β·λ_2(M_t) = 1 for
    M_t(y, y') = Σ_x p(x|t) p(y|x) p(y'|x)/p(y'|t). The optimum changes first, by an amount that depends on the cluster's
    third moment, 1e-4 of β in the reference task; in symmetric joints both coincide and have one entry, "stability lost".
    The first is 1/λ_2, λ_2 the square of the second singular value of p(x, y)/√(p(x)p(y)).

    Arguments:
        joint: p(x, y), rows x; or a Task. 53 distinct p(y|x) and two classes take ten seconds, 40 and four two minutes.
        betas: the β to go through, in any order: critical points are looked for between the least and the greatest.
            None: 60 from 0.99 (below 1 nothing is worth keeping) to 100/λ_2.

    Returns:
        Dataset (critical) in the order of β: `beta`, `kind`, `clusters_before` and `clusters_after`, `cluster`: the number
        of the one that splits (by kind "clusters change" the nearest to what enters), clusters in the order of p(y=0|t);
        `p_y_given_t` (critical, y): of the cluster that splits, enters or leaves; `i_xt` and `i_ty` there in bits.

    Raises:
        InputError: not a joint distribution, X and Y nearly independent, endless changes made by rounding, β that
            are not above 0.

    Example:
        >>> found = critical_betas([[0.4, 0.1], [0.1, 0.4]])
        >>> found.kind.values.tolist(), found.beta.values.round(6).tolist()
        (['stability lost'], [2.777778])
    """
    given = checked_joint(joint)
    law, columns, _ = States.of(given)
    first = _first(law)
    path = np.geomspace(BEFORE, BEYOND * first, BETAS) if betas is None else np.unique(check_betas(betas))
    with one_thread():
        found = sorted(_events(law, path.tolist()), key=lambda event: event.beta)
    words = np.zeros((len(found), given.shape[1]))
    words[:, columns.numpy()] = np.array([event.word for event in found]).reshape(len(found), len(columns))
    variables: dict[str, Any] = {
        "kind": ("critical", np.array([event.kind for event in found], dtype=str)),
        "cluster": ("critical", np.array([event.cluster for event in found], np.int64)),
        "clusters_before": ("critical", np.array([event.before for event in found], np.int64)),
        "clusters_after": ("critical", np.array([event.after for event in found], np.int64)),
        "p_y_given_t": (("critical", "y"), words, {"units": "1", "long_name": "p(y|t)"}),
        "i_xt": ("critical", np.array([event.i_xt for event in found], np.float64), {"units": "bits"}),
        "i_ty": ("critical", np.array([event.i_ty for event in found], np.float64), {"units": "bits"}),
    }
    beta = ("critical", np.array([event.beta for event in found], np.float64), {"long_name": "critical β"})
    searched = [float(path[0]), float(path[-1])]
    dataset = xr.Dataset(variables, {"beta": beta}, {"betas": searched, "first": first, "units": "bits"})
    return stamp(dataset, "critical_betas")


def _first(law: Merged) -> float:
    """1/λ_2 of the trivial solution."""
    marginal = law.mass @ law.conditional
    correlated = law.mass[:, None].sqrt() * law.conditional / marginal.sqrt()
    second = torch.linalg.svdvals(correlated)[1:2].square()
    if len(second) == 0 or float(second) < INDEPENDENT:
        found = Text(f"X and Y that are independent, or nearly so: λ_2 = {float(second) if len(second) else 0.0:.3g}")
        raise InputError("joint", found, f"a joint in which X says something about Y: λ_2 of at least {INDEPENDENT:g}")
    return 1.0 / float(second)


# -- events along the path of the optimum ------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Event:
    """A critical point: `word` is the codeword that splits, enters or leaves, `clusters` how many there are after it."""

    beta: float
    kind: str
    cluster: int
    before: int
    after: int
    word: Float[np.ndarray, " y"]
    i_xt: float
    i_ty: float


class _Search(NamedTuple):
    """A solution followed up to `beta`; `broken` and `beyond` just after it, where it no longer holds, if it ends."""

    beta: float
    book: Codebook
    broken: float | None
    beyond: Codebook | None


def _events(law: Merged, path: list[float]) -> Iterator[_Event]:
    """All critical points between the ends of the path."""
    marginal, states = log_probability(law.mass @ law.conditional), log_probability(law.conditional)
    left = CHANGES * len(law.mass) + BESIDES
    beta, book = path[0], _optimum(_problem(law, path[:1]), torch.cat([states, marginal[None]])[None])[0]
    for target in path[1:]:
        while beta < target:
            search = _followed(law, book, beta, target, MISSING)
            if search.broken is None or search.beyond is None:
                beta, book = search.beta, search.book
                continue
            anew, certain = _optimum(problem := _problem(law, [search.broken]), search.book.words)
            if certain and anew.weight.shape == search.book.weight.shape and bool(_holds(problem, anew, MISSING / 2)):
                beta, book = search.broken, anew  # following it had only lost precision
                continue
            left -= 1
            if left < 0:
                found = Text(f"endless changes near β = {search.beta:.6g}, as rounding makes them")
                raise InputError("joint", found, "a joint whose p(y|x) are farther from 0 and 1, or betas= below that")
            change, words = _change(law, search.broken, search.beyond, search.book)
            beta, book = _behind(law, search.broken, search.book, words)
            if book.weight.shape[1] != change.before:
                yield replace(change, after=book.weight.shape[1])
            if change.kind == CHANGED:
                yield from _lost(law, search, path)


def _lost(law: Merged, search: _Search, path: list[float]) -> Iterator[_Event]:
    """Where a solution that is no longer the optimum loses stability, if it does before the path ends."""
    beta, book = search.beta, search.book
    for target in path:
        if target > beta:
            further = _followed(law, book, beta, target, None)
            if further.broken is not None and further.beyond is not None:
                change, _ = _change(law, further.broken, further.beyond, further.book)
                if change.kind == LOST:
                    yield replace(change, after=change.before + 1)
                return
            beta, book = further.beta, further.book


def _problem(law: Merged, betas: Sequence[float]) -> Problem:
    return Problem(law.mass, law.conditional, torch.tensor(betas, dtype=torch.float64, device=law.mass.device))


def _alike(book: Codebook, count: int) -> Codebook:
    return Codebook(book.weight.expand(count, -1), book.words.expand(count, -1, -1))


def _followed(law: Merged, book: Codebook, low: float, high: float, missing: float | None) -> _Search:
    """A solution at `low` continued to `high`, or to where it ceases to hold."""
    trials = [high]
    while True:
        problem = _problem(law, trials)
        books, _ = polished(problem, _alike(book, len(trials)), steps=60)
        broken = ~_holds(problem, books, missing)
        if not bool(broken.any()):
            return _Search(trials[-1], books.take(torch.tensor([-1], device="cpu")), None, None)
        first = int(broken.to(torch.int8).argmax())
        if first > 0:
            low, book = trials[first - 1], books.take(torch.tensor([first - 1], device="cpu"))
        high, beyond = trials[first], books.take(torch.tensor([first], device="cpu"))
        if high / low - 1.0 < PRECISION:
            return _Search(low, book, high, beyond)
        trials = np.geomspace(low, high, TRIALS + 1)[1:].tolist()


def _holds(problem: Problem, books: Codebook, missing: float | None) -> Bool[Tensor, " beta"]:
    """Whether no cluster is gone, all are stable, and no codeword has log c(q) > `missing`; None: whatever is missing."""
    stable = (instability(problem, books)[0] * problem.betas[:, None] <= 1.0).all(1)
    return _alive(books) & stable & (missing is None or highest(problem, books)[0] <= missing)


def _alive(books: Codebook) -> Bool[Tensor, " beta"]:
    """Whether each codeword still has weight and no two have met."""
    logits = as_logits(books.words)
    apart = (logits[:, :, None] - logits[:, None]).abs().amax(3)
    apart.diagonal(dim1=1, dim2=2).fill_(torch.inf)
    return (books.weight > NEGLIGIBLE).all(1) & (apart > NEAR).flatten(1).all(1)


def _change(law: Merged, beta: float, beyond: Codebook, before: Codebook) -> tuple[_Event, Float[Tensor, "1 word y"]]:
    """What happens at β to a solution, `before` it does and `beyond`; and the codewords from which to go on."""
    problem = _problem(law, [beta])
    values, centroids, directions = instability(problem, beyond)
    words, kind = before.words, CHANGED
    if not bool(_alive(beyond)):
        which = int(beyond.weight[0].argmin())
        word = words[0, which].exp()
        words = torch.cat([words[:, :which], words[:, which + 1 :]], 1)
    elif float(values.max()) * beta > 1.0:
        which, kind = int(values[0].argmax()), LOST
        word = centroids[0, which]
        words = split_words(before, which, directions[0, which], SPLIT)
    else:
        entering = highest(problem, beyond)[1]
        word = entering[0].exp()
        which = int((word * (entering[0] - words[0])).sum(1).argmin())
        words = torch.cat([words, entering[None]], 1)
    number = int((before.words[0, :, 0] < before.words[0, which, 0]).sum())
    count = before.weight.shape[1]
    i_xt, i_ty = (float(nats) / math.log(2.0) for nats in before.plane(problem))
    return _Event(beta, kind, number, count, count, word.numpy(), i_xt, i_ty), words


def _optimum(problem: Problem, words: Float[Tensor, "1 word y"]) -> tuple[Codebook, bool]:
    """The best codebook, from these words and what the certificate finds missing; whether it holds in the end."""
    for _ in range(TURNS):
        book, _ = best_weights(problem, words, NEGLIGIBLE)
        book, _ = polished(problem, book.packed(NEGLIGIBLE), steps=100)
        book = book.packed(NEGLIGIBLE).without_duplicates(problem, NEGLIGIBLE).packed()
        height, entering = highest(problem, book)
        if float(height) <= MISSING:
            return book, True
        words = torch.cat([book.words, entering[None]], 1)
    return book, False


def _behind(law: Merged, beta: float, before: Codebook, words: Float[Tensor, "1 word y"]) -> tuple[float, Codebook]:
    """The optimum as close after a critical β as its clusters can be distinguished."""
    for relative in BEHIND:
        problem = _problem(law, [beta * (1.0 + relative)])
        book, certain = _optimum(problem, words)
        if certain and book.weight.shape[1] != before.weight.shape[1]:
            break
    return float(problem.betas), book
