"""Saved views of the tracking server's pages: the comparison table of a run, in one click."""

from __future__ import annotations

import json
from urllib.parse import urlencode

import mlflow
from mlflow.entities import Run

_SAVED = "mlflow.sharedViewState."  # what MLflow's page puts before the key of a view, in a tag of the experiment
_COLUMNS = ("metrics.`macro_f1`", "metrics.`macro_f1_low`", "metrics.`macro_f1_high`")
_CELLS = ("tags.`method`", "tags.`evaluation`")


def save_view(run: Run, protocol: str, split: str, budget: str) -> str:
    """Save a view of the children of a run on one split with one label budget, the best macro-F1 first.

    Returns:
        Address of the view on the server's page.
    """
    wanted = {"mlflow.parentRunId": run.info.run_id, "protocol": protocol, "split": split, "label_budget": budget}
    view = {
        "searchFilter": " and ".join(f"tags.{tag} = '{value}'" for tag, value in wanted.items()),
        "orderByKey": _COLUMNS[0],
        "orderByAsc": False,
        "selectedColumns": [*_CELLS, *_COLUMNS],
    }
    experiment, key = run.info.experiment_id, f"{run.info.run_id}.{protocol}"
    mlflow.MlflowClient().set_experiment_tag(experiment, f"{_SAVED}{key}", json.dumps(view))
    return f"#/experiments/{experiment}/runs?{urlencode({'compareRunsMode': 'TABLE', 'viewStateShareKey': key})}"


def delete_views(run: Run) -> None:
    """Delete the views of a run."""
    client, experiment = mlflow.MlflowClient(), run.info.experiment_id
    for tag in client.get_experiment(experiment).tags:
        if tag.startswith(f"{_SAVED}{run.info.run_id}."):
            client.delete_experiment_tag(experiment, tag)
