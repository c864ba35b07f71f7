"""Scores as MLflow runs: the MLflow run of the Kedro run has one child per method, evaluation and label budget."""

from __future__ import annotations

import json
import time
from typing import Any

import mlflow
from kedro.io import AbstractDataset, DatasetError
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param
from mlflow.tracking import MlflowClient

from contrastive_har.reports.tracked import TrackedRun
from contrastive_har.scores.table import CELL

_BATCH = 1000  # most metrics that MLflow accepts in one call
_DIGEST = 8  # letters of a digest, as many as MLflow shows of its own


class MlflowRunsDataset(AbstractDataset[list[TrackedRun], None]):
    """Logs described runs as children of the active MLflow run; it can only be saved.

    Args:
        metadata: For kedro-viz and other plugins.
    """

    def __init__(self, metadata: dict[str, Any] | None = None) -> None:
        self.metadata = metadata

    def load(self) -> None:
        """Refuse: runs are read in MLflow.

        Raises:
            DatasetError: always.
        """
        raise DatasetError("Tracked runs are written only; read them with 'mlflow ui' or mlflow.search_runs().")

    def save(self, data: list[TrackedRun]) -> None:
        """Log every run, in the place of those that an earlier attempt of the same run has logged."""
        parent = mlflow.active_run()
        client = MlflowClient()
        earlier = _children(client, parent) if parent else {}
        for described in data:
            if (tags := frozenset(described.tags.items())) in earlier:
                client.delete_run(earlier[tags])
            self._log(described, client, parent)
        if parent:
            inputs = {(one.dataset, one.digest): _input(one) for one in data}
            client.log_inputs(parent.info.run_id, [*inputs.values()])

    def _describe(self) -> dict[str, Any]:
        return {}

    def _log(self, described: TrackedRun, client: MlflowClient, parent: mlflow.ActiveRun | None) -> None:
        experiment = parent.info.experiment_id if parent else "0"
        tags = {**described.tags, "mlflow.note.content": described.description, "stage": "evaluation"}
        if parent:
            tags["mlflow.parentRunId"] = parent.info.run_id
        run = client.create_run(experiment, run_name=described.name, tags=tags)
        status = "FAILED"
        try:
            now = int(time.time() * 1000)
            metrics = [Metric(name, value, now, step) for name, value, step in described.metrics]
            parameters = [Param(name, value) for name, value in described.parameters.items()]
            # Each call is a transaction that waits for the disk. One may have 100 parameters and _BATCH things in all.
            first = _BATCH - len(parameters)
            client.log_batch(run.info.run_id, metrics=metrics[:first], params=parameters)
            for start in range(first, len(metrics), _BATCH):
                client.log_batch(run.info.run_id, metrics=metrics[start : start + _BATCH])
            client.log_inputs(run.info.run_id, [_input(described)])
            for name, figure in described.figures.items():
                client.log_figure(run.info.run_id, figure, f"{name}.png")
            status = "FINISHED"
        finally:
            client.set_terminated(run.info.run_id, status)

    def _exists(self) -> bool:
        return False


def _input(described: TrackedRun) -> DatasetInput:
    """Return the data set of a run, in the form of ``mlflow.data``; its source is an address, or else a folder."""
    address, name = described.source, described.dataset
    kind, source = ("http", {"url": address}) if address else ("local", {"uri": f"data/01_raw/{name}"})
    data = Dataset(name=name, digest=described.digest[:_DIGEST], source_type=kind, source=json.dumps(source))
    return DatasetInput(data, [InputTag("mlflow.data.context", "evaluation")])


def _children(client: MlflowClient, parent: mlflow.ActiveRun) -> dict[frozenset[tuple[str, str]], str]:
    """Return the ids of the runs of cells below a run, by the tags that identify the cell."""
    found, token = {}, None
    while True:
        page = client.search_runs(
            [parent.info.experiment_id],
            f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'",
            max_results=_BATCH,
            page_token=token,
        )
        for run in page:
            tags = frozenset((name, value) for name, value in run.data.tags.items() if name in CELL)
            found[tags] = run.info.run_id
        if not (token := page.token):
            return found
