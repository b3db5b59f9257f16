"""Docstrings are plain text with `code`, *emphasis* and lists; what reStructuredText would read into the rest is escaped."""

from __future__ import annotations

import inspect
import re
from typing import Any

#: What stays as it is; and signs that would begin emphasis, a substitution, a reference or code.
KEPT = re.compile(r"""(`[^`]+`|(?<![\w*"])\*[^*"()\s][^*"()]*(?<!\s)\*(?![\w*]))""")
SIGNS = re.compile(r"(\*|\||`|(?<=\w)_(?!\w))")
REFERENCES = re.compile(r"( *)References:\n((?:\1    .*\n?)+)")


def restructured(text: str) -> str:
    """A docstring as reStructuredText: examples and code as they are, references as a list, other signs escaped."""
    text = REFERENCES.sub(lambda found: f"{found[1]}References:\n{_listed(found[2], len(found[1]) + 4)}", text)
    paragraphs = re.split(r"(\n[ ]*\n)", text)
    return "".join(part if ">>> " in part else _escaped(part) for part in paragraphs)


def _listed(text: str, indent: int) -> str:
    lines = (line[indent:] for line in text.splitlines())
    return "".join(f"{' ' * indent}{'  ' if line.startswith(' ') else '- '}{line.lstrip()}\n" for line in lines)


def _escaped(text: str) -> str:
    parts = KEPT.split(text)
    for place in range(0, len(parts), 2):
        parts[place] = SIGNS.sub(r"\\\1", parts[place])
        if place and re.match(r"\w", parts[place]):  # `Normal`s
            parts[place] = "\\ " + parts[place]
    return "".join(parts)


def first_sentence(value: Any) -> str:
    """What a docstring says first, on one line, as reStructuredText."""
    text = " ".join((inspect.getdoc(value) or "").split("\n\n")[0].split()) if value is not None else ""
    sentence = re.match(r".*?[.:](?=\s|$)", text)
    return restructured((sentence[0] if sentence else text).rstrip(":"))
