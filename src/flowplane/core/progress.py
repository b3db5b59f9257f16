"""Progress bars: on stderr, on a terminal or in a notebook only, and only for what takes longer than two seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import RLock, Timer
from typing import TYPE_CHECKING, Any

from flowplane.core.notebook_progress import NotebookProgress
from flowplane.core.signs import shown

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

__all__ = ["progress_bar"]

#: Seconds after which a bar is shown.
PATIENCE = 2.0


@contextmanager
def progress_bar(description: str, total: float) -> Iterator[Callable[[float], None]]:
    """A function that advances the bar; it does nothing where there is no one to see it.

    A bar within another stands below it while it lasts.

    Example:
        >>> with progress_bar("training", total=10) as advance:
        ...     advance(10)
    """
    from rich.console import Console

    console = Console(stderr=True)
    if not (console.is_terminal or console.is_jupyter):
        yield lambda amount: None
        return
    bar = _Bar(shown(description, console.encoding), total, console)
    timer = Timer(PATIENCE, bar.show)
    timer.daemon = True
    timer.start()
    try:
        yield bar.advance
    finally:
        timer.cancel()
        bar.end()


class _Display:
    """The bars that a process shows, below each other; shared, as two displays would write over one another."""

    def __init__(self) -> None:
        self.lock, self.bars = RLock(), 0
        self.progress: Progress | NotebookProgress | None = None

    def opened(self, console: Console) -> Progress | NotebookProgress:
        if self.progress is None:
            self.progress = NotebookProgress() if console.is_jupyter else _on_a_terminal(console)
            self.progress.start()
        self.bars += 1
        return self.progress

    def closed(self) -> None:
        self.bars -= 1
        if self.bars == 0 and self.progress is not None:
            self.progress.stop()
            self.progress = None


def _on_a_terminal(console: Console) -> Progress:
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console)


_display = _Display()


class _Bar:
    """A bar from its beginning on, whether it is shown already or not."""

    def __init__(self, description: str, total: float, console: Console) -> None:
        self.description, self.total, self.console = description, total, console
        self.began, self.done, self.ended = time.monotonic(), 0.0, False
        # rich's numbers of tasks and those of a notebook go by the same names
        self.progress: Any = None

    def show(self) -> None:
        with _display.lock:
            if self.ended:
                return
            self.progress = _display.opened(self.console)
            self.task = self.progress.add_task(self.description, total=self.total)
            self.progress.update(self.task, completed=self.done)
            self.progress.tasks[-1].start_time = self.began

    def advance(self, amount: float) -> None:
        with _display.lock:
            self.done += amount
            if self.progress is not None:
                self.progress.advance(self.task, amount)

    def end(self) -> None:
        with _display.lock:
            self.ended = True
            if self.progress is not None:
                if _display.bars > 1:
                    self.progress.remove_task(self.task)
                _display.closed()
