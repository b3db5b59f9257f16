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

#: Forks a child for each line of its standard input, and writes how each ended; kills what runs when the input closes.
SERVER = """
import faulthandler, json, os, select, signal, sys, traceback
import icechunk, numba, numpy, torch, torch._dynamo, xarray, zarr  # an optimiser imports torch._dynamo
import flowplane as fp, flowplane.ensemble, flowplane.recorder, flowplane.recording, flowplane.tasks

def run(job):
    for number, name in ((0, os.devnull), (1, job["out"]), (2, job["err"])):
        os.dup2(os.open(name, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    faulthandler.enable()
    sys.path[:0], sys.argv = job["path"], ["-c", *job["arguments"]]
    exec(compile(job["code"], "<forked>", "exec"), {"__name__": "__main__"})

running, rest, open_ = {}, b"", True
while open_ or running:
    if open_ and select.select([0], [], [], 0.005 if running else None)[0]:
        new = os.read(0, 65536)
        *lines, rest = (rest + new).split(b"\\n")
        if not new:
            open_ = False
            for child in running:
                os.killpg(child, signal.SIGKILL)
        for job in map(json.loads, lines):
            child = os.fork()
            if child == 0:
                status = 0
                try:
                    run(job)
                except BaseException:
                    traceback.print_exc()
                    status = 1
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status)
            os.setpgid(child, child)  # killed with what it starts
            running[child] = job["code_file"]
            print(child, flush=True)
    child, how = os.waitpid(-1, os.WNOHANG if open_ else 0) if running else (0, 0)
    if child:
        name = running.pop(child)
        with open(name + ".part", "w") as file:
            file.write(str(os.waitstatus_to_exitcode(how)))
        os.replace(name + ".part", name)
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
            if time.monotonic() > end:
                self.send_signal(signal.SIGABRT)  # it says where it is
                time.sleep(1)
                raise AssertionError(f"the process did not end\n{self.stderr}")
            time.sleep(0.005)
        return self.poll()

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self):
        """End it and what it started at once, and wait until it has."""
        if self.poll() is None:
            os.killpg(self.pid, signal.SIGKILL)
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
