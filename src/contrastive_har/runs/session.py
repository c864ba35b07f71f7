"""A Kedro session that belongs to a run: several sessions may, each doing a part, and a later one may go on."""

from __future__ import annotations

import logging
import re
from typing import Any, ClassVar, cast

from kedro.framework.session import KedroSession
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline
from kedro.runner import SequentialRunner
from pluggy import PluginManager

RUN_ID = re.compile(r"\d{4}-\d\d-\d\dT\d\d\.\d\d\.\d\d\.\d{3}Z")
"""A run's id is the version of everything it stores, and versions are sorted by name: it must be a time."""


class RunSession(KedroSession):
    """Understands the parameters ``run_id`` and ``resume``.

    ``run_id`` makes the session a part of that run: it reads and writes that run's versions and is tracked with it.
    ``resume`` skips what an earlier run has finished with the same code, parameters and inputs.
    """

    environment: ClassVar[str | None] = None
    """Of the newest session; None is Kedro's default. Pipelines are registered from its configuration."""

    @classmethod
    def create(cls, *arguments: Any, **options: Any) -> RunSession:
        """Create the session; its id is the run's.

        Raises:
            ValueError: if ``run_id`` is not one.
        """
        session = super().create(*arguments, **options)
        cls.environment = session.store.get("env")
        run_id = (session.store.get("runtime_params") or {}).get("run_id")
        if run_id is not None:
            if not RUN_ID.fullmatch(str(run_id)):
                raise ValueError(
                    f"run_id '{run_id}' is not a time like 2026-01-31T12.00.00.000Z: everything a run stores has its "
                    "id as version, and versions are sorted by name."
                )
            session.session_id = run_id
            session._store["session_id"] = run_id
        return session  # type: ignore[return-value]

    def run(self, *arguments: Any, **options: Any) -> dict[str, Any]:
        """Run a pipeline, or what is left of it."""
        if (self.store.get("runtime_params") or {}).get("resume"):
            options["runner"] = ResumingRunner()
        return super().run(*arguments, **options)


class ResumingRunner(SequentialRunner):
    """Runs only the nodes that no earlier run has finished with the same fingerprint."""

    def run(
        self,
        pipeline: Pipeline,
        catalog: Any,
        hook_manager: PluginManager | None = None,
        run_id: str | None = None,
        only_missing_outputs: bool = False,
    ) -> dict[str, Any]:
        """Skip what is finished, then run the rest."""
        rest = _left_to_do(pipeline, catalog, str(run_id))
        return super().run(rest, catalog, hook_manager, run_id, only_missing_outputs)


def _left_to_do(pipeline: Pipeline, catalog: DataCatalog, run_id: str) -> Pipeline:
    """Return the nodes that no run has finished; the others' outputs are pinned, and belong to this run from now on."""
    from contrastive_har.catalog import AtomicDataset
    from contrastive_har.runs.lineage import find_finished, fingerprint_nodes
    from contrastive_har.runs.manifest import manifests_of

    manifests = manifests_of(catalog)
    earlier = [manifest for manifest in manifests.newest_first() if manifest.run_id <= run_id]
    finished: set[str] = set()
    taken: dict[str, str] = {}
    for node, own, _ in fingerprint_nodes(pipeline, catalog, manifests):
        if versions := find_finished(node, own, catalog, earlier):
            finished.add(node.name)
            taken |= versions
    for name, version in taken.items():
        cast(AtomicDataset, catalog.get(name)).pin(version)
    manifests.update(run_id, lambda known: known.with_versions(taken))
    logging.getLogger(__name__).info("%d of %d nodes are finished already.", len(finished), len(pipeline.nodes))
    return pipeline.only_nodes(*(node.name for node in pipeline.nodes if node.name not in finished))
