"""No result depends on what the process is set to, and nothing that it is set to is left changed."""

import os
import pickle
import subprocess
import sys
import threading
import traceback
import warnings
from contextlib import contextmanager

import numpy as np
import pytest
import session
import torch
from slower import first_ones

import flowplane as fp
from flowplane.core.files import whole_file
from flowplane.core.modes import in_own_modes, own_modes
from flowplane.core.threads import one_thread
from flowplane.errors import InputError

SECONDS = 120


@contextmanager
def dtype(kind):
    before = torch.get_default_dtype()
    torch.set_default_dtype(kind)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def device(kind):
    torch.set_default_device(kind)
    try:
        yield
    finally:
        torch.set_default_device(None)


@contextmanager
def threads(count):
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def everything():
    """All that can be set, at once."""
    with dtype(torch.float16), device("meta"), torch.inference_mode(), np.errstate(all="raise"):
        yield


#: On the meta device a tensor that is made without saying where has no values.
ALONE = {
    "float64": lambda: dtype(torch.float64),
    "float16": lambda: dtype(torch.float16),
    "meta": lambda: device("meta"),
    "no_grad": torch.no_grad,
    "inference": torch.inference_mode,
    "raise": lambda: np.errstate(all="raise"),
}


def settings():
    """What a process can be set to."""
    grad = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
    rest = np.geterr(), torch.get_num_threads(), os.getcwd()
    return {"dtype": torch.get_default_dtype(), "device": torch.get_default_device(), "gradients": grad, "rest": rest}


def done(name, folder):
    """What an entry of the session finds, to the last bit."""
    folder.mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return session.flat(session.ENTRIES[name](str(folder)))


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The session in the state that a process begins in."""
    folder = tmp_path_factory.mktemp("plain")
    return {name: done(name, folder / name) for name in session.ENTRIES}


@pytest.mark.parametrize("state", ["everything", *(pytest.param(name, marks=pytest.mark.slow) for name in ALONE)])
def test_results_are_the_same_and_nothing_is_changed(state, plain, tmp_path):
    found = {}
    session.shared.cache_clear()
    with (ALONE | {"everything": everything})[state]():
        before = settings()
        for name in session.ENTRIES:
            try:
                here = done(name, tmp_path / name)
            except Exception:
                found[name] = traceback.format_exc()
                continue
            other = {place: (text, here.get(place)) for place, text in plain[name].items() if here.get(place) != text}
            if other or settings() != before:
                found[name] = other or settings()
    assert not found, "\n".join(f"{name}: {str(what)[:2000]}" for name, what in found.items())


@pytest.mark.parametrize("name", ["gradient", "raise", "inference"])
def test_an_error_leaves_nothing_changed(name):
    modes = {"gradient": torch.no_grad, "raise": lambda: np.errstate(all="raise"), "inference": torch.inference_mode}
    with modes[name]():
        before = settings()
        with pytest.raises(InputError):
            fp.Pairwise(0.1)([[float("nan")]])
        with pytest.raises(InputError):
            fp.ib_curve([[0.5, 0.6]])
        assert settings() == before


def test_a_function_of_the_user_sees_the_users_dtype_and_device():
    seen = []

    def velocity(t, x):
        seen.append((torch.get_default_dtype(), torch.zeros(()).device.type))
        return -x

    with dtype(torch.float64), device("meta"):
        fp.transport.ODEMap(velocity, 1, time=0.5)(np.ones((2, 1)))
    assert set(seen) == {(torch.float64, "meta")}


def test_threads_are_those_of_before_though_two_were_inside_at_once():
    first, second = threading.Event(), threading.Event()

    def one():
        with one_thread():
            first.set()
            assert second.wait(SECONDS)

    def other():
        assert first.wait(SECONDS)
        with one_thread():
            second.set()
            ones.join(SECONDS)

    with threads(3):
        ones, others = threading.Thread(target=one), threading.Thread(target=other)
        ones.start()
        others.start()
        others.join(SECONDS)
        with one_thread(), one_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 3


def test_a_public_function_is_one_object_that_pickle_finds():
    for function in (fp.wasserstein, fp.ib_curve, fp.plot.information_plane, fp.dynamics.fit_laws):
        assert pickle.loads(pickle.dumps(function)) is function and in_own_modes(function) is function


#: What hung before, and whatever takes little time.
FEW = ("Pairwise", "GaussianMI", "MatrixRenyi", "layers", "densities")
#: In a fresh process, whose threads OpenMP has begun: a child of it does it all again.
FORKS = """
import os, signal, sys, tempfile, traceback, warnings
warnings.simplefilter("ignore")
import numpy as np, torch
torch.set_num_threads(2)
import session, flowplane as fp
from sklearn.cluster import KMeans
torch.randn(800, 800) @ torch.randn(800, 800)
KMeans(3, n_init=1).fit(np.random.default_rng(0).random((4000, 3)))
rec = session.made("arrays")
before = {name: session.flat(session.ENTRIES[name](tempfile.mkdtemp())) for name in sys.argv[1:]}
child = os.fork()
if child == 0:
    signal.alarm(300)
    try:
        for name, expected in before.items():
            print("child", name, flush=True)
            found = session.flat(session.ENTRIES[name](tempfile.mkdtemp()))
            assert name in session.ROUNDED or found == expected, name
            assert torch.get_num_threads() == 2, name
        for attempt in (lambda: rec.activations("a").values, lambda: session.made("arrays")):
            try:
                attempt()
            except fp.errors.InputError as error:
                assert "a fork of a process that has read or written recordings" in str(error)
            else:
                raise AssertionError("a recording was read")
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.parametrize(
    "names", [FEW, pytest.param(session.WITHOUT_RECORDINGS, marks=pytest.mark.slow)], ids=["few", "all"]
)
def test_a_fork_hangs_nowhere(names):
    paths = os.pathsep.join([os.path.dirname(__file__), *filter(None, sys.path)])
    environment = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "2"}
    found = subprocess.run(
        [sys.executable, "-c", FORKS, *names], capture_output=True, text=True, check=False, env=environment
    )
    assert found.returncode == 0, found.stdout[-300:] + found.stderr


#: Locales in which not every sign can be written.
LOCALES = {
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "latin-1": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "latin-1:strict"},
}
COMMANDS = """
import sys
from flowplane import cli
from flowplane.experiments.transport import gaussian_dae
gaussian_dae.SCALES["quick"] = gaussian_dae.SCALES["tiny"]
for line in ("--help", "reproduce --help", "experiments", "reproduce gaussian-dae", "claims results",
             "report results/gaussian-dae -o page.html"):
    sys.argv = ["flowplane", *line.split()]
    try:
        cli.main()
    except SystemExit as stop:
        assert not stop.code, line
"""


@pytest.mark.parametrize("name", first_ones(1, LOCALES))
def test_every_locale(name, tmp_path):
    environment = os.environ | LOCALES[name] | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", COMMANDS]
    found = subprocess.run(command, capture_output=True, check=False, env=environment, cwd=tmp_path, timeout=SECONDS)
    assert found.returncode == 0, found.stderr.decode("latin-1")
    assert found.stdout.isascii() or name != "C"
    written = [file for file in tmp_path.rglob("*") if file.suffix in (".html", ".json")]
    assert {file.name for file in written} >= {"claims.json", "run.json", "page.html"}
    for file in written:
        assert file.read_text(encoding="utf-8").strip()


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    target, link = tmp_path / "target.txt", tmp_path / "link.txt"
    target.write_text("before")
    link.symlink_to(target)
    with pytest.raises(ZeroDivisionError), whole_file(link) as part:
        part.write_text("half")
        _ = 1 / 0
    assert target.read_text() == "before" and sorted(os.listdir(tmp_path)) == ["link.txt", "target.txt"]
    with whole_file(link) as part:
        part.write_text("after")
    assert target.read_text() == "after" and link.is_symlink()


def test_own_modes_end_with_the_block():
    with torch.inference_mode(), np.errstate(all="raise"):
        with pytest.raises(ZeroDivisionError), own_modes():
            _ = 1 / 0
        assert torch.is_inference_mode_enabled() and np.geterr()["under"] == "raise"
