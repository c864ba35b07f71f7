"""What happens around a run: tracking in MLflow, a summary for whoever started it, helpers. Nodes know of none."""

from __future__ import annotations

import atexit
import json
import logging
import resource
import shutil
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node
from pydantic import BaseModel, ConfigDict

from contrastive_har.runs.hooks import manifests_of
from contrastive_har.runs.processes import PROCESS, end_stale_runs, is_dead, this_process
from contrastive_har.runs.settings import plain

if TYPE_CHECKING:
    from contrastive_har.runs.manifest import Manifest


_PLACES = {
    "recogniser": "Model:  ",
    "onnx_model": "Model:  ",
    "timeline": "Result: ",
    "timeline_picture": "Picture:",
}
"""What a run prints the place of, beside reports."""


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


class _ContextHooks:
    """Hooks that look at the configuration."""

    def __init__(self) -> None:
        self._context: KedroContext | None = None

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Keep the context: it holds the configuration."""
        self._context = context

    @property
    def _is_helper(self) -> bool:
        """Whether this process only helps another one train."""
        if self._context is None:
            return False
        from contrastive_har.learning.compute import ComputeSettings

        return ComputeSettings.model_validate(plain(self._context.params["compute"])).is_helper


_FAILED = "failed"
_PART = ("pipeline_names", "namespaces", "tags", "node_names", "from_nodes", "to_nodes", "from_inputs", "to_outputs")
"""What tells the parts of a run apart, of those things that a run is started with."""


class TrackingHooks(_ContextHooks):
    """One MLflow run per Kedro run; FAILED if a part of it has failed, RUNNING while another part goes on."""

    def __init__(self) -> None:
        super().__init__()
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

        if self._context is None or self._is_helper:
            return
        settings = TrackingSettings.model_validate(dict(self._context.config_loader["mlflow"]))
        location = settings.artifact_location
        if location and "://" not in location:
            location = (Path(self._context.project_path) / location).as_uri()
        try:
            mlflow.set_tracking_uri(absolute_uri(settings.tracking_uri, Path(self._context.project_path)))
            if mlflow.get_experiment_by_name(settings.experiment) is None:
                mlflow.create_experiment(settings.experiment, artifact_location=location)
            mlflow.set_experiment(settings.experiment)
            end_stale_runs(settings.experiment)
            name = f"{_run_name(run_params)} on {self._context.params['dataset']}"
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

    def _tracked(self, known: Manifest | None, name: str, run_params: dict[str, Any]) -> Manifest:
        """Return a manifest with its tracked run, which is begun or gone on with."""
        import mlflow

        from contrastive_har.reports.runs import flatten

        if known is None:
            raise LookupError("the manifest of this run has been deleted while it ran")
        tags = {PROCESS: this_process()}
        parts = {**known.parts, str(self._part): this_process()}
        if known.tracked_run:
            mlflow.start_run(run_id=known.tracked_run)
            mlflow.set_tags(tags)
            return known.model_copy(update={"parts": parts})
        tags |= {"kedro.run_id": known.run_id, "kedro.env": run_params["env"] or "local"}
        run = mlflow.start_run(run_name=name, tags=tags)
        if self._context is not None:
            mlflow.log_params(flatten(plain(self._context.params)))
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
    def _ended(known: Manifest | None, part: str, well: bool) -> Manifest:
        """Return a manifest without a part that has ended well; the tracked run has the state of what remains."""
        import mlflow

        if known is None:
            raise LookupError("the manifest of this run has been deleted while it ran")
        parts = {name: process for name, process in known.parts.items() if name != part}
        if not well:
            parts[part] = _FAILED
        working = [process for process in parts.values() if process != _FAILED and not is_dead(process)]
        if working:
            mlflow.set_tag(PROCESS, working[0])
        mlflow.end_run("RUNNING" if working else "FAILED" if parts else "FINISHED")
        return known.model_copy(update={"parts": parts})


class HelperHooks(_ContextHooks):
    """Where torchrun has started this process to help another one train, it must not write a second result."""

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Keep what a helper computes in its memory.

        Raises:
            RuntimeError: if the pipeline makes recordings or windows, which are streams until somebody stores them.
        """
        if not self._is_helper:
            return
        outputs = pipeline.all_outputs()
        if any(name == "recordings" or name.endswith(".windows") for name in outputs):
            raise RuntimeError(
                "torchrun is for pre-training: run kedro run --pipelines=ingestion,windowing alone first, then launch "
                "--pipeline=pretraining."
            )
        logging.getLogger(__name__).info("This process helps the first one train and stores nothing.")
        for name in outputs:
            catalog[name] = MemoryDataset(copy_mode="assign")


class CheckpointHooks:
    """Empties the folder of checkpoints when the encoders they led to are stored."""

    @hook_impl
    def after_catalog_created(self, catalog: DataCatalog) -> None:
        """Keep the catalog: it knows the folders."""
        self._catalog = catalog

    @hook_impl
    def after_dataset_saved(self, dataset_name: str) -> None:
        """Delete a finished training's checkpoints."""
        if dataset_name.endswith(".encoders"):
            shutil.rmtree(self._catalog.load(f"{dataset_name.removesuffix('encoders')}checkpoints"), ignore_errors=True)


class RunSummaryHooks(_ContextHooks):
    """Says at the end what came out, where it lies, and where the time went."""

    def __init__(self) -> None:
        super().__init__()
        self._seconds: dict[str, float] = defaultdict(float)
        self._started: dict[str, float] = {}

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        """Start a node's clock."""
        self._started[node.name] = time.perf_counter()

    @hook_impl
    def after_dataset_saved(self, node: Node) -> None:
        """Add a node's time, saving included, to its stage (its tag): streams are consumed while they are saved."""
        now = time.perf_counter()
        self._seconds[", ".join(node.tags)] += now - self._started.get(node.name, now)
        self._started[node.name] = now

    @hook_impl(tryfirst=True)
    def after_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Print the result table and the report's place; log times and memory to the tracked run."""
        if self._is_helper:
            return
        seconds, self._seconds = dict(self._seconds), defaultdict(float)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**30 if sys.platform == "darwin" else 2**20)
        _log_metrics({**{f"seconds/{stage}": value for stage, value in seconds.items()}, "peak_memory_gib": memory})
        from contrastive_har.catalog import AtomicDataset
        from contrastive_har.reports.tables import console_table
        from contrastive_har.reports.timelines import summarise_timeline

        for name in sorted(pipeline.outputs()):
            if name.endswith(".report"):
                protocol = name.removesuffix(".report")
                report = cast(AtomicDataset, catalog[name]).path
                print(f"\n{console_table(catalog.load(f'{protocol}.summary'))}\n")
                print(f"Report:  {report}")
                _log_report(report, catalog.load(f"{protocol}.metrics"))
        for name in sorted(pipeline.all_outputs()):
            kind = name.rpartition(".")[2]
            if kind in _PLACES:
                print(f"{_PLACES[kind]} {cast(AtomicDataset, catalog[name]).path}")
            if kind == "timeline":
                print(f"{summarise_timeline(catalog.load(name))}\n")
            if kind == "recogniser":
                origin = catalog.load(name).origin
                expected = f"macro-F1 on unseen people {100 * origin.mean_test_macro_f1:.1f} %"
                labels = f"{100 * origin.label_fraction:g} % of the labels"
                print(f"         {origin.method}, {origin.evaluation}, {labels}; {expected}")
        times = ", ".join(f"{stage} {value:.0f} s" for stage, value in seconds.items())
        print(f"Time:    {times}; peak memory {memory:.1f} GiB")
        print("Runs:    mlflow ui        Lineage: kedro viz run")


def _run_name(run_params: dict[str, Any]) -> str:
    names = run_params.get("pipeline_names") or [run_params.get("pipeline_name")]
    return ", ".join(name for name in names if name and name != "__default__") or "semi_supervised"


def absolute_uri(uri: str, project: Path) -> str:
    """Anchor a relative SQLite file at the project, wherever the command was started."""
    prefix = "sqlite:///"
    if uri.startswith(prefix) and not uri.startswith(f"{prefix}/"):
        return f"{prefix}{project / uri.removeprefix(prefix)}"
    return uri


def _log_metrics(metrics: dict[str, float]) -> None:
    import mlflow

    if mlflow.active_run():
        mlflow.log_metrics(metrics)


def _log_report(report: Path, scores: dict[str, float]) -> None:
    import mlflow

    if mlflow.active_run():
        mlflow.log_artifact(str(report))
        mlflow.log_metrics({f"macro_f1/{cell}": value for cell, value in scores.items()})
