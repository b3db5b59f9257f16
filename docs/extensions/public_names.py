"""Every public name: where it is documented, and in which other packages it can be had."""

from __future__ import annotations

import inspect
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple

#: Packages whose names are public, in the order in which their names find a home, with the title of their page.
FACES = {
    "flowplane": "flowplane",
    "flowplane.tasks": "Tasks",
    "flowplane.analysis": "Analyses of a recording",
    "flowplane.information": "Estimators of information",
    "flowplane.bridge": "Information by denoising",
    "flowplane.bottleneck": "The information bottleneck",
    "flowplane.dynamics": "What training does to weights",
    "flowplane.densities": "Densities",
    "flowplane.transport": "Transport",
    "flowplane.ridgelet": "Ridgelets and width",
    "flowplane.plot": "Figures",
    "flowplane.experiments": "Experiments",
    "flowplane.cluster": "Sweeps and clusters",
    "flowplane.integrations.lightning": "Lightning",
    "flowplane.integrations.transformers": "Transformers",
    "flowplane.integrations.tensorboard": "TensorBoard",
    "flowplane.integrations.trackers": "Other trackers",
    "flowplane.core.results": "What a result says of itself",
    "flowplane.errors": "Errors",
}


class Name(NamedTuple):
    """A public name as a package has it, the value, and the full name under which it is documented."""

    face: str
    name: str
    value: Any
    home: str


def face_module(face: str) -> ModuleType:
    """The package or module that a face is; `flowplane.densities` is an attribute, and no module of that name."""
    parent, _, last = face.rpartition(".")
    return getattr(import_module(parent), last) if face == "flowplane.densities" else import_module(face)


@cache
def public_names() -> tuple[Name, ...]:
    """All of them, faces in their order, names in the alphabet's."""
    homes: dict[int, str] = {}
    found = []
    for face in FACES:
        module = face_module(face)
        for name in sorted(module.__all__, key=str.lower):
            value = getattr(module, name)
            if isinstance(value, ModuleType) or name == "__version__":
                continue
            own = f"{face}.{name}"
            shared = inspect.isclass(value) or inspect.isfunction(value)
            found.append(Name(face, name, value, homes.setdefault(id(value), own) if shared else own))
    return tuple(found)


@cache
def short_names() -> dict[str, str]:
    """What text may call a public name, without `()`: `KSG`, `fp.plot.show`, `flowplane.plot.show`; and its home."""
    found: dict[str, str] = {}
    for face, name, _, home in public_names():
        for text in (f"{face}.{name}", f"fp{face.removeprefix('flowplane')}.{name}"):
            found.setdefault(text, home)
        if name[0].isupper():  # functions share their names with figures, quantities and arguments
            found.setdefault(name, home)
    return found
