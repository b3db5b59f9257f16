"""Inventories of other projects for intersphinx, written from docs/inventories.txt: nothing is fetched."""

from __future__ import annotations

import zlib
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config

HEADER = "# Sphinx inventory version 2\n# Project: {}\n# Version: \n# The remainder of this file is compressed using zlib.\n"


def read(file: Path) -> dict[str, tuple[str, list[str]]]:
    """Project: its address, and its lines of an inventory."""
    found: dict[str, tuple[str, list[str]]] = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            project, address = line.strip("[]").split()
            found[project] = (address, [])
        elif line.strip() and not line.startswith("#"):
            name, role, page = line.split()
            found[project][1].append(f"{name} {role} 1 {page} -\n")
    return found


def write(app: Sphinx, config: Config) -> None:
    """Write the inventories beside the build's other notes, and tell intersphinx."""
    folder = Path(app.doctreedir) / "inventories"
    folder.mkdir(parents=True, exist_ok=True)
    for project, (address, lines) in read(Path(app.confdir) / "inventories.txt").items():
        file = folder / f"{project}.inv"
        file.write_bytes(HEADER.format(project).encode() + zlib.compress("".join(lines).encode()))
        config.intersphinx_mapping[project] = (address, str(file))


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("config-inited", write, priority=100)  # before intersphinx checks the mapping
    return {"parallel_read_safe": True, "parallel_write_safe": True}
