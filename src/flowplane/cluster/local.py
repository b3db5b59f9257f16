"""A Dask cluster on this machine, in processes that end with the process that started them.

The scheduler lives in a Python process of its own. Dask starts workers by `multiprocessing`, which imports the starter's
main module anew: a script without `if __name__ == "__main__"` would begin again in each worker. It also keeps thread limits
and logs out of the caller's process, and Ctrl-C away from the workers.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

__all__ = ["LocalWorkers", "serve"]

_CODE = (
    "import json, sys; sys.path[:] = json.loads(sys.stdin.readline()); from flowplane.cluster.local import serve; serve({})"
)
#: A task starts on one thread, whatever library it uses.
_ONE = dict.fromkeys(
    ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1"
)
_CONFIG: dict[str, Any] = {
    "distributed.scheduler.allowed-failures": 3,  # deaths of workers that a task survives
    "distributed.scheduler.worker-saturation": 1.0,  # a task that waits is not blamed for a worker's death
    "distributed.scheduler.worker-ttl": None,  # a long computation that holds the interpreter's lock is not a death
}


class LocalWorkers:
    """Single-threaded worker processes and their scheduler; use as a context manager.

    They end when the context is left, and also when this process is killed: their standard input closes.

    Arguments:
        workers: how many.
        log: file that takes what they print.
    """

    def __init__(self, workers: int, log: Path) -> None:
        paths = [entry or os.getcwd() for entry in sys.path if isinstance(entry, str)]
        # the locks of a process that ends at once are not worth a line in the log
        warnings = ",".join(filter(None, [os.environ.get("PYTHONWARNINGS"), "ignore:resource_tracker"]))
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _CODE.format(int(workers))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                env=os.environ | _ONE | {"PYTHONWARNINGS": warnings},
                start_new_session=True,
            )
        try:
            assert self._process.stdin is not None and self._process.stdout is not None
            self._process.stdin.write(json.dumps(paths).encode() + b"\n")
            self._process.stdin.flush()
            self.address = self._process.stdout.readline().decode().strip()
            if not self.address:
                raise RuntimeError(f"the workers did not start: {log.read_text(errors='replace').strip()[-1000:]}")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> LocalWorkers:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End all of them at once: what they committed is on disk."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with suppress(BrokenPipeError):  # it has gone already
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


def serve(workers: int) -> None:
    """Run a cluster, write its address to standard output, and end with everything below when standard input closes."""
    import dask
    import psutil
    from distributed import LocalCluster

    answer = os.dup(1)
    os.dup2(2, 1)  # what studies print goes to the log
    scratch = tempfile.mkdtemp(prefix="flowplane-")
    with dask.config.set(_CONFIG):
        cluster = LocalCluster(
            n_workers=workers, threads_per_worker=1, dashboard_address=None, local_directory=scratch, host="127.0.0.1"
        )
        os.write(answer, f"{cluster.scheduler_address}\n".encode())
        os.close(answer)
        sys.stdin.read()
        for worker in psutil.Process().children():  # they end with this process; what their tasks started does not
            for process in worker.children(recursive=True):
                process.kill()
    shutil.rmtree(scratch, ignore_errors=True)
    os._exit(0)
