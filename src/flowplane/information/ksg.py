"""Information by nearest neighbours: Kraskov, Stögbauer and Grassberger; Ross; Kozachenko and Leonenko."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from flowplane.core.neighbours import classes_in_parts, distance_in_parts, joint_in_parts
from flowplane.core.points import check_count, standardised
from flowplane.core.renamed import renamed
from flowplane.errors import InputError
from flowplane.information.estimator import Continuous, check_noise, constant_units, raised
from flowplane.information.known import Estimates, Known, Quantity
from flowplane.information.normality import far_out, not_normal_classes, not_normal_together
from flowplane.information.schema import QUANTITIES

__all__ = ["KSG"]

#: An interval comes from m parts of the samples, split m/2 times anew, for each m.
PARTS = (4, 8)
#: Corrects for an error that is estimated from few parts: Student's quantile over the normal one, 13 degrees of freedom.
STUDENT = 1.1
#: `too_few_samples` where the mean over parts differs from the whole by more than this many standard errors. Measured on
#: normal x and t, 200 draws of 500 samples: the truth is within at 17 (2+2 dimensions, ρ = 0.99: 99 %), no more at 31 (3+3,
#: ρ = 0.99: 2 %) and 80 (1+1, ρ = 0.99999: 0 %); there the value misses bits.
MOST_DRIFT = 20.0
#: With fewer samples than this to the power of the dimension, for I(T;Y) of one more, `too_few_samples` where the dependence
#: is other than that of normals whose coordinates are mapped one by one: such dependence can be finer than the distance of
#: neighbours. For others the drift tells how far to go: 16 draws of 200 to 2,000 samples, of normals in 2+2 to 5+5
#: dimensions and their maps, hold the truth in 95 % or more; normals turned by their own norm in 12 to 56 % (2+2
#: dimensions), asinh of Student's t in none (5+5), the parity of four units in 0 to 6 %.
SAMPLES_PER_DIMENSION = 10
#: `too_few_samples` for I(X;T) in more dimensions together: in 25+25 a third of the intervals misses the truth.
MOST_TOGETHER = 12
#: And with fewer samples than this: of 50, tails and dependence are not to be judged (Student's t, 1+1 dimensions: 60 %).
FEWEST = 100
#: `too_few_samples` for I(T;Y) with more units than this. Measured on normals, 1,000 samples, 200 draws: covered in 98 % or
#: more in up to 10 dimensions, 86 % in 25.
MOST_UNITS = 15
#: `ties` where more than this share of a coordinate's values occur more than once. Measured on normal x and t, ρ = 0.6, 500
#: samples, 150 draws: t cut off below, so that a share f is equal, adds a bias of 0.008 bits at f = 0.05, 0.025 at 0.2,
#: 0.046 at 0.4 (the first a quarter of the error of 2,000 samples); rounding to the same share adds less.
MOST_TIES = 0.05

#: `unequal_scales` where the standard deviations of two coordinates have more than this ratio. Measured on normals, 30
#: draws, those without another flag: x and t with 1.16 bits, 500 samples, are covered in all up to a ratio of 20, in none at
#: 255; one unit of signal beside one of noise in 93 % at 20, in 23 % at 100.
MOST_SCALES = 20.0

#: For each sample the number of its part, −1 where it is left out, in each of several divisions of the samples.
Parts = Int[Tensor, "division sample"]


@renamed
@dataclass(frozen=True)
class KSG(Continuous):
    """Mutual information by the distances to k-th neighbours, in the maximum norm, for continuous T: no bins, no density.

    I(X;T) = ψ(k) + ψ(n) − ⟨ψ(n_x + 1) + ψ(n_t + 1)⟩, n_x and n_t the numbers of samples strictly nearer in x and in t than
    the k-th neighbour in (x, t); I(T;Y) = ψ(n) + ⟨ψ(k_i) − ψ(n_y) − ψ(m_i)⟩ for classes y, m_i − 1 samples of any class
    being strictly nearer than the k_i-th neighbour of the same class, k_i = min(k, n_y − 1), classes of one sample left out;
    h(T) = ψ(n) − ψ(k) + d⟨log 2ε⟩, the differential entropy, in h_t. Each unit of x and of t is first given a standard
    deviation of 1, which changes no information: otherwise one noisy unit of larger scale would hide the others.

    See also: `Binned`, whose channel is its bins; for one feature, Ross's estimator in scikit-learn's `mutual_info_classif`.

    References:
        Kraskov, Stögbauer and Grassberger, *Estimating mutual information* (2004), algorithm 1, arXiv cond-mat/0305641.
        Ross, *Mutual information between discrete and continuous data sets*, PLoS ONE 9 (2014) e87357.
        Kozachenko and Leonenko, *Sample estimate of the entropy of a random vector* (1987).
        Holmes and Nemenman, *Estimation of mutual information for real-valued data with error bars and controlled bias*
            (2019), arXiv 1903.09280.

    Arguments:
        k: which neighbour; a larger k varies less and is biased more.
        noise_variance: of Gaussian noise added to every unit by the seed, a channel of its own; None for none.
        rescale: False for the definition as it was published, where a unit of greater scale counts more.
        deterministic: T is known to be a function of x, as in a recording of `fp.train`. Then I(X;T) is NaN with the flag
            `deterministic`, or with noise Z exactly h(T + Z) − h(Z), which needs no inputs.

    Intervals hold the error of the samples, by the spread of the estimate over 4 and 8 parts of them (Holmes and Nemenman),
    and a bias: where the estimate drifts as parts grow to the whole, the interval reaches as much further on that side as a
    bias that falls as n^(−1/d), d the dimension, would still drift; of h(T) it does so on both sides.

    Flags: `ties` where values are equal: a k-th neighbour at distance 0, which leaves h(T) NaN, or 5 % of a coordinate's
    values; `constant_units`; `too_few_samples` below 8(k + 2) samples (all NaN below k + 2), for I(X;T) below 100, in
    classes of k samples or fewer, in more than 12 dimensions of x and t together or 15 units for I(T;Y), in fewer where
    there are below 10^d samples (10^(d + 1) for I(T;Y)) and the dependence is not that of normals, and where the bias is out
    of reach; `heavy_tails` where a few values of x or t lie far out; `unequal_scales` where standard deviations that are not
    rescaled differ by more than a factor of 20; `no_inputs`, `no_labels`, `deterministic`, `weighted`. h(T) of a layer with
    a constant unit is −∞: NaN.

    Raises:
        InputError: k is not a whole number above 0, or the noise variance not above 0.

    Example:
        >>> rng = np.random.default_rng(1)
        >>> x = rng.normal(size=(500, 1))
        >>> plane = KSG()(x + rng.normal(size=(500, 1)), x[:, 0] > 0, inputs=x)  # I(X;T) = 0.5 bits
        >>> bool(plane.i_xt_lower < 0.5 < plane.i_xt_upper), int(plane.flags)
        (True, 0)
    """

    short_name: ClassVar[str] = "ksg"
    help: ClassVar[str] = "k=4, noise_variance=0.1"
    takes_weights: ClassVar[bool] = False
    takes_rule: ClassVar[bool] = False
    takes_batched_inputs: ClassVar[bool] = True

    k: int = 4
    noise_variance: float | None = None
    rescale: bool = True
    deterministic: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "k", check_count("k", self.k))
        if not isinstance(self.rescale, bool | np.bool_):
            raise InputError("rescale", self.rescale, "True, or False for the published definition")
        object.__setattr__(self, "noise_variance", check_noise(self.noise_variance))

    def swept(self) -> tuple[str, tuple[Any, ...]]:
        return "k", (1, 2, 4, 8, 16, 32)

    def _about(self, known: Known) -> dict[str, Any]:
        return {"channel": self._channel(), "i_xt": {"x": self._x(known)}}

    def _estimate(self, values: Float[Tensor, "batch sample unit"], known: Known) -> Estimates:
        k, n, units = self.k, values.shape[1], values.shape[2]
        constant = constant_units(values)
        blocked = self._blocked(known)
        i_xt = i_ty = h_t = Quantity.missing(values)
        few = dict.fromkeys(QUANTITIES, torch.full((len(values),), n < (k + 2) * PARTS[-1], device=values.device))
        heavy = torch.zeros_like(few["h_t"])
        tied = dict.fromkeys(QUANTITIES, heavy)
        uneven = dict.fromkeys(QUANTITIES, False if self.rescale else _unequal(values.double()))
        if n >= k + 2:
            t, x, y = known.with_noise(values, self.noise_variance), known.inputs, known.labels
            log_scale = torch.zeros_like(t[:, 0, 0])
            if self.rescale:
                t, scale = standardised(t)
                log_scale = scale.log2().sum((1, 2))
                x = None if x is None else standardised(x)[0]
            parts = _divisions(n, k, known)
            inputs = layers = joint = None
            if x is not None and not any(blocked.values()):
                inputs, layers = (x[None], t[None]) if x.ndim == 2 else (x, t[:, None])
                joint = joint_in_parts(inputs, layers, parts, k)
            distance = distance_in_parts(t, parts, k) if joint is None else joint.distance_t.flatten(1, 2)
            h_t, unsure = _quantity(_entropy_terms(distance, parts, units, k), parts, units, turns=True)
            h_t = Quantity(*(end + log_scale for end in h_t))
            still = ~h_t.value.isfinite()
            tied = dict.fromkeys(QUANTITIES, still | _repeated(t))
            # the drift of h(T), whose interval is widened on both sides, counts where nothing else is asked for
            if self.deterministic or (y is None and x is None):
                few["h_t"] = few["h_t"] | (unsure & ~still & (self.noise_variance is not None or y is None))
            flat = constant.any(1) & (self.noise_variance is None)  # T lies in a plane
            h_t = _where(still | flat, math.nan, h_t)
            if self.deterministic and self.noise_variance is not None:
                few["i_xt"] = few["h_t"]
                i_xt = Quantity(*(end - units / 2 * math.log2(2 * math.pi * math.e * self.noise_variance) for end in h_t))
            elif inputs is not None and joint is not None:
                terms = _joint_terms(joint.near_x.flatten(1, 2), joint.near_t.flatten(1, 2), parts, k)
                i_xt, unsure = _quantity(terms, parts, inputs.shape[-1] + units)
                varying = (inputs != inputs[:, :1]).any(1).sum(1) + (t != t[:, :1]).any(1).sum(1)
                crowded = n < torch.pow(float(SAMPLES_PER_DIMENSION), varying.double())
                if bool(crowded.any()):
                    crowded &= (varying > MOST_TOGETHER) | not_normal_together(inputs, t)
                few["i_xt"] = few["i_xt"] | unsure | crowded | (n < FEWEST)
                tied["i_xt"] = tied["i_xt"] | _repeated(inputs)
                heavy = far_out(t) | far_out(inputs)
                uneven["i_xt"] = False if self.rescale else _unequal(torch.cat([inputs.expand(len(t), -1, -1), t], 2))
            if y is not None:
                several = torch.where(_sizes(parts, y) > 1, parts, -1)  # in a part, no sample is alone in its class
                terms = _class_terms(classes_in_parts(t, y, several, k), y, several, k)
                i_ty, unsure = _quantity(terms, several, units)
                few["i_ty"] = few["i_ty"] | unsure | bool((torch.bincount(y) <= k).any()) | (units > MOST_UNITS)
                if 1 < units <= MOST_UNITS and n < SAMPLES_PER_DIMENSION ** (units + 1):
                    few["i_ty"] = few["i_ty"] | not_normal_classes(t, y) | (units > 2 and n < FEWEST)
                i_ty = known.counted(i_ty)
            if self.noise_variance is None:  # T is one point, which says nothing
                i_ty = _where(constant.all(1) & (y is not None), 0.0, i_ty)
        flags = raised(
            known,
            values,
            constant_units=constant.any(1),
            ties=tied,
            too_few_samples=few,
            heavy_tails={"i_xt": heavy},
            unequal_scales=uneven,
            **blocked,
        )
        return Estimates(i_xt, i_ty, h_t, flags)


def _divisions(n: int, k: int, known: Known) -> Parts:
    """All samples as one part; for each m of `PARTS`, m/2 times, m equal parts by the seed, each large enough for k."""
    rng = np.random.default_rng([known.seed, 2])
    found = [np.zeros(n, np.int64)]
    for m in PARTS:
        if n // m >= k + 2:
            for _ in range(m // 2):
                parts = np.full(n, -1)
                parts[rng.permutation(n)[: n // m * m]] = np.repeat(np.arange(m), n // m)
                found.append(parts)
    return torch.from_numpy(np.stack(found)).to(known.device)


def _sizes(parts: Parts, y: Int[Tensor, " sample"]) -> Parts:
    """How many samples of a sample's part are of its class, for samples in a part."""
    many = int(y.max()) + 1
    division = torch.arange(len(parts), device=parts.device)[:, None]
    cells = ((division * (int(parts.max()) + 2) + parts + 1) * many + y).flatten()
    return _chosen(torch.bincount(cells), 0, cells).view(parts.shape)


def _chosen(values: Tensor, dimension: int, places: Int[Tensor, "*chosen"]) -> Tensor:
    """The values at these places of a dimension: as by indexing, whose threads wait for each other on a busy machine."""
    return values.index_select(dimension, places.flatten()).unflatten(dimension, places.shape)


def _quantity(
    terms: Float[Tensor, "division batch sample"], parts: Parts, dimension: int, turns: bool = False
) -> tuple[Quantity, Bool[Tensor, " batch"]]:
    """The mean of the terms, its interval, and whether that is widened beyond what can be trusted.

    The error is the largest of the terms' own and of those that the spread over m parts gives. The bias is taken to fall as
    n^(−1/d), like the distance of neighbours: where the mean over m parts lies D below the value, that is still
    D/(m^(1/d) − 1) below the truth. Where the drift may turn, as that of an entropy, both sides are widened.
    """
    whole = terms[0] if bool((parts[0] >= 0).all()) else terms[0][:, parts[0] >= 0]
    value = whole.mean(1)
    error = ((whole - value[:, None]).square().mean(1) / whole.shape[1]).sqrt()
    above, below, most = (torch.zeros_like(value) for _ in range(3))
    first = 1
    for m in PARTS:
        same = range(first, min(first + m // 2, len(parts)))
        if not same:
            break
        first = same.stop
        means = torch.stack([_means(terms[division], parts[division], m) for division in same])
        error = torch.fmax(error, (means.var(2).mean(0) / m).sqrt())
        change = value - means.mean((0, 2))
        drift, most = change / (m ** (1 / dimension) - 1), torch.fmax(most, change.abs())
        above, below = torch.fmax(above, drift), torch.fmax(below, -drift)
    if turns:
        above = below = torch.fmax(above, below)
    return Quantity.around(value, STUDENT * error, below, above), most > MOST_DRIFT * error


def _means(terms: Float[Tensor, "batch sample"], parts: Int[Tensor, " sample"], number: int) -> Float[Tensor, "batch part"]:
    """The mean over each part."""
    shares = torch.nn.functional.one_hot(parts + 1, number + 1)[:, 1:].double()
    return torch.where(parts >= 0, terms, 0.0) @ (shares / shares.sum(0))


def _where(holds: Tensor, value: float, quantity: Quantity) -> Quantity:
    return Quantity(*(torch.where(holds, value, part) for part in quantity))


def _repeated(points: Float[Tensor, "batch sample feature"]) -> Bool[Tensor, " batch"]:
    """Whether too many values of a coordinate, other than a constant one, occur more than once."""
    ordered = points.transpose(1, 2)
    # numpy sorts many times faster
    ordered = torch.from_numpy(np.sort(ordered.numpy())) if points.device.type == "cpu" else ordered.sort()[0]
    same = ordered[..., 1:] == ordered[..., :-1]
    edge = torch.zeros_like(same[..., :1])
    shared = torch.cat([edge, same], 2) | torch.cat([same, edge], 2)
    return ((shared.double().mean(2) > MOST_TIES) & ~same.all(2)).any(1)


def _unequal(points: Float[Tensor, "batch sample feature"]) -> Bool[Tensor, " batch"]:
    """Whether the standard deviations of coordinates, other than constant ones, have too great a ratio."""
    spread = points.std(1, correction=0)
    least = torch.where(constant_units(points), torch.inf, spread).amin(1)
    return spread.amax(1) > MOST_SCALES * least


def _joint_terms(
    near_x: Int[Tensor, "division batch sample"], near_t: Int[Tensor, "division batch sample"], parts: Parts, k: int
) -> Float[Tensor, "division batch sample"]:
    """ψ(k) + ψ(n) − ψ(n_x + 1) − ψ(n_t + 1) of each sample in its part, in bits: I(X;T) is their mean."""
    psi = _psi(parts)
    known = psi[k - 1] + _chosen(psi, 0, _part_sizes(parts) - 1)
    return _bits(known, _chosen(psi, 0, near_x) + _chosen(psi, 0, near_t))


def _class_terms(
    near: Int[Tensor, "division batch sample"], y: Int[Tensor, " sample"], parts: Parts, k: int
) -> Float[Tensor, "division batch sample"]:
    """ψ(n) + ψ(k_i) − ψ(n_y) − ψ(m_i) of each sample in its part, in bits: I(T;Y) is their mean."""
    psi, sizes = _psi(parts), _sizes(parts, y)
    n, ranks, own = (_chosen(psi, 0, place) for place in (_part_sizes(parts) - 1, (sizes - 1).clamp(1, k) - 1, sizes - 1))
    return _bits(n + ranks - own, _chosen(psi, 0, near))


def _entropy_terms(
    distance: Float[Tensor, "division batch sample"], parts: Parts, units: int, k: int
) -> Float[Tensor, "division batch sample"]:
    """ψ(n) − ψ(k) + d log 2ε of each sample in its part, ε that to its k-th neighbour, in bits: h(T) is their mean."""
    psi = _psi(parts)
    return _bits(_chosen(psi, 0, _part_sizes(parts) - 1) - psi[k - 1], -torch.xlogy(units, 2.0 * distance))


def _bits(
    known: Float[Tensor, "division sample"], found: Float[Tensor, "division batch sample"]
) -> Float[Tensor, "division batch sample"]:
    """What is known of the sizes of parts and classes less what was found, from nats."""
    return (known[:, None] - found) / math.log(2.0)


def _part_sizes(parts: Parts) -> Parts:
    """How many samples are of a sample's part."""
    return _sizes(parts, torch.zeros_like(parts[0]))


def _psi(parts: Parts) -> Float[Tensor, " n"]:
    """ψ(1) … ψ(n), n the number of samples."""
    return torch.digamma(torch.arange(1, parts.shape[1] + 1, dtype=torch.float64, device=parts.device))
