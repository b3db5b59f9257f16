"""Arguments that have new names: the old one raises a TypeError that says the new one. To be deleted at 1.0."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

__all__ = ["renamed"]

Function = TypeVar("Function", bound=Callable[..., Any])


def renamed(**names: str) -> Callable[[Function], Function]:
    """A function, method or class that names the new argument where an old one is passed.

    Arguments:
        names: old name → new name, or what to do instead in words that begin with "use".

    Example:
        >>> @renamed(noise="noise_variance")
        ... def measured(x, noise_variance=None):
        ...     return x
        >>> measured(1, noise=0.1)
        Traceback (most recent call last):
        ...
        TypeError: measured() has no argument 'noise' any more: it is called 'noise_variance' now
    """

    def decorated(function: Any) -> Any:
        if isinstance(function, type):
            function.__init__ = _refusing(function.__init__, function.__name__, names)  # type: ignore[misc]
            return function
        return _refusing(function, function.__name__, names)

    return decorated


def _refusing(function: Any, title: str, names: dict[str, str]) -> Any:
    @wraps(function)
    def refusing(*arguments: Any, **keywords: Any) -> Any:
        for old in names.keys() & keywords.keys():
            new = names[old]
            hint = new if new.startswith("use ") else f"it is called {new!r} now"
            raise TypeError(f"{title}() has no argument {old!r} any more: {hint}")
        return function(*arguments, **keywords)

    return refusing
