"""Engines: who reads and cuts recordings, this process or a Dask cluster. The results are the same."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

Item = TypeVar("Item")
Found = TypeVar("Found")


class EngineSettings(BaseModel):
    """Where independent pieces of work run.

    Attributes:
        name: ``local``: one after the other in this process; ``dask``: on a Dask cluster, whose workers have this
            package installed and see the same files.
        address: The cluster's scheduler, such as ``tcp://scheduler.example.org:8786``; null starts a cluster on this
            machine for as long as it is needed.
        workers: Processes of a cluster on this machine; null takes one a core.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["local", "dask"] = "local"
    address: str | None = None
    workers: int | None = Field(default=None, gt=0)

    def map(self, function: Callable[[Item], Iterable[Found]], items: Iterable[Item]) -> Iterator[Found]:
        """Yield everything that ``function`` finds in each item, in the order of the items.

        Neither engine takes more items than it is about to work on, so that any number of them fits into memory.

        Args:
            function: Picklable where the engine is a cluster.
            items: Likewise.
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
            # One thread a worker: most of the work holds Python's lock.
            cluster = self.address or open_resources.enter_context(
                LocalCluster(self.workers, threads_per_worker=1, dashboard_address="127.0.0.1:0")
            )
            try:
                client = open_resources.enter_context(Client(cluster, set_as_default=False))
            except (OSError, TimeoutError) as error:
                raise ConnectionError(
                    f"No Dask scheduler answers at {self.address} ({error}). Start it, or correct engine.address."
                ) from error
            under_way: deque[Any] = deque()
            for item in items:
                under_way.append(client.submit(_list, function, item, pure=False))
                if len(under_way) > 2 * sum(client.nthreads().values()):
                    yield from under_way.popleft().result()
            while under_way:
                yield from under_way.popleft().result()


def _list(function: Callable[[Item], Iterable[Found]], item: Item) -> list[Found]:
    """Finish an iterator where it was made: iterators do not travel."""
    return list(function(item))


LOCAL = EngineSettings()
