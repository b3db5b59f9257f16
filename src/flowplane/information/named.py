"""Estimators by name, as the command line writes them."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any

from flowplane.core.measure import Measure
from flowplane.errors import InputError, unknown
from flowplane.information.binned import Binned
from flowplane.information.gaussian import GaussianMI
from flowplane.information.ksg import KSG
from flowplane.information.pairwise import Pairwise
from flowplane.information.renyi import MatrixRenyi
from flowplane.information.sliced import SlicedMI
from flowplane.information.variational import Variational

__all__ = ["ESTIMATORS", "parse_estimator"]

#: A new estimator is one line here.
ESTIMATORS: dict[str, Callable[..., Measure]] = {
    "binned": Binned,
    "binned-published": Binned.published,
    "gaussian": GaussianMI,
    "ksg": KSG,
    "pairwise": Pairwise,
    "renyi": MatrixRenyi,
    "sliced": SlicedMI,
    "variational": Variational,
}


def parse_estimator(text: str) -> Measure:
    """An estimator from `name` or `name:argument=value,…`; numbers that belong together are written `-1..1`, the base of a
    sliced estimator by its name.

    Raises:
        InputError: an unknown estimator or argument, or a value it refuses.

    Example:
        >>> parse_estimator("binned:bins=30,range=-1..1")
        Binned(bins=30, range=(-1.0, 1.0), correction=None)
    """
    name, _, rest = text.partition(":")
    if name not in ESTIMATORS:
        raise unknown("estimator", name, ESTIMATORS)
    arguments: dict[str, Any] = {}
    for part in filter(None, rest.split(",")):
        key, equals, value = part.partition("=")
        if not equals:
            raise InputError("estimator", text, f"{name}:argument=value,…")
        key, value = key.strip(), value.strip()
        arguments[key] = parse_estimator(value) if key == "base" else _value(value)
    try:
        return ESTIMATORS[name](**arguments)
    except TypeError as error:
        parameters = signature(ESTIMATORS[name]).parameters.values()
        missing = [one.name for one in parameters if one.default is one.empty and one.name not in arguments]
        if missing:
            raise InputError("estimator", text, f"{name}:{missing[0]}=…") from error
        known = ", ".join(one.name for one in parameters) or "none"
        raise InputError("estimator", text, f"arguments that {name} has: {known}") from error


def _value(text: str) -> Any:
    if ".." in text:
        return tuple(_value(part) for part in text.split(".."))
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
