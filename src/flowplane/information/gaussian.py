"""Information of normally distributed samples, from means and covariances (§B4)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float
from scipy.special import psi
from torch import Tensor

from flowplane.core.points import in_scale
from flowplane.core.renamed import renamed
from flowplane.core.results import Z
from flowplane.core.threads import one_thread, shared
from flowplane.errors import InputError
from flowplane.information.estimator import Continuous, check_noise, raised
from flowplane.information.known import Estimates, Known, Quantity
from flowplane.information.normality import not_normal, not_normal_ends, not_normal_pairs, standard

__all__ = ["GaussianMI"]

#: Added to the diagonal of correlation matrices: directions with less of the variance than this count as constant.
RIDGE = 1e-10
#: `ill_conditioned` where the least eigenvalue of a correlation matrix, or 1 − ρ² of a pair of canonical variates, is below.
CONDITION = 1e-7
#: `too_few_samples` where there are fewer samples (in the smallest class) for each dimension than this.
SAMPLES_PER_DIMENSION = 5.0
#: And with fewer in the smallest class, of one unit and of several: too few to see that it is not normal. Of 25 a class the
#: parity of three units is seen in 18 %.
ENOUGH = 30, 50
#: And with fewer pairs: of 50 uniform ones, or on a Swiss roll, none is seen.
FEWEST = 100
#: Values worked on together, by one processor: they fit its cache. And roughly what each takes.
PIECE, NANOSECONDS = 1 << 17, 100
#: What a sample leaves of its class when it is left out is at least this.
LEVERAGE = 1e-3
#: Unseen samples, like the worst one or with odds of one in n, that an interval of I(T;Y) allows for.
UNSEEN = 2
#: Variance of noise, in those of the units, beyond which nothing passes.
MOST_NOISE = 1e100


@renamed
@dataclass(frozen=True)
class GaussianMI(Continuous):
    """Information of jointly normal (X, T), and of T normal within each class: exact for those, an approximation for others.

    I(X;T) = −½ Σ log2(1 − ρ_i²) over the canonical correlations, less its bias, which is known exactly for normals.
    I(T;Y) = H(Y) + E log2 q(y|t), where q is the posterior under a normal density fitted to each class: the mean of its
    value on the samples that it was fitted to and of its leave-one-out value, which lie on either side of the truth.

    See also: Tipping and Bishop on mixtures of normals; Schäfer and Strimmer (2005) on shrinkage; Chen et al. (2010) on the
    oracle-approximating intensity, arXiv 0907.4698. docs/papers.md §B4.

    Arguments:
        shrinkage: of every correlation towards 0, from 0 (none) to 1, or "oas": as much as the sample asks for.
        noise_variance: of Gaussian noise added to each unit: as a covariance for I(X;T), drawn by the seed for I(T;Y).
        deterministic: T is a function of x, as in a recording of `fp.train`: without noise I(X;T) is infinite, with noise it
            is ½ log2 det(I + Cov(T)/noise_variance), an upper bound unless T is normal.

    The flag `not_gaussian` says that third or fourth moments, or in few dimensions waves, are not those of a normal,
    `ill_conditioned` that a covariance is close to singular (I(X;T) is NaN where T is a linear function of x). Constant
    units carry nothing.

    Raises:
        InputError: a shrinkage outside [0, 1], an invalid noise variance.

    Example:
        >>> import numpy as np
        >>> x, z = np.random.default_rng(0).normal(size=(2, 4000, 1))
        >>> plane = GaussianMI()(0.6 * x + 0.8 * z, inputs=x)
        >>> round(float(plane.i_xt), 2), round(float(-0.5 * np.log2(1 - 0.6**2)), 2)
        (0.32, 0.32)
    """

    short_name: ClassVar[str] = "gaussian"
    help: ClassVar[str] = "shrinkage=0.1 or oas, noise_variance=0.1"

    shrinkage: float | str = 0.0
    noise_variance: float | None = None
    deterministic: bool = False

    def __post_init__(self) -> None:
        given = self.shrinkage
        number = isinstance(given, int | float | np.number) and not isinstance(given, bool)
        if not (isinstance(given, str) and given == "oas") and not (number and 0 <= float(given) <= 1):
            raise InputError("shrinkage", self.shrinkage, "a number from 0 to 1, or 'oas'")
        object.__setattr__(self, "noise_variance", check_noise(self.noise_variance))

    def swept(self) -> tuple[str, tuple[Any, ...]]:
        return "shrinkage", (0.0, 0.02, 0.05, 0.1, 0.2, 0.5)

    def _about(self, known: Known) -> dict[str, Any]:
        bound = "upper" if self.deterministic and self.noise_variance is not None else "estimate"
        return {"channel": self._channel(), "i_xt": {"bound": bound, "x": self._x(known)}}

    def _estimate(self, values: Float[Tensor, "batch sample unit"], known: Known) -> Estimates:
        pieces = values.split(max(1, PIECE // values[0].numel()))
        found: list[Any] = [None] * len(pieces)

        def some(first: int, last: int) -> None:
            with one_thread():
                for k in range(first, last):
                    found[k] = self._of_piece(pieces[k], known)

        shared(some, len(pieces), NANOSECONDS * values.numel())
        return Estimates.together(found)

    def _of_piece(self, values: Float[Tensor, "batch sample unit"], known: Known) -> Estimates:
        given = values
        values, power = in_scale(given.mT.contiguous().mT, 1)  # a unit's samples side by side
        n, units = values.shape[1:]
        spread = _spread(values, known.mass)
        constant = spread == 0
        scale = torch.where(constant, 1.0, spread)
        centred = (values - _mean(values, known.mass)) / scale.unsqueeze(1)
        # the noise, in units of each unit's own spread
        deviation = math.sqrt(self.noise_variance or 0.0) / power[:, 0]
        noise = (deviation / scale).square().clamp(max=MOST_NOISE)
        covariance = self._shrunk(_covariance(centred, centred, known.mass), n) + torch.diag_embed(noise)
        least = torch.linalg.eigvalsh(_active(covariance, constant))[:, 0]
        blocked = self._blocked(known)
        singular = least < CONDITION
        odd = strange = few = infinite = torch.zeros_like(singular)
        i_xt = Quantity.missing(values)
        if self.deterministic and self.noise_variance is not None:
            i_xt = _through_noise(covariance, noise, n, known)
            whitened = centred @ _root(self._shrunk(_covariance(centred, centred, known.mass), n))
            odd = not_normal(standard(whitened), torch.ones_like(centred[0, :, :1]))
        elif not any(blocked.values()):
            assert known.inputs is not None
            i_xt, infinite, odd = self._from_inputs(centred, covariance, (~constant).sum(1), known)
        i_ty = Quantity.missing(values)
        if known.labelled:
            if self.noise_variance is not None:
                noisy, _ = in_scale(known.with_noise(given, self.noise_variance), 1)
                centred = (noisy - _mean(noisy, known.mass)) / _spread(noisy, known.mass).unsqueeze(1)
            i_ty, strange, few = self._from_classes(centred, (~constant).sum(1), known)
        crowded = units * SAMPLES_PER_DIMENSION > n
        together = units + (0 if known.inputs is None or self.deterministic else known.inputs.shape[1])
        few_pairs = together * SAMPLES_PER_DIMENSION > n or (n < FEWEST and not self.deterministic)
        flags = raised(
            known,
            values,
            **blocked,
            ill_conditioned={"i_xt": singular | infinite, "i_ty": singular, "h_t": singular},
            constant_units=constant.any(1),
            not_gaussian={"i_xt": odd, "i_ty": strange, "h_t": odd | strange},
            too_few_samples={"i_xt": few_pairs, "i_ty": few | crowded, "h_t": crowded},
        )
        h_t = self._entropy(
            covariance, (scale.log() + power[:, 0].log()).sum(1), singular | infinite | constant.any(1), known
        )
        found = Estimates(i_xt, i_ty, h_t, flags)
        if not self.shrinkage:
            return found
        # shrinkage trades spread for bias: the intervals hold what the sample says without it as well
        plain = replace(self, shrinkage=0.0)._of_piece(given, known)
        return found._replace(
            i_xt=found.i_xt.hull(plain.i_xt), i_ty=found.i_ty.hull(plain.i_ty), h_t=found.h_t.hull(plain.h_t)
        )

    def _shrunk(self, correlation: Tensor, n: int) -> Tensor:
        """(1 − λ)S + λ diag(S); λ by oracle approximating shrinkage where asked for."""
        amount: Tensor | float = 0.0
        if self.shrinkage == "oas":
            p = correlation.shape[-1]
            square, trace = correlation.square().sum((1, 2)), correlation.diagonal(dim1=1, dim2=2).sum(1)
            rest = (n + 1 - 2 / p) * (square - trace.square() / p)
            amount = (((1 - 2 / p) * square + trace.square()) / rest.clamp_min(1e-300)).clamp(0.0, 1.0)[:, None, None]
        elif self.shrinkage:
            amount = float(self.shrinkage)
        diagonal = torch.diag_embed(correlation.diagonal(dim1=1, dim2=2))
        return (
            correlation
            + amount * (diagonal - correlation)
            + RIDGE * torch.eye(correlation.shape[-1], dtype=correlation.dtype, device=correlation.device)
        )

    def _from_inputs(self, t: Tensor, covariance: Tensor, varying: Tensor, known: Known) -> tuple[Quantity, Tensor, Tensor]:
        """I(X;T), where it is infinite, and where the pair is not normal."""
        assert known.inputs is not None
        inputs, _ = in_scale(known.inputs, 0)
        n = known.samples
        spread = _spread(inputs[None], known.mass)[0]
        x = ((inputs - _mean(inputs[None], known.mass)[0]) / torch.where(spread == 0, 1.0, spread))[:, spread > 0]
        zero = torch.zeros(len(t), dtype=torch.float64, device=t.device)
        if x.shape[1] == 0:
            return Quantity(zero, zero, zero), zero > 1, zero > 1
        d_x = x.shape[1]
        whole = torch.cat([x.expand(len(t), -1, -1), t], 2)
        joint = self._shrunk(_covariance(whole, whole, known.mass), n)
        joint[:, d_x:, d_x:] = covariance
        white_x, white_t = _root(joint[:, :d_x, :d_x]), _root(covariance)
        crossed = white_x.transpose(1, 2) @ joint[:, :d_x, d_x:] @ white_t
        left, rho, right = torch.linalg.svd(crossed, full_matrices=False)
        infinite = 1 - rho[:, 0].square() < CONDITION
        nats = -0.5 * torch.log1p(-rho.square().clamp(max=1 - CONDITION)).sum(1)
        bias = torch.tensor([_bias(n, d_x, units) for units in varying.tolist()], dtype=nats.dtype, device=nats.device)
        value = nats if self.shrinkage else nats - bias
        found = Quantity.around(value, (rho.square().sum(1) / n + d_x * varying.double() / (2 * n**2)).sqrt())
        bits = Quantity(*(torch.where(infinite, torch.nan, part / math.log(2.0)) for part in found))
        u = x @ white_x @ left
        v = t @ white_t @ right.transpose(1, 2)
        odd = not_normal_pairs(standard(u), standard(v)) | not_normal_ends(standard(t)) | not_normal_ends(standard(x[None]))
        return bits.of_draws(known), infinite, odd

    def _from_classes(self, t: Tensor, varying: Tensor, known: Known) -> tuple[Quantity, Tensor, Tensor]:
        """I(T;Y), where a class is not normal, and where it has too few samples."""
        assert known.conditional is not None and known.drawn is not None
        batch, n, d = t.shape
        possible = known.mass @ known.conditional > 0
        conditional = known.conditional[:, possible]
        share = known.mass.unsqueeze(1) * conditional
        prior = share.sum(0)
        mass = (share / prior).clamp(max=1 - 1e-9)
        classes = len(prior)
        mean = mass.T @ t
        weighted = t.mT.unsqueeze(1) * mass.T.unsqueeze(1)
        covariance = weighted @ t.unsqueeze(1) - mean.unsqueeze(3) * mean.unsqueeze(2)
        n_class = 1 / mass.square().sum(0)
        root = _root(self._shrunk(covariance.flatten(0, 1), int(n_class.min())))
        log_det = -2 * root.diagonal(dim1=1, dim2=2).log().sum(1).view(batch, classes)
        root = root.view(batch, classes, d, d).transpose(1, 2)
        origin = torch.einsum("bcd,bdce->bce", mean, root)
        z = root.permute(0, 2, 3, 1) @ t.mT.unsqueeze(1) - origin.unsqueeze(3)
        squares = z.square().sum(2)
        inside = 1 - mass.T - mass.T * squares  # a sample makes up the share `mass` of its class
        least = max(SAMPLES_PER_DIMENSION * d, ENOUGH[0] if d == 1 else ENOUGH[1])
        few = (n_class.min() < least).expand(batch) | (inside < LEVERAGE).flatten(1).any(1)
        inside = inside.clamp_min(LEVERAGE)
        log_prior = prior.log().unsqueeze(1)
        base = log_prior - 0.5 * log_det.unsqueeze(2)
        without = 0.5 * varying.double()[:, None, None] * torch.log1p(-mass.T) - 0.5 * (inside / (1 - mass.T)).log()
        terms = []
        for log_joint in (base - 0.5 * squares, base + without - 0.5 * squares / inside):
            posterior = log_joint.log_softmax(1) - log_prior
            terms.append((posterior * conditional.T).sum(1) / math.log(2.0))
        # a sample that is its class's only one cannot be left out
        terms[1] = torch.where((mass > 1 - 1e-6).any(1), terms[0], terms[1])
        fitted, held_out = (term @ known.mass for term in terms)
        both = (terms[0] + terms[1]) / 2
        variance = (both - (both @ known.mass).unsqueeze(1)).square() @ known.mass
        gap = (fitted - held_out).abs() / 2
        value, error = (fitted + held_out) / 2, (variance / known.samples).sqrt()
        # where doubt is rare the spread does not show it: down by two doubtful samples more, if that is further
        worst = (value - both.amin(1)).clamp(min=math.log2(known.samples))
        below = torch.hypot(Z * error, UNSEEN * worst / known.samples) - Z * error
        found = Quantity.around(value, error, below=gap + below, above=gap)
        groups = torch.nn.functional.one_hot(known.drawn, len(possible))[:, possible]
        own = z.gather(1, groups.argmax(1).expand(batch, 1, d, n)).squeeze(1)
        strange = not_normal(own.mT, groups.double())
        return known.counted(found).of_draws(known), strange, few

    def _entropy(self, covariance: Tensor, log_scale: Tensor, degenerate: Tensor, known: Known) -> Quantity:
        """h(T) of a normal with this covariance, an upper bound for others."""
        n, d = known.samples, covariance.shape[-1]
        nats = 0.5 * torch.linalg.slogdet(covariance)[1] + log_scale + 0.5 * d * math.log(2 * math.pi * math.e)
        corrected = (
            nats if self.shrinkage or self.noise_variance is not None or n <= d + 1 else nats - 0.5 * _log_det_bias(n, d)
        )
        error = torch.full_like(nats, math.sqrt(d / (2 * n)))
        found = Quantity.around(corrected, error, above=(nats - corrected).abs())
        bits = Quantity(*(torch.where(degenerate, torch.nan, part / math.log(2.0)) for part in found))
        return bits.of_draws(known)


def _mean(values: Tensor, mass: Tensor) -> Tensor:
    return torch.einsum("bnd,n->bd", values, mass).unsqueeze(1)


def _spread(values: Tensor, mass: Tensor) -> Tensor:
    """Standard deviations; exactly 0 for constant units."""
    deviation = torch.einsum("bnd,n->bd", (values - _mean(values, mass)).square(), mass).sqrt()
    return torch.where(values.amin(1) == values.amax(1), 0.0, deviation)


def _covariance(a: Tensor, b: Tensor, mass: Tensor) -> Tensor:
    return torch.einsum("bnd,n,bne->bde", a, mass, b)


def _root(matrix: Tensor) -> Tensor:
    """W with WᵀSW = I: from the Cholesky factor."""
    factor, failed = torch.linalg.cholesky_ex(matrix)
    if bool(failed.any()):  # rounding left a singular matrix short of positive
        factor = torch.linalg.cholesky(matrix + 1e-7 * torch.diag_embed(matrix.diagonal(dim1=1, dim2=2)))
    identity = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device).expand_as(matrix)
    return torch.linalg.solve_triangular(factor, identity, upper=False).transpose(1, 2)


def _active(covariance: Tensor, constant: Tensor) -> Tensor:
    """The covariance with 1 in the place of constant units, which have a flag of their own."""
    return covariance + torch.diag_embed(constant.double())


def _log_det_bias(n: int, d: int) -> float:
    """E ln det S − ln det Σ for the covariance S of n normal samples in d dimensions, divided by n: a sum of digammas."""
    return float(psi((n - np.arange(1, d + 1)) / 2).sum() - d * math.log(n / 2))


@lru_cache(maxsize=256)
def _bias(n: int, d_x: int, d_t: int) -> float:
    """Of I(X;T) in nats; 0 where there are too few samples to know."""
    if n <= d_x + d_t + 1:
        return 0.0
    return 0.5 * (_log_det_bias(n, d_x) + _log_det_bias(n, d_t) - _log_det_bias(n, d_x + d_t))


def _through_noise(covariance: Tensor, noise: Tensor, n: int, known: Known) -> Quantity:
    """½ log2 det(I + Cov(T)/σ²), with the delta method's bias and error of ln det of a sum with a known part."""
    nats = 0.5 * (torch.linalg.slogdet(covariance)[1] - noise.log().sum(1))
    share = torch.linalg.solve(covariance, covariance - torch.diag_embed(noise))
    square, trace = (share @ share).diagonal(dim1=1, dim2=2).sum(1), share.diagonal(dim1=1, dim2=2).sum(1)
    found = Quantity.around(nats + (square + trace.square()) / (4 * n), (square / (2 * n)).sqrt())
    return Quantity(*(part / math.log(2.0) for part in found)).of_draws(known)
