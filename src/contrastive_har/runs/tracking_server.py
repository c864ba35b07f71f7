"""The tracking server: its settings and its experiment."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse
from urllib.request import url2pathname

from contrastive_har.files.atomic import sync
from contrastive_har.files.locks import locked
from contrastive_har.files.texts import shorten
from contrastive_har.runs.manifest import Manifests
from contrastive_har.runs.parts import working
from contrastive_har.runs.processes import PROCESS, is_dead
from contrastive_har.runs.reachability import does_not_answer
from contrastive_har.runs.settings import settings_of
from contrastive_har.strict import StrictModel

if TYPE_CHECKING:
    from mlflow.entities import Run

SQLITE = "sqlite:///"
_FILES = "file://"
# As the user has set them: later MLflow sets them to what is in use.
_ADDRESS, _EXPERIMENT, _EXPERIMENT_ID, _REGISTRY = (
    os.environ.get(f"MLFLOW_{name}") for name in ("TRACKING_URI", "EXPERIMENT_NAME", "EXPERIMENT_ID", "REGISTRY_URI")
)


class TrackingSettings(StrictModel):
    """Where runs are tracked (``mlflow.yml``).

    Attributes:
        tracking_uri: Address of a database beside the project, or of a server. The environment variable
            ``MLFLOW_TRACKING_URI`` overrides it.
        experiment: Name of the experiment. The environment variable ``MLFLOW_EXPERIMENT_NAME`` overrides it.
        artifact_location: Folder or bucket of artifacts, used when the experiment is created; null leaves it to the
            server.
    """

    tracking_uri: str
    experiment: str
    artifact_location: str | None = None

    @classmethod
    def of(cls, configuration: Mapping[str, Any], project: Path) -> TrackingSettings:
        """Return the settings of a project's configuration, :meth:`located`.

        Raises:
            ValueError: naming the file and the key that is wrong.
        """
        return settings_of(cls, configuration, "mlflow").located(project)

    def located(self, project: Path) -> TrackingSettings:
        """Return the settings with address and experiment of the environment, if it has them, and absolute paths."""
        location = self.artifact_location
        if location and "://" not in location:
            location = (project / location).as_uri()
        address = absolute_uri(_ADDRESS or self.tracking_uri, project)
        if address.startswith(SQLITE):
            _require_usable(project)
        if _ADDRESS and address != absolute_uri(self.tracking_uri, project):
            logging.getLogger(__name__).info(
                "MLflow: %s, as MLFLOW_TRACKING_URI says, not %s.", _ADDRESS, self.tracking_uri
            )
            location = location if address.startswith(SQLITE) else None  # the server knows
        experiment = _EXPERIMENT or self.experiment
        if experiment != self.experiment:
            logging.getLogger(__name__).info(
                "MLflow: the experiment '%s', as MLFLOW_EXPERIMENT_NAME says, not '%s'.", experiment, self.experiment
            )
        if _REGISTRY:
            logging.getLogger(__name__).info(
                "MLflow: models are registered at %s, as MLFLOW_REGISTRY_URI says.", _REGISTRY
            )
        if _EXPERIMENT_ID:
            logging.getLogger(__name__).warning(
                "MLFLOW_EXPERIMENT_ID is ignored: the experiment is '%s', which mlflow.yml or MLFLOW_EXPERIMENT_NAME "
                "says.",
                experiment,
            )
        return self.model_copy(
            update={"tracking_uri": address, "experiment": experiment, "artifact_location": location}
        )


def absolute_uri(uri: str, project: Path) -> str:
    """Return the URI with the path of a relative SQLite file inside the project."""
    if uri.startswith(SQLITE) and not uri.startswith(f"{SQLITE}/"):
        return f"{SQLITE}{project / uri.removeprefix(SQLITE)}"
    return uri


def _require_usable(project: Path) -> None:
    """Refuse a folder that MLflow would take for another one.

    Raises:
        ValueError: with the cure.
    """
    if "?" in str(project) or unquote(str(project)) != str(project):
        raise ValueError(
            f"{project}: MLflow cannot store runs in a folder with '?' in its path, or with '%' and two hexadecimal "
            "digits, which stand for something else in an address. Rename the folder, or use a tracking server."
        )


@contextmanager
def usable(tracking: TrackingSettings) -> Iterator[None]:
    """Turn the errors of MLflow into one that says what to do.

    Raises:
        RuntimeError: if MLflow cannot be used.
    """
    from mlflow.exceptions import MlflowException

    try:
        yield
    except Exception as error:
        if not isinstance(error, MlflowException) and not type(error).__module__.startswith("sqlalchemy."):
            raise
        cure = "Restore the file" if tracking.tracking_uri.startswith(SQLITE) else "Start the server"
        where = "tracking_uri in conf/base/mlflow.yml or conf/local/mlflow.yml"
        raise RuntimeError(
            f"MLflow at {tracking.tracking_uri} cannot be used ({shorten(str(error))}). {cure}, or correct "
            f"{'MLFLOW_TRACKING_URI' if _ADDRESS else where}."
        ) from error


def connect(tracking: TrackingSettings) -> str:
    """Use a tracking server and its experiment, both of which are created if they do not exist.

    Args:
        tracking: Settings with absolute paths.

    Returns:
        The id of the experiment.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    if tracking.tracking_uri.startswith(SQLITE):
        _make_database(Path(tracking.tracking_uri.removeprefix(SQLITE)))
    elif fault := does_not_answer(tracking.tracking_uri):  # MLflow would try for minutes
        raise MlflowException(fault)
    mlflow.set_tracking_uri(tracking.tracking_uri)
    experiment = mlflow.get_experiment_by_name(tracking.experiment)
    if experiment is not None:
        _require_location(experiment.artifact_location, tracking)
    else:
        try:
            mlflow.create_experiment(tracking.experiment, artifact_location=tracking.artifact_location)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":  # another run has just created it
                raise
    return str(mlflow.set_experiment(tracking.experiment).experiment_id)


def _require_location(stored: str, tracking: TrackingSettings) -> None:
    """Refuse an experiment whose artifacts are stored in another folder than the configured one.

    MLflow stores the absolute path when the experiment is created, and uses it for ever.

    Raises:
        RuntimeError: with the cure.
    """
    wanted = tracking.artifact_location
    if not wanted or not wanted.startswith(_FILES) or _same_folder(stored, wanted):
        return
    raise RuntimeError(
        f"The artifacts of the experiment '{tracking.experiment}' are stored in {stored}, not in {wanted}. If the "
        "project was moved, copied or restored, run: python -m contrastive_har.runs.moving. If you have changed "
        "artifact_location in mlflow.yml, choose another name for the experiment there, too."
    )


def _same_folder(first: str, second: str) -> bool:
    return first.startswith(_FILES) and _path_of(first).resolve() == _path_of(second).resolve()


def _path_of(uri: str) -> Path:
    return Path(url2pathname(urlparse(uri).path))


def _make_database(path: Path) -> None:
    """Make MLflow's database, if there is none, completely or not at all.

    MLflow makes its tables one by one: another process would read half of them, and a crash would leave them.

    Raises:
        RuntimeError: if a folder is in its place.
    """
    import mlflow

    if path.is_dir():
        raise RuntimeError(f"{path} is a folder, not a database. Move it away.")
    if path.exists():
        return
    with locked(path.with_name(f".{path.name}.lock")):
        if path.exists():
            return
        folder = path.with_name(f".{path.name}.making")
        shutil.rmtree(folder, ignore_errors=True)  # left by a process that was killed
        folder.mkdir()
        mlflow.MlflowClient(f"{SQLITE}{folder / path.name}").search_experiments()
        sync(folder / path.name)
        (folder / path.name).replace(path)
        sync(path.parent)
        shutil.rmtree(folder)


def end_stale_runs(experiment: str, manifests: Manifests) -> None:
    """Mark tracked runs as killed if their processes have ended without ending the run."""
    import mlflow

    client = mlflow.MlflowClient()
    found = mlflow.search_runs(
        experiment_names=[experiment], filter_string="attributes.status = 'RUNNING'", output_format="list"
    )
    dead = {run.info.run_id for run in found if PROCESS in run.data.tags and is_dead(run.data.tags[PROCESS])}
    for run in found:
        if run.info.run_id in dead:
            manifest = manifests.find(run.data.tags.get("kedro.run_id", ""))
            if manifest and working(manifest):  # other parts than the one that was started last
                dead.remove(run.info.run_id)
    for run in found:
        if run.info.run_id in dead or run.data.tags.get("mlflow.parentRunId") in dead:
            client.set_terminated(run.info.run_id, "KILLED")
            logging.getLogger(__name__).warning("The run '%s' was killed; it is now marked so.", run.info.run_name)


def find_tracked(run_id: str) -> Run | None:
    """Return a tracked run; None if the server does not have it: another one did, or it was deleted there."""
    import mlflow
    from mlflow.exceptions import MlflowException

    try:
        run = mlflow.MlflowClient().get_run(run_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None
    return run if run.info.lifecycle_stage == "active" else None


def mark_killed(run_id: str) -> None:
    """Mark a tracked run as killed, if it is shown as running."""
    import mlflow

    run = find_tracked(run_id)
    if run and run.info.status == "RUNNING":
        mlflow.MlflowClient().set_terminated(run_id, "KILLED")


def delete_tracked(run_id: str, experiment: str) -> bool:
    """Delete a tracked run with its children, artifacts and registered models.

    Returns:
        Whether it is deleted: not if a model of it is the newest version of its name, or has an alias.
    """
    import mlflow
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    from contrastive_har.runs.tracked_views import delete_views

    client, tracked = mlflow.MlflowClient(), find_tracked(run_id)
    if tracked is None:
        return True
    registered = client.search_model_versions(f"run_id = '{run_id}'")
    for found in registered:
        versions = client.search_model_versions(f"name = '{found.name}'")
        is_newest = int(found.version) == max(int(version.version) for version in versions)
        if is_newest or client.get_model_version(found.name, found.version).aliases:
            return False
    for found in registered:
        client.delete_model_version(found.name, found.version)
    children = mlflow.search_runs(
        experiment_names=[experiment], filter_string=f"tags.`mlflow.parentRunId` = '{run_id}'", output_format="list"
    )
    for run in (*children, tracked):
        models = client.search_logged_models([run.info.experiment_id], f"source_run_id = '{run.info.run_id}'")
        for model in models:
            client.delete_logged_model(model.model_id)
        for location in (run.info.artifact_uri, *(model.artifact_location for model in models)):
            get_artifact_repository(location).delete_artifacts()  # type: ignore[no-untyped-call]
        delete_views(run)
        client.delete_run(run.info.run_id)
    return True
