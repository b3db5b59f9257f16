"""Decodable information: how many bits of the label a probe reads from a layer, judged on samples it has not seen (§D2)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from flowplane.core.results import CONFIDENCE, Z
from flowplane.core.threads import one_thread, shared
from flowplane.errors import unknown
from flowplane.information.estimator import Estimator, raised
from flowplane.information.known import Estimates, Known, Quantity
from flowplane.information.probes.components import components
from flowplane.information.probes.folds import FOLDS, Folds, grouped_error, held_together
from flowplane.information.probes.linear import linear, prototypes
from flowplane.information.probes.neighbours import neighbours, neighbours_mean
from flowplane.information.probes.network import network, network_mean
from flowplane.information.probes.scores import Predict, gained, normal_scores, ridge

__all__ = ["Decodable"]

#: From rows, classes and folds to ln q(y|t) (batch, row, class).
Classify = Callable[[Tensor, Tensor, Folds], Tensor]
#: How each probe reads classes, and numbers.
PROBES: dict[str, tuple[Classify, Predict]] = {
    "linear": (linear, ridge),
    "mlp": (network, network_mean),
    "neighbours": (neighbours, neighbours_mean),
}
#: The fewest samples per class; with fewer on average, a linear probe compares with the class means instead.
FEWEST = 5
#: A number with fewer distinct values than this share of the samples is cut into this many classes.
DIFFERENT, CUT = 0.9, 10
#: Batch members that are fitted in one product: more are no faster on a CPU.
TOGETHER = 2
#: About how long the work on a batch member takes.
MEMBER_NANOSECONDS = 1e7


@dataclass(frozen=True)
class Decodable(Estimator):
    """A lower bound on I(T;Y) without bins, noise or neighbours' distances: what a probe decodes (V-information).

    A probe q(y|t) is fitted on four fifths of the samples and judged on the rest, five times; in expectation
    H(Y) − E[−log2 q(Y|T)] ≤ I(T;Y) for any q. Rows of one sample, and of equal inputs, are held out together. Strength and
    temperature are chosen inside each training set. H(Y) is that of the labels' frequencies, which is biased down. The value
    is not cut at 0: where nothing can be decoded it scatters around 0.

    Labels may be classes (words or whole numbers), numbers, or tags (sample, tag). A number is mapped to normal scores by
    its ranks and its prediction judged by a normal density; one whose values repeat is cut into ten classes, flag `ties`. Of
    several numbers or tags each is decoded by itself: `i_ty_each` (…, target); `i_ty` is the largest, its interval at the
    confidence of all together.

    See also: Xu et al., A theory of usable information (ICLR 2020), arXiv 2002.10689. docs/papers.md §D2.

    Arguments:
        probe: "linear"; "mlp", a network with one hidden layer; "neighbours", the classes of the nearest samples.

    Beside `i_ty` (bound "lower"; `_lower` and `_upper` are the bound's own interval, `i_ty_error` its standard error over
    samples) the result has `accuracy` with its interval, for one label of classes. `i_xt` and `h_t` are NaN. Classes with
    fewer than five samples of their own count as not decodable, flag `rare_classes`.

    Raises:
        InputError: an unknown probe.

    Example:
        >>> import numpy as np
        >>> label = np.arange(200) % 2
        >>> layer = np.random.default_rng(0).normal(size=(200, 3)) + 4 * label[:, None]
        >>> found = Decodable()(layer, label)
        >>> round(float(found.i_ty), 1), found.i_ty.bound, float(found.accuracy)
        (1.0, 'lower', 1.0)
    """

    short_name: ClassVar[str] = "decodable"
    help: ClassVar[str] = "probe=linear, mlp or neighbours"
    takes_weights: ClassVar[bool] = False
    takes_rule: ClassVar[bool] = False
    takes_targets: ClassVar[bool] = True
    takes_groups: ClassVar[bool] = True

    probe: str = "linear"

    def __post_init__(self) -> None:
        if self.probe not in PROBES:
            raise unknown("probe", self.probe, PROBES)

    def swept(self) -> tuple[str, tuple[Any, ...]]:
        return "probe", tuple(PROBES)

    def _about(self, known: Known) -> dict[str, Any]:
        what = "decoded by a probe that was fitted to other samples"
        target = {"dims": ("target",), "units": "bits", "bound": "lower"}
        each = {
            f"i_ty_each{end}": target | {"long_name": f"I(T;Y) of each target{words}"}
            for end, words in (("", ""), ("_lower", ", lower end"), ("_upper", ", upper end"))
        }
        accuracy = {
            f"accuracy{end}": {"units": "1", "long_name": f"accuracy of the probe{words}"}
            for end, words in (("", ""), ("_lower", ", lower end"), ("_upper", ", upper end"))
        }
        error = {"units": "bits", "long_name": "I(T;Y), standard error"}
        more = {"i_ty_error": error} | each | accuracy
        return {"channel": "none", "i_ty": {"bound": "lower", "quantity": what}, "more": more}

    def _estimate(self, values: Float[Tensor, "batch sample unit"], known: Known) -> Estimates:
        with torch.inference_mode(False):  # networks are trained
            return self._answered(values.clone(), known)

    def _answered(self, values: Float[Tensor, "batch sample unit"], known: Known) -> Estimates:
        missing = Quantity.missing(values)
        nan = missing.value
        several = known.targets is not None and known.targets.shape[1] > 1
        found = self._decoded_together(values, _questions(known), known)
        more = {"i_ty_error": nan, "accuracy": nan, "accuracy_lower": nan, "accuracy_upper": nan}
        i_ty = missing
        if found:
            z = float(
                torch.special.ndtri(
                    torch.tensor(0.5 + 0.5 * (1 - (1 - CONFIDENCE) / len(found)), dtype=torch.float64, device="cpu")
                )
            )
            bits = torch.stack([each.bits for each in found], 1)
            errors = torch.stack([each.error for each in found], 1)
            best = bits.nan_to_num(nan=-torch.inf).argmax(1, keepdim=True)
            value, error = (part.gather(1, best)[:, 0] for part in (bits, errors))
            lower, upper = (bits - z * errors, bits + z * errors)
            i_ty = Quantity(value, lower.nan_to_num(nan=-torch.inf).amax(1), value + z * error)
            i_ty = Quantity(value, torch.where(value.isnan(), nan, i_ty.lower), i_ty.upper)
            more["i_ty_error"] = error
            if several:
                more |= {"i_ty_each": bits, "i_ty_each_lower": lower, "i_ty_each_upper": upper}
            else:
                more |= dict(zip(("accuracy", "accuracy_lower", "accuracy_upper"), found[0].accuracy, strict=True))
        flags = raised(
            known,
            values,
            labels_only={"i_xt": True, "h_t": True},
            rare_classes={"i_ty": any(each.rare for each in found)},
            ties={"i_ty": any(each.cut for each in found)},
        )
        return Estimates(missing, i_ty, missing, flags, more)

    def _decoded_together(self, values: Tensor, questions: list[_Question], known: Known) -> list[_Answer]:
        """Each question's answers, batch members shared out: on many threads small products wait for one another."""
        near = values.device.type == "cpu"
        members = values.split(TOGETHER if near else len(values))  # whatever the processors: the last bit depends on it
        parts: dict[int, list[_Answer]] = {}

        def work(first: int, last: int) -> None:
            for place in range(first, last):
                with torch.no_grad():
                    parts[place] = [self._decoded(members[place], question, known) for question in questions]

        with one_thread(near):
            shared(work, len(members), MEMBER_NANOSECONDS * len(values))
        answers = zip(*(parts[place] for place in range(len(members))), strict=True)
        return [_Answer.joined(each) for each in answers]

    def _decoded(self, values: Tensor, question: _Question, known: Known) -> _Answer:
        """Pointwise log2 q(y|t) − log2 p̂(y), its mean, and its error over samples that belong together."""
        nan = torch.full((len(values),), torch.nan, dtype=torch.float64, device=values.device)
        if question.folds is None:
            return _Answer(nan, nan, Quantity(nan, nan, nan), True, question.cut)
        classify, predict = PROBES[self.probe]
        rows = components(values[:, question.rows])
        gains = torch.zeros((len(values), known.samples), dtype=torch.float64, device=values.device)
        accuracy = Quantity(nan, nan, nan)
        if question.classes is None:
            gains[:, question.rows] = gained(rows, question.scores, question.folds, predict) / math.log(2.0)
        else:
            if self.probe == "linear" and question.different * FEWEST > known.samples:
                classify = prototypes
            log_q = classify(rows, question.classes, question.folds)
            own = log_q.gather(2, question.classes.reshape(1, -1, 1).expand(len(values), -1, 1))[:, :, 0]
            share = torch.bincount(question.classes).double() / len(question.classes)
            gains[:, question.rows] = (own - share.log()[question.classes]) / math.log(2.0)
            right = torch.zeros_like(gains)
            right[:, question.rows] = (log_q.argmax(2) == question.classes).double()
            accuracy = _wilson(right.mean(1), grouped_error(right, question.groups), known.samples, question.groups)
        bits, error = gains.mean(1), grouped_error(gains, question.groups)
        return _Answer(bits, error, accuracy, len(question.rows) < known.samples, question.cut)


class _Answer(NamedTuple):
    """What a probe reads of one label, (batch,): bits, their standard error, accuracy; whether some classes were too rare,
    and whether a number was cut into classes."""

    bits: Tensor
    error: Tensor
    accuracy: Quantity
    rare: bool
    cut: bool

    @classmethod
    def joined(cls, parts: Sequence[_Answer]) -> _Answer:
        """Those of one batch, from those of its parts."""
        bits, error = (torch.cat([getattr(part, name) for part in parts]) for name in ("bits", "error"))
        return cls(bits, error, Quantity.joined([part.accuracy for part in parts]), parts[0].rare, parts[0].cut)


class _Question(NamedTuple):
    """One label to be decoded: the rows that take part, their classes or normal scores, how many classes there are in all,
    the group of every row, and folds; None where fewer than two classes are left."""

    rows: Int[Tensor, " row"]
    classes: Int[Tensor, " row"] | None
    scores: Float[Tensor, " row"]
    different: int
    groups: Int[Tensor, " sample"]
    folds: Folds | None
    cut: bool


def _questions(known: Known) -> list[_Question]:
    """Each label by itself; none without labels."""
    if not known.labelled:
        return []
    groups = held_together(known)
    if known.targets is None:
        assert known.labels is not None
        return [_of_classes(known.labels.cpu().numpy(), groups, known)]
    return [_of_target(column, groups, known) for column in known.targets.T.cpu().numpy()]


def _of_target(numbers: np.ndarray, groups: np.ndarray, known: Known) -> _Question:
    values, codes = np.unique(numbers, return_inverse=True)
    if len(values) == 2:
        return _of_classes(codes.ravel(), groups, known)
    if len(values) < DIFFERENT * (groups.max() + 1):
        edges = np.quantile(numbers, np.linspace(0, 1, CUT + 1)[1:-1])
        cut = np.unique(np.searchsorted(edges, numbers), return_inverse=True)[1].ravel()
        return _of_classes(cut if len(values) > CUT else codes.ravel(), groups, known)._replace(cut=True)
    scores = normal_scores(numbers)
    folds = Folds.of(np.argsort(np.argsort(numbers)) * FOLDS // len(numbers), groups, known.seed, known.device)
    rows = torch.arange(len(numbers), device=known.device)
    made = torch.from_numpy(scores).to(known.device)
    enough = groups.max() + 1 >= 4 * FOLDS
    return _Question(rows, None, made, 0, torch.from_numpy(groups).to(known.device), folds if enough else None, False)


def _of_classes(codes: np.ndarray, groups: np.ndarray, known: Known) -> _Question:
    pairs = np.unique(np.stack([codes, groups]), axis=1)
    sizes = np.bincount(pairs[0], minlength=int(codes.max()) + 1)
    kept = np.flatnonzero(sizes[codes] >= FEWEST)
    left, classes = np.unique(codes[kept], return_inverse=True)
    device = known.device
    folds = Folds.of(classes.ravel(), groups[kept], known.seed, device) if len(left) > 1 else None
    rows, numbered, grouped = (torch.from_numpy(np.ascontiguousarray(each)).to(device) for each in (kept, classes, groups))
    return _Question(
        rows,
        numbered.ravel(),
        torch.empty(0, dtype=torch.float64, device="cpu"),
        int((sizes > 0).sum()),
        grouped,
        folds,
        False,
    )


def _wilson(share: Tensor, error: Tensor, samples: int, groups: Tensor) -> Quantity:
    """A share and Wilson's interval, for as many draws as its standard error implies: samples, or groups of them that are
    alike."""
    least = float(groups.max()) + 1.0
    n = (share * (1.0 - share) / error.square().clamp_min(1e-300)).clamp(least, max(least, float(samples)))
    n = torch.where(error > 0, n, least)
    centre = (share + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * (share * (1 - share) / n + Z * Z / (4 * n * n)).sqrt()
    return Quantity(share, centre - half, centre + half)
