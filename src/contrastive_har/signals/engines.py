"""Engines that read and cut recordings: this process or a Dask cluster, with the same results."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import Any, Literal, TypeVar

from pydantic import Field

from contrastive_har.strict import StrictModel

Item = TypeVar("Item")
Found = TypeVar("Found")


class EngineSettings(StrictModel):
    """Where independent tasks run.

    Attributes:
        name: ``local``: one after the other in this process; ``dask``: on a Dask cluster, whose workers have this
            package installed and see the same files.
        address: The cluster's scheduler, such as ``tcp://scheduler.example.org:8786``; null starts a cluster on this
            machine for as long as it is needed.
        workers: Processes of a cluster on this machine; null takes one per core.
    """

    name: Literal["local", "dask"] = "local"
    address: str | None = None
    workers: int | None = Field(default=None, gt=0)

    def map(self, function: Callable[[Item], Iterable[Found]], items: Iterable[Item]) -> Iterator[Found]:
        """Yield everything that ``function`` finds in each item, in the order of the items.

        Items are taken only shortly before they are processed, so that they need not fit into memory together.

        Args:
            function: Called with each item; picklable if the engine is a cluster.
            items: Picklable if the engine is a cluster.
        """
        if self.name == "local":
            for item in items:
                yield from function(item)
        else:
            yield from self._map_on_cluster(function, items)

    def _map_on_cluster(self, function: Callable[[Item], Iterable[Found]], items: Iterable[Item]) -> Iterator[Found]:
        try:
            from distributed import Client, LocalCluster
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                "engine.name is dask, but Dask is not installed: pip install 'contrastive-har[dask]'."
            ) from error
        with ExitStack() as open_resources:
            # One thread per worker: most of the work holds the global interpreter lock.
            cluster = self.address or open_resources.enter_context(
                LocalCluster(self.workers, threads_per_worker=1, dashboard_address="127.0.0.1:0")
            )
            try:
                client = open_resources.enter_context(Client(cluster, set_as_default=False))
            except (OSError, TimeoutError) as error:
                raise ConnectionError(
                    f"No Dask scheduler answers at {self.address} ({error}). Start it, or correct engine.address."
                ) from error
            pending: deque[Any] = deque()
            for item in items:
                pending.append(client.submit(_list, function, item, pure=False))
                if len(pending) > 2 * sum(client.nthreads().values()):
                    yield from pending.popleft().result()
            while pending:
                yield from pending.popleft().result()


def _list(function: Callable[[Item], Iterable[Found]], item: Item) -> list[Found]:
    """Return the results as a list: iterators cannot be sent between processes."""
    return list(function(item))


LOCAL = EngineSettings()
