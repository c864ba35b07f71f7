"""Tracking of Kedro runs in MLflow; nodes do not depend on it."""

from __future__ import annotations

import atexit
import logging
import os
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline

from contrastive_har.refining import plain
from contrastive_har.runs.hooks.context import ContextHooks
from contrastive_har.runs.processes import PROCESS, this_process

if TYPE_CHECKING:
    from contrastive_har.runs.manifest import Manifest


@dataclass(frozen=True)
class Described:
    """What a tracked run says of itself when it starts.

    Attributes:
        name: Its name in lists.
        tags: The command that repeats it, the commit of its code, and the environment of its configuration.
        parameters: Parameters that take part, by flat name.
    """

    name: str
    tags: dict[str, str]
    parameters: dict[str, str]


def parameters_of(pipeline: Pipeline, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that the nodes of a pipeline take, whole protocols included, and the data set."""
    from contrastive_har.protocols import PLANS

    taken = {name.removeprefix("params:").removeprefix(f"{PLANS}.").partition(".")[0] for name in pipeline.inputs()}
    return {name: value for name, value in parameters.items() if name in {"dataset", *taken}}


class TrackingHooks(ContextHooks):
    """One MLflow run per Kedro run; FAILED if a part of it has failed, RUNNING while another part is running."""

    def __init__(self) -> None:
        self._part: str | None = None
        self._tracked_run: str | None = None

    @hook_impl(wrapper=True)
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog
    ) -> Generator[None, Any, Any]:
        """Start the tracked run after all other hooks, before anything is computed.

        So a missing server is reported at once. Parts of one run, and retries of them, are tracked as one run.

        Raises:
            RuntimeError: if the tracking server does not respond.
        """
        from contrastive_har.runs.manifest import manifests_of
        from contrastive_har.runs.parts import part_of

        if self.is_worker():
            return (yield)
        import mlflow

        self._end(succeeded=False)  # an earlier run of this process, if it was interrupted, as in a notebook
        self._manifests, self._run_id = manifests_of(catalog), run_params["run_id"]
        self._part, self._tracked_run = part_of(run_params), None
        # An interrupted run reaches neither hook below. The exit handler of MLflow, which is registered when it is
        # imported and so runs after this one, would mark it as finished.
        atexit.register(self._end, succeeded=False)
        try:
            result = yield
            self._start(self._describe(run_params, pipeline, catalog))
        except BaseException:
            self._end(succeeded=False)
            raise
        mlflow.set_experiment_tag("mlflow.experimentKind", "custom_model_development")  # the UI's default is GenAI
        return result

    def _describe(self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog) -> Described:
        from contrastive_har.reports.tracked import flatten

        parameters, facts = self.context.params, catalog.load("params:run")
        return Described(
            name=f"{', '.join(run_params['pipeline_names'])} · {parameters['dataset']} · {run_params['run_id']}",
            tags={
                "mlflow.note.content": f"`{facts.command}`",
                "mlflow.source.git.commit": facts.commit.partition(",")[0],
                "kedro.env": run_params["env"] or "local",
            },
            parameters=flatten(parameters_of(pipeline, plain(parameters))),
        )

    def _start(self, described: Described) -> None:
        from contrastive_har.runs.tracking_server import TrackingSettings, connect, end_stale_runs, usable

        located = TrackingSettings.of(self.context.config_loader, Path(self.context.project_path))
        if os.environ.pop("MLFLOW_RUN_ID", None):
            logging.getLogger(__name__).warning(
                "MLFLOW_RUN_ID is ignored: a run continues an earlier one with --params=run_id=TIME, the Kedro id."
            )
        with usable(located):
            experiment = connect(located)
            end_stale_runs(located.experiment, self._manifests)
            self._manifests.update(self._run_id, lambda manifest: self._tracked(manifest, described, experiment))

    def _tracked(self, manifest: Manifest, described: Described, experiment: str) -> Manifest:
        """Return the manifest with its tracked run, which is started or resumed."""
        import mlflow
        from mlflow.tracking.context.default_context import DefaultRunContext

        from contrastive_har.runs.tracking_server import find_tracked

        tags = {PROCESS: this_process()}
        known = find_tracked(manifest.tracked_run) if manifest.tracked_run else None
        resumes = known is not None and known.info.experiment_id == experiment
        if resumes:
            self._tracked_run = manifest.tracked_run
        else:
            # Not by mlflow.start_run, which imports IPython to find out whether it runs in a notebook.
            source = DefaultRunContext().tags()  # type: ignore[no-untyped-call]
            first = {**source, **described.tags, **tags, "kedro.run_id": manifest.run_id}
            created = mlflow.MlflowClient().create_run(experiment, tags=first, run_name=described.name)
            self._tracked_run = created.info.run_id
        try:
            mlflow.start_run(run_id=self._tracked_run)
            mlflow.set_tags(tags)
            if not resumes:
                mlflow.log_params(described.parameters)
        except BaseException:
            if not resumes:  # no manifest knows it, so that nothing else would end it
                self._fail()
            raise
        return manifest.model_copy(update={"tracked_run": self._tracked_run})

    @hook_impl(wrapper=True, trylast=True)  # inside the hook that logs errors
    def after_pipeline_run(self) -> Generator[None, Any, Any]:
        """End the tracked run after all other hooks, unless other parts are running."""
        try:
            result = yield
        except BaseException:
            self._end(succeeded=False)
            raise
        self._end(succeeded=True)
        return result

    @hook_impl
    def on_pipeline_error(self) -> None:
        """Record the failure, and end the tracked run, unless other parts are running."""
        self._end(succeeded=False)

    def _end(self, *, succeeded: bool) -> None:
        """Record the end of this part; only a recorded end makes the run FINISHED."""
        atexit.unregister(self._end)
        part, self._part = self._part, None
        if part is None:
            return
        try:
            if self._tracked_run is None and self._manifests.find(self._run_id) is None:  # refused at once
                return
            self._manifests.update(self._run_id, lambda manifest: self._ended(manifest, part, succeeded))
        except BaseException as error:
            self._fail()
            if succeeded or not isinstance(error, Exception):
                raise
            # Not raised, so that the reason of a failed run is not hidden.
            logging.getLogger(__name__).warning("The end of the run could not be recorded: %s", error)

    def _fail(self) -> None:
        """Mark the tracked run as failed, if the server responds."""
        import mlflow
        from mlflow.exceptions import MlflowException

        try:
            mlflow.end_run("FAILED")
            if self._tracked_run:  # may have been ended as finished
                mlflow.MlflowClient().set_terminated(self._tracked_run, "FAILED")
        except MlflowException as error:
            logging.getLogger(__name__).warning("The run could not be marked as failed in MLflow: %s", error)

    @staticmethod
    def _ended(manifest: Manifest, part: str, succeeded: bool) -> Manifest:
        """Return the manifest after the end of a part, and set the status of the tracked run accordingly."""
        import mlflow

        from contrastive_har.runs.parts import end_part, working

        if manifest.parts.get(part) != this_process():  # refused, as another process runs it
            return manifest
        ended = end_part(manifest, part, succeeded=succeeded)
        others = working(ended)
        if others:
            mlflow.set_tag(PROCESS, others[0])
        mlflow.end_run("RUNNING" if others else "FAILED" if ended.parts else "FINISHED")
        return ended
