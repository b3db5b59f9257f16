"""Arguments that have new names: the old one raises a TypeError that says the new one. To be deleted at 1.0."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

__all__ = ["RENAMED", "renamed"]

#: By function or class (`__qualname__`): the old name of an argument, and the new one or, beginning with "use", what to do.
RENAMED: dict[str, dict[str, str]] = {
    "Empirical": {"bandwidth": "kernel_covariance"},
    "GaussianMI": {"noise": "noise_variance"},
    "KSG": {"noise": "noise_variance"},
    "LearnedDenoiser": {"covariance": "noise_covariance"},
    "MonteCarlo": {"variance": "noise_variance"},
    "Pairwise": {"variance": "noise_variance"},
    "Recorder": {"total": "epochs"},
    "RecorderCallback": {"total": "epochs"},
    "SlicedMI": {"noise": "noise_variance"},
    "Stack.composition": {"noise": "noise_covariances"},
    "Study": {"noise": "noise_variance"},
    "Variational": {"noise": "noise_variance"},
    "class_particles": {"particles": "dataset"},
    "compare_estimators": {"noise": "noise_variance"},
    "denoiser_fields": {"fields": "dataset"},
    "denoising_flow": {"covariance": "noise_covariance"},
    "denoising_loss": {"covariance": "noise_covariance"},
    "depth_curves": {"depths": "dataset"},
    "displacement_fields": {"fields": "dataset"},
    "equivalence_errors": {"found": "dataset"},
    "error_surface": {"surfaces": "dataset"},
    "estimator_curves": {"table": "dataset"},
    "from_checkpoints": {"epochs": "at"},
    "information_plane": {"plane": "dataset", "noise": "noise_variance"},
    "information_planes": {"planes": "dataset"},
    "layer_beta_curves": {"betas": "dataset"},
    "layer_betas": {"epochs": "use rec.thin(…) or rec.sel(epoch=…)"},
    "layer_similarity": {"found": "dataset"},
    "layer_transport": {"epochs": "use rec.thin(…) or rec.sel(epoch=…)"},
    "optimal_loss": {"covariance": "noise_covariance"},
    "relaxation_times": {"epochs": "use rec.thin(…) or rec.sel(epoch=…)"},
    "ridgelet_spectrum": {"spectrum": "dataset"},
    "separation_curves": {"found": "dataset"},
    "stack": {"covariance": "noise_covariance"},
    "train": {"noise": "noise_variance"},
    "train_denoiser": {"covariance": "noise_covariance"},
}

Callee = TypeVar("Callee", bound=Callable[..., Any])


def renamed(callee: Callee) -> Callee:
    """A function or class that refuses the old names which `RENAMED` lists for it.

    Example:
        >>> RENAMED["measured"] = {"noise": "noise_variance"}
        >>> @renamed
        ... def measured(x, noise_variance=None):
        ...     return x
        >>> measured(1, noise=0.1)
        Traceback (most recent call last):
        ...
        TypeError: measured() has no argument 'noise' any more: it is called 'noise_variance' now
        >>> _ = RENAMED.pop("measured")
    """
    title = callee.__qualname__
    if isinstance(callee, type):
        callee.__init__ = _refusing(callee.__init__, title)  # type: ignore[misc]
        return callee
    return _refusing(callee, title)  # type: ignore[no-any-return]


def _refusing(function: Any, title: str) -> Any:
    names = RENAMED[title]

    @wraps(function)
    def refusing(*arguments: Any, **keywords: Any) -> Any:
        for old in names.keys() & keywords.keys():
            hint = names[old] if names[old].startswith("use ") else f"it is called {names[old]!r} now"
            raise TypeError(f"{title}() has no argument {old!r} any more: {hint}")
        return function(*arguments, **keywords)

    return refusing
