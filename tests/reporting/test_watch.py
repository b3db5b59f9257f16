"""A live page without a browser: what it follows, what it computes and when, who is answered, how it ends."""

import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import types
from pathlib import Path

import icechunk
import pytest
import torch

import flowplane as fp
from flowplane import cli
from flowplane.errors import InputError, MissingRequirement
from flowplane.recording.cache import Cache
from flowplane.reporting import live
from flowplane.reporting.following import MOST, Runs
from flowplane.reporting.live import Live, bound
from flowplane.reporting.live_parts import NOT_READ, PARTS


class Training:
    """A small model that is recorded epoch by epoch."""

    def __init__(self, path, mode="create", **options):
        torch.manual_seed(0)
        self.inputs = torch.randn(60, 3)
        self.model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
        self.optimizer = torch.optim.SGD(self.model.parameters(), 0.1)
        self.labels = (self.inputs[:, 0] > 0).long()
        options = {"labels": self.labels, "epochs": 20, "snapshots": 21} | options
        self.recorder = fp.Recorder(self.model, self.inputs, path=path, mode=mode, **options)

    def __enter__(self):
        self.recorder.__enter__()
        return self

    def __exit__(self, *exception):
        self.recorder.__exit__(*exception)

    def epoch(self):
        for part in (slice(0, 30), slice(30, 60)):
            self.optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(self.model(self.inputs[part]), self.labels[part])
            loss.backward()
            self.optimizer.step()
        self.recorder.step(loss=loss.item())
        _ = self.recorder.recording  # waits until it is written


def epochs(path, count, **options):
    """A recording of so many epochs."""
    with Training(path, **options) as training:
        for _ in range(count):
            training.epoch()
    return training.recorder.recording


def seen(run):
    return None if run.rec is None else run.rec.epochs.tolist()


def again(runs):
    """A look that does not wait until a folder is looked through once more."""
    runs._again = 0.0
    return runs.look()


# -- what is followed -------------------------------------------------------------------------------------------------


def test_a_recording_comes_grows_goes_and_is_another(tmp_path):
    runs = Runs(tmp_path / "run.fp")
    assert [(run.title, seen(run), run.there) for run in runs.look()] == [("run.fp", None, False)]
    with Training(tmp_path / "run.fp") as training:
        training.epoch()
        (run,) = again(runs)
        assert (seen(run), run.there) == ([0, 1], True)
        first = run.rec
        assert again(runs)[0].rec is first
        training.epoch()
        assert seen(again(runs)[0]) == [0, 1, 2]
    shutil.rmtree(tmp_path / "run.fp")
    (run,) = again(runs)
    assert (seen(run), run.there) == ([0, 1, 2], False)
    epochs(tmp_path / "run.fp", 1)
    assert (seen(again(runs)[0]), run.there) == ([0, 1], True)
    epochs(tmp_path / "run.fp", 3, mode="overwrite")
    assert seen(again(runs)[0]) == [0, 1, 2, 3]


def test_a_folder_stands_for_its_recordings(tmp_path):
    runs = Runs(tmp_path)
    assert [run.rec for run in runs.look()] == [None]
    for name in ("b.fp", "a/recording.fp"):
        epochs(tmp_path / name, 1)
    fp.information_plane(fp.open(tmp_path / "b.fp"))  # its cache is no recording
    (tmp_path / "notes.txt").write_text("")
    assert [(run.title, seen(run)) for run in again(runs)] == [("a/recording.fp", [0, 1]), ("b.fp", [0, 1])]
    shutil.rmtree(tmp_path / "b.fp")
    assert [run.title for run in again(runs)] == ["a/recording.fp"]
    for number in range(MOST):
        shutil.copytree(tmp_path / "a/recording.fp", tmp_path / f"copy-{number}.fp")
    late = time.time() + 9
    os.utime(tmp_path / "copy-0.fp/data/refs", (late, late))
    found = [run.title for run in again(runs)]
    assert len(found) == MOST and "copy-0.fp" in found
    assert runs.left_out == f"{MOST + 1} recordings are there; shown are the {MOST} that changed last."


def test_recordings_in_memory_storages_and_parts(tmp_path):
    with Training(None) as training:
        training.epoch()
        storage = icechunk.in_memory_storage()
        with Training(storage) as other:
            other.epoch()
            runs = Runs([training.recorder.recording, storage])
            assert [seen(run) for run in runs.look()] == [[0, 1], [0, 1]]
            training.epoch()
            other.epoch()
            assert [seen(run) for run in again(runs)] == [[0, 1, 2], [0, 1, 2]]
    part = Runs(epochs(tmp_path / "run.fp", 2).sel(layer="2", epoch=[0]))
    assert [(run.rec.layers, seen(run)) for run in part.look()] == [(("2",), [0, 1, 2])]


def test_what_can_never_be_followed_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for wrong, said in (
        (tmp_path / "file", "path: found .*file', expected a recording"),
        (3, "rec: found int, expected a Recording"),
        ([], "rec: found .*, expected at least one"),
        ([tmp_path] * 9, "rec: found 9 things, expected at most 8"),
    ):
        with pytest.raises(InputError, match=said):
            Runs(wrong)


# -- what is computed, and when ---------------------------------------------------------------------------------------


@pytest.fixture
def computed(monkeypatch):
    """The analyses that were computed."""
    done, compute = [], live.compute

    def counted(part, rec, *arguments):
        done.append((part, int(rec.epochs.max())))
        return compute(part, rec, *arguments)

    monkeypatch.setattr(live, "compute", counted)
    monkeypatch.setattr(live, "LOOK", 0.0)
    return done


class Watched:
    """A page's server with its thread of analyses, and what pages ask of it."""

    def __init__(self, source):
        self.live = Live(Runs(source))
        self.thread = threading.Thread(target=self.live.work)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *exception):
        self.live.end()
        self.thread.join(60)
        assert not self.thread.is_alive()

    def settled(self):
        """The whole page, as soon as nothing is computed any more."""
        for _ in range(1200):
            news = self.live.news({})
            if not any(part["busy"] for part in news["parts"].values()):
                return news
            time.sleep(0.05)
        raise AssertionError(news)


def test_cheap_first_each_once_and_nothing_unasked(tmp_path, computed):
    with Training(tmp_path / "run.fp") as training:
        for _ in range(3):
            training.epoch()
        page = Watched(tmp_path / "run.fp")
        first = page.live.news({})  # nothing is computed yet
        assert {part: "markup" in each for part, each in first["parts"].items()} == {
            "curves": True, "plane": False, "decodable": False, "gradients": False, "layers": True
        }  # fmt: skip
        assert [part for part in PARTS if first["parts"][part]["busy"]] == ["plane", "decodable", "gradients", "layers"]
        assert first["runs"] == "<li>epoch 3, 4 snapshots</li>" and first["title"] == "run.fp" and not first["state"]
        with page:
            whole = page.settled()
            figures = [name for part in whole["parts"].values() for name in part["figures"]]
            assert figures == ["training-curves", "information-plane", "decodable-depth", "gradient-phases"]
            assert "validity" in whole["parts"]["layers"]["markup"]
            has = {part: each["token"] for part, each in whole["parts"].items()}
            assert all(set(each) == {"busy"} for each in page.live.news(has)["parts"].values())
            assert sorted(computed) == [("decodable", 3), ("gradients", 3), ("plane", 3)]
            page.live._asked = float("-inf")  # nobody looks any more
            training.epoch()
            time.sleep(0.3)
            assert len(computed) == 3
            later = page.settled()
            assert sorted(computed[3:]) == [("decodable", 4), ("gradients", 4), ("plane", 4)]
            assert all(later["parts"][part]["token"] != token for part, token in has.items())
            assert later["runs"] == "<li>epoch 4, 5 snapshots</li>"


def test_runs_are_laid_over_each_other(tmp_path, small, other, computed):
    with Watched([small, other, tmp_path / "none.fp"]) as page:
        news = page.settled()
    assert news["title"] == "3 runs" and news["state"].startswith("Nothing is recorded yet in none.fp; ")
    parts = {name: part["figures"] for name, part in news["parts"].items()}
    assert set(parts["plane"]) == {"information-planes"} and set(parts["decodable"]) == {"decodable-depth"}
    names = {trace.get("name") for trace in parts["curves"]["training-curves"]["data"]} - {None}
    assert names == {f"{run}, {part}" for run in ("small.fp", "other.fp") for part in ("train", "test")}
    assert "Gradients were not kept." in news["parts"]["gradients"]["markup"]
    assert set(parts["gradients"]) == {"gradient-phases"}
    assert news["parts"]["layers"]["markup"].count("<table") >= 2


def test_what_cannot_be_shown_is_a_plain_sentence(tmp_path, hostile, computed, monkeypatch):
    with Watched(hostile) as page:
        news = page.settled()
    text = " ".join([news["runs"], *(part["markup"] for part in news["parts"].values())])
    assert "there is nothing to decode" in text and "found" not in text
    assert "<img" not in text and "<script" not in text and "&lt;script&gt;" in text

    def fails(rec, **options):
        raise RuntimeError("0xdead /secret/path")

    monkeypatch.setattr("flowplane.reporting.live_parts.reading", fails)
    with Watched(epochs(tmp_path / "run.fp", 1)) as page:
        plane = page.settled()["parts"]["plane"]["markup"]
    assert NOT_READ in plane and "secret" not in plane


def test_a_recording_that_nobody_may_write_to(tmp_path, computed, monkeypatch):
    epochs(tmp_path / "run.fp", 2)

    def refused(*arguments):
        raise PermissionError

    monkeypatch.setattr(Cache, "_write", refused)
    monkeypatch.setattr(Cache, "_locked", refused)
    monkeypatch.setattr(os, "access", lambda *arguments: False)
    with Watched(tmp_path / "run.fp") as page:
        assert set(page.settled()["parts"]["plane"]["figures"]) == {"information-plane"}
    assert not (tmp_path / "run.fp/cache").exists()


# -- who is answered, and how it ends ---------------------------------------------------------------------------------


def asked(port, path, host, method="GET", body=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.putrequest(method, path, skip_host=True)
    if host is not None:
        connection.putheader("Host", host)
    for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body or b""))}.items():
        connection.putheader(name, value)
    connection.endheaders(body)
    answer = connection.getresponse()
    return answer.status, answer.read()


@pytest.fixture(scope="module")
def page(small):
    with fp.watch(small) as page:
        yield page


@pytest.fixture(scope="module")
def port(page):
    return int(page.url.split(":")[2].strip("/"))


def test_only_pages_of_this_machine_are_answered(port):
    for host in (f"localhost:{port}", f"127.0.0.1:{port}", f"[::1]:{port}"):
        assert asked(port, "/", host)[0] == 200
    for host in (
        "evil.example",
        f"evil.example:{port}",
        "localhost",
        f"localhost:{port + 1}",
        f"127.0.0.1.evil:{port}",
        None,
    ):
        for path in ("/", "/plotly.js", "/_dash-layout", "/_dash-component-suites/dash/deps/react@18.3.1.min.js"):
            assert asked(port, path, host)[0] in (400, 403), (host, path)


def test_only_loopback_is_listened_on():
    with bound(None) as listening:
        assert listening.getsockname()[0] == "127.0.0.1" and listening.family == socket.AF_INET


def test_no_file_is_given_out(port):
    host = f"127.0.0.1:{port}"
    index = asked(port, "/", host)[1]
    for path in ("/etc/passwd", "/assets/live.py", "/assets/../live.py", "/%2e%2e/%2e%2e/etc/passwd", "/live.py"):
        status, body = asked(port, path, host)
        assert status == 404 or body[:200] == index[:200], path
    for path in ("/_dash-component-suites/dash/../../etc/passwd", "/_dash-component-suites/os/os.py"):
        assert asked(port, path, host)[0] >= 400 or asked(port, path, host)[1][:200] == index[:200]
    assert b"def watch" not in index and b'"ui":false' in index
    for body in (b"{}", b"[]", b"nonsense"):
        assert b"Traceback" not in asked(port, "/_dash-update-component", host, "POST", body)[1]


def test_a_page_ends_and_leaves_nothing(tmp_path):
    before = set(threading.enumerate())
    taken = bound(None)
    number = taken.getsockname()[1]
    with taken, pytest.raises(InputError, match=f"port: found {number}, on which another program listens"):
        fp.watch(tmp_path, port=number)
    page = fp.watch(epochs(tmp_path / "run.fp", 2), port=number)
    assert page.url == f"http://127.0.0.1:{number}/" and page.url in repr(page)
    asked(number, "/", f"localhost:{number}")
    page._live.news({})  # analyses begin
    page.close()
    page.close()
    assert "closed" in repr(page)
    assert not [each for each in set(threading.enumerate()) - before if each.name.startswith("flowplane watch")]
    bound(number).close()
    with pytest.raises(InputError, match="port: found 70000"):
        fp.watch(tmp_path, port=70000)


def test_a_notebook_shows_a_frame(tmp_path, monkeypatch):
    shown = []
    display = types.ModuleType("IPython.display")
    display.IFrame, display.display = lambda *arguments: arguments, shown.append
    module = types.ModuleType("IPython")
    module.display, module.get_ipython = display, lambda: types.SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", module)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    with fp.watch(tmp_path) as page:
        assert shown == [(page.url, "100%", 900)]
        module.get_ipython = object  # a terminal
        with fp.watch(tmp_path):
            assert len(shown) == 1


def test_without_dash_it_is_said(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "flowplane.reporting.live_server", None)
    with pytest.raises(MissingRequirement, match=r"pip install 'flowplane\[live\]'"):
        fp.watch(tmp_path)


def test_command_line_ends_with_ctrl_c(tmp_path):
    # where the tests themselves run in the background, a shell has them and their children ignore Ctrl-C
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from flowplane.cli import main; main()"
    )
    command = [sys.executable, "-c", program, "watch", str(tmp_path / "no.fp"), "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        line = process.stdout.readline()
        assert line.startswith("watching on http://127.0.0.1:")
        process.send_signal(signal.SIGINT)
        try:
            rest, _ = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, rest) == (0, "")


@pytest.mark.parametrize("arguments", [["file"], ["no.fp", "--port", "70000"], [f"{k}.fp" for k in range(9)], []])
def test_command_line_refuses_in_one_line(tmp_path, monkeypatch, capsys, arguments):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    monkeypatch.setattr(sys, "argv", ["flowplane", "watch", *arguments, "--no-browser"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    said = capsys.readouterr()
    assert (stop.value.code, said.out, len(said.err.strip().splitlines())) == (2, "", 1)
