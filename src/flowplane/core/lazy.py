"""Packages whose public names are imported when they are first used, so that importing the package costs next to nothing.

Calls pass through here too: a public function runs in `core.modes.own_modes`, whatever the caller's modes are.

A package writes each name once, for type checkers and for this module:

    if TYPE_CHECKING:
        from flowplane.bottleneck.curve import ib_curve as ib_curve
    else:
        __getattr__, __dir__, __all__ = lazy(__name__)
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from inspect import isfunction
from typing import Any

from flowplane.core.modes import in_own_modes

__all__ = ["lazy", "public"]


def lazy(package: str, renamed: Mapping[str, str] | None = None) -> tuple[Callable, Callable, list[str]]:
    """`__getattr__`, `__dir__` and `__all__` of a package, from the imports under its `if TYPE_CHECKING:`.

    Arguments:
        renamed: names that are gone, and what they are called now.

    Example:
        >>> import flowplane.bottleneck
        >>> flowplane.bottleneck.ib_curves
        Traceback (most recent call last):
        ...
        AttributeError: module 'flowplane.bottleneck' has no attribute 'ib_curves'; did you mean 'ib_curve'?
    """
    module = sys.modules[package]
    places = _places(module.__spec__.loader.get_source(package))  # type: ignore[union-attr]
    names = sorted(places)

    def get(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}{_hint(name, names, renamed or {})}")
        home, attribute = places[name]
        value = import_module(f"{package}.{attribute}") if home == package else public(home, attribute)
        setattr(module, name, value)
        return value

    return get, lambda: names, names


def public(home: str, name: str) -> Any:
    """What a module calls `name`; a function is wrapped in `own_modes`, in its module as well, where pickle looks it up."""
    value = getattr(import_module(home), name)
    if isfunction(value):
        value = in_own_modes(value)
        setattr(import_module(home), name, value)
    return value


def _places(source: str) -> dict[str, tuple[str, str]]:
    """Public name: module and attribute."""
    block = next(node for node in ast.parse(source).body if isinstance(node, ast.If))
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    return {alias.asname or alias.name: (str(node.module), alias.name) for node in imports for alias in node.names}


def _hint(name: str, names: list[str], renamed: Mapping[str, str]) -> str:
    if name in renamed:
        return f" any more: it is called {renamed[name]!r} now"
    if name.startswith("_"):
        return ""
    from difflib import get_close_matches

    near = get_close_matches(name, names, 1)
    return f"; did you mean {near[0]!r}?" if near else ""
