"""Work shared out over the processors: every item once, and errors are raised."""

import os
import signal
import threading

import pytest

from flowplane.core import threads
from flowplane.core.threads import shared


@pytest.mark.parametrize("count", [1, 2, 3, 1000])
@pytest.mark.parametrize("cores", [1, 2, 7])
def test_every_item_once(count, cores, monkeypatch):
    monkeypatch.setattr(threads, "cores", lambda: cores)
    seen = []
    shared(lambda first, last: seen.extend(range(first, last)), count, 1e9)
    assert sorted(seen) == list(range(count))


def test_little_work_stays_in_its_thread():
    names = []
    shared(lambda first, last: names.append(threading.get_ident()), 100, 1_000)
    assert names == [threading.get_ident()]


def test_an_error_is_raised(monkeypatch):
    monkeypatch.setattr(threads, "cores", lambda: 3)

    def fails(first, last):
        raise ArithmeticError(first)

    with pytest.raises(ArithmeticError):
        shared(fails, 100, 1e9)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_has_threads_of_its_own(monkeypatch):
    monkeypatch.setattr(threads, "cores", lambda: 2)
    shared(lambda first, last: None, 100, 1e9)
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        both = threading.Barrier(2, timeout=20)  # two runs at once: the fork's own thread and a helper of its own
        try:
            shared(lambda first, last: both.wait(), 2, 1e9)
        except BaseException:
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
