"""What tests of clusters run beside themselves: a scheduler with workers, an object store."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import icechunk

DASK = str(Path(sys.executable).with_name("dask"))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class ByHand:
    """A scheduler and two workers, started as docs/how-to/clusters-and-object-stores.md says."""

    def __init__(self, folder, workers=2, **settings):
        self.address = f"tcp://127.0.0.1:{free_port()}"
        host, port = self.address.removeprefix("tcp://").split(":")
        commands = [
            [DASK, "scheduler", "--host", host, "--port", port, "--no-dashboard"],
            [DASK, "worker", self.address, "--nworkers", str(workers), "--nthreads", "1", "--no-dashboard"],
        ]
        # the workers load this file's functions by its name
        paths = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
        env = os.environ | settings | {"PYTHONPATH": paths}
        self.log = (folder / "dask.log").open("wb")
        self.processes = [subprocess.Popen(command, stderr=self.log, cwd=folder, env=env) for command in commands]

    def close(self):
        for process in self.processes[::-1]:
            process.terminate()
            process.wait(30)
        self.log.close()


@contextmanager
def object_store(folder):
    """A function that makes the Storage of a new repository, on a server of S3 that runs meanwhile."""
    port = free_port()
    with (folder / "store.log").open("wb") as log:
        command = [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(port)]
        paths = os.pathsep.join(filter(None, sys.path))
        server = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | {"PYTHONPATH": paths})
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(port)
        urllib.request.urlopen(urllib.request.Request(f"{address}/recordings", method="PUT"), timeout=60).close()

        def storage(prefix):
            return icechunk.s3_storage(
                bucket="recordings",
                prefix=prefix,
                region="us-east-1",
                endpoint_url=address,
                allow_http=True,
                force_path_style=True,
                access_key_id="anybody",
                secret_access_key="nothing",
            )

        yield storage
    finally:
        server.terminate()
        server.wait(30)


def wait_for(port, seconds=60):
    """Until something listens."""
    end = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
