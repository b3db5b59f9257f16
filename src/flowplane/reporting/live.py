"""`fp.watch`: a page on this machine that shows recordings while they are written."""

from __future__ import annotations

import itertools
import secrets
import socket
import threading
import time
import webbrowser
from typing import Any

from flowplane.core.points import check_count
from flowplane.core.threads import one_thread_each
from flowplane.errors import InputError, MissingRequirement, Text
from flowplane.reporting.following import Run, Runs
from flowplane.reporting.live_parts import COMPUTED, PARTS, Found, NobodyWatchesError, While, compute, curves, drawn_part
from flowplane.reporting.markup import count, element, joined

__all__ = ["Watch", "watch"]

HOST = "127.0.0.1"
#: The port that is tried first, and how many after it before any will do.
PORT, PORTS = 8060, 20
#: Seconds between two looks at the recordings; seconds without a request after which nobody is watching.
LOOK, LOOKED = 0.4, 5.0


def watch(rec: Any, *, port: int | None = None, browser: bool = False) -> Watch:
    """Show recordings on a page of this machine while they are written: curves, plane, decodable bits, gradients, layers.

    The page follows each new snapshot within two seconds. It loads nothing from the internet and answers this machine only.
    In a notebook it appears below the cell.

    Arguments:
        rec: a Recording, the path of one (which need not exist yet), an icechunk Storage, a folder of recordings, or a list
            of them; several are laid over each other.
        port: None for the first free one from 8060 on.
        browser: whether to open the page in a browser.

    Returns:
        A handle with `url` and `close()`; also a context manager.

    Raises:
        InputError: none of these, a recording that cannot be read, or a port that is taken.
        MissingRequirement: Dash is not installed.

    Example:
        >>> import flowplane as fp
        >>> rec = fp.train(fp.tasks.spherical_rule(), hidden=(4,), replicas=1, epochs=2, snapshots=2)
        >>> with fp.watch(rec) as page:
        ...     page.url.startswith("http://127.0.0.1:")
        True
    """
    page = Watch(rec, port)
    if browser:
        webbrowser.open(page.url)
    _show_in_notebook(page.url)
    return page


class Watch:
    """A live page that is served until it is closed.

    Arguments:
        rec, port: as for `watch`.
    """

    def __init__(self, rec: Any, port: int | None = None) -> None:
        try:
            from flowplane.reporting.live_server import server_of
        except ImportError as error:
            raise MissingRequirement("this needs Dash: pip install 'flowplane[live]'") from error
        self._live = Live(Runs(rec))
        self._server = server_of(self._live, bound(port))
        #: Where the page is.
        self.url = f"http://{HOST}:{self._server.port}/"
        self._threads = [
            threading.Thread(target=target, name=f"flowplane watch {name}", daemon=True)
            for name, target in (("server", self._server.serve_forever), ("analyses", self._live.work))
        ]
        for thread in self._threads:
            thread.start()
        self._closed = threading.Event()

    def wait(self) -> None:
        """Wait until the page is closed, by another thread; or Ctrl-C."""
        while not self._closed.wait(1.0):  # with a timeout, so that Ctrl-C is heard on every system
            pass

    def close(self) -> None:
        """End the page and whatever is computed for it; a second time nothing happens."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._live.end()
        self._server.shutdown()
        for thread in self._threads:
            thread.join()
        self._server.server_close()

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<flowplane.Watch {'closed' if self._closed.is_set() else self.url}>"


class Live:
    """What a page shows: kept up to date as long as it is asked for, computed once however many ask.

    What is quick to read is read when the page asks; analyses are computed by `work`, in a thread of its own.
    """

    def __init__(self, runs: Runs) -> None:
        self._followed = runs
        self._change = threading.Condition()
        self._runs: list[Run] = []
        #: By run and part: the commit, what was found, and when it was computed, by count.
        self._found: dict[tuple[Run, str], tuple[str, Found, int]] = {}
        #: By part: what it was drawn from, and how the page knows whether it has it.
        self._drawn: dict[str, tuple[Any, dict[str, Any]]] = {}
        self._numbers = itertools.count()
        self._name = secrets.token_hex(4)  # of this page's server: another one has seen nothing
        self._asked = self._looked = float("-inf")
        self._ended = False

    def news(self, seen: Any) -> dict[str, Any]:
        """What is new to a page.

        Arguments:
            seen: what it has, by part the token that it was given.
        """
        seen = seen if isinstance(seen, dict) else {}
        with self._change:
            self._asked = time.monotonic()
            if self._asked - self._looked > LOOK:
                self._look()
                self._looked = time.monotonic()
            parts = {}
            for part in PARTS:
                drawn = self._drawn.get(part, (None, {}))[1]
                fresh = drawn and seen.get(part) != drawn["token"]
                busy = part in self._undrawn() or any(key[1] == _analysis(part) for key in self._missing())
                parts[part] = {"busy": busy, **(drawn if fresh else {})}
            self._change.notify()
            return {"title": self._title(), "state": self._state(), "runs": self._about(), "parts": parts}

    def work(self) -> None:
        """Compute and draw what is missing, whenever somebody looks, until the end."""
        executor = While(self._watched)
        while True:
            with self._change:
                self._change.wait_for(lambda: self._ended or (self._watched() and (self._missing() or self._undrawn())))
                if self._ended:
                    return
                part = next(iter(self._undrawn()), None)
                run, wanted = min(self._ready(), key=self._turn, default=(None, ""))
                rec = run.rec if run is not None else None
                before, plane = (self._known(run, name) for name in (wanted, "plane"))
            if part is not None:
                self._draw(part)
            elif run is not None and rec is not None:
                try:
                    with one_thread_each():
                        found = compute(wanted, rec, executor, before, plane)
                except NobodyWatchesError:
                    continue
                with self._change:
                    self._found[run, wanted] = (rec.commit, found, next(self._numbers))

    def end(self) -> None:
        """Whatever is computed now is given up."""
        with self._change:
            self._ended = True
            self._change.notify_all()

    # -- what there is ------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Take over what was recorded meanwhile, and draw what takes a moment."""
        self._runs = self._followed.look()
        self._found = {key: found for key, found in self._found.items() if key[0] in self._runs}
        for run in self._runs:
            if run.rec is not None and self._commit(run, "curves") != run.rec.commit:
                try:
                    self._found[run, "curves"] = (run.rec.commit, Found(curves(run.rec)), next(self._numbers))
                except Exception:  # overwritten at this moment: it is looked at again
                    run.there = False
        for part in {"curves", "layers"} & set(self._undrawn()):
            self._draw(part)

    def _watched(self) -> bool:
        return not self._ended and time.monotonic() - self._asked < LOOKED

    def _commit(self, run: Run, part: str) -> str | None:
        return self._found[run, part][0] if (run, part) in self._found else None

    def _known(self, run: Run | None, part: str) -> Found | None:
        return self._found[run, part][1] if run is not None and (run, part) in self._found else None

    def _missing(self) -> list[tuple[Run, str]]:
        """Analyses that were not computed at the newest commit."""
        every = [(run, part) for part in COMPUTED for run in self._runs if run.rec is not None]
        return [(run, part) for run, part in every if run.rec is not None and self._commit(run, part) != run.rec.commit]

    def _ready(self) -> list[tuple[Run, str]]:
        """Of these, what waits for no other: what can be decoded may be read from the plane at the same commit."""
        missing = self._missing()
        return [(run, part) for run, part in missing if part != "decodable" or (run, "plane") not in missing]

    def _turn(self, key: tuple[Run, str]) -> int:
        """Whose turn it is: what was computed longest ago, so that nothing waits forever."""
        return self._found[key][2] if key in self._found else -1

    # -- what is drawn ------------------------------------------------------------------------------------------------

    def _from(self, part: str) -> Any:
        """What a part is drawn from."""
        known = tuple((run, self._commit(run, _analysis(part))) for run in self._recorded())
        return known if part == "layers" or any(commit is not None for _, commit in known) else None

    def _undrawn(self) -> list[str]:
        return [part for part in PARTS if self._from(part) != self._drawn.get(part, (None,))[0]]

    def _draw(self, part: str) -> None:
        with self._change:
            source = self._from(part)
            found = {run.title: each for run in self._recorded() if (each := self._known(run, _analysis(part))) is not None}
            recordings = {run.title: run.rec for run in self._recorded() if run.rec is not None}
        markup, figures = drawn_part(part, found, recordings)
        token = f"{self._name}-{next(self._numbers)}"
        with self._change:
            self._drawn[part] = (source, {"token": token, "markup": markup, "figures": figures})

    def _recorded(self) -> list[Run]:
        return [run for run in self._runs if run.rec is not None]

    def _title(self) -> str:
        return self._runs[0].title if len(self._runs) == 1 else count(len(self._runs), "run")

    def _state(self) -> str:
        """What is out of the ordinary."""
        waits = [run.title for run in self._runs if run.rec is None]
        gone = [run.title for run in self._runs if run.rec is not None and not run.there]
        said = [f"Nothing is recorded yet in {title}; the page looks again every second." for title in waits]
        said += [f"{title} cannot be read any more, or not at this moment; this is what it held." for title in gone]
        return " ".join([*said, self._followed.left_out]).strip()

    def _about(self) -> str:
        """How far each run is."""
        rows = []
        for run in self._recorded():
            assert run.rec is not None
            epochs = run.rec.epochs
            far = f"epoch {int(epochs.max()):,}, {count(len(epochs), 'snapshot')}"
            rows.append(element("li", f"{run.title}: {far}" if len(self._runs) > 1 else far))
        return joined(*rows)


def _analysis(part: str) -> str:
    """The analysis behind a part."""
    return "plane" if part == "layers" else part


def bound(port: int | None) -> socket.socket:
    """A socket that listens on this machine alone. Raises InputError for a port that is taken or not valid."""
    if port is not None and not 0 < check_count("port", port, 1) < 65536:
        raise InputError("port", port, "a whole number, 1 to 65535")
    for place in [port] if port is not None else [*range(PORT, PORT + PORTS), 0]:
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((HOST, place))
            listening.listen(128)
        except OSError:
            listening.close()
            continue
        return listening
    raise InputError("port", Text(f"{port}, on which another program listens"), "a free port, or None for the next free one")


def _show_in_notebook(url: str) -> None:
    """A frame below the cell; nothing outside a notebook."""
    import sys

    interactive = sys.modules.get("IPython")
    shell = interactive.get_ipython() if interactive is not None else None
    if shell is not None and hasattr(shell, "kernel"):
        from IPython.display import IFrame, display

        display(IFrame(url, "100%", 900))
