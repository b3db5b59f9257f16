"""HTML, with every text escaped on its way in."""

from __future__ import annotations

import json
from html import escape
from typing import Any

__all__ = ["Markup", "element", "joined", "json_script"]


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def joined(*parts: Any) -> Markup:
    """Parts one after another: HTML as it is, everything else escaped.

    Example:
        >>> joined(Markup("<br>"), "a < b")
        '<br>a &lt; b'
    """
    return Markup("".join(part if isinstance(part, Markup) else escape(str(part)) for part in parts))


def element(tag: str, *content: Any, **attributes: Any) -> Markup:
    """An element; `class_` is written class, other underscores as hyphens, None left out.

    Example:
        >>> element("th", "W_2 < 1", scope="col", class_="wide")
        '<th scope="col" class="wide">W_2 &lt; 1</th>'
    """
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    return joined(Markup(f"<{tag}{written}>"), *content, Markup(f"</{tag}>"))


def json_script(name: str, value: Any) -> Markup:
    """JSON in a page: no `<` in it can end the script or begin a comment."""
    text = value if isinstance(value, str) else json.dumps(value)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(f'<script type="application/json" id="{escape(name)}">{text}</script>')
