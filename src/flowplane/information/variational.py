"""Variational information: critics and classifiers learn from one part of the samples and are judged on another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from flowplane.core.compiled import cores
from flowplane.core.points import check_count, check_positive, in_scale, standardised
from flowplane.core.renamed import renamed
from flowplane.core.results import Z
from flowplane.core.threads import one_thread, shared
from flowplane.errors import unknown
from flowplane.information.critics import EVALUATION_BATCH, Classifier, InfoNCE, Objective, Schedule, Smile, evaluate, train
from flowplane.information.estimator import Continuous, check_noise, raised
from flowplane.information.known import Estimates, Known, Quantity
from flowplane.information.normality import far_out

__all__ = ["Variational"]

KINDS = ("infonce", "smile", "classifier")
BITS = 1 / math.log(2.0)
#: Each third of the samples is judged by a critic that learned from the other two thirds.
FOLDS = 3
#: Share of these two thirds that decides when to stop.
VALIDATION = 0.2
#: Fewer samples than this cannot be split so: all is NaN.
FEWEST = 24
#: Members whose critics are trained together, by one processor: more are no faster and take more memory. And roughly what
#: a value of each takes.
MEMBERS, NANOSECONDS = 4, 20_000
#: `too_few_samples` below: of three pairs of normals with 0.97 bits the held-out value was 0.55 at 100 samples, 0.69 at
#: 200.
ENOUGH = 200
#: `batch_ceiling` above this share of log2 K. K = 333, three draws each. One pair of normals: 3.83 of 4 bits (a share of
#: 0.46), 4.7 of 5 (0.56). Five pairs: 5.26 of 6 (0.63), 5.96 of 7 (0.71), 6.58 of 8 (0.79).
CEILING = 0.5
#: SMILE has no such ceiling, but falls short at fewer bits: 2.42 of 3 bits in five pairs of normals, n = 1000.
SMILE_CEILING = 0.25
#: `not_converged` where nothing is found held out and the objective rose by this many bits in training. Independent
#: normals, 300 samples and 10 units, reached 0.78; 1000 samples of one unit 0.004.
OVERFITTED = 1.0
#: `not_converged` where training ended at the last epoch, with this many bits gained within the last `patience` ones.
UNFINISHED = 0.05
#: `ill_conditioned` where the least eigenvalue of the correlations is below this: H(T) is then NaN.
SINGULAR = 1e-10


class Splits(NamedTuple):
    """Numbers of the samples that each fold is trained on, stopped by and judged on."""

    training: Int[Tensor, "fold row"]
    validation: Int[Tensor, "fold row"]
    test: Int[Tensor, "fold row"]


class Held(NamedTuple):
    """A held-out value, its standard error, and what else keeps it from being a lower limit; bits."""

    value: Float[Tensor, " member"]
    error: Float[Tensor, " member"]
    #: How much two more samples, like the worst one or with odds of one in n, would lower it.
    unseen: Float[Tensor, " member"]
    unsettled: Bool[Tensor, " member"]

    def interval(self) -> Quantity:
        """Down by Z standard errors and by two more unlucky samples, as the spread shows nothing where errors are
        rare. No upper end: how much better another network would do is not known."""
        return Quantity.around(self.value, self.error, below=self.unseen, above=math.inf)


@renamed
@dataclass(frozen=True)
class Variational(Continuous):
    """Mutual information by neural networks that are trained on some of the samples and judged on the others.

    I(X;T) by a critic f(x, t) = g(x)·h(t). "infonce": E[log e^f(x,t) / mean_j e^f(x,t_j)] over batches of K pairs, a lower
    bound on I(X;T), and never above log K. "smile": the critic learns by the Jensen–Shannon bound, and the value is that of
    Donsker and Varadhan with the density ratio clipped, E[f] − log E[clip(e^f, e^−τ, e^τ)]: not a bound; may exceed log K.
    I(T;Y), for every kind, by a classifier q(y|t): H(Y) + E[log q(y|t)], a lower bound. H(T) is the cross-entropy with the
    normal density of the same mean and covariance, an upper bound.

    Three folds: each third of the samples is judged by networks that were trained, and stopped in time, on the rest. The
    networks of all folds and of several batch members are trained at once. Values below 0 are given as 0.

    Intervals have a lower end only, I(T;Y) being at most H(Y) and I(X;T) at most infinite: the networks may miss what there
    is. Of 0.42 bits between two arms of a spiral they find 0.04 from 1000 samples, of 1.04 bits in 25 dimensions 0.38. SMILE
    is not a bound, but falls short as well: of 3 bits in five pairs of normals it finds 2.42, hence its earlier
    `batch_ceiling`.

    See also: Estimators without training: `KSG`, `GaussianMI`. docs/papers.md §B4.

    References:
        InfoNCE: van den Oord, Li, Vinyals (2018), arXiv 1807.03748; as a bound: Poole et al. (2019), arXiv 1905.06922.
        SMILE: Song, Ermon (2020), arXiv 1910.06222.
        The classifier: Barber, Agakov (2003), The IM algorithm, NIPS 16.

    Arguments:
        kind: "infonce", "smile" or "classifier"; the last gives I(T;Y) only, and NaN for I(X;T).
        hidden: widths of the hidden layers of every network.
        batch_size: samples of a training step; fewer where an epoch would have fewer than four steps.
        epochs: of training, at most.
        patience: epochs without a gain on the validation samples after which training ends.
        learning_rate: of Adam.
        clip: SMILE's τ in nats; greater is less biased and varies more.
        noise_variance: of Gaussian noise that is added to each unit, a channel of its own; None for none.
        deterministic: whether T is known to be a function of x; then I(X;T) without noise is infinite, and NaN here.

    Raises:
        InputError: an unknown kind, sizes below 1, a rate, clip or variance that is not above 0.

    Example:
        >>> import numpy as np
        >>> layer = np.random.default_rng(0).normal(size=(300, 1))
        >>> plane = Variational("classifier", epochs=30)(layer, layer[:, 0] > 0)
        >>> bool(0.5 < plane.i_ty <= 1.0), plane.i_ty.bound
        (True, 'lower')
    """

    kind: str = "infonce"
    hidden: tuple[int, ...] = (64, 64)
    batch_size: int = 128
    epochs: int = 200
    patience: int = 10
    learning_rate: float = 4e-3
    clip: float = 5.0
    noise_variance: float | None = None
    deterministic: bool = False

    short_name: ClassVar[str] = "variational"
    help: ClassVar[str] = "kind=infonce, smile or classifier, batch_size=128"
    takes_weights: ClassVar[bool] = False
    takes_rule: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise unknown("kind", self.kind, KINDS)
        sizes = self.hidden if isinstance(self.hidden, Sequence) else (self.hidden,)
        for width in sizes:
            check_count("hidden", width)
        object.__setattr__(self, "hidden", tuple(int(width) for width in sizes))
        for name in ("batch_size", "epochs", "patience"):
            object.__setattr__(self, name, check_count(name, getattr(self, name)))
        for name in ("learning_rate", "clip"):
            object.__setattr__(self, name, check_positive(name, getattr(self, name)))
        object.__setattr__(self, "noise_variance", check_noise(self.noise_variance))

    # -- the estimate -------------------------------------------------------------------------------------------------

    def _estimate(self, values: Float[Tensor, "batch sample unit"], known: Known) -> Estimates:
        noisy = known.with_noise(values, self.noise_variance)
        parts = noisy.split(min(MEMBERS, -(-len(noisy) // cores())))
        found: list[Any] = [None] * len(parts)

        def some(first: int, last: int) -> None:
            with one_thread():
                for part in range(first, last):
                    found[part] = self._together(parts[part], known)

        shared(some, len(parts), NANOSECONDS * values.numel())
        return Estimates.together(found)

    def _together(self, values: Float[Tensor, "batch sample unit"], known: Known) -> Estimates:
        i_xt = i_ty = Quantity.missing(values)
        near = torch.zeros(len(values), dtype=torch.bool, device=values.device)
        unsettled: dict[str, Tensor | bool] = {}
        why = self._why_not(known)
        t = standardised(values)[0].float()
        member = torch.arange(len(values), device=values.device).repeat_interleave(FOLDS)
        enough = known.samples >= FEWEST
        if enough and known.inputs is not None and self.kind != "classifier" and not any(why.values()):
            x = standardised(known.inputs)[0].float()
            critic = InfoNCE(t, member, x) if self.kind == "infonce" else Smile(t, member, x, self.clip)
            held = self._held(critic, known)
            i_xt = held.interval().within(0.0, math.inf)
            unsettled["i_xt"] = held.unsettled
            share = held.value / math.log2(_evaluation_batch(known.samples))
            near = near | (share > (CEILING if self.kind == "infonce" else SMILE_CEILING))
        if enough and known.labels is not None:
            prior = known.labels.bincount().double() / known.samples
            held = self._held(Classifier(t, member, known.labels, prior), known)
            i_ty = _at_most_entropy(held.interval(), prior, known.samples)
            unsettled["i_ty"] = held.unsettled
        h_t, constant, singular = _normal_cross_entropy(values)
        why["too_few_samples"] = known.samples < ENOUGH
        heavy = far_out(values) | (far_out(known.inputs[None]) if known.inputs is not None else False)
        flags = raised(
            known,
            values,
            not_converged=unsettled,
            batch_ceiling=near,
            heavy_tails={"i_xt": heavy & ("i_xt" in unsettled)},
            constant_units=constant,
            ill_conditioned={"h_t": singular & ~constant},
            **why,
        )
        return Estimates(i_xt, i_ty, h_t, flags)

    def _why_not(self, known: Known) -> dict[str, bool]:
        """Why I(X;T) is missing, as flags."""
        if self.kind == "classifier":
            return {}
        why = self._blocked(known)
        return why | {"no_inputs": known.inputs is None and not why["deterministic"]}

    def _held(self, objective: Objective, known: Known) -> Held:
        """Trains on every fold of every member, and takes the mean over the folds."""
        members = len(objective.t)
        training, validation, test = (part.repeat(members, 1) for part in _splits(known))
        schedule = Schedule(self.batch_size, self.epochs, self.patience, self.learning_rate)
        found = train(objective, self.hidden, training, validation, schedule, torch.Generator().manual_seed(known.seed))
        size = _evaluation_batch(known.samples)
        outside = evaluate(objective, found.parameters, test, size)

        def mean(of_models: Tensor) -> Tensor:
            return of_models.reshape(members, FOLDS).mean(1) * BITS

        value = mean(outside.value)
        influence, count = outside.influence.reshape(members, -1) * BITS, FOLDS * outside.influence.shape[1]
        error, unseen = (
            influence.square().mean(1).sqrt() / math.sqrt(count),
            2 * (-influence.amin(1)).clamp(min=math.log2(count)) / count,
        )
        late = found.unfinished.reshape(members, FOLDS).amax(1) * BITS
        overfitted = (value <= Z * error) & (mean(found.learned) > OVERFITTED)
        return Held(value, error, unseen, overfitted | (late > UNFINISHED))

    # -- what is said of it -------------------------------------------------------------------------------------------

    def swept(self) -> tuple[str, tuple[Any, ...]]:
        return "batch_size", (32, 64, 128, 256, 512)

    def _about(self, known: Known) -> dict[str, Any]:
        x: dict[str, str] = {"bound": "estimate" if self.kind == "smile" else "lower", "x": self._x(known)}
        if self.kind == "classifier":
            x["missing"] = "a classifier gives I(T;Y) only"
        return {
            "channel": self._channel(),
            "i_xt": x,
            "i_ty": {"bound": "lower", "quantity": "H(Y) + E[log q(y|t)] of a classifier q, held out"},
            "h_t": {
                "bound": "upper",
                "quantity": "cross-entropy with the normal density of the same mean and covariance, an upper bound for the "
                "population",
            },
        }


def _splits(known: Known) -> Splits:
    """The same for every member; where three folds do not come out even, one or two samples are never judged."""
    order = np.random.default_rng([known.seed, 2]).permutation(known.samples)
    size = known.samples // FOLDS
    turned = torch.stack([torch.from_numpy(order).roll(-fold * size) for fold in range(FOLDS)]).to(known.device)
    stop = size + round(VALIDATION * (known.samples - size))
    return Splits(turned[:, stop:], turned[:, size:stop], turned[:, :size])


def _evaluation_batch(samples: int) -> int:
    """The K of the held-out value."""
    fold = samples // FOLDS
    return fold // -(-fold // EVALUATION_BATCH)


def _at_most_entropy(found: Quantity, prior: Float[Tensor, " class"], samples: int) -> Quantity:
    """I(T;Y) is at most H(Y): the sample's for the value; above by Miller's bias and Z standard errors of it for the end."""
    entropy = float(torch.special.entr(prior).sum()) * BITS
    miller = (len(prior) - 1) / (2 * samples) * BITS
    variance = float((prior * prior.log2().square()).sum()) - entropy**2
    upper = entropy + miller + Z * math.sqrt(max(variance, 0.0) / samples)
    value, lower, _ = found.within(0.0, entropy)
    return Quantity(value, lower, torch.full_like(value, min(upper, math.log2(len(prior)))))


def _normal_cross_entropy(
    values: Float[Tensor, "batch sample unit"],
) -> tuple[Quantity, Bool[Tensor, " batch"], Bool[Tensor, " batch"]]:
    """Cross-entropy with the normal density, and where it has none: a unit is constant, or the covariance singular."""
    n, units = values.shape[1:]
    values, power = in_scale(values, 1)
    centred = values - values.mean(1, keepdim=True)
    constant = (values.amax(1) == values.amin(1)).any(1)
    scale = centred.square().mean(1).sqrt()
    scaled = centred / scale.where(scale > 0, 1.0)[:, None]
    eigenvalues, axes = torch.linalg.eigh(scaled.mT @ scaled / n)
    singular = (eigenvalues[:, 0] <= SINGULAR) | (scale == 0).any(1)
    eigenvalues = eigenvalues.clamp(min=SINGULAR)
    squared_distance = ((scaled @ axes).square() / eigenvalues[:, None]).sum(2)
    logarithms = eigenvalues.log().sum(1) / 2 + (scale.log() + power[:, 0].log()).sum(1)
    value = (units / 2 * math.log(2 * math.pi * math.e) + logarithms).where(~(singular | constant), math.nan)
    error = squared_distance.var(1, correction=0).sqrt() / (2 * math.sqrt(n))
    # log det of a sample's covariance is low by d(d+3)/2n in the mean (Wishart, first order), and half of it is here
    low = units * (units + 3) / (4 * n)
    return Quantity.around(value * BITS, error * BITS, below=math.inf, above=low * BITS), constant, singular
