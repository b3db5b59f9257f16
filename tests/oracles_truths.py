"""The truth set written a second time: densities by scipy, integrals by other rules. Nothing here imports flowplane.

`log_ratios` gives log2 p(t|x)/p(t) and log2 p(t|y)/p(t) of every sample: their means are I(X;T) and I(T;Y), if both the
samples and the densities are right. `direct` integrates without samples.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
from scipy import integrate, optimize, stats

LN2 = math.log(2)


# -- covariances, entry by entry ---------------------------------------------------------------------------------------


def equal(d, rho):
    return np.array([[1.0 if i == j else rho for j in range(d)] for i in range(d)])


def in_pairs(d, pairs, rho):
    return np.array(
        [
            [1.0 if i == j else rho if abs(i - j) == d and min(i, j) < pairs else 0.0 for j in range(2 * d)]
            for i in range(2 * d)
        ]
    )


#: name: covariance of (x, t) or dispersion, degrees of freedom, coordinates of x
ELLIPTIC = {
    "independent": (np.eye(4), None, 2),
    "1v1-normal-0.75": (equal(2, 0.75), None, 1),
    **{f"multinormal-dense-{d}-{d}-0.5": (equal(2 * d, 0.5), None, d) for d in (2, 3, 5, 25, 50)},
    **{f"multinormal-sparse-{d}-{d}-2-2.0": (in_pairs(d, 2, 0.8), None, d) for d in (2, 3, 5, 25)},
    **{
        f"student-identity-{d}-{d}-{degrees}": (np.eye(2 * d), degrees, d)
        for d, degrees in ((1, 1), (2, 1), (2, 2), (3, 2), (3, 3), (5, 2), (5, 3))
    },
    "bivariate-normal": (equal(2, 0.75), None, 1),
    "bivariate-normal-strong": (equal(2, 0.99), None, 1),
    "half-cube": (equal(2, 0.75), None, 1),
    "asinh": (equal(2, 0.75), None, 1),
    "wiggly": (equal(2, 0.75), None, 1),
    "swiss-roll": (equal(2, 0.75), None, 1),
    "dense-normal-2": (equal(4, 0.5), None, 2),
    "spiral": (equal(4, 0.5), None, 2),
    "dense-normal": (equal(10, 0.5), None, 5),
    "sparse-normal": (in_pairs(5, 2, 0.8), None, 5),
    "high-dimensional-normal": (in_pairs(25, 5, 0.5), None, 25),
    "student-3": (equal(4, 0.5), 3, 2),
    "student-5": (equal(4, 0.5), 5, 2),
    "student-3-uncorrelated": (np.eye(4), 3, 2),
    "channel-normal-2": (np.kron([[1, 1], [1, 1]], equal(2, 0.5)) + np.diag([0, 0, 0.5, 0.5]), None, 2),
    "channel-normal-5": (np.kron([[1, 1], [1, 1]], equal(5, 0.5)) + np.diag([0] * 5 + [1] * 5), None, 5),
}


#: Tasks that are maps of another: the base's name is the last part of theirs.
MAPS = ("normal_cdf", "wiggly", "half_cube", "swissroll_x", "spiral", "asinh")


def unmapped(name):
    """The maps in front of a name, and the name of what they are applied to."""
    maps = []
    while name not in ELLIPTIC and name.split("-")[0] in MAPS:
        first, name = name.split("-", 1)
        maps.append(first)
    return maps, name


def canonical_information(covariance, dx):
    """Σ −½ log2(1 − ρ²) over the canonical correlations ρ."""
    across = np.linalg.inv(np.linalg.cholesky(covariance[:dx, :dx])) @ covariance[:dx, dx:]
    correlations = np.linalg.svd(across @ np.linalg.inv(np.linalg.cholesky(covariance[dx:, dx:])).T)[1]
    return -0.5 * np.log2(1 - correlations**2).sum()


# -- back to the latent normal -----------------------------------------------------------------------------------------


def solved(function, values):
    """The z with function(z) = value, by bisection of all at once."""
    low, high = values - 3.0, values + 3.0
    for _ in range(60):
        middle = (low + high) / 2
        below = function(middle) < values
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return low


def wiggle(terms):
    return lambda z: z + sum(a * np.sin(omega * z + phase) for a, omega, phase in terms)


WIGGLES = (
    wiggle([(0.4, 1, 0), (0.2, 1.7, 1), (0.03, 3.3, -2.5)]),
    wiggle([(-0.4, 0.4, 0), (0.17, 1.3, 3.5), (0.02, 4.3, -2.5)]),
)


def unspiralled(z):
    turned = (z[:, 0] + 1j * z[:, 1]) * np.exp(-1j * np.hypot(z[:, 0], z[:, 1]) ** 2)
    return np.column_stack([turned.real, turned.imag])


def unrolled(z):
    return stats.norm.ppf((21 * np.hypot(z[:, :1], z[:, 1:]) / (1.5 * math.pi) - 1) / 2)


BACK = {
    "half-cube": (lambda x: np.cbrt(x) * np.abs(np.cbrt(x)), lambda t: np.cbrt(t) * np.abs(np.cbrt(t))),
    "asinh": (np.sinh, np.sinh),
    "wiggly": tuple(lambda z, f=f: solved(f, z) for f in WIGGLES),
    "swiss-roll": (lambda x: x, unrolled),
    "spiral": (unspiralled, unspiralled),
}


def unturned(z, first):
    """Turned back by the squared norm over d."""
    pair = (z[:, first] + 1j * z[:, first + 1]) * np.exp(-1j * (z**2).sum(1) / z.shape[1])
    found = z.copy()
    found[:, first], found[:, first + 1] = pair.real, pair.imag
    return found


def of_rolled(z):
    return (21 * np.hypot(z[:, :1], z[:, 1:]) / (1.5 * math.pi) - 1) / 2


BACK_ONE = {
    "normal_cdf": (stats.norm.ppf, stats.norm.ppf),
    "wiggly": BACK["wiggly"],
    "half_cube": BACK["half-cube"],
    "asinh": (np.sinh, np.sinh),
    "spiral": (lambda x: unturned(x, 0), lambda t: unturned(t, 1)),
}


def humps(weight, low, high):
    """From a mixture of two normals back to one, by its distribution function."""
    return lambda z: stats.norm.ppf(weight * stats.norm.cdf(z - low) + (1 - weight) * stats.norm.cdf(z - high))


# -- components --------------------------------------------------------------------------------------------------------

PHASES = [(math.cos(2 * math.pi * k / 16), math.sin(2 * math.pi * k / 16)) for k in range(16)]
BITS = list(itertools.product([1, -1], repeat=3))

#: name: (p, mean, deviations, class) of each component of T, or of T with the estimator's noise
COMPONENTS = {
    "three-classes": [(0.5, (-1.5,), (1,), 0), (0.3, (0,), (0.5,), 1), (0.2, (2,), (1,), 2)],
    "four-classes-2d": [
        (0.4, (1, 1), (1, 0.5), 0),
        (0.3, (1, -1), (0.5, 1), 1),
        (0.2, (-1, 1), (1, 1), 2),
        (0.1, (-1, -1), (0.5, 0.5), 3),
    ],
    "far-classes": [(0.5, (0,), (1,), 0), (0.5, (40,), (1,), 1)],
    "far-classes-0.9": [(0.9, (0,), (1,), 0), (0.1, (40,), (1,), 1)],
    "rare-class": [(0.95, (0,), (1,), 0), (0.05, (2,), (1,), 1)],
    "other-spreads": [(0.5, (0,), (1,), 0), (0.5, (0,), (1000,), 1)],
    "noisy-label": [(0.5, (-1,), (1,), 0), (0.5, (1,), (1,), 1)],
    "line-10d": [(0.5, (-1,), (1,), 0), (0.5, (1,), (1,), 1)],
    "noisy-sign": [(0.5, (-1,), (1,), 0), (0.5, (1,), (1,), 1)],
    "noisy-bits": [(1 / 8, (a + 0.6 * b + 0.3 * c,), (0.1**0.5,), int(a > 0)) for a, b, c in BITS],
    "noisy-phases": [(1 / 16, place, (0.2, 0.2), k // 4) for k, place in enumerate(PHASES)],
    "channel-bits": [(1 / 8, (math.tanh(a + 0.6 * b + 0.3 * c),), (0.1**0.5,), int(a > 0)) for a, b, c in BITS],
    "channel-phases": [(1 / 16, place, (0.2, 0.2), k // 4) for k, place in enumerate(PHASES)],
}

#: the x of each component
POINTS = {
    "noisy-sign": [(-1,), (1,)],
    "noisy-bits": BITS,
    "channel-bits": BITS,
    "noisy-phases": PHASES,
    "channel-phases": PHASES,
}


def component_log_ratios(components, chosen, t):
    """log2 p(t|component)/p(t) and log2 p(t|its class)/p(t) of rows of t and the component of each."""
    p = np.array([part[0] for part in components])
    y = np.array([part[3] for part in components])
    densities = np.stack([np.prod(stats.norm.pdf(t, part[1], part[2]), axis=1) for part in components], 1)
    everything = densities @ p
    alike = y[chosen][:, None] == y
    class_density = (densities * p * alike).sum(1) / (p * alike).sum(1)
    mine = densities[np.arange(len(t)), chosen]
    return np.log2(mine / everything), np.log2(class_density / everything)


def hermite_information(components, nodes=100):
    """I(component;T) and I(class;T): Gauss–Hermite about every component in turn."""
    z, w = np.polynomial.hermite_e.hermegauss(nodes)
    d = len(components[0][1])
    grid = np.array(list(itertools.product(z, repeat=d)))
    weights = np.array([math.prod(pair) for pair in itertools.product(w / w.sum(), repeat=d)])
    total = np.zeros(2)
    for k, (p, mean, deviations, _) in enumerate(components):
        ratios = component_log_ratios(components, np.full(len(grid), k), np.array(mean) + grid * np.array(deviations))
        total += p * np.array([weights @ ratio for ratio in ratios])
    return total


# -- log-density ratios of samples -------------------------------------------------------------------------------------


def log_ratios(name, x, t, y):
    """(log2 p(t|x)/p(t) or None, log2 p(t|y)/p(t) or None) of every sample."""
    maps, base = unmapped(name)
    if name == "1v1-bimodal-0.75":
        x, t, base = humps(0.3, 0, 5)(x), humps(0.5, -1, 3)(t), "1v1-normal-0.75"
    elif maps[:1] == ["swissroll_x"]:
        x, t, base = stats.norm.ppf(of_rolled(x)), stats.norm.ppf(t), "1v1-normal-0.75"
    else:
        for one in maps:
            x, t = BACK_ONE[one][0](x), BACK_ONE[one][1](t)
    if y is None and base in ELLIPTIC:
        return elliptic_log_ratios(*ELLIPTIC[base], x, t, np.zeros(len(x)))[0], None
    if name.startswith("1v1-additive"):
        return uniform_log_ratios(float(name.rsplit("-", 1)[1]), x[:, 0], t[:, 0], (x[:, 0] > 0.5) * 1)[0], None
    if name.startswith("parity"):
        return None, np.where((t > 0).sum(1) % 2 == y, 1.0, -np.inf)
    if name.startswith("nuisance"):
        name, t = "noisy-label", t[:, :1]
    if name in ELLIPTIC:
        of_x, of_t = BACK.get(name, (lambda z: z, lambda z: z))
        return elliptic_log_ratios(*ELLIPTIC[name], of_x(x), of_t(t), y)
    if name in COMPONENTS:
        if name == "line-10d":  # the direction is the difference of the means; other directions cancel
            direction = (t[y == 1].mean(0) - t[y == 0].mean(0)) / 2
            t = (t @ direction / np.linalg.norm(direction))[:, None]
        chosen = y if name not in POINTS else np.argmin(np.abs(x[:, None] - np.array(POINTS[name])).sum(2), axis=1)
        of_x, of_y = component_log_ratios(COMPONENTS[name], chosen, t)
        return (of_x if name in POINTS else None), of_y
    if name.startswith("additive-uniform"):
        return uniform_log_ratios(float(name.rsplit("-", 1)[1]), x[:, 0], t[:, 0], y)
    if name == "intervals-5":
        return None, np.log2((0.5) / sum(0.5 * ((k <= t[:, 0]) & (t[:, 0] <= k + 2)) for k in range(5)) * 5)
    if name == "zero-inflated-poisson":
        marginal = 0.85 * stats.geom.pmf(t[:, 0] + 1, 0.5) + 0.15 * (t[:, 0] == 0)
        return np.log2((0.85 * stats.poisson.pmf(t[:, 0], x[:, 0]) + 0.15 * (t[:, 0] == 0)) / marginal), None
    raise KeyError(name)


def elliptic_log_ratios(covariance, degrees, dx, x, t, y):
    def log_density(z, part):
        if degrees is None:
            return stats.multivariate_normal.logpdf(z, cov=part)
        return stats.multivariate_t.logpdf(z, shape=part, df=degrees)

    of_t = log_density(t, covariance[dx:, dx:])
    of_x = log_density(np.hstack([x, t]), covariance) - log_density(x, covariance[:dx, :dx]) - of_t
    # p(x_1 > 0 | t), from the precision of (x_1, t): mean −λ⁻¹ λ_t t and variance 1/λ
    kept = [0, *range(dx, len(covariance))]
    precision = np.linalg.inv(covariance[np.ix_(kept, kept)])
    mean, variance = -(t @ precision[0, 1:]) / precision[0, 0], 1 / precision[0, 0]
    if degrees is None:
        above = stats.norm.cdf(mean / np.sqrt(variance))
    else:
        distance = np.einsum("ni,ij,nj->n", t, np.linalg.inv(covariance[dx:, dx:]), t)
        variance = variance * (degrees + distance) / (degrees + t.shape[1])
        above = stats.t.cdf(mean / np.sqrt(variance), degrees + t.shape[1])
    if not np.any(covariance[:dx, dx:]) and degrees is None:
        above = np.full(len(t), 0.5)
    return of_x / LN2, np.log2(2 * np.where(y == 1, above, 1 - above))


def overlap(t, half_width, low, high):
    """p(t) of t = x + U(±half_width), x uniform on (low, high)."""
    length = np.minimum(high, t + half_width) - np.maximum(low, t - half_width)
    return np.maximum(length, 0) / (2 * half_width * (high - low))


def uniform_log_ratios(half_width, x, t, y):
    everything = overlap(t, half_width, 0, 1)
    given = np.where(y == 1, overlap(t, half_width, 0.5, 1), overlap(t, half_width, 0, 0.5))
    return np.log2(1 / (2 * half_width) / everything), np.log2(given / everything)


# -- without samples ---------------------------------------------------------------------------------------------------


def spreads_information(wide):
    """I(T;Y) of N(0, 1) and N(0, wide²), equally frequent: adaptive quadrature of both halves, pieces by scale."""

    def integrand(t, own):
        densities = [stats.norm.pdf(t, 0, scale) for scale in (1, wide)]
        return densities[own] * math.log2(2 * densities[own] / sum(densities)) if densities[own] > 0 else 0.0

    ends = (0, 1, 3, 6, 20, wide / 10, wide, 3 * wide, 12 * wide)
    pieces = [(own, a, b) for own in (0, 1) for a, b in itertools.pairwise(ends)]
    return sum(integrate.quad(integrand, a, b, args=(own,), epsabs=1e-12)[0] for own, a, b in pieces)


def uniform_information(half_width, cells=2000):
    """The double integral over x and the noise, by the midpoint rule."""
    x, noise = np.meshgrid((np.arange(cells) + 0.5) / cells, half_width * (2 * (np.arange(cells) + 0.5) / cells - 1))
    t = (x + noise).ravel()
    ratios = uniform_log_ratios(half_width, x.ravel(), t, (x.ravel() > 0.5).astype(int))
    return [float(ratio.mean()) for ratio in ratios]


def interval_information(m):
    """Unit of length by unit of length: in each, which y are possible."""
    total = 0.0
    for cell in range(m + 1):
        possible = [y for y in range(m) if y <= cell < y + 2]
        total += len(possible) / (2 * m) * math.log2(m / len(possible))
    return total


def poisson_information(empty, largest=80):
    """Σ_k ∫ e^(−x) p(k|x) log2 p(k|x)/p(k) dx, the marginal p(k) by integration as well."""
    total = 0.0
    for k in range(largest):

        def given(x, k=k):
            return (1 - empty) * stats.poisson.pmf(k, x) + empty * (k == 0)

        marginal = integrate.quad(lambda x: math.exp(-x) * given(x), 0, 200, points=[k / 2, k + 1], limit=200)[0]

        def integrand(x, marginal=marginal, given=given):
            q = given(x)
            return math.exp(-x) * q * math.log2(q / marginal) if q > 0 else 0.0

        total += integrate.quad(integrand, 0, 200, points=[k / 2, k + 1], limit=200)[0]
    return total


def sign_information(covariance, dx):
    """I(T; [x_1 > 0]) of normals: the angle's integral in the plane of x_1 and its best guess, by adaptive quadrature."""
    kept = [0, *range(dx, len(covariance))]
    precision = np.linalg.inv(covariance[np.ix_(kept, kept)])
    slope = math.sqrt(covariance[0, 0] * precision[0, 0] - 1)  # R/√(1−R²)

    def integrand(z):
        above = stats.norm.cdf(slope * z)
        return 2 * stats.norm.pdf(z) * above * math.log2(2 * above) if above > 0 else 0.0  # both signs of x_1 alike

    return integrate.quad(integrand, -12, 12, points=[0], limit=400, epsabs=1e-11)[0]


def student_information(covariance, degrees, dx):
    """h(x) + h(t) − h(x,t): each −∫ p log p over the radius of the whitened vector, by adaptive quadrature."""

    def entropy(part):
        d = len(part)
        sphere = 2 * math.pi ** (d / 2) / math.gamma(d / 2)
        level = stats.multivariate_t(shape=np.eye(d), df=degrees)

        def ring(r):
            log_density = level.logpdf([r] + [0] * (d - 1))
            return -sphere * r ** (d - 1) * math.exp(log_density) * log_density

        return integrate.quad(ring, 0, np.inf, limit=400)[0] + math.log(np.linalg.det(part)) / 2

    return (entropy(covariance[:dx, :dx]) + entropy(covariance[dx:, dx:]) - entropy(covariance)) / LN2


def student_sign_information(covariance, degrees, dx):
    """The same of Student's t with two units: a double integral in polar coordinates of the whitened t."""
    kept = [0, *range(dx, len(covariance))]
    precision = np.linalg.inv(covariance[np.ix_(kept, kept)])
    slope = math.sqrt(covariance[0, 0] * precision[0, 0] - 1)
    u = (np.arange(1000) + 0.5) / 1000 * math.pi

    def ring(r):
        spread = math.sqrt((degrees + r * r) / (degrees + 2))
        above = stats.t.cdf(slope * r * np.cos(u) / spread, degrees + 2)
        density = r * (1 + r * r / degrees) ** (-(degrees + 2) / 2)
        return density * (2 * above * np.log2(2 * above)).mean()

    return integrate.quad(ring, 0, np.inf, limit=200)[0]


def binned_information(components, edges, points=200_001):
    """I(component;bin), I(class;bin) of one unit: each component's density summed over a fine grid, bin by bin."""
    masses = {}
    for k, (p, (mean,), (deviation,), y) in enumerate(components):
        if deviation == 0:
            t, density = np.array([mean]), np.array([1.0])
        else:
            t = mean + deviation * np.linspace(-10, 10, points)
            density = stats.norm.pdf(t, mean, deviation)
        place = np.searchsorted(edges[1:-1], t, side="right")
        for b in range(len(edges) - 1):
            masses[k, y, b] = p * density[place == b].sum() / density.sum()

    def information(key):
        joint, first, last = {}, {}, {}
        for (k, y, b), mass in masses.items():
            a = (k, y)[key]
            joint[a, b] = joint.get((a, b), 0) + mass
            first[a] = first.get(a, 0) + mass
            last[b] = last.get(b, 0) + mass
        return sum(q * math.log2(q / first[a] / last[b]) for (a, b), q in joint.items() if q > 0)

    return information(0), information(1)


def minimal_slope(function, low=-30.0, high=30.0):
    """The least increase over small steps; the place refined from the best of a grid."""
    z = np.linspace(low, high, 600_001)
    k = int(np.argmin(np.diff(function(z))))
    found = optimize.minimize_scalar(
        lambda a: (function(a + 1e-6) - function(a - 1e-6)) / 2e-6,
        bounds=(z[max(k - 5, 0)], z[min(k + 6, len(z) - 1)]),
        method="bounded",
    )
    return float(found.fun)
