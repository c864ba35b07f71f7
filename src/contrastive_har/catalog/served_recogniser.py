"""The code of a registered model: MLflow stores this file beside the weights and runs it, so nothing is unpickled."""

from __future__ import annotations

from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.pyfunc.model import PythonModel, PythonModelContext
from numpy.typing import NDArray

from contrastive_har.sources.own.checks import IMPOSSIBLE, are_impossible, limits_of
from contrastive_har.use.familiarity import distances_of
from contrastive_har.use.recogniser_files import read_recogniser
from contrastive_har.use.recognisers import recognise


class ServedRecogniser(PythonModel):
    """Predicts activities and their probabilities for windows."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read the weights."""
        self.recogniser = read_recogniser(Path(context.artifacts["recogniser"]))
        self.network = self.recogniser.build()
        channels, reference = self.recogniser.description.channels, self.recogniser.reference
        self.limits = limits_of(channels, {}, None if reference is None else reference.typical)
        if reference is not None:  # of channels with wider limits in the training data, nothing is impossible
            self.limits[reference.typical.min(axis=0) < self.limits[:, 0], 0] = -np.inf
            self.limits[reference.typical.max(axis=0) > self.limits[:, 1], 1] = np.inf

    # Not annotated: MLflow would derive a schema from the annotation and override the signature.
    def predict(self, context, model_input, params=None) -> pd.DataFrame:  # type: ignore[no-untyped-def]  # noqa: ANN001
        """Return the activity and every activity's probability for windows (batch, time, channels) as measured.

        ``unfamiliar`` says which windows are unlike the training windows, if these are known: in another unit, or of a
        sensor that was turned over.

        Raises:
            MlflowException: if a sample is missing or not finite, or many are impossible in the model's unit, which a
                server answers with status 400.
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
        self._refuse_impossible(windows)
        names = self.recogniser.description.class_names
        answer = pd.DataFrame({"activity": [names[index] for index in probabilities.argmax(1)]})
        if self.recogniser.reference is not None:
            answer["unfamiliar"] = distances_of(self.recogniser.reference.differences(windows)) > 1
        return answer.join(pd.DataFrame(probabilities.astype(float), columns=names))

    def _refuse_impossible(self, windows: NDArray[np.float32]) -> None:
        shares = are_impossible(windows, self.limits).mean(axis=1)
        if shares.max(initial=0.0) <= IMPOSSIBLE:
            return
        window, index = np.unravel_index(shares.argmax(), shares.shape)
        channel, (low, high) = self.recogniser.description.channels[index], self.limits[index]
        raise MlflowException.invalid_parameter_value(
            f"Window {window}: {100 * shares.max():.0f} % of the samples of '{channel.name}' are beyond {low:.4g} to "
            f"{high:.4g} {channel.unit}. Send them in the unit of the model."
        )


mlflow.models.set_model(ServedRecogniser())
