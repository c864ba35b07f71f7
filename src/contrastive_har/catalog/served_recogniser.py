"""The code of a registered model: MLflow stores this file beside the weights and runs it, so nothing is unpickled."""

from __future__ import annotations

from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from contrastive_har.use.familiarity import distances_of
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
        """Return the activity and every activity's probability for windows (batch, time, channels) as measured.

        ``unfamiliar`` says which windows are unlike the training windows, if these are known: in another unit, or of a
        sensor that was turned over.

        Raises:
            MlflowException: if a sample is missing or not finite, which a server answers with status 400.
        """
        windows = np.asarray(model_input, np.float32)
        missing = np.argwhere(~np.isfinite(windows))
        if len(missing):
            window, sample, channel = missing[0]
            name = self.recogniser.description.channel_names[channel]
            raise MlflowException.invalid_parameter_value(
                f"Window {window}, sample {sample}: channel '{name}' is null, NaN or infinite. Interpolate it, or "
                "leave the window out."
            )
        try:
            probabilities = recognise(self.network, windows)
        except ValueError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from error
        names = self.recogniser.description.class_names
        answer = pd.DataFrame({"activity": [names[index] for index in probabilities.argmax(1)]})
        if self.recogniser.reference is not None:
            answer["unfamiliar"] = distances_of(self.recogniser.reference.differences(windows)) > 1
        return answer.join(pd.DataFrame(probabilities.astype(float), columns=names))


mlflow.models.set_model(ServedRecogniser())
