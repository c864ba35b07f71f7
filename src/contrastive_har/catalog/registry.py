"""Registration of recognisers in MLflow's model registry."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from kedro.io import AbstractDataset, DatasetError
from mlflow.models import ModelSignature
from mlflow.tracking import MlflowClient
from mlflow.types import ColSpec, DataType, Schema, TensorSpec

from contrastive_har.learning.pretraining.plans import BackboneSettings
from contrastive_har.signals.sensors import AND
from contrastive_har.use.cards import describe_recogniser, model_card
from contrastive_har.use.recogniser_files import write_recogniser
from contrastive_har.use.recognisers import TrainedRecogniser

_PACKAGE = Path(__file__).parents[1]
_CODE = Path(__file__).with_name("served_recogniser.py")
_REQUIRED = (  # by served code
    "torch",
    "numpy",
    "pandas",
    "pyarrow",
    "pydantic",
    "safetensors",
    "scikit-learn",
    "threadpoolctl",
    "tqdm",
    "PyYAML",
    "mlflow",
)


class RegisteredModelDataset(AbstractDataset[TrainedRecogniser, None]):
    """Registers a recogniser as a new version of a model; it can only be saved.

    Args:
        name: Name of the registered model.
        metadata: For kedro-viz and other plugins.
    """

    def __init__(self, *, name: str, metadata: dict[str, Any] | None = None) -> None:
        self._name = name
        self.metadata = metadata

    def load(self) -> None:
        """Refuse: models are loaded with MLflow.

        Raises:
            DatasetError: always.
        """
        raise DatasetError(f"Load it with mlflow.pyfunc.load_model('models:/{self._name}/latest').")

    def save(self, data: TrainedRecogniser) -> None:
        """Store the recogniser with its signature, an example and the code that runs it, and register it.

        Recognisers of some modalities are registered as models of their own, whose names end with the modalities.
        """
        self._register(replace(data, alternatives=()), self._name)
        for one in data.alternatives:
            self._register(one, f"{self._name}.{AND.join(one.modalities)}")

    def _register(self, data: TrainedRecogniser, name: str) -> None:
        facts = describe_recogniser(data)
        earlier = _registered_by_this_run(name)
        example = np.zeros((1, data.length, len(data.description.channels)), np.float32)
        with tempfile.TemporaryDirectory() as folder:
            weights, code = Path(folder) / "recogniser.safetensors", Path(folder) / "code" / _PACKAGE.name
            write_recogniser(data, weights)
            shutil.copytree(_PACKAGE, code, ignore=_not_code)
            logged = mlflow.pyfunc.log_model(
                name="recogniser",
                python_model=str(_CODE),
                artifacts={"recogniser": str(weights)},
                code_paths=[str(code)],
                pip_requirements=_requirements(data.architecture.backbone),
                signature=_signature(data),
                input_example=example,
                metadata={name: json.dumps(value) for name, value in facts.items()},
                registered_model_name=name,
            )
        client, card = MlflowClient(), model_card(data)
        client.update_model_version(name, logged.registered_model_version, card)
        client.update_registered_model(name, card)  # that of its newest version
        for old in earlier:
            client.delete_model_version(name, old)

    def _exists(self) -> bool:
        return False

    def _describe(self) -> dict[str, Any]:
        return {"name": self._name}


def _requirements(backbone: BackboneSettings) -> list[str]:
    """Return the packages, as they are installed here, that a registered model with a backbone needs."""
    optional = [encoder.package for encoder in (*backbone.all, *backbone.beside) if encoder.package]
    return [f"{name}=={version(name)}" for name in dict.fromkeys([*_REQUIRED, *optional])]


def _registered_by_this_run(name: str) -> list[str]:
    """Return the versions of a model that an earlier attempt of this run has registered."""
    run = mlflow.active_run()
    if run is None:
        return []
    versions = MlflowClient().search_model_versions(f"name = '{name}'")
    return [version.version for version in versions if version.run_id == run.info.run_id]


def _not_code(folder: str, names: list[str]) -> set[str]:
    """Return what is not copied: hidden and compiled files, and what is no file, such as a link that leads nowhere."""
    paths = {name: Path(folder, name) for name in names}
    return {
        name
        for name, path in paths.items()
        if name == "__pycache__" or name.startswith(".") or not (path.is_file() or path.is_dir())
    }


def _signature(recogniser: TrainedRecogniser) -> ModelSignature:
    shape = (-1, recogniser.length, len(recogniser.description.channels))
    names = recogniser.description.class_names
    outputs: list[ColSpec | TensorSpec] = [ColSpec(DataType.string, "activity")]
    outputs += [ColSpec(DataType.boolean, "unfamiliar")] if recogniser.reference is not None else []
    outputs += [ColSpec(DataType.double, name) for name in names]
    return ModelSignature(Schema([TensorSpec(np.dtype(np.float32), shape)]), Schema(outputs))
