"""What a report is written in: elements, tables, numbers and lists of names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from flowplane.plot.page.markup import Markup, element, joined

__all__ = ["Markup", "count", "element", "epoch_text", "interval", "joined", "listed", "number", "paragraphs", "table"]


def paragraphs(sentences: Sequence[str]) -> Markup:
    """A paragraph, or nothing where there is no sentence."""
    said = " ".join(sentence for sentence in sentences if sentence)
    return element("p", said) if said else Markup("")


def table(caption: str, head: Sequence[Any], rows: Sequence[Sequence[Any]], **attributes: Any) -> Markup:
    """A table that says what its rows and columns are; wider than the page it scrolls by itself.

    Arguments:
        rows: the first cell of each names the row.
    """
    columns = element("tr", *(element("th", cell, scope="col") for cell in head))
    body = [
        element(
            "tr",
            element("th", row[0], scope="row"),
            *(element("td", cell, data_label=head[k]) for k, cell in enumerate(row[1:], 1)),
        )
        for row in rows
    ]
    whole = element("table", element("caption", caption), element("thead", columns), element("tbody", *body), **attributes)
    return element("div", whole, class_="scroll", tabindex="0", role="group", aria_label=caption)


def number(value: float, units: str = "") -> str:
    """Three significant digits, or a dash where there is none; from a million on, and below a thousandth, by powers of ten.

    Example:
        >>> number(0.98765, "bits"), number(1234.4), number(float("nan")), number(1.2e-5), number(-9.24e22)
        ('0.988 bits', '1,234', '–', '1.2e-05', '−9.2e+22')
    """
    if not np.isfinite(value):
        return "–"
    size = abs(value)
    if size >= 999_999.5:
        text = f"{size:.1e}"
    elif size >= 1000:
        text = f"{size:,.0f}"
    elif size == 0:
        text = "0"
    elif size >= 0.0095:
        text = f"{size:.{0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3}f}"
    else:
        text = f"{size:.1e}" if size < 0.001 else f"{size:.2g}"
    text = f"−{text}" if value < 0 else text
    return f"{text} {units}" if units else text


def epoch_text(epoch: float) -> str:
    """An epoch, or a median of epochs, without digits that no snapshot can resolve.

    Example:
        >>> epoch_text(51.0), epoch_text(1234.5), epoch_text(float("nan"))
        ('51', '1,234', '–')
    """
    return f"{epoch:,.0f}" if np.isfinite(epoch) else "–"


def interval(value: float, low: float, high: float) -> str:
    """A number with its interval.

    Example:
        >>> interval(4.4, 4.0, 4.8), interval(4.4, float("nan"), float("nan"))
        ('4.40 [4.00, 4.80]', '4.40')
    """
    known = np.isfinite(value) and np.isfinite(low) and np.isfinite(high)
    return f"{number(value)} [{number(low)}, {number(high)}]" if known else number(value)


def count(total: int, one: str, many: str | None = None) -> str:
    """How many of what.

    Example:
        >>> count(1, "layer"), count(1200, "epoch"), count(0, "replica")
        ('1 layer', '1,200 epochs', 'no replicas')
    """
    name = one if total == 1 else many or f"{one}s"
    return f"{total:,} {name}" if total else f"no {name}"


def called(name: str, kind: str = "") -> str:
    """A layer in a sentence, by name and kind: names without a letter, as those of a Sequential, are said to be layers; that
    an ensemble's are dense goes without saying.

    Example:
        >>> called("3", "ReLU"), called("features.3"), called("layer3", "dense")
        ('layer 3 (ReLU)', 'features.3', 'layer3')
    """
    text = name if any(letter.isalpha() for letter in name) else f"layer {name}"
    return text if kind in ("", "dense", "array", name) else f"{text} ({kind})"


def listed(names: Sequence[str], most: int = 6) -> str:
    """Names in a sentence; of many the first few, and how many more.

    Example:
        >>> listed(["a", "b", "c"]), listed(["a"]), listed(list("abcdefghij"), most=3)
        ('a, b and c', 'a', 'a, b, c and 7 more')
    """
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
