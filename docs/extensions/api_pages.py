"""The API section: a page of each package with a table of its names, and a page of each name, from docstrings."""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Any

from docstrings import first_sentence, restructured
from public_names import FACES, Name, face_module, public_names

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.config import Config

FOLDER = "api/generated"
#: Stands for a colon while napoleon reads.
COLON = "\ue000"


def page_of(home: str) -> str:
    """The file of a name without its ending; functions apart from classes where a file system ignores case."""
    return f"{home}-class" if home.rpartition(".")[2][0].isupper() else home


def _directive(found: Name) -> str:
    if inspect.isclass(found.value):
        options = "   :members:\n   :special-members: __call__, __matmul__\n"
        options += "   :show-inheritance:\n" * any(map(_is_public, found.value.__bases__))
        options += f"   :exclude-members: {', '.join(_settings(found.value))}\n"
        return f".. autoclass:: {found.home}\n{options}"
    if callable(found.value):
        return f".. autofunction:: {found.home}\n"
    return f".. py:data:: {found.home}\n\n{indent(_shown(found.value), '   ')}\n"


def _is_public(value: Any) -> bool:
    return any(value is found.value for found in public_names())


def _settings(value: type) -> list[str]:
    """Constants of a class that its bases explain."""
    above = {name for base in value.__mro__[1:-1] for name in (*vars(base), *vars(base).get("__annotations__", ()))}
    return [name for name, one in vars(value).items() if name in above and isinstance(one, bool | str | int | float)]


def _shown(value: Any) -> str:
    """A constant: a mapping's keys with what they stand for, else the value."""
    if not isinstance(value, Mapping):
        return f"``{value!r}``"
    rows = ((key, restructured(str(getattr(one, "title", one)))) for key, one in value.items())
    return ".. list-table::\n\n" + "".join(f"   * - ``{key}``\n     - {said}\n" for key, said in rows)


def _titled(title: str, mark: str = "=") -> str:
    return f"{title}\n{mark * len(title)}\n\n"


def _row(found: Name) -> str:
    documented = found.value if callable(found.value) else None
    return f"   * - :py:obj:`{found.name} <{found.home}>`\n     - {first_sentence(documented)}\n"


def pages() -> dict[str, str]:
    """Text of every page by its name."""
    found: dict[str, str] = {}
    of_face = defaultdict(list)
    for name in public_names():
        of_face[name.face].append(name)
        if name.home == f"{name.face}.{name.name}":
            found[page_of(name.home)] = f"{_titled(name.home.removeprefix('flowplane.'))}{_directive(name)}"
    for face, names in of_face.items():
        said = restructured(inspect.getdoc(face_module(face)) or "")
        table = ".. list-table::\n   :widths: 35 65\n   :class: names\n\n" + "".join(map(_row, names))
        own = "".join(f"   {name.name} <{page_of(name.home)}>\n" for name in names if name.home == f"{face}.{name.name}")
        toctree = f".. toctree::\n   :hidden:\n\n{own}" if own else ""
        found[f"{face}.index"] = f"{_titled(FACES[face])}``{face}``\n\n{said}\n\n{table}\n{toctree}"
    return found


def write(app: Sphinx, config: Config) -> None:
    """Write what is new or has changed, and remove what is gone."""
    folder = Path(app.srcdir) / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    texts = pages()
    for file in folder.glob("*.rst"):
        if file.stem not in texts:
            file.unlink()
    for name, text in texts.items():
        file = folder / f"{name}.rst"
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")


def _docstring(app, what, name, value, options, lines: list[str]) -> None:
    lines[:] = restructured("\n".join(lines)).split("\n")
    if what in ("attribute", "property") and lines:  # napoleon would take what stands before a colon for a type
        lines[0] = lines[0].replace(":", COLON)


def _with_colons(app, what, name, obj, options, lines: list[str]) -> None:
    lines[:] = [line.replace(COLON, ":") for line in lines]


def _bases(app, name, obj, options, bases: list) -> None:
    bases[:] = filter(_is_public, bases)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("config-inited", write)
    app.connect("autodoc-process-docstring", _docstring, priority=100)  # before napoleon
    app.connect("autodoc-process-docstring", _with_colons, priority=900)  # after it
    app.connect("autodoc-process-bases", _bases)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
