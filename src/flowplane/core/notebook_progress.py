"""Progress bars in a notebook by HTML alone: rich's bars need ipywidgets there."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from html import escape
from typing import Any

__all__ = ["NotebookProgress"]

#: Seconds between two updates of what is shown.
REFRESH = 0.2


@dataclass
class Task:
    """One bar."""

    description: str
    total: float
    completed: float = 0.0
    start_time: float = field(default_factory=time.monotonic)

    def html(self) -> str:
        """The bar, its percentage, how long it has taken and how long it will take."""
        share = min(max(self.completed / self.total, 0.0), 1.0) if self.total > 0 else 1.0
        elapsed = time.monotonic() - self.start_time
        left = f", {_clock(elapsed * (1 / share - 1))} left" if 0 < share < 1 else ""
        bar = f'<progress value="{share:.4f}" max="1" aria-label="{escape(self.description)}"></progress>'
        return f"<div>{escape(self.description)} {bar} {100 * share:.0f} % {_clock(elapsed)}{left}</div>"


class NotebookProgress:
    """What `rich.progress.Progress` is to a terminal, as far as flowplane's bars use it."""

    def __init__(self) -> None:
        self.tasks: list[Task] = []
        self._shown = 0.0
        self._handle: Any = None

    def start(self) -> None:
        """Open a place in the running cell."""
        from IPython.display import HTML, display

        self._handle = display(HTML(""), display_id=True)

    def stop(self) -> None:
        """Show how it ended."""
        self._show(now=True)

    def add_task(self, description: str, total: float) -> Task:
        """A bar below the others."""
        self.tasks.append(Task(description, total))
        return self.tasks[-1]

    def update(self, task: Task, completed: float) -> None:
        """Set how far it has come."""
        task.completed = completed
        self._show()

    def advance(self, task: Task, amount: float) -> None:
        """Move it on."""
        self.update(task, task.completed + amount)

    def remove_task(self, task: Task) -> None:
        """Take away a bar within another once it is done."""
        self.tasks.remove(task)

    def _show(self, now: bool = False) -> None:
        from IPython.display import HTML

        if self._handle is not None and (now or time.monotonic() - self._shown > REFRESH):
            self._shown = time.monotonic()
            self._handle.update(HTML("".join(task.html() for task in self.tasks)))


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
