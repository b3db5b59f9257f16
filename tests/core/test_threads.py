"""Work shared out over the processors: every item once, and errors are raised."""

import os
import signal
import subprocess
import sys
import threading

import pytest
import threadpoolctl
import torch

import flowplane as fp
from flowplane.analysis import geometry
from flowplane.analysis.transport import layers as snapshots
from flowplane.core import threads
from flowplane.core.threads import in_order, one_thread_each, shared
from flowplane.information import decodable
from flowplane.reporting import making


@pytest.mark.parametrize("count", [1, 2, 3, 1000])
@pytest.mark.parametrize("cores", [1, 2, 7])
def test_every_item_once(count, cores, monkeypatch):
    monkeypatch.setattr(threads, "cores", lambda: cores)
    seen = []
    shared(lambda first, last: seen.extend(range(first, last)), count, 1e9)
    assert sorted(seen) == list(range(count))


@pytest.mark.parametrize("count", [0, 1, 2, 300])
@pytest.mark.parametrize("cores", [1, 2, 7])
def test_results_come_in_order(count, cores, monkeypatch):
    monkeypatch.setattr(threads, "cores", lambda: cores)
    assert list(in_order(lambda place: place**2, range(count))) == [place**2 for place in range(count)]
    # also where the caller leaves early, and where an item shares out work of its own
    for found in in_order(lambda place: list(in_order(abs, [place, -place])), range(count)):
        assert found == [0, 0]
        break


@pytest.mark.parametrize("cores", [1, 2, 7])
def test_the_first_error_is_raised_in_its_place(cores, monkeypatch):
    monkeypatch.setattr(threads, "cores", lambda: cores)
    begun = []

    def fails(place):
        begun.append(place)
        if place in (3, 5):
            raise ArithmeticError(place)
        return place

    found = in_order(fails, range(1000))
    assert [next(found) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ArithmeticError, match="3"):
        next(found)
    assert len(begun) < 1000


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


# --- one thread each


def pools():
    """Threads of every library that has any, as seen by whoever asks."""
    return {(library["filepath"], library["num_threads"]) for library in threadpoolctl.threadpool_info()}


@pytest.fixture
def several():
    """Torch and BLAS on three threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    with threadpoolctl.threadpool_limits(3):
        yield
    torch.set_num_threads(before)


def test_inside_every_library_and_helper_has_one_thread(several, monkeypatch):
    monkeypatch.setattr(threads, "cores", lambda: 3)
    before, seen = pools(), {}
    everybody = threading.Barrier(3, timeout=60)

    def look(first, last):
        everybody.wait()  # each of the three takes one
        seen[threading.get_ident()] = torch.get_num_threads()

    with one_thread_each():
        assert {number for _, number in pools()} == {1}
        shared(look, 3, 1e9)
        assert len(seen) == 3
        assert set(seen.values()) == {1}
    assert torch.get_num_threads() == 3
    assert pools() == before


def test_threads_are_given_back_after_an_exception_and_by_the_last_one_out(several):
    before = pools()
    with pytest.raises(ArithmeticError), one_thread_each(), one_thread_each():
        raise ArithmeticError
    assert pools() == before
    with one_thread_each():
        with one_thread_each():
            pass
        assert {number for _, number in pools()} == {1}
    assert pools() == before
    assert torch.get_num_threads() == 3


def test_analyses_and_reports_leave_no_library_its_threads(several, monkeypatch, tmp_path):
    """Whatever they hand to the pool, and the page itself, finds one thread everywhere."""
    import ot  # noqa: F401  (it loads libraries with threads of their own, which nobody limits until the next block)

    before, seen = pools(), []
    x = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
    rec = fp.record(torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Tanh()), x, x[:, 0] > 0)

    def watched(function):
        def call(*arguments, **keywords):
            seen.append({number for _, number in pools()} | {torch.get_num_threads()})
            return function(*arguments, **keywords)

        return call

    monkeypatch.setattr(snapshots, "Snapshot", watched(snapshots.Snapshot))
    monkeypatch.setattr(geometry, "matrix_entropy", watched(geometry.matrix_entropy))
    monkeypatch.setattr(decodable, "components", watched(decodable.components))
    monkeypatch.setattr(making, "page_of", watched(making.page_of))
    for analysis in (fp.layer_transport, fp.layer_geometry, fp.information_plane):
        analysis(rec)
        assert seen
        assert set.union(*seen) == {1}
        assert before <= pools()  # some are loaded on the way
        seen.clear()
    fp.report(rec, tmp_path / "report.html")
    assert len(seen) >= 4
    assert set.union(*seen) == {1}
    assert before <= pools()  # some are loaded on the way


def test_what_is_loaded_later_is_on_one_thread_as_well():
    code = (
        "import os; os.environ.pop('OMP_NUM_THREADS', None); os.environ['OPENBLAS_NUM_THREADS'] = '2'\n"
        "from flowplane.core.threads import one_thread_each\n"
        "from threadpoolctl import threadpool_info\n"
        "with one_thread_each():\n"
        "    from scipy.linalg import eigh\n"
        "    threads = {part['filepath']: part['num_threads'] for part in threadpool_info() if part['user_api'] == 'blas'}\n"
        "assert len(threads) > 1 and set(threads.values()) == {1}, threads\n"
        "assert {part['num_threads'] for part in threadpool_info() if part['user_api'] == 'blas'} == {2}\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
