"""What a notebook shows of an object: a small table in the notebook's own colours, text escaped."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["folded", "frame_html", "shortened", "table_html"]

#: Rows of a table that are shown.
ROWS = 100
#: Characters of a name, a path or a task that are shown.
SHOWN = 80
_CELL = "text-align:left;padding:1px 8px 1px 0;vertical-align:top;font-weight:"


def table_html(title: str, rows: Iterable[tuple[str, str]]) -> str:
    """A title, and below it a row for each name whose text is not empty.

    Arguments:
        title: HTML, such as `shortened` makes.
        rows: names, which are escaped here, and what stands beside them: HTML.

    Example:
        >>> "<script>" in table_html("flow", [("source", shortened("<script>"))])
        False
    """
    body = "".join(
        f'<tr><th style="{_CELL}normal;opacity:.7">{escape(name)}</th><td style="{_CELL}normal">{html}</td></tr>'
        for name, html in rows
        if html
    )
    head = f'<div style="opacity:.7">{title}</div>'
    return f'<div>{head}<table style="border-collapse:collapse;color:inherit;background:none">{body}</table></div>'


def folded(summary: str, frame: pd.DataFrame) -> str:
    """A table that opens at a click on its summary, which is HTML."""
    return f'<details><summary style="cursor:pointer">{summary}</summary>{frame_html(frame)}</details>'


def frame_html(frame: pd.DataFrame) -> str:
    """A table without its index; of a long one only the first and last rows."""
    return str(frame.to_html(index=False, border=0, justify="left", max_rows=ROWS, show_dimensions=False))


def shortened(text: str) -> str:
    """Escaped, and cut in the middle where it is long.

    Example:
        >>> shortened("a < b"), len(shortened(100 * "a"))
        ('a &lt; b', 81)
    """
    half = SHOWN // 2
    return escape(text if len(text) <= SHOWN else f"{text[:half]}…{text[-half:]}")
