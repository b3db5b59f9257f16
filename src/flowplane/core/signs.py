"""Text for terminals that cannot show every sign: another one in its place, never an error."""

from __future__ import annotations

import codecs
import unicodedata
from typing import Any

__all__ = ["HANDLER", "show_anything", "shown"]

#: The name of this error handler for `str.encode` and streams: what happens to signs that an encoding lacks.
HANDLER = "flowplane.signs"

#: Signs that neither decompose nor have a Latin or Greek letter in their names.
OTHERS = {
    **dict.fromkeys("−–—‐‑", "-"),
    **dict.fromkeys("“”", '"'),
    **dict.fromkeys("‘’′", "'"),
    "≤": "<=",
    "≥": ">=",
    "→": "->",
    "←": "<-",
    "±": "+-",
    "×": "x",
    "·": "-",
    "∞": "inf",
    "≈": "~",
    "√": "sqrt ",
    "‖": "||",
    "∇": "grad ",
    "∂": "d",
    "∫": "int ",
    "⁄": "/",
    "§": "section ",
    "✓": "yes",
    "✗": "no",
}


def _instead(sign: str) -> str:
    if sign in OTHERS:
        return OTHERS[sign]
    apart = unicodedata.normalize("NFKD", sign)
    if apart != sign:
        return "".join(map(_instead, apart))
    if sign.isascii() or unicodedata.combining(sign):
        return sign if sign.isascii() else ""
    words = unicodedata.name(sign, "").split()
    if words[:1] == ["GREEK"] and "LETTER" in words:
        name = words[words.index("LETTER") + 1]
        return name.capitalize() if "CAPITAL" in words else name.lower()
    return "?"


def _replaced(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_instead, error.object[error.start : error.end])), error.end


codecs.register_error(HANDLER, _replaced)


def shown(text: str, encoding: str) -> str:
    """The text as a terminal of this encoding can show it.

    Example:
        >>> shown("β ≥ 1 … naïve × 2", "ascii"), shown("β ≥ 1 … naïve × 2", "latin-1")
        ('beta >= 1 ... naive x 2', 'beta >= 1 ... naïve × 2')
    """
    return text.encode(encoding, HANDLER).decode(encoding)


def show_anything(stream: Any) -> None:
    """Make a text stream write what it can show instead of raising; any other stream is left as it is."""
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors=HANDLER)
