"""Progress bars: on stderr, on a terminal or in a notebook only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from flowplane.core.signs import shown

__all__ = ["progress_bar"]


@contextmanager
def progress_bar(description: str, total: float) -> Iterator[Callable[[float], None]]:
    """A function that advances the bar; it does nothing where nobody watches.

    Example:
        >>> with progress_bar("training", total=10) as advance:
        ...     advance(10)
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not (console.is_terminal or console.is_jupyter):
        yield lambda amount: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(shown(description, console.encoding), total=total)
        yield lambda amount: bar.advance(task, amount)
