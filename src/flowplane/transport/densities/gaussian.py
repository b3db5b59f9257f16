"""Gaussians and their mixtures."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from flowplane.core.arrays import as_tensor, require_finite
from flowplane.core.modes import in_own_modes
from flowplane.core.points import Form, as_matrix, as_points, check_count, check_seed, small_seed
from flowplane.errors import InputError, Text
from flowplane.transport.densities.base import Density
from flowplane.transport.densities.smoothing import LOG_2PI, MixtureSmoothing, RoundSmoothing, mixture_smoothing
from flowplane.transport.estimate import Estimate

__all__ = ["GaussianMixture", "Normal"]


class GaussianMixture(Density):
    """Σ w_k N(μ_k, Σ_k).

    Arguments:
        weights: (components,), non-negative; they are divided by their sum, which must be 1 to within 1e-6. Components of
            weight 0 are left out.
        means: (components, d).
        covariances: (components, d, d), or a variance for each component (components,), or one for all.

    Raises:
        InputError: shapes that do not fit, weights that are not a distribution, a covariance that is not symmetric positive
            definite, NaN.

    Example:
        >>> p = GaussianMixture([0.5, 0.5], [[-1.0], [1.0]], 0.04)
        >>> p.log_prob(np.array([[0.0]])).round(3), p.covariance.round(3)
        (array([-11.81]), array([[1.04]]))
        >>> p.smoothed(0.21).covariance
        array([[1.25]])
    """

    smoothing: MixtureSmoothing

    def __init__(self, weights: Any, means: Any, covariances: Any) -> None:
        centres = as_tensor("means", means)
        if centres.ndim != 2 or centres.numel() == 0:
            expected = "means of shape (components, d), one row per component"
            raise InputError("means", Text(f"shape {tuple(centres.shape)}"), expected)
        require_finite("means", centres)
        self._form = next(
            (Form.of(part) for part in (means, weights, covariances) if isinstance(part, Tensor)), Form.of(means)
        )
        centres = centres.to(torch.float64, copy=True)
        shares = _checked_weights(weights, len(centres)).to(centres.device)
        matrices = _checked_covariances(covariances, *centres.shape).to(centres.device)
        present = shares > 0
        self.smoothing = mixture_smoothing(shares[present], centres[present], matrices[present])
        self.dimension = centres.shape[1]

    @classmethod
    @in_own_modes
    def fit(cls, points: Any, components: int, *, seed: Any = 0) -> GaussianMixture:
        """The mixture that expectation–maximisation (scikit-learn) fits to points (n, d), the best of three starts.

        Raises:
            InputError: fewer points than components, NaN, another shape.

        Example:
            >>> p = GaussianMixture([0.3, 0.7], [[-3.0, 0.0], [3.0, 0.0]], 1.0)
            >>> fitted = GaussianMixture.fit(p.sample(4000, seed=0), components=2)
            >>> sorted(fitted.weights.round(1).tolist())
            [0.3, 0.7]
        """
        from sklearn.mixture import GaussianMixture as Fitted

        rows, form = as_points("points", points, None)
        components = check_count("components", components)
        if len(form.batch) != 1 or len(rows) < max(2, components):
            expected = f"points of shape (n, d), n at least {max(2, components)}"
            raise InputError("points", Text(f"shape {(*form.batch, rows.shape[1])}"), expected)
        # in units of the points' own spread, so that scikit-learn's floor under the variances is relative
        middle, spread = rows.mean(0), rows.std(0)
        if not bool((spread > 0).all()):
            raise InputError("points", Text("points that are all the same in a coordinate"), "points that differ")
        fitter = Fitted(components, n_init=3, max_iter=500, random_state=small_seed(check_seed(seed)))
        found = fitter.fit(((rows - middle) / spread).cpu().numpy())
        weights, means, covariances = (
            torch.as_tensor(part, device="cpu").to(rows) for part in (found.weights_, found.means_, found.covariances_)
        )
        fitted = cls(weights, middle + means * spread, covariances * torch.outer(spread, spread))
        fitted._form = Form(form.dtype, form.device, ())
        return fitted

    @property
    def weights(self) -> Any:
        """w, shape (components,)."""
        return self._given(self.smoothing.weights)

    @property
    def means(self) -> Any:
        """μ, shape (components, d)."""
        return self._given(self.smoothing.means)

    @property
    def covariances(self) -> Any:
        """Σ, shape (components, d, d)."""
        return self._given(self.smoothing.covariances)

    @property
    def mean(self) -> Any:
        """E x, shape (d,)."""
        return self._given(self._moments()[0])

    @property
    def covariance(self) -> Any:
        """Cov x, shape (d, d)."""
        return self._given(self._moments()[1])

    @in_own_modes
    def smoothed(self, covariance: Any) -> GaussianMixture:
        """p * N(0, C): every Σ_k becomes Σ_k + C."""
        extra = as_matrix("covariance", covariance, self.dimension).to(self.smoothing.device)
        return self._like(self.smoothing.weights, self.smoothing.means, self.smoothing.covariances + extra)

    def whitened(self, matrix: Float[Tensor, "feature feature"]) -> GaussianMixture:
        """The density of Mx."""
        old = self.smoothing
        return self._like(old.weights, old.means @ matrix.T, matrix @ old.covariances @ matrix.T)

    def draw(self, n: int, rng: np.random.Generator) -> Float[Tensor, "sample feature"]:
        """Components by their weights, then a point of each."""
        old = self.smoothing
        chosen = torch.from_numpy(rng.choice(len(old.weights), n, p=_distribution(old.weights))).to(old.device)
        noise = torch.from_numpy(rng.standard_normal((n, self.dimension))).to(old.means)
        if old.terms == 1:  # a matrix for each point would not fit where there are many dimensions
            return old.means[0] + self._scaled(noise)
        return old.means[chosen] + torch.einsum("nij,nj->ni", torch.linalg.cholesky(old.covariances)[chosen], noise)

    def _scaled(self, noise: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature"]:
        """Standard normal points with the covariance of the only component."""
        old = self.smoothing
        if isinstance(old, RoundSmoothing):
            return old.least_variance**0.5 * noise
        return noise @ torch.linalg.cholesky(old.covariances[0]).T

    @in_own_modes
    def entropy(self, samples: int = 10_000, seed: Any = 0) -> Estimate:
        """Differential entropy in nats: closed form for one component, else the mean of −log p over `samples` points."""
        if len(self.smoothing.weights) > 1:
            return super().entropy(samples, seed)
        value = 0.5 * float(self.smoothing.eigenvalues[0].log().sum()) + 0.5 * self.dimension * (1 + LOG_2PI)
        return Estimate(value, 0.0, "closed form", "nats")

    @in_own_modes
    def _moments(self) -> tuple[Tensor, Tensor]:
        old = self.smoothing
        mean = old.weights @ old.means
        apart = old.means - mean
        within = torch.einsum("k,kij->ij", old.weights, old.covariances)
        return mean, within + (apart * old.weights.unsqueeze(1)).T @ apart

    def _like(self, weights: Tensor, means: Tensor, covariances: Tensor) -> GaussianMixture:
        """Another mixture, in this one's kind, dtype and device; covariances are known to be right."""
        made = object.__new__(GaussianMixture if len(weights) > 1 else type(self))
        made._form = self._form
        made.dimension = self.dimension
        made.smoothing = mixture_smoothing(weights, means, (covariances + covariances.transpose(1, 2)) / 2)
        return made

    def _given(self, tensor: Tensor) -> Any:
        tensor = tensor.to(self._form.dtype, copy=True)
        return tensor.cpu().numpy() if self._form.device is None else tensor.to(self._form.device)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self.smoothing.weights)} components, {self.dimension} dimensions)"


class Normal(GaussianMixture):
    """N(μ, Σ).

    Arguments:
        mean: (d,), or a number in one dimension.
        covariance: (d, d), or a variance in every direction.

    Raises:
        InputError: shapes that do not fit, a covariance that is not symmetric positive definite, NaN.

    Example:
        >>> p = Normal([0.0, 0.0], [[2.0, 0.5], [0.5, 1.0]])
        >>> p.entropy()
        3.11768 ± 0 nats (closed form)
        >>> p.score(np.array([[1.0, 1.0]])).round(4)
        array([[-0.2857, -0.8571]])
    """

    def __init__(self, mean: Any, covariance: Any = 1.0) -> None:
        centre = as_tensor("mean", mean)
        if centre.ndim > 1 or centre.numel() == 0:
            raise InputError(
                "mean", Text(f"shape {tuple(centre.shape)}"), "a mean of shape (d,), or a number in one dimension"
            )
        require_finite("mean", centre)
        tensors = [part for part in (mean, covariance) if isinstance(part, Tensor)]
        self._form = Form.of(tensors[0].reshape(1, -1) if tensors else np.atleast_2d(centre.numpy()))
        centre = centre.to(torch.float64, copy=True).reshape(-1)
        self.dimension = len(centre)
        if as_tensor("covariance", covariance).ndim == 0:
            self.smoothing = RoundSmoothing(centre, float(as_matrix("covariance", covariance, 1)))
            return
        matrix = as_matrix("covariance", covariance, self.dimension).to(centre.device)
        self.smoothing = mixture_smoothing(torch.ones_like(centre[:1]), centre.unsqueeze(0), matrix.unsqueeze(0))

    @in_own_modes
    def smoothed(self, covariance: Any) -> Normal:
        """N(μ, Σ + C)."""
        made = super().smoothed(covariance)
        assert isinstance(made, Normal)
        return made

    def __repr__(self) -> str:
        return f"Normal({self.dimension} dimensions)"


def _distribution(weights: Tensor) -> np.ndarray:
    shares = weights.cpu().numpy()
    return shares / shares.sum()


def _checked_weights(weights: Any, components: int) -> Float[Tensor, " component"]:
    shares = as_tensor("weights", weights).to(torch.float64)
    if shares.shape != (components,):
        raise InputError("weights", Text(f"shape {tuple(shares.shape)}"), f"shape ({components},), one entry per component")
    require_finite("weights", shares)
    total = float(shares.sum())
    if float(shares.min()) < 0 or not math.isclose(total, 1.0, abs_tol=1e-6):
        found = Text(f"{int((shares < 0).sum())} negative entries and a sum of {total:.6g}")
        raise InputError("weights", found, "non-negative entries that sum to 1")
    return shares / total


def _checked_covariances(given: Any, components: int, dimension: int) -> Float[Tensor, "component feature feature"]:
    matrices = as_tensor("covariances", given).to(torch.float64)
    if matrices.ndim == 0:
        matrices = matrices.expand(components)
    right = matrices.shape in ((components,), (components, dimension, dimension))
    if not right:
        expected = f"shape ({components}, {dimension}, {dimension}), or a variance for each component, or one for all"
        raise InputError("covariances", Text(f"shape {tuple(matrices.shape)}"), expected)
    return torch.stack([as_matrix(f"covariances[{k}]", matrices[k], dimension) for k in range(components)])
