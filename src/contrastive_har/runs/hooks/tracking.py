"""A Kedro run is a tracked run in MLflow. Nodes know nothing of it."""

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
from contrastive_har.runs.settings import configured

if TYPE_CHECKING:
    from contrastive_har.runs.manifest import Manifest


class TrackingSettings(BaseModel):
    """Where runs are tracked (``mlflow.yml``).

    Attributes:
        tracking_uri: A database beside the project, or a server.
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
"""What tells the parts of a run apart, of those things that a run is started with."""


class TrackingHooks(ContextHooks):
    """One MLflow run per Kedro run; FAILED if a part of it has failed, RUNNING while another part goes on."""

    def __init__(self) -> None:
        self._part: str | None = None

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], catalog: DataCatalog) -> None:
        """Open the run before anything is computed, so that a missing server is known at once.

        Parts of one run, and its repetitions, are tracked as one.

        Raises:
            RuntimeError: if the tracking server does not answer.
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
            name = f"{_run_name(run_params)} on {self.context.params['dataset']}"
            self._manifests, self._run_id = manifests_of(catalog), run_params["run_id"]
            self._part = json.dumps({key: run_params[key] for key in _PART if run_params.get(key)}, default=list)
            self._manifests.update(self._run_id, lambda known: self._tracked(known, name, run_params))
        except MlflowException as error:
            raise RuntimeError(
                f"MLflow at {settings.tracking_uri} cannot be used ({error}). Start the server, or correct "
                "tracking_uri in conf/base/mlflow.yml or conf/local/mlflow.yml."
            ) from error
        # An interrupted run reaches neither hook below, and MLflow, whose own handler comes after ours, would call it
        # finished.
        atexit.register(self._end, well=False)
        mlflow.set_experiment_tag("mlflow.experimentKind", "custom_model_development")  # the UI's default is GenAI

    def _tracked(self, known: Manifest, name: str, run_params: dict[str, Any]) -> Manifest:
        """Return a manifest with its tracked run, which is begun or gone on with."""
        import mlflow

        from contrastive_har.reports.tracked import flatten

        tags = {PROCESS: this_process()}
        parts = {**known.parts, str(self._part): this_process()}
        if known.tracked_run:
            mlflow.start_run(run_id=known.tracked_run)
            mlflow.set_tags(tags)
            return known.model_copy(update={"parts": parts})
        tags |= {"kedro.run_id": known.run_id, "kedro.env": run_params["env"] or "local"}
        run = mlflow.start_run(run_name=name, tags=tags)
        mlflow.log_params(flatten(plain(configured(self.context.params))))
        return known.model_copy(update={"tracked_run": run.info.run_id, "parts": parts})

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Close the run, or leave it to the parts that go on."""
        self._end(well=True)

    @hook_impl
    def on_pipeline_error(self) -> None:
        """Note the failure, and close the run or leave it to the parts that go on."""
        self._end(well=False)

    def _end(self, *, well: bool) -> None:
        from mlflow.exceptions import MlflowException

        part, self._part = self._part, None
        if part is None:
            return
        try:
            self._manifests.update(self._run_id, lambda known: self._ended(known, part, well))
        except MlflowException as error:
            # Whoever looks for the reason of a failure should find that, and not this.
            logging.getLogger(__name__).warning("MLflow cannot be told that the run has ended: %s", error)

    @staticmethod
    def _ended(known: Manifest, part: str, well: bool) -> Manifest:
        """Return a manifest without a part that has ended well; the tracked run has the state of what remains."""
        import mlflow

        parts = {name: process for name, process in known.parts.items() if name != part}
        if not well:
            parts[part] = _FAILED
        working = [process for process in parts.values() if process != _FAILED and not is_dead(process)]
        if working:
            mlflow.set_tag(PROCESS, working[0])
        mlflow.end_run("RUNNING" if working else "FAILED" if parts else "FINISHED")
        return known.model_copy(update={"parts": parts})


def _run_name(run_params: dict[str, Any]) -> str:
    names = run_params.get("pipeline_names") or [run_params.get("pipeline_name")]
    return ", ".join(name for name in names if name and name != "__default__") or "semi_supervised"


def absolute_uri(uri: str, project: Path) -> str:
    """Anchor a relative SQLite file at the project, wherever the command was started."""
    prefix = "sqlite:///"
    if uri.startswith(prefix) and not uri.startswith(f"{prefix}/"):
        return f"{prefix}{project / uri.removeprefix(prefix)}"
    return uri
