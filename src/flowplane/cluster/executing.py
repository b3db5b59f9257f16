"""The parts of an analysis as tasks of a Dask cluster, whose workers read the recording where it lies."""

from __future__ import annotations

import io
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zarr.core.sync import sync

from flowplane.cluster.clients import NEEDED, check_cluster, connected
from flowplane.cluster.work import run_item
from flowplane.core.compiled import cores
from flowplane.core.executors import Executor, Item, Result
from flowplane.errors import ClusterFailed, InputError, MissingRequirement, Text
from flowplane.recording.copying import InMemory
from flowplane.version import __version__

if TYPE_CHECKING:
    from distributed import Client

try:
    import cloudpickle
except ImportError as error:
    raise MissingRequirement(NEEDED) from error

__all__ = ["MOST", "DaskExecutor", "dask_executor"]

#: Bytes of a recording in memory that are sent to the workers; a larger one must be stored where they can read it.
MOST = 1 << 26


@contextmanager
def dask_executor(cluster: Any) -> Iterator[DaskExecutor]:
    """An executor on a cluster, as `cluster=` of `fp.sweep`; workers that are started here are stopped here.

    Raises:
        InputError: it is not a cluster, or no scheduler answers.
        MissingRequirement: Dask is not installed.
    """
    check_cluster(cluster)
    with tempfile.TemporaryDirectory(prefix="flowplane-") as folder:
        workers = cluster if isinstance(cluster, int) else cores()
        with connected(cluster, workers, Path(folder) / "workers.log") as client:
            yield DaskExecutor(client)


class DaskExecutor(Executor):
    """One task per item. A worker that dies leaves its task to another; a task blamed for three deaths is given up."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """As `Executor.map`, on the workers.

        Raises:
            InputError: what cannot be sent to them, a recording that they cannot read, or what the function raises.
            ClusterFailed: the scheduler is gone, or workers died over and over.
        """
        from concurrent.futures import CancelledError

        import dask
        from distributed.scheduler import KilledWorker

        # one group, so that a task waits at the scheduler and not at a worker, whose death it would be blamed for
        group = f"analysis-{uuid.uuid4().hex}"
        pickled = _pickled(function)
        parts = [cloudpickle.dumps(item) for item in items]
        # a task of its own: each worker gets it once, and it is made again if lost with a worker
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": 2 * MOST}):
            whole = self._client.submit(bytes, pickled, key=f"{group}-function", pure=False)
            keys = [(group, place) for place in range(len(parts))]
            futures = self._client.map(run_item, parts, key=keys, function=whole, version=__version__, pure=False)
        try:
            for future in futures:
                yield future.result()
                future.release()
        except KilledWorker as error:
            raise ClusterFailed(f"workers died at the same part of the analysis again and again: {error}") from error
        except CancelledError as error:
            raise ClusterFailed("the scheduler of the cluster is gone, or the analysis was cancelled there") from error
        finally:
            self._client.cancel([whole, *futures])


def _pickled(function: Any) -> bytes:
    """The function as bytes. Raises InputError where it cannot be."""
    file = io.BytesIO()
    try:
        _Pickler(file).dump(function)
    except InputError:
        raise
    except Exception as error:
        found = Text(f"an analysis that cannot be sent to another process ({error})")
        raise InputError("cluster", found, "None, or measures made of what can be pickled") from error
    return file.getvalue()


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Refuses large recordings before they are copied."""

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, InMemory):
            size = sync(obj.getsize_prefix(""))
            if size > MOST:
                expected = f"at most {MOST:,}, or one at a path= that the workers can read: a shared folder, an object store"
                raise InputError("rec", Text(f"a recording of {size:,} bytes in memory, with cluster="), expected)
        return super().reducer_override(obj)
