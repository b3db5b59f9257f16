"""The information bottleneck of jointly normal X and Y, in closed form."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from flowplane.bottleneck.joint import check_betas
from flowplane.core.arrays import as_tensor, require_finite
from flowplane.core.points import as_matrix
from flowplane.core.results import stamp
from flowplane.errors import InputError, Text

__all__ = ["gaussian_ib"]

#: Squared canonical correlations this near to 1 make I(X;Y) infinite, this near to 0 count as 0, in float64.
ROUNDING = 1e-12
#: Number of values of β by default, and how far they reach below the first and above the last critical one.
BETAS, BELOW, ABOVE = 100, 0.5, 1000.0


def gaussian_ib(covariance_x: Any, covariance_y: Any, covariance_xy: Any, betas: Any = None) -> xr.Dataset:
    """The curve of min I(X;T) − βI(T;Y) for jointly normal X and Y, and the linear map that attains it.

    T = A(β)X + ξ with ξ ~ N(0, I). With λ_i, v_i the eigenvalues and left eigenvectors of Σ_{x|y} Σ_x⁻¹, v_iᵀΣ_x v_i = 1,
    row i of A is α_i v_iᵀ, where α_i² = max((β(1 − λ_i) − 1)/λ_i, 0). So direction i opens at β_i = 1/(1 − λ_i), and over
    the n that are open

        I(X;T) = ½ Σ log2 (β − 1)(1 − λ_i)/λ_i,    I(T;Y) = I(X;T) − ½ Σ log2 β(1 − λ_i).

    See also: Chechik, Globerson, Tishby and Weiss, Information bottleneck for Gaussian variables, JMLR 6 (2005).
    docs/papers.md §B6.

    Arguments:
        covariance_x, covariance_y: (x, x) and (y, y), or a variance where X or Y is a number.
        covariance_xy: (x, y), the covariances of the components of X with those of Y.
        betas: 100 around the critical ones if None; the order is kept.

    Returns:
        Dataset: `i_xt`, `i_ty` (beta) in bits; `eigenvalues` λ_i and `critical_betas` (component), ascending, infinite for
        directions unrelated to Y; A(β) as `gain` α_i (beta, component) times `direction` v_i (component, feature).
        `attrs["information"]` is I(X;Y) in bits, where the curve ends.

    Raises:
        InputError: shapes that do not fit, NaN, a covariance that is not symmetric positive definite, an impossible joint
            distribution or one in which Y fixes a direction of X (I(X;Y) would be infinite), β that are not above 0.

    Example:
        >>> curve = gaussian_ib(1.0, 1.0, 0.8, betas=[1.0, 4.0])
        >>> curve.critical_betas.values.round(4).tolist(), curve.i_xt.values.round(4).tolist()
        ([1.5625], [0.0, 1.2075])
    """
    of_x, of_y, cross = _covariances(covariance_x, covariance_y, covariance_xy)
    shared, direction = _canonical(of_x, of_y, cross)
    eigenvalues = 1.0 - shared
    critical = np.divide(1.0, shared, out=np.full_like(shared, np.inf), where=shared > 0)
    given = _around(critical) if betas is None else check_betas(betas)
    beta = given[:, None]
    opened = beta > critical
    safe = np.where(opened, shared, 0.5)  # any number: closed directions count for nothing
    extent = np.where(opened, 0.5 * np.log2(np.where(opened, beta - 1.0, 1.0) * safe / (1.0 - safe)), 0.0)
    relevant = np.where(opened, extent - 0.5 * np.log2(beta * safe), 0.0)
    gain = np.sqrt(np.where(opened, beta * safe - 1.0, 0.0) / (1.0 - safe))
    bits = {"units": "bits"}
    dataset = xr.Dataset(
        {
            "i_xt": ("beta", extent.sum(1).clip(min=0.0), {**bits, "long_name": "I(X;T)"}),
            "i_ty": ("beta", relevant.sum(1).clip(min=0.0), {**bits, "long_name": "I(T;Y)"}),
            "eigenvalues": ("component", eigenvalues, {"units": "1"}),
            "critical_betas": ("component", critical, {"units": "1", "long_name": "critical β"}),
            "gain": (("beta", "component"), gain, {"units": "1"}),
            "direction": (("component", "feature"), direction, {"units": "1"}),
        },
        coords={"beta": given},
        attrs={"units": "bits", "information": float(-0.5 * np.log2(eigenvalues).sum())},
    )
    return stamp(dataset, "gaussian_ib")


def _covariances(
    covariance_x: Any, covariance_y: Any, covariance_xy: Any
) -> tuple[Float[Tensor, "x x"], Float[Tensor, "y y"], Float[Tensor, "x y"]]:
    cross = as_tensor("covariance_xy", covariance_xy).to("cpu", torch.float64)
    require_finite("covariance_xy", cross)
    if cross.ndim == 0:
        cross = cross.reshape(1, 1)
    if cross.ndim != 2 or 0 in cross.shape:
        raise InputError("covariance_xy", Text(f"shape {tuple(cross.shape)}"), "shape (x, y), neither of them 0")
    sizes = dict(zip(("covariance_x", "covariance_y"), cross.shape, strict=True))
    given = {"covariance_x": covariance_x, "covariance_y": covariance_y}
    of_x, of_y = (as_matrix(name, as_tensor(name, value).cpu(), sizes[name]) for name, value in given.items())
    return of_x, of_y, cross


def _canonical(
    of_x: Float[Tensor, "x x"], of_y: Float[Tensor, "y y"], cross: Float[Tensor, "x y"]
) -> tuple[Float[np.ndarray, " component"], Float[np.ndarray, "component feature"]]:
    """1 − λ_i, the squared canonical correlations, descending, and v_i with v_iᵀΣ_x v_i = 1.

    With Σ_x = LLᵀ the left eigenvectors of Σ_{x|y}Σ_x⁻¹ are L⁻ᵀu_i, u_i those of the symmetric L⁻¹Σ_{x|y}L⁻ᵀ.
    """
    root_x, root_y = torch.linalg.cholesky(of_x), torch.linalg.cholesky(of_y)
    whitened = torch.linalg.solve_triangular(root_x, cross, upper=False)
    whitened = torch.linalg.solve_triangular(root_y, whitened.T, upper=False).T
    u, correlations, _ = torch.linalg.svd(whitened, full_matrices=True)
    shared = correlations.new_zeros(len(of_x))
    shared[: len(correlations)] = correlations.square()
    greatest = math.sqrt(float(shared[0]))
    if greatest**2 > 1.0 + ROUNDING:
        found = Text(f"a joint covariance that is not positive semi-definite (a correlation of {greatest:.6g})")
        raise InputError("covariance_xy", found, "covariances of one joint distribution")
    if greatest**2 >= 1.0 - ROUNDING:
        found = Text("a direction of X that Y fixes, so that I(X;Y) is infinite")
        raise InputError("covariance_xy", found, "canonical correlations below 1")
    shared[shared < ROUNDING] = 0.0
    direction = torch.linalg.solve_triangular(root_x.T, u, upper=True).T
    return shared.numpy(), direction.numpy()


def _around(critical: Float[np.ndarray, " component"]) -> Float[np.ndarray, " beta"]:
    finite = critical[np.isfinite(critical)]
    least, greatest = (finite[0], finite[-1]) if len(finite) else (1.0, 1.0)
    return np.geomspace(BELOW * least, ABOVE * greatest, BETAS)
