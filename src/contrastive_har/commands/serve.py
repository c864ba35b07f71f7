"""Serve a registered model."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from contrastive_har.commands._kedro import project_folder

_SERVER = Path(__file__).parents[1] / "catalog/serving.py"


@click.command()
@click.option("--dataset", metavar="NAME", help="Data set whose model is served; by default the configured one.")
@click.option("--protocol", metavar="NAME", default="semi_supervised", show_default=True, help="Its protocol.")
@click.option("--port", type=int, default=5001, show_default=True, help="Port on this machine.")
def command(dataset: str | None, protocol: str, port: int) -> None:
    """Serve the newest registered model over HTTP, on this machine only, with MLflow.

    POST windows as measured, (batch, time, channels), to /invocations: docs/use.md has an example.
    """
    from contrastive_har.runs.settings import load_configuration
    from contrastive_har.runs.tracking_server import TrackingSettings

    project = project_folder()
    configuration = load_configuration(project)
    name = f"contrastive-har.{dataset or configuration['parameters']['dataset']}.{protocol}"
    uri = TrackingSettings.of(configuration, project).tracking_uri
    serving = [sys.executable, "-P", str(_SERVER), f"models:/{name}/latest", str(port)]
    environment = {**os.environ, "MLFLOW_TRACKING_URI": uri, "DO_NOT_TRACK": "true"}
    os.execve(sys.executable, serving, environment)  # noqa: S606 - in this process, so that whoever ends it ends the server
