"""Docstrings are plain text with `code`; what reStructuredText would read into the rest is escaped."""

from __future__ import annotations

import inspect
import re
from typing import Any

#: Code between backticks, which stays as it is; and signs that would begin emphasis, a substitution or a reference.
CODE = re.compile(r"(`[^`]+`)")
SIGNS = re.compile(r"(\*(?=\w)|\||(?<=\w)_(?!\w)|`)")


def restructured(text: str) -> str:
    """A docstring as reStructuredText: examples and code as they are, other signs escaped."""
    found, example = [], False
    for paragraph in re.split(r"(\n[ ]*\n)", text):
        first = paragraph.lstrip().split("\n")
        example = any(line.lstrip().startswith(">>>") for line in first)
        found.append(paragraph if example else _escaped(paragraph))
    return "".join(found)


def _escaped(text: str) -> str:
    parts = CODE.split(text)
    return "".join(part if place % 2 else SIGNS.sub(r"\\\1", part) for place, part in enumerate(parts))


def first_sentence(value: Any) -> str:
    """What a docstring says first, on one line, as reStructuredText."""
    text = " ".join((inspect.getdoc(value) or "").split("\n\n")[0].split()) if value is not None else ""
    sentence = re.match(r".*?[.:](?=\s|$)", text)
    return restructured((sentence[0] if sentence else text).rstrip(":"))
