"""The code of a registered model: MLflow stores this file beside the weights and runs it, so nothing is unpickled."""

from __future__ import annotations

from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from contrastive_har.use.recogniser_files import read_recogniser
from contrastive_har.use.recognisers import recognise


class ServedRecogniser(PythonModel):
    """Predicts activities and their probabilities for windows."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read the weights."""
        self.recogniser = read_recogniser(Path(context.artifacts["recogniser"]))
        self.network = self.recogniser.build()

    # Not annotated: MLflow would derive a schema from the annotation and override the signature.
    def predict(self, context, model_input, params=None) -> pd.DataFrame:  # type: ignore[no-untyped-def]  # noqa: ANN001
        """Return the activity and every activity's probability for windows (batch, time, channels) as measured."""
        probabilities = recognise(self.network, np.asarray(model_input, np.float32))
        names = self.recogniser.description.class_names
        activity = [names[index] for index in probabilities.argmax(1)]
        return pd.DataFrame(probabilities.astype(float), columns=names).assign(activity=activity)[["activity", *names]]


mlflow.models.set_model(ServedRecogniser())
