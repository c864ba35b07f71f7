"""Tracking of Kedro runs in MLflow; nodes do not depend on it."""

from __future__ import annotations

import atexit
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from pydantic import BaseModel, ConfigDict

from contrastive_har.refining import plain
from contrastive_har.runs.hooks.context import ContextHooks
from contrastive_har.runs.processes import PROCESS, end_stale_runs, is_dead, this_process

if TYPE_CHECKING:
    from contrastive_har.runs.manifest import Manifest


class TrackingSettings(BaseModel):
    """Where runs are tracked (``mlflow.yml``).

    Attributes:
        tracking_uri: Address of a database beside the project, or of a server.
        experiment: Name of the experiment.
        artifact_location: Folder or bucket of artifacts, used when the experiment is created; null leaves it to the
            server.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tracking_uri: str
    experiment: str
    artifact_location: str | None = None


_FAILED = "failed"
_PART = ("pipeline_names", "namespaces", "tags", "node_names", "from_nodes", "to_nodes", "from_inputs", "to_outputs")
"""Arguments of a run that identify its part."""


class TrackingHooks(ContextHooks):
    """One MLflow run per Kedro run; FAILED if a part of it has failed, RUNNING while another part is running."""

    def __init__(self) -> None:
        self._part: str | None = None

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], catalog: DataCatalog) -> None:
        """Start the tracked run before anything is computed, so that a missing server is reported at once.

        Parts of one run, and retries of them, are tracked as one run.

        Raises:
            RuntimeError: if the tracking server does not respond.
        """
        import mlflow
        from mlflow.exceptions import MlflowException

        from contrastive_har.runs.manifest import manifests_of

        if self.is_worker():
            return
        settings = TrackingSettings.model_validate(dict(self.context.config_loader["mlflow"]))
        location = settings.artifact_location
        if location and "://" not in location:
            location = (Path(self.context.project_path) / location).as_uri()
        try:
            mlflow.set_tracking_uri(absolute_uri(settings.tracking_uri, Path(self.context.project_path)))
            if mlflow.get_experiment_by_name(settings.experiment) is None:
                mlflow.create_experiment(settings.experiment, artifact_location=location)
            mlflow.set_experiment(settings.experiment)
            end_stale_runs(settings.experiment)
            name = f"{', '.join(run_params['pipeline_names'])} on {self.context.params['dataset']}"
            self._manifests, self._run_id = manifests_of(catalog), run_params["run_id"]
            self._part = json.dumps({key: run_params[key] for key in _PART if run_params.get(key)}, default=list)
            self._manifests.update(self._run_id, lambda manifest: self._tracked(manifest, name, run_params))
        except MlflowException as error:
            raise RuntimeError(
                f"MLflow at {settings.tracking_uri} cannot be used ({error}). Start the server, or correct "
                "tracking_uri in conf/base/mlflow.yml or conf/local/mlflow.yml."
            ) from error
        # An interrupted run reaches neither hook below, and the exit handler of MLflow, which runs after this one,
        # would mark it as finished.
        atexit.register(self._end, succeeded=False)
        mlflow.set_experiment_tag("mlflow.experimentKind", "custom_model_development")  # the UI's default is GenAI

    def _tracked(self, manifest: Manifest, name: str, run_params: dict[str, Any]) -> Manifest:
        """Return the manifest with its tracked run, which is started or resumed."""
        import mlflow

        from contrastive_har.reports.tracked import flatten

        tags = {PROCESS: this_process()}
        parts = {**manifest.parts, str(self._part): this_process()}
        if manifest.tracked_run:
            mlflow.start_run(run_id=manifest.tracked_run)
            mlflow.set_tags(tags)
            return manifest.model_copy(update={"parts": parts})
        tags |= {"kedro.run_id": manifest.run_id, "kedro.env": run_params["env"] or "local"}
        run = mlflow.start_run(run_name=name, tags=tags)
        mlflow.log_params(flatten(plain(self.context.params)))
        return manifest.model_copy(update={"tracked_run": run.info.run_id, "parts": parts})

    @hook_impl
    def after_pipeline_run(self) -> None:
        """End the tracked run, unless other parts are running."""
        self._end(succeeded=True)

    @hook_impl
    def on_pipeline_error(self) -> None:
        """Record the failure, and end the tracked run, unless other parts are running."""
        self._end(succeeded=False)

    def _end(self, *, succeeded: bool) -> None:
        from mlflow.exceptions import MlflowException

        part, self._part = self._part, None
        if part is None:
            return
        try:
            self._manifests.update(self._run_id, lambda manifest: self._ended(manifest, part, succeeded))
        except MlflowException as error:
            # Not raised, so that the reason of a failed run is not hidden.
            logging.getLogger(__name__).warning("The end of the run could not be recorded in MLflow: %s", error)

    @staticmethod
    def _ended(manifest: Manifest, part: str, succeeded: bool) -> Manifest:
        """Return the manifest after the end of a part, and set the status of the tracked run accordingly."""
        import mlflow

        parts = {name: process for name, process in manifest.parts.items() if name != part}
        if not succeeded:
            parts[part] = _FAILED
        working = [process for process in parts.values() if process != _FAILED and not is_dead(process)]
        if working:
            mlflow.set_tag(PROCESS, working[0])
        mlflow.end_run("RUNNING" if working else "FAILED" if parts else "FINISHED")
        return manifest.model_copy(update={"parts": parts})


def absolute_uri(uri: str, project: Path) -> str:
    """Return the URI with the path of a relative SQLite file inside the project."""
    prefix = "sqlite:///"
    if uri.startswith(prefix) and not uri.startswith(f"{prefix}/"):
        return f"{prefix}{project / uri.removeprefix(prefix)}"
    return uri
