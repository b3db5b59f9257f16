"""Processes that begin with flowplane imported: forked from one that was started once, a second or two saved for each."""

import atexit
import functools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

#: Forks a child for each line of its standard input, and writes how it ended; one child at a time.
SERVER = """
import json, os, sys, traceback
import icechunk, numba, numpy, torch, torch._dynamo, xarray, zarr  # an optimiser imports torch._dynamo
import flowplane as fp, flowplane.ensemble, flowplane.recorder, flowplane.recording, flowplane.tasks
for line in sys.stdin:
    job = json.loads(line)
    child = os.fork()
    if child == 0:
        for number, name in ((0, os.devnull), (1, job["out"]), (2, job["err"])):
            os.dup2(os.open(name, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
        sys.path[:0], sys.argv = job["path"], ["-c", *job["arguments"]]
        status = 0
        try:
            exec(compile(job["code"], "<forked>", "exec"), {"__name__": "__main__"})
        except BaseException:
            traceback.print_exc()
            status = 1
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    print(child, flush=True)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with open(job["code_file"] + ".part", "w") as file:
        file.write(str(status))
    os.replace(job["code_file"] + ".part", job["code_file"])
"""


class Forked:
    """A process that runs some code; what it has printed so far, and how it ended."""

    def __init__(self, code, *arguments):
        self._folder = Path(tempfile.mkdtemp(dir=_folder().name))
        names = {"out": self._folder / "out", "err": self._folder / "err", "code_file": self._folder / "status"}
        job = {"code": code, "arguments": list(map(str, arguments)), "path": [str(Path(__file__).parent)]}
        job |= {key: str(path) for key, path in names.items()}
        server = _server()
        server.stdin.write(json.dumps(job) + "\n")
        server.stdin.flush()
        self.pid = int(server.stdout.readline())

    @property
    def stdout(self):
        return self._read("out")

    @property
    def stderr(self):
        return self._read("err")

    def poll(self):
        """How it ended, as in subprocess; None while it runs."""
        file = self._folder / "status"
        return int(file.read_text()) if file.exists() else None

    def wait(self, seconds=120):
        end = time.monotonic() + seconds
        while self.poll() is None:
            assert time.monotonic() < end, "the process did not end"
            time.sleep(0.005)
        return self.poll()

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self):
        """End it at once, and wait until it has."""
        self.send_signal(signal.SIGKILL)
        self.wait()

    def _read(self, name):
        file = self._folder / name
        return file.read_text() if file.exists() else ""


@functools.cache
def _folder():
    """What all of them print; gone when the tests end."""
    return tempfile.TemporaryDirectory(prefix="forked-")


@functools.cache
def _server():
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    atexit.register(server.stdin.close)
    return server
