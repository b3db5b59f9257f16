"""How far weights move and in how many directions: displacement, its exponent, the updates' covariance (§B7)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from flowplane.dynamics.arguments import Number, Window, as_array, as_epochs, origin_place
from flowplane.errors import InputError, Text

__all__ = ["Spectrum", "diffusion_exponent", "mean_squared_displacement", "update_spectrum", "velocity_autocorrelation"]

#: A slope needs three points: two would fit anything.
FEWEST = 3


class Spectrum(NamedTuple):
    """Eigenvalues (…, component) of the updates' covariance C per epoch, greatest first; its participation ratio
    (tr C)²/tr C² as measured, and corrected for the few increments, both (…)."""

    eigenvalues: np.ndarray
    participation: np.ndarray
    participation_corrected: np.ndarray


def mean_squared_displacement(weights: Any, epochs: Any, origin: Number) -> tuple[np.ndarray, np.ndarray]:
    """‖w(origin + t) − w(origin)‖² for every epoch after the origin (§B7).

    Its mean over a Wiener process of covariance C per epoch is t·tr C: exponent 1. Weights that drift at a constant speed
    have exponent 2, weights tied to one place exponent 0 in the end.

    Arguments:
        weights: (…, epoch, parameter), such as (replica, epoch, parameter) of one layer.
        epochs: (epoch,), increasing.
        origin: one of them.

    Returns:
        The lags t in epochs, (lag,), and the displacements (…, lag) in squared units of weight.

    Raises:
        InputError: no numbers, NaN, other shapes, no such origin, or no epoch after it.

    Example:
        >>> lags, msd = mean_squared_displacement([[[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]]], [5, 6, 7], 5)
        >>> lags.tolist(), msd.tolist()
        ([1.0, 2.0], [[25.0, 100.0]])
    """
    after, times = _after(weights, epochs, origin, 1)
    return times[1:] - times[0], ((after[..., 1:, :] - after[..., :1, :]) ** 2).sum(-1)


def diffusion_exponent(displacement: Any, lags: Any, window: Window = None) -> np.ndarray:
    """α of the power law t^α nearest to a mean squared displacement: the least-squares slope of its logarithm in log t
    (§B7).

    Arguments:
        displacement: (…, lag), 0 or more.
        lags: (lag,), epochs, increasing from above 0.
        window: the least and the greatest lag to use; None for all.

    Returns:
        (…); NaN where a displacement is 0: weights that do not move have no exponent.

    Raises:
        InputError: no numbers, NaN, other shapes, or fewer than three lags in the window.

    Example:
        >>> lags = np.array([1.0, 10.0, 100.0])
        >>> diffusion_exponent([lags, 3 * lags**2], lags).round(6).tolist()
        [1.0, 2.0]
    """
    msd = as_array("displacement", displacement, ("lag",))
    if (msd < 0).any():
        raise InputError("displacement", Text("negative values"), "squared displacements")
    times = as_epochs(lags, msd.shape[-1], "lags")
    chosen = in_window(times, window)
    t = np.log(times[chosen])
    t -= t.mean()
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = np.log(msd[..., chosen]) @ t / (t @ t)
    return np.where((msd[..., chosen] > 0).all(-1), slope, np.nan)


def in_window(lags: Float[np.ndarray, " lag"], window: Window) -> np.ndarray:
    """Which lags are in the window (lag,). Raises InputError for no window, or fewer than three lags in it."""
    if lags[0] <= 0:
        raise InputError("lags", Text(f"{lags[0]:g}"), "epochs since the origin, above 0")
    if window is None:
        chosen = np.ones(len(lags), bool)
    else:
        ends = as_array("window", window, ("end",))
        if ends.shape != (2,) or ends[0] >= ends[1]:
            raise InputError("window", window, "the least and the greatest lag, in epochs")
        chosen = (lags >= ends[0]) & (lags <= ends[1])
    if chosen.sum() < FEWEST:
        raise InputError("window", Text(f"{chosen.sum()} of {len(lags)} lags"), f"{FEWEST} lags or more for an exponent")
    return chosen


def update_spectrum(weights: Any, epochs: Any, origin: Number) -> Spectrum:
    """Eigenvalues and participation ratio of the covariance of the weights' updates, per epoch (§B7).

    The increments between snapshots from the origin on, each divided by √Δepoch, are N(0, C) for a Wiener process; C is
    their second moment about 0, as they have no drift there. Fewer increments n than parameters: the same eigenvalues
    come from the increments' Gram matrix. The participation ratio then stays below n whatever C is, so the corrected one
    takes (tr C)² and tr C² from their unbiased estimates for normal increments; it is kept within 1 and the number of
    parameters.

    Arguments:
        weights: (…, epoch, parameter).
        epochs: (epoch,), increasing.
        origin: one of them.

    Returns:
        A `Spectrum` with min(n, parameters) components, in squared units of weight per epoch; the ratios are NaN where
        nothing moves.

    Raises:
        InputError: what `mean_squared_displacement` refuses, or fewer than two increments.

    Example:
        >>> path = np.cumsum([[0.0, 0.0], [2.0, 0.0], [0.0, 1.0], [2.0, 0.0], [0.0, 1.0]], axis=0)
        >>> found = update_spectrum(path, [0, 1, 2, 3, 4], 0)
        >>> found.eigenvalues.tolist(), float(found.participation).__round__(3)
        ([2.0, 0.5], 1.471)
    """
    steps = increments(weights, epochs, origin)
    count, parameters = steps.shape[-2:]
    second = steps @ steps.swapaxes(-1, -2) if count < parameters else steps.swapaxes(-1, -2) @ steps
    eigenvalues = np.linalg.eigvalsh(second / count)[..., ::-1].clip(0.0)
    total, squares = unbiased_traces(eigenvalues, count)
    measured = eigenvalues.sum(-1) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        participation = measured / (eigenvalues**2).sum(-1)
        corrected = np.where(squares > 0, total / squares, np.inf).clip(1.0, parameters)
    return Spectrum(eigenvalues, participation, np.where(measured > 0, corrected, np.nan))


def unbiased_traces(
    eigenvalues: Float[np.ndarray, "*batch component"], count: int
) -> tuple[Float[np.ndarray, "*batch"], Float[np.ndarray, "*batch"]]:
    """(tr C)² and tr C² from the second moment of `count` increments N(0, C).

    E(tr Ĉ)² = (tr C)² + 2 tr C²/n and E tr Ĉ² = (1 + 1/n) tr C² + (tr C)²/n, solved.
    """
    total, squares = eigenvalues.sum(-1) ** 2, (eigenvalues**2).sum(-1)
    unbiased = (squares - total / count) / (1 + 1 / count - 2 / count**2)
    return np.asarray(total - 2 * unbiased / count), np.asarray(unbiased)


def velocity_autocorrelation(weights: Any, epochs: Any, origin: Number) -> np.ndarray:
    """Σ_j d_j·d_{j+1} / √(Σ‖d_j‖² Σ‖d_{j+1}‖²) of successive increments d_j, each divided by √Δepoch (§B7).

    0 on average for a Wiener process, 1 for a straight line, below 0 for weights that are pulled back.

    Arguments:
        weights: (…, epoch, parameter).
        epochs: (epoch,), increasing.
        origin: one of them.

    Returns:
        (…); NaN where nothing moves.

    Raises:
        InputError: what `mean_squared_displacement` refuses, or fewer than two increments.

    Example:
        >>> float(velocity_autocorrelation([[0.0], [1.0], [0.0], [1.0]], [0, 1, 2, 3], 0))
        -1.0
    """
    steps = increments(weights, epochs, origin)
    squares = (steps**2).sum(-1)
    together = (steps[..., :-1, :] * steps[..., 1:, :]).sum((-1, -2))
    norm = np.sqrt(squares[..., :-1].sum(-1) * squares[..., 1:].sum(-1))
    return np.divide(together, norm, out=np.full_like(norm, np.nan), where=norm > 0)


def increments(weights: Any, epochs: Any, origin: Number) -> Float[np.ndarray, "*batch increment parameter"]:
    """From snapshot to snapshot after the origin, divided by √Δepoch. Raises InputError for fewer than two."""
    after, times = _after(weights, epochs, origin, 2)
    return np.diff(after, axis=-2) / np.sqrt(np.diff(times))[:, None]


def _after(
    weights: Any, epochs: Any, origin: Number, least: int
) -> tuple[Float[np.ndarray, "*batch epoch parameter"], Float[np.ndarray, " epoch"]]:
    """Weights and epochs from the origin on."""
    array = as_array("weights", weights, ("epoch", "parameter"))
    times = as_epochs(epochs, array.shape[-2])
    place = origin_place(origin, times)
    if len(times) - 1 - place < least:
        found = Text(f"{origin:g} with {len(times) - 1 - place} epochs after it")
        raise InputError("origin", found, f"an epoch with {least} or more after it")
    return array[..., place:, :], times[place:]
