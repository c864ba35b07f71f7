"""A Kedro session that belongs to a run: several sessions may run its parts, and a later one may resume it."""

from __future__ import annotations

import atexit
import gc
import logging
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, cast

from kedro.config import AbstractConfigLoader
from kedro.framework.context import KedroContext
from kedro.framework.session import KedroSession
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline
from kedro.runner import SequentialRunner
from kedro.utils import find_kedro_project
from pluggy import PluginManager

from contrastive_har.refining import is_protocol
from contrastive_har.runs.refusals import show_refusals
from contrastive_har.runs.runner import SideBySideRunner
from contrastive_har.runs.settings import OF_SESSIONS, configuration_folder

MAIN = "semi_supervised"
"""The protocol of the main job, and of the stages that can be run by name."""

_RUN_ID_FORMAT = "%Y-%m-%dT%H.%M.%S.%fZ"

RUN_ID = re.compile(r"\d{4}-\d\d-\d\dT\d\d\.\d\d\.\d\d\.\d{3}Z")
"""Form of the id of a run: a time, because it is the version of all it stores and versions are sorted by name."""


class RunContext(KedroContext):
    """A context whose catalog has the values inside of protocols as plans only.

    Kedro adds every parameter at every depth: thousands of entries, which no node takes.
    """

    def _get_parameters(self) -> dict[str, Any]:
        parameters: dict[str, Any] = super()._get_parameters()
        configured = self.config_loader["parameters"]
        inside = tuple(f"params:{name}." for name, value in configured.items() if is_protocol(value))
        return {name: value for name, value in parameters.items() if not name.startswith(inside)}


class RunSession(KedroSession):
    """A session with the parameters ``run_id`` and ``resume``.

    ``run_id`` makes the session a part of that run: it reads and writes that run's versions and is tracked with it.
    ``resume`` skips nodes that an earlier run has finished with the same code, parameters and inputs.
    """

    configuration: ClassVar[AbstractConfigLoader | None] = None
    """Configuration of the open session. Pipelines are registered from it, so that it is read once."""

    @classmethod
    def create(cls, project_path: Path | str | None = None, *arguments: Any, **options: Any) -> RunSession:
        """Create the session; its id is that of the run.

        Outside a project, the folder is the working directory and the configuration that of the package.

        Raises:
            ValueError: if ``run_id`` is not a valid id, ``resume`` neither true nor false, or the name of the folder
                cannot be read.
        """
        show_refusals()  # again: the logging of Kedro, which is set up after the settings are read, shows tracebacks
        project = Path(project_path or find_kedro_project(Path.cwd()) or Path.cwd())
        _require_readable(project)
        options["conf_source"] = options.get("conf_source") or str(configuration_folder(project))
        session = super().create(project, *arguments, **options)
        given = session.store.get("runtime_params") or {}
        run_id, resume = given.get("run_id"), given.get("resume")
        if not isinstance(resume, bool | None):
            raise ValueError(f"resume={resume}: it is true or false.")  # noqa: TRY004 - an option of the command
        if run_id is not None:
            if not _is_run_id(str(run_id)):
                raise ValueError(
                    f"run_id '{run_id}' is not a time like 2026-01-31T12.00.00.000Z: everything a run stores has its "
                    "id as version, and versions are sorted by name."
                )
            session.session_id = run_id
            session._store["session_id"] = run_id
        return session  # type: ignore[return-value]

    def load_context(self) -> KedroContext:
        """Return the context, which has the configuration.

        Raises:
            ValueError: if the configuration has ``run_id`` or ``resume``, which are of one run, or if ``recordings`` is
                no text.
        """
        context = super().load_context()
        RunSession.configuration = context.config_loader
        given = self.store.get("runtime_params") or {}
        recordings = context.config_loader["parameters"].get("recordings")
        if not isinstance(recordings, str | None):  # Kedro takes the name 12 for a number
            cure = "Give one: --params=recordings=./PATH."
            raise ValueError(f"recordings is {recordings!r}, not a path. {cure}")  # noqa: TRY004 - as for any value
        for name in OF_SESSIONS:
            if (value := context.config_loader["parameters"].get(name)) != given.get(name) and value:
                raise ValueError(
                    f"{name} is set in {self._conf_source}. Remove it there, and use --params={name}={value}."
                )
        return context

    def close(self) -> None:
        """Close the session."""
        super().close()
        RunSession.configuration = None

    def run(self, *arguments: Any, **options: Any) -> dict[str, Any]:
        """Run a pipeline, or the nodes of it that are not finished.

        Raises:
            ValueError: if another runner is asked for, or nodes are chosen by missing outputs.
        """
        _refuse_unsuited(options)
        # Not as __default__, for which Kedro would build all pipelines and validate and track the parameters of each.
        names = options.get("pipeline_names") or ["__default__"]
        options["pipeline_names"] = [MAIN if name == "__default__" else name for name in names]
        resumes = (self.store.get("runtime_params") or {}).get("resume")
        options["runner"] = ResumingRunner() if resumes else SideBySideRunner()
        # Until the first node, almost all that is made stays: modules, settings, the catalog. To look for garbage among
        # it takes a second, and another one when the program ends.
        gc.disable()
        atexit.register(gc.freeze)
        try:
            return super().run(*arguments, **options)
        finally:
            gc.enable()


def _require_readable(project: Path) -> None:
    try:
        str(project).encode()
    except UnicodeEncodeError as error:
        named = str(project).encode(errors="replace").decode()
        raise ValueError(f"{named}: the name of the folder is not in this locale. Set PYTHONUTF8=1.") from error


def _is_run_id(text: str) -> bool:
    """Return whether a text is the id of a run: a time."""
    if not RUN_ID.fullmatch(text):
        return False
    try:
        time_of(text)
    except ValueError:  # a 13th month
        return False
    return True


def time_of(run_id: str) -> datetime:
    """Return the time that the id of a run is."""
    return datetime.strptime(run_id, _RUN_ID_FORMAT).replace(tzinfo=UTC)


def _refuse_unsuited(options: Mapping[str, Any]) -> None:
    """Refuse options of a run that Kedro accepts but that cannot do here what they are for.

    Raises:
        ValueError: naming what does it instead.
    """
    runner = options.get("runner") or SequentialRunner()
    if not isinstance(runner, SequentialRunner):
        raise ValueError(  # noqa: TRY004 - an option of the command
            f"--runner={type(runner).__name__}: the project's own runner decides what runs side by side, and tracks it "
            "as one run. Leave it out; docs/scaling.md says how several processes, machines or tasks share the work."
        )
    if runner._is_async:
        raise ValueError("--async: results are tracked by the process that computes them. Leave it out.")
    if options.get("only_missing_outputs"):
        raise ValueError(
            "--only-missing-outputs: every run stores versions of its own, which are all missing at first. Use "
            "--params=resume=true, which skips what an earlier run has finished."
        )


class ResumingRunner(SideBySideRunner):
    """Runs only the nodes that no earlier run has finished with the same fingerprint."""

    def run(
        self,
        pipeline: Pipeline,
        catalog: Any,
        hook_manager: PluginManager | None = None,
        run_id: str | None = None,
        only_missing_outputs: bool = False,
    ) -> dict[str, Any]:
        """Skip finished nodes and run the others."""
        unfinished = _unfinished(pipeline, catalog, str(run_id))
        return super().run(unfinished, catalog, hook_manager, run_id, only_missing_outputs)


def _unfinished(pipeline: Pipeline, catalog: DataCatalog, run_id: str) -> Pipeline:
    """Return the nodes that no run has finished; outputs of the others are pinned and recorded as those of this run."""
    from contrastive_har.catalog import AtomicDataset
    from contrastive_har.runs.lineage import Origins, find_finished, fingerprint_nodes
    from contrastive_har.runs.manifest import Manifest, manifests_of

    manifests = manifests_of(catalog)
    earlier = [manifest for manifest in manifests.newest_first() if manifest.run_id <= run_id]
    finished: set[str] = set()
    pinned: dict[str, str] = {}
    for node, record in fingerprint_nodes(pipeline, catalog, Origins(manifests)):
        if versions := find_finished(node, record.fingerprint, catalog, earlier):
            finished.add(node.name)
            pinned |= versions
    entries = {name: cast(AtomicDataset, catalog.get(name)) for name in pinned}

    def note(manifest: Manifest) -> Manifest:
        there = all(entries[name].has(version) for name, version in pinned.items())
        return manifest.with_versions(pinned) if there else manifest

    noted = manifests.update(run_id, note).versions  # which clean-runs keeps from now on
    if not pinned.items() <= noted.items():  # it has just removed one
        return _unfinished(pipeline, catalog, run_id)
    for name, version in pinned.items():
        entries[name].pin(version)
    logging.getLogger(__name__).info("%d of %d nodes are finished already.", len(finished), len(pipeline.nodes))
    return pipeline.only_nodes(*(node.name for node in pipeline.nodes if node.name not in finished))
