"""Distributions whose mutual information is known exactly: what estimators are judged by."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy import special

__all__ = [
    "TRUTHS",
    "Pair",
    "Sample",
    "Truth",
    "additive_uniform",
    "dense",
    "elliptic",
    "half_cube",
    "mapped",
    "sparse",
    "swiss_roll",
    "wiggly_t",
    "wiggly_x",
]

BEYOND_NORMAL = "Czyż et al. (2023), arXiv 2306.11078"
GAO = "Gao et al. (2017), arXiv 1709.06212"
CLASSES = "Ross (2014), doi 10.1371/journal.pone.0087357"
CONSTELLATIONS = "Ungerboeck (1982), doi 10.1109/TIT.1982.1056454"
PARALLEL = "Cover and Thomas (2006), Elements of Information Theory, chapter 9"
LN2 = math.log(2.0)


class Sample(NamedTuple):
    """What an estimator is given."""

    inputs: Float[np.ndarray, "sample feature"] | None
    activations: Float[np.ndarray, "sample unit"]
    labels: Int[np.ndarray, " sample"] | None


class Pair(NamedTuple):
    """I(X;T) and I(T;Y) in bits; None where the distribution has no x, no y or no exact value."""

    i_xt: float | None
    i_ty: float | None


@dataclass(frozen=True)
class Truth:
    """A distribution of (x, t, y), samples of it, and its information in bits.

    Arguments:
        source: where the distribution comes from.
        draw: samples from a generator.
        exact: I(X;T) and I(T;Y), worked out when first asked for.
        channel_variance: where not None, the activations are free of noise and the values are those of T + N(0, σ²I):
            the noise belongs to the estimator.
        span: where T has one unit, an interval that holds all but about 10⁻⁹ of it.
        binned: the values of T cut at edges, the outermost moved to infinity; None where that is not easy.

    Example:
        >>> truth = TRUTHS["bivariate-normal"]
        >>> truth.sample(100, seed=0).activations.shape, round(truth.i_xt, 4)
        ((100, 1), 0.5963)
    """

    name: str
    title: str
    source: str
    draw: Callable[[np.random.Generator, int], Sample]
    exact: Callable[[], Pair]
    channel_variance: float | None = None
    span: tuple[float, float] | None = None
    binned: Callable[[np.ndarray], Pair] | None = None

    def sample(self, n: int, seed: int) -> Sample:
        """n independent samples; the same seed gives the same ones."""
        return self.draw(np.random.default_rng(seed), n)

    @cached_property
    def _pair(self) -> Pair:
        return self.exact()

    @property
    def i_xt(self) -> float | None:
        """I(X;T) in bits."""
        return self._pair.i_xt

    @property
    def i_ty(self) -> float | None:
        """I(T;Y) in bits."""
        return self._pair.i_ty


# -- normal and Student's t, and what maps one to one from them: y is whether the first coordinate of x is above 0 -----


def _binary_entropy(p: np.ndarray) -> np.ndarray:
    return (special.entr(p) + special.entr(1.0 - p)) / LN2


def _first_explained(covariance: np.ndarray, dx: int) -> float:
    """R²: the share of x_1's variance that t explains."""
    cross = covariance[dx:, 0]
    return float(cross @ np.linalg.solve(covariance[dx:, dx:], cross) / covariance[0, 0])


def _normal_information(covariance: np.ndarray, dx: int) -> float:
    # h(N(0,Σ)) = ½ ln det(2πeΣ), so I = ½ log2 (det Σ_x det Σ_t / det Σ)
    logdet = [np.linalg.slogdet(part)[1] for part in (covariance[:dx, :dx], covariance[dx:, dx:], covariance)]
    return float(logdet[0] + logdet[1] - logdet[2]) / (2 * LN2)


def _sign_information(explained: float) -> float:
    # x_1 given t is normal with mean R·z and variance 1 − R², z ~ N(0,1) a function of t (x_1 scaled to variance 1):
    # p(y=1|t) = Φ(R z/√(1−R²)), I = 1 − E h₂(p(1|t)). The trapezoid rule is exact to rounding: smooth, dies off
    z = np.linspace(-12.0, 12.0, 24001)
    density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    known = special.ndtr(z * math.sqrt(explained / (1.0 - explained)))
    return max(0.0, 1.0 - float((density * _binary_entropy(known)).sum() * (z[1] - z[0])))


def _student_excess(degrees: float, dx: int, dt: int) -> float:
    # h of a t in d dimensions: ½ ln det Σ + lnΓ(ν/2) − lnΓ((ν+d)/2) + (ν+d)/2 [ψ((ν+d)/2) − ψ(ν/2)] + d/2 ln νπ;
    # in h(x) + h(t) − h(x,t) all but f(ν) = lnΓ(ν/2) − ν/2 ψ(ν/2) at four places cancels against the normal's value
    def f(nu: float) -> float:
        return float(special.gammaln(nu / 2) - nu / 2 * special.digamma(nu / 2))

    return (f(degrees) + f(degrees + dx + dt) - f(degrees + dx) - f(degrees + dt)) / LN2


def _student_sign_information(explained: float, degrees: float) -> float:
    # dt = 2. x_1 given t is a t of ν+2 degrees about R √Q cos θ with scale² (1−R²)(ν+Q)/(ν+2); Q = tᵀΣ_t⁻¹t, θ uniform.
    # P(Q > q) = (1 + q/ν)^(−ν/2), so Q/(ν+Q) = sin²φ where φ has density ν sin φ cos^(ν−1) φ on (0, π/2)
    nodes, weights = np.polynomial.legendre.leggauss(200)
    phi, theta = (nodes + 1) * math.pi / 4, np.arange(1000) * 2 * math.pi / 1000
    slope = math.sqrt(explained * (degrees + 2) / (1.0 - explained))
    known = special.stdtr(degrees + 2, slope * np.sin(phi)[:, None] * np.cos(theta))
    density = weights * math.pi / 4 * degrees * np.sin(phi) * np.cos(phi) ** (degrees - 1)
    return max(0.0, 1.0 - float(density @ _binary_entropy(known).mean(1)))


def elliptic(name: str, title: str, covariance: np.ndarray, dx: int, *, degrees: float | None = None) -> Truth:
    """(x, t) normal, or Student's t with this dispersion."""
    factor = np.linalg.cholesky(covariance)
    explained = _first_explained(covariance, dx)

    def draw(rng: np.random.Generator, n: int) -> Sample:
        both = rng.standard_normal((n, len(covariance))) @ factor.T
        if degrees is not None:
            both *= np.sqrt(degrees / rng.chisquare(degrees, size=(n, 1)))
        return Sample(both[:, :dx], both[:, dx:], (both[:, 0] > 0).astype(np.int64))

    def exact() -> Pair:
        i_xt = _normal_information(covariance, dx)
        if degrees is None:
            return Pair(i_xt, _sign_information(explained))
        i_xt += _student_excess(degrees, dx, len(covariance) - dx)
        if explained == 0.0:  # a sign that t says nothing of
            return Pair(i_xt, 0.0)
        return Pair(i_xt, _student_sign_information(explained, degrees))

    return Truth(name, title, BEYOND_NORMAL, draw, exact)


def mapped(
    base: Truth, name: str, title: str, of_x: Callable[[np.ndarray], np.ndarray], of_t: Callable[[np.ndarray], np.ndarray]
) -> Truth:
    """x and t each mapped one to one: I(X;T) and I(T;Y) stay, since y is drawn before the map."""

    def draw(rng: np.random.Generator, n: int) -> Sample:
        inputs, activations, labels = base.draw(rng, n)
        assert inputs is not None
        return Sample(of_x(inputs), of_t(activations), labels)

    return replace(base, name=name, title=title, draw=draw)


def dense(d: int, correlation: float) -> np.ndarray:
    return np.full((d, d), correlation) + (1.0 - correlation) * np.eye(d)


def sparse(d: int, pairs: int, correlation: float) -> np.ndarray:
    """d + d coordinates; the first few of x and t correlate pairwise."""
    covariance = np.eye(2 * d)
    for k in range(pairs):
        covariance[k, d + k] = covariance[d + k, k] = correlation
    return covariance


def half_cube(z: np.ndarray) -> np.ndarray:
    return np.sign(z) * np.abs(z) ** 1.5


def wiggly_x(z: np.ndarray) -> np.ndarray:
    # increasing: Σ|a ω| = 0.4 + 0.34 + 0.099 < 1
    return z + 0.4 * np.sin(z) + 0.2 * np.sin(1.7 * z + 1.0) + 0.03 * np.sin(3.3 * z - 2.5)


def wiggly_t(z: np.ndarray) -> np.ndarray:
    # increasing: Σ|a ω| = 0.16 + 0.221 + 0.086 < 1
    return z - 0.4 * np.sin(0.4 * z) + 0.17 * np.sin(1.3 * z + 3.5) + 0.02 * np.sin(4.3 * z - 2.5)


def _spiral(z: np.ndarray) -> np.ndarray:
    """The first two coordinates turn by the squared norm, which stays: turned back, z is found again."""
    angle = (z**2).sum(1)
    turned = z.copy()
    turned[:, 0] = np.cos(angle) * z[:, 0] - np.sin(angle) * z[:, 1]
    turned[:, 1] = np.sin(angle) * z[:, 0] + np.cos(angle) * z[:, 1]
    return turned


def swiss_roll(z: np.ndarray) -> np.ndarray:
    """A curve in the plane: its radius grows with z, so that z is found again."""
    s = 1.5 * math.pi * (1.0 + 2.0 * special.ndtr(z))
    return np.hstack([s * np.cos(s), s * np.sin(s)]) / 21.0


def _normal_channel(name: str, title: str, covariance: np.ndarray, variance: float) -> Truth:
    """T = x is normal; the estimator adds the noise."""
    d = len(covariance)
    # (x, T + N) is jointly normal: h(T+N) − h(N) = ½ log2 det(I + Σ/σ²)
    joint = np.block([[covariance, covariance], [covariance, covariance + variance * np.eye(d)]])
    factor = np.linalg.cholesky(covariance)

    def draw(rng: np.random.Generator, n: int) -> Sample:
        x = rng.standard_normal((n, d)) @ factor.T
        return Sample(x, x.copy(), (x[:, 0] > 0).astype(np.int64))

    def exact() -> Pair:
        i_xt = float(np.linalg.slogdet(np.eye(d) + covariance / variance)[1]) / (2 * LN2)
        return Pair(i_xt, _sign_information(_first_explained(joint, d)))

    return Truth(name, title, PARALLEL, draw, exact, channel_variance=variance)


# -- finitely many normal components: each an x with its noise, or a class ---------------------------------------------


@dataclass(frozen=True)
class _Mixture:
    """T given component k is N(means[k], diag deviations[k]²); component k is of class classes[k]."""

    weights: Float[np.ndarray, " component"]
    means: Float[np.ndarray, "component unit"]
    deviations: Float[np.ndarray, "component unit"]
    classes: Int[np.ndarray, " component"]

    def entropy(self, chosen: np.ndarray) -> float:
        """h(T | component among the chosen) in bits, in one or two dimensions.

        The trapezoid rule on −p log2 p, which is smooth and dies off: at sixteen points a deviation exact to about 10⁻¹⁰.
        """
        weights = self.weights[chosen] / self.weights[chosen].sum()
        means, deviations = self.means[chosen], self.deviations[chosen]
        ends = (means - 10 * deviations).min(0), (means + 10 * deviations).max(0)
        counts = np.ceil((ends[1] - ends[0]) * 16 / deviations.min(0)).astype(int) + 1
        axes = [np.linspace(*span) for span in zip(*ends, counts, strict=True)]
        density = np.zeros(counts)
        for weight, mean, deviation in zip(weights, means, deviations, strict=True):
            factors = [
                np.exp(-(((axis - m) / s) ** 2) / 2) / (s * math.sqrt(2 * math.pi))
                for axis, m, s in zip(axes, mean, deviation, strict=True)
            ]
            density += weight * (factors[0] if len(factors) == 1 else np.multiply.outer(*factors))
        cell = math.prod(axis[1] - axis[0] for axis in axes)
        return float(special.entr(density).sum() * cell) / LN2

    def exact(self) -> Pair:
        """I(component;T) = h(T) − Σ p_k h(N_k) and I(T;Y) = h(T) − Σ p_y h(T|y)."""
        everything = self.entropy(np.ones(len(self.weights), bool))
        noise = np.log2(self.deviations * math.sqrt(2 * math.pi * math.e)).sum(1)
        chosen = [self.classes == y for y in np.unique(self.classes)]
        given = sum(self.weights[part].sum() * self.entropy(part) for part in chosen)
        return Pair(everything - float(self.weights @ noise), everything - float(given))

    def binned(self, edges: np.ndarray, noisy: bool = True) -> Pair:
        """The same of one unit cut at the edges."""
        places = np.concatenate([[-np.inf], edges[1:-1], [np.inf]])
        distances = places - self.means
        below = special.ndtr(distances / self.deviations) if noisy else (distances > 0).astype(float)
        joint = self.weights[:, None] * np.diff(below, axis=1)
        classes = np.stack([joint[self.classes == y].sum(0) for y in np.unique(self.classes)])
        return Pair(_discrete_information(joint), _discrete_information(classes))

    def span(self) -> tuple[float, float] | None:
        """Six deviations beyond the outermost means of a single unit."""
        if self.means.shape[1] > 1:
            return None
        return float((self.means - 6 * self.deviations).min()), float((self.means + 6 * self.deviations).max())


def _components(weights: list[float], means: list[list[float]], deviations: list[list[float]]) -> _Mixture:
    """Each component a class of its own."""
    return _Mixture(np.array(weights), np.array(means), np.array(deviations), np.arange(len(weights)))


def _discrete_information(joint: np.ndarray) -> float:
    entropies = [special.entr(part).sum() for part in (joint.sum(0), joint.sum(1), joint)]
    return float(entropies[0] + entropies[1] - entropies[2]) / LN2


def _classes(name: str, title: str, mixture: _Mixture, rest: int = 0) -> Truth:
    """T given y normal, no x. `rest` more units are standard normal and tell nothing; all are then turned by a rotation."""
    d = mixture.means.shape[1] + rest
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((d, d)))[0] if rest else np.eye(d)

    def draw(rng: np.random.Generator, n: int) -> Sample:
        k = rng.choice(len(mixture.weights), size=n, p=mixture.weights)
        t = mixture.means[k] + mixture.deviations[k] * rng.standard_normal((n, mixture.means.shape[1]))
        return Sample(None, np.hstack([t, rng.standard_normal((n, rest))]) @ turn, mixture.classes[k])

    def exact() -> Pair:
        return Pair(None, mixture.exact().i_ty)

    def binned(edges: np.ndarray) -> Pair:
        return Pair(None, mixture.binned(edges).i_ty)

    span = None if rest else mixture.span()
    return Truth(name, title, CLASSES, draw, exact, span=span, binned=None if span is None else binned)


def _noisy_channel(
    name: str, title: str, points: np.ndarray, places: np.ndarray, classes: np.ndarray, variance: float, added: bool
) -> Truth:
    """X uniform on finitely many points, T = f(x) + N(0, σ²I); `added` False leaves the noise to the estimator."""
    m = len(points)
    mixture = _Mixture(np.full(m, 1 / m), places, np.full(places.shape, math.sqrt(variance)), classes)

    def draw(rng: np.random.Generator, n: int) -> Sample:
        k = rng.integers(m, size=n)
        noise = rng.normal(scale=math.sqrt(variance), size=(n, places.shape[1])) if added else 0.0
        return Sample(points[k], places[k] + noise, classes[k])

    span = mixture.span()
    return Truth(
        name,
        title,
        CONSTELLATIONS,
        draw,
        mixture.exact,
        channel_variance=None if added else variance,
        span=span,
        binned=None if span is None else lambda edges: mixture.binned(edges, added),
    )


# -- uniform, counted, independent -------------------------------------------------------------------------------------


def _uniform_entropy(first: float, second: float) -> float:
    # the sum of uniforms of widths b ≤ a has the density of a trapezoid: h = ln a + b/2a nats
    return (math.log(max(first, second)) + min(first, second) / (2 * max(first, second))) / LN2


def additive_uniform(half_width: float) -> Truth:
    def draw(rng: np.random.Generator, n: int) -> Sample:
        x = rng.random((n, 1))
        return Sample(x, x + rng.uniform(-half_width, half_width, (n, 1)), (x[:, 0] > 0.5).astype(np.int64))

    def exact() -> Pair:
        # h(T|x) = log2 2ε; given y, x is uniform on a half, T again a trapezoid
        width = 2 * half_width
        everything = _uniform_entropy(1.0, width)
        return Pair(everything - math.log2(width), everything - _uniform_entropy(0.5, width))

    title = f"x uniform on (0, 1), T = x + U(±{half_width:g})"
    return Truth(f"additive-uniform-{half_width:g}", title, BEYOND_NORMAL, draw, exact)


def _intervals(m: int) -> Truth:
    def draw(rng: np.random.Generator, n: int) -> Sample:
        y = rng.integers(m, size=n)
        return Sample(None, (y + 2 * rng.random(n))[:, None], y)

    def exact() -> Pair:
        # p(t) = 1/2m on the two end units of length, 1/m on the m − 1 between: h(T) = log2 m + 1/m; h(T|y) = 1
        return Pair(None, math.log2(m) - (m - 1) / m)

    def binned(edges: np.ndarray) -> Pair:
        below = np.clip((edges - np.arange(m)[:, None]) / 2, 0, 1)
        below[:, 0], below[:, -1] = 0, 1
        return Pair(None, _discrete_information(np.diff(below, axis=1) / m))

    title = f"T uniform on (y, y + 2), y one of {m}"
    return Truth(f"intervals-{m}", title, GAO, draw, exact, span=(0.0, m + 1.0), binned=binned)


def _counts(empty: float) -> Truth:
    def draw(rng: np.random.Generator, n: int) -> Sample:
        x = rng.exponential(size=(n, 1))
        return Sample(x, np.where(rng.random((n, 1)) < empty, 0.0, rng.poisson(x)), None)

    def exact() -> Pair:
        # H(T): p(k) = q [k=0] + (1−q) 2^(−k−1), since a Poisson with exponential mean is geometric. H(T|x) behaves like
        # −x log x at 0: the trapezoid rule over log x. Gao et al. give (1−q) I(Poisson), as if the two kinds of zeros
        # could be told apart
        log_x, k = np.linspace(-40.0, 4.5, 4451), np.arange(250.0)
        x = np.exp(log_x)
        given = (1 - empty) * np.exp(k * log_x[:, None] - x[:, None] - special.gammaln(k + 1))
        marginal = (1 - empty) * 2.0 ** (-k - 1)
        given[:, 0] += empty
        marginal[0] += empty
        h_tx = (x * np.exp(-x)) @ special.entr(given).sum(1) * (log_x[1] - log_x[0])
        return Pair(float(special.entr(marginal).sum() - h_tx) / LN2, None)

    title = f"T Poisson of mean x ~ Exp(1), 0 instead with chance {empty:g}"
    return Truth("zero-inflated-poisson", title, GAO, draw, exact)


def _parity(units: int) -> Truth:
    """y says whether the number of positive units is even: any of them but all tell nothing."""

    def draw(rng: np.random.Generator, n: int) -> Sample:
        t = rng.standard_normal((n, units))
        return Sample(None, t, (t > 0).sum(1) % 2)

    return Truth(
        f"parity-{units}", f"y the parity of the signs of {units} normal units", CLASSES, draw, lambda: Pair(None, 1.0)
    )


def _nuisance(units: int, spread: float) -> Truth:
    """One unit tells the class, the others are noise."""
    base = _classes("noisy-label", "", _components([0.5, 0.5], [[-1.0], [1.0]], [[1.0], [1.0]]))

    def draw(rng: np.random.Generator, n: int) -> Sample:
        _, t, y = base.draw(rng, n)
        return Sample(None, np.hstack([t, spread * rng.standard_normal((n, units))]), y)

    title = f"T given y = ±1 is N(y, 1) beside {units} units of noise {spread:g} times as wide"
    return Truth(f"nuisance-{units}-{spread:g}", title, CLASSES, draw, base.exact)


def _independent(rng: np.random.Generator, n: int) -> Sample:
    return Sample(rng.standard_normal((n, 2)), rng.standard_normal((n, 2)), rng.integers(2, size=n))


def _registry() -> dict[str, Truth]:
    bivariate = elliptic("bivariate-normal", "normal, ρ = 0.75", dense(2, 0.75), 1)
    normal_2 = elliptic("dense-normal-2", "normal 2 + 2, all ρ = 0.5", dense(4, 0.5), 2)
    circle = np.arange(16) * math.pi / 8
    phases, quarters = np.stack([np.cos(circle), np.sin(circle)], 1), np.arange(16) // 4
    bits = np.array([[1 - 2 * (k >> b & 1) for b in (2, 1, 0)] for k in range(8)], float)
    line, first = bits @ np.array([[1.0], [0.6], [0.3]]), (bits[:, 0] > 0).astype(np.int64)
    sign = np.array([[-1.0], [1.0]])
    two = np.arange(2)
    three = _components([0.5, 0.3, 0.2], [[-1.5], [0.0], [2.0]], [[1.0], [0.5], [1.0]])
    corners = [[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]]
    four = _components([0.4, 0.3, 0.2, 0.1], corners, [[1.0, 0.5], [0.5, 1.0], [1.0, 1.0], [0.5, 0.5]])
    far = {p: _components([p, 1 - p], [[0.0], [40.0]], [[1.0], [1.0]]) for p in (0.5, 0.9)}
    rare = _components([0.95, 0.05], [[0.0], [2.0]], [[1.0], [1.0]])
    spreads = _components([0.5, 0.5], [[0.0], [0.0]], [[1.0], [1000.0]])
    halves = _components([0.5, 0.5], [[-1.0], [1.0]], [[1.0], [1.0]])
    found = [
        Truth("independent", "independent normal 2 + 2, a coin", "—", _independent, lambda: Pair(0.0, 0.0)),
        bivariate,
        elliptic("bivariate-normal-strong", "normal, ρ = 0.99", dense(2, 0.99), 1),
        normal_2,
        elliptic("dense-normal", "normal 5 + 5, all ρ = 0.5", dense(10, 0.5), 5),
        elliptic("sparse-normal", "normal 5 + 5, two pairs ρ = 0.8", sparse(5, 2, 0.8), 5),
        elliptic("high-dimensional-normal", "normal 25 + 25, five pairs ρ = 0.5", sparse(25, 5, 0.5), 25),
        elliptic("student-3", "Student's t 2 + 2, ν = 3, all ρ = 0.5", dense(4, 0.5), 2, degrees=3.0),
        elliptic("student-5", "Student's t 2 + 2, ν = 5, all ρ = 0.5", dense(4, 0.5), 2, degrees=5.0),
        elliptic("student-3-uncorrelated", "Student's t 2 + 2, ν = 3, ρ = 0", np.eye(4), 2, degrees=3.0),
        *(additive_uniform(half_width) for half_width in (0.1, 0.5, 0.75)),
        mapped(bivariate, "half-cube", "sign(z) abs(z)^1.5 of both, ρ = 0.75", half_cube, half_cube),
        mapped(bivariate, "asinh", "asinh of both, ρ = 0.75", np.arcsinh, np.arcsinh),
        mapped(bivariate, "wiggly", "z + Σ a sin(ωz + φ) of both, ρ = 0.75", wiggly_x, wiggly_t),
        mapped(bivariate, "swiss-roll", "T on a Swiss roll in the plane, ρ = 0.75", lambda x: x, swiss_roll),
        mapped(normal_2, "spiral", "normal 2 + 2, each turned by its squared norm", _spiral, _spiral),
        _classes("three-classes", "T given y normal, three classes", three),
        _classes("four-classes-2d", "T given y normal in the plane, four classes", four),
        _classes("line-10d", "T given y = ±1 is N(y v, I) in ten dimensions", halves, rest=9),
        _classes("far-classes", "classes far apart, equally frequent", far[0.5]),
        _classes("far-classes-0.9", "classes far apart, p = 0.9 and 0.1", far[0.9]),
        _classes("rare-class", "N(0, 1) of p = 0.95, N(2, 1) of p = 0.05", rare),
        _classes("other-spreads", "N(0, 1) and N(0, 1000²)", spreads),
        *(_nuisance(units, spread) for units, spread in ((1, 1), (4, 1), (4, 8), (15, 1))),
        *(_parity(units) for units in (3, 4)),
        _intervals(5),
        _counts(0.15),
        _noisy_channel("noisy-sign", "x = ±1, T = x + N(0, 1)", sign, sign, two, 1.0, True),
        _noisy_channel("noisy-bits", "three bits on a line + N(0, 0.1)", bits, line, first, 0.1, True),
        _noisy_channel("noisy-phases", "16 phases + N(0, 0.04 I)", phases, phases, quarters, 0.04, True),
        _normal_channel("channel-normal-2", "T = x normal in 2 d, ρ = 0.5, noise 0.5", dense(2, 0.5), 0.5),
        _normal_channel("channel-normal-5", "T = x normal in 5 d, ρ = 0.5, noise 1", dense(5, 0.5), 1.0),
        _noisy_channel("channel-bits", "tanh of three bits on a line, noise 0.1", bits, np.tanh(line), first, 0.1, False),
        _noisy_channel("channel-phases", "16 phases, noise 0.04", phases, phases, quarters, 0.04, False),
    ]
    return {truth.name: truth for truth in found}


#: By name; nothing is worked out before it is asked for.
TRUTHS: dict[str, Truth] = _registry()

from truths_published import published  # noqa: E402 -- they are made of what is above

TRUTHS |= {truth.name: truth for truth in published()}
