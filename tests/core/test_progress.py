"""Progress bars: where somebody watches, for what takes longer, and never two displays at a time."""

import io
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import rich.console

from flowplane.core import progress
from flowplane.core.progress import progress_bar


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    """What is written on a terminal; bars come after a fiftieth of a second."""
    written, original = Terminal(), rich.console.Console
    monkeypatch.setattr(rich.console, "Console", lambda **given: original(file=written, force_terminal=True, width=100))
    monkeypatch.setattr(progress, "PATIENCE", 0.02)
    return written


def waited(seconds=0.3):
    time.sleep(seconds)


def test_short_work_shows_nothing(terminal):
    with progress_bar("measuring", 2) as advance:
        advance(2)
    waited()
    assert terminal.getvalue() == ""


def test_longer_work_is_shown_with_what_was_done_before(terminal):
    with progress_bar("measuring", 4) as advance:
        advance(1)
        waited()
        assert "measuring" in terminal.getvalue() and " 25 %" in terminal.getvalue()
        advance(3)
    assert "100 %" in terminal.getvalue()


def test_a_bar_within_another_goes_with_its_end(terminal):
    with progress_bar("report", 2) as outer:
        waited()
        for what in ("plane", "transport"):
            with progress_bar(what, 2) as inner:
                inner(1)
                waited()
                shown = progress._display.progress
                assert [task.description for task in shown.tasks] == ["report", what]
                assert shown.tasks[1].completed == 1 and shown.tasks[1].start_time < time.monotonic() - 0.2
            outer(1)
            assert [task.description for task in shown.tasks] == ["report"]
        assert shown.tasks[0].completed == 2
    assert progress._display.progress is None and progress._display.bars == 0


def test_after_an_error_nothing_stays(terminal):
    with pytest.raises(ZeroDivisionError), progress_bar("measuring", 2):
        waited()
        raise ZeroDivisionError
    assert progress._display.progress is None
    with progress_bar("again", 2):
        waited()
    assert "again" in terminal.getvalue()


def test_from_several_threads(terminal):
    with progress_bar("snapshots", 400) as advance:
        waited()
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(advance, [1] * 400))
        assert progress._display.progress.tasks[0].completed == 400


def test_where_nobody_watches_nothing_is_shown(capfd, monkeypatch):
    monkeypatch.setattr(progress, "PATIENCE", 0.0)
    with progress_bar("measuring", 2) as advance:
        advance(1)
        waited(0.1)
    assert capfd.readouterr() == ("", "")


class Handle:
    """What IPython gives for a place in a cell."""

    def __init__(self):
        self.seen = []

    def update(self, html):
        self.seen.append(html.data)


def test_in_a_notebook_bars_are_html_and_need_no_widgets(monkeypatch):
    display, original, handle = pytest.importorskip("IPython.display"), rich.console.Console, Handle()
    monkeypatch.setattr(display, "display", lambda html, display_id: handle)
    monkeypatch.setattr(rich.console, "Console", lambda **given: original(file=io.StringIO(), force_jupyter=True))
    monkeypatch.setattr(progress, "PATIENCE", 0.02)
    with progress_bar("a < b", 4) as outer:
        outer(1)
        waited()
        with progress_bar("inner", 2) as inner:
            waited()
            inner(1)
        outer(3)
    assert 'value="0.2500"' in handle.seen[0] and "a &lt; b" in handle.seen[0]
    assert any("inner" in html and "50 %" in html for html in handle.seen)
    assert "100 %" in handle.seen[-1] and "inner" not in handle.seen[-1]
    assert progress._display.progress is None
