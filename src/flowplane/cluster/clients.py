"""The cluster that a caller means."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowplane.cluster.local import LocalWorkers
from flowplane.core.compiled import cores
from flowplane.core.points import check_count
from flowplane.errors import InputError, MissingRequirement, Text

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["NEEDED", "check_cluster", "connected"]

NEEDED = 'work on a cluster needs Dask: pip install "flowplane[cluster]"'
#: Seconds to wait for a scheduler's answer.
_ANSWER = 20


def check_cluster(cluster: Any) -> None:
    """Refuse what cannot be a cluster, before anything is written.

    Raises:
        InputError: neither None, a number of workers, an address, a Client nor a Dask cluster; a client that is closed.
        MissingRequirement: Dask is not installed.
    """
    try:
        from distributed import Client
        from distributed.deploy.cluster import Cluster
    except ImportError as error:
        raise MissingRequirement(NEEDED) from error
    if isinstance(cluster, int):
        check_count("cluster", cluster)
    elif isinstance(cluster, Client):
        if cluster.asynchronous or cluster.status != "running":
            raise InputError("cluster", Text(f"a client that is {cluster.status}"), "a synchronous client that is running")
    elif cluster is not None and not isinstance(cluster, str | Cluster):
        expected = "None, a number of workers, the address of a scheduler, a Dask Client or a Dask cluster"
        raise InputError("cluster", Text(type(cluster).__name__), expected)


@contextmanager
def connected(cluster: Any, tasks: int, log: Path) -> Iterator[Client]:
    """A client of the cluster; what is started here is stopped here. No more workers than tasks.

    Raises:
        InputError: no scheduler answers.
    """
    from distributed import Client

    if isinstance(cluster, Client):
        yield cluster
        return
    if cluster is None or isinstance(cluster, int):
        with (
            LocalWorkers(min(cluster or cores(), tasks), log) as workers,
            Client(workers.address, set_as_default=False) as client,
        ):
            yield client
        return
    client = None
    with suppress(OSError, ValueError, TimeoutError):
        client = Client(cluster, timeout=_ANSWER, set_as_default=False)
    if client is None:
        gc.collect()  # Dask 2026.8: a client that failed, collected while the next one starts, waits for it forever
        raise InputError("cluster", cluster, "the address of a running scheduler, such as tcp://host:8786")
    with client:
        yield client
