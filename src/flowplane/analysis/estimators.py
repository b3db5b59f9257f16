"""The estimators of information: one list, from which the command line, comparisons and the documentation are made."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from inspect import signature
from typing import Any

from flowplane.errors import InputError, unknown
from flowplane.information.binned import Binned
from flowplane.information.estimator import Estimator

__all__ = ["ESTIMATORS", "OTHER_QUANTITIES", "estimator_help", "parse_estimator", "registered", "usual_estimators"]

#: Where each estimator lives. A new one is a line here.
ESTIMATORS = (
    "flowplane.information.binned:Binned",
    "flowplane.information.pairwise:Pairwise",
    "flowplane.information.ksg:KSG",
    "flowplane.information.gaussian:GaussianMI",
    "flowplane.information.renyi:MatrixRenyi",
    "flowplane.information.sliced:SlicedMI",
    "flowplane.information.variational:Variational",
    "flowplane.information.decodable:Decodable",
    "flowplane.bridge.denoising:Denoising",
)
#: Those whose information is not Shannon's: what they say contradicts nothing and is contradicted by nothing.
OTHER_QUANTITIES = ("MatrixRenyi", "SlicedMI")
#: What has a name of its own on the command line: the setting of the published code.
PUBLISHED = "binned-published"


@cache
def registered() -> dict[str, type[Estimator]]:
    """The estimators by the names that the command line has for them.

    Example:
        >>> list(registered())
        ['binned', 'pairwise', 'ksg', 'gaussian', 'renyi', 'sliced', 'variational', 'decodable', 'denoising']
    """
    found = {}
    for path in ESTIMATORS:
        module, _, name = path.partition(":")
        estimator = getattr(import_module(module), name)
        found[estimator.short_name] = estimator
    return found


def usual_estimators() -> dict[str, Estimator]:
    """One of each kind, with its usual parameters, by the name of its class."""
    return {estimator.__name__: estimator.usual() for estimator in registered().values()}


def estimator_help() -> str:
    """What the command line says of the estimators and their arguments."""
    parts = [f"{name} ({estimator.help})" for name, estimator in registered().items()]
    parts.insert(1, PUBLISHED)
    return f"NAME or NAME:argument=value,…: {'; '.join(parts)}."


def parse_estimator(text: str) -> Estimator:
    """An estimator from `name` or `name:argument=value,…`; numbers that belong together are written `-1..1`, the base of a
    sliced estimator by its name.

    Raises:
        InputError: an unknown estimator or argument, or a value it refuses.

    Example:
        >>> parse_estimator("binned:bins=30,range=-1..1")
        Binned(bins=30, range=(-1.0, 1.0), correction=None)
    """
    name, _, rest = text.partition(":")
    known: dict[str, Any] = {**registered(), PUBLISHED: Binned.published}
    if name not in known:
        raise unknown("estimator", name, known)
    arguments: dict[str, Any] = {}
    for part in filter(None, rest.split(",")):
        key, equals, value = part.partition("=")
        if not equals:
            raise InputError("estimator", text, f"{name}:argument=value,…")
        key, value = key.strip(), value.strip()
        arguments[key] = parse_estimator(value) if key == "base" else _value(value)
    try:
        return known[name](**arguments)  # type: ignore[no-any-return]
    except TypeError as error:
        parameters = signature(known[name]).parameters.values()
        missing = [one.name for one in parameters if one.default is one.empty and one.name not in arguments]
        if missing:
            raise InputError("estimator", text, f"{name}:{missing[0]}=…") from error
        names = ", ".join(one.name for one in parameters) or "none"
        raise InputError("estimator", text, f"arguments that {name} has: {names}") from error


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
