"""The project as a scikit-learn estimator: no Kedro, no MLflow, no configuration files."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from functools import cache
from numbers import Integral
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import yaml
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.utils import Tags, check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from contrastive_har.files.atomic import write_atomically
from contrastive_har.learning.compute import ComputeSettings
from contrastive_har.learning.evaluation import EvaluationPlan, EvaluationSettings, evaluate
from contrastive_har.learning.objectives.base import FEWEST
from contrastive_har.learning.pretraining import PretrainingPlan, pretrain
from contrastive_har.learning.pretraining.encoders import embed
from contrastive_har.protocols import MethodSettings, ProtocolSettings, require_trainable
from contrastive_har.signals.arrays import Signals, channels_of_arrays, stack_like, stack_modalities
from contrastive_har.signals.arrays_of_labels import are_labels, as_array, natural
from contrastive_har.signals.budgets import LabelBudget
from contrastive_har.signals.descriptions import UNLABELLED
from contrastive_har.signals.roles import Roles
from contrastive_har.signals.sensors import Layout
from contrastive_har.signals.windows import Windows
from contrastive_har.use.recogniser_files import read_recogniser_and_header, write_recogniser
from contrastive_har.use.recognisers import Origin, TrainedRecogniser, combine, recognise

_PROTOCOL = "semi_supervised"
_CONFIGURATION = f"conf/base/parameters_{_PROTOCOL}.yml"
_LABELS = LabelBudget(share=1.0)
_HEADER = "estimator"  # header entry of a saved model: parameters and labels
_FEWEST_PER_BATCH, _MOST_PER_BATCH = 16, 500  # labelled windows per step of a head


class ActivityClassifier(ClassifierMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Pre-trains an encoder on all windows, labelled or not, and trains a head on the labelled ones.

    Args:
        method: Name of a method of the main job (see :func:`method_names`), or the settings of one, such as
            ``{"objective": {"name": "contrastive", "temperature": 0.2}}``.
        epochs: Passes over all windows in pre-training.
        sample_rate: Samples per second; stored with the model, for the resampling of recordings of other rates.
        channels: Names of the channels in order; by modality if ``X`` is a mapping. Channels named
            ``<sensor>_x``, ``<sensor>_y`` and ``<sensor>_z`` make a sensor of three axes, which methods that rotate
            sensors need; without any names these methods leave the rotation out, with a warning.
        sensors: Sensor of each channel, if it does not follow from the names; None for a channel without one.
        random_state: Seed of initial weights, batches, views and the head.

    Attributes:
        classes_: The labels, sorted.
        history_: Pre-training history, such as the loss: one row per epoch.
        recogniser_: The trained network with its description, as the pipelines store and serve it.

    Examples:
        >>> import numpy as np
        >>> X = np.random.default_rng(0).normal(size=(40, 64, 3)).astype(np.float32)
        >>> y = np.where(np.arange(40) < 20, np.arange(40) % 2, -1)  # -1: no label
        >>> classifier = ActivityClassifier(method="simclr", epochs=1, random_state=0).fit(X, y)
        >>> classifier.predict_proba(X).shape
        (40, 2)
    """

    def __init__(
        self,
        method: str | Mapping[str, Any] = "clusterclhar_strong",
        epochs: int = 20,
        sample_rate: float | None = None,
        channels: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
        sensors: Sequence[str | None] | Mapping[str, Sequence[str | None]] | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.method = method
        self.epochs = epochs
        self.sample_rate = sample_rate
        self.channels = channels
        self.sensors = sensors
        self.random_state = random_state

    def fit(self, X: Signals, y: ArrayLike) -> Self:  # noqa: N803 - scikit-learn's name
        """Pre-train on all windows, then train a head on the labelled ones, as the method's first evaluation does.

        Args:
            X: Windows (windows, time, channels), or one such array per modality.
            y: Labels (windows,) of any type; -1, None or NaN for windows without a label.

        Raises:
            ValueError: if shapes do not match, samples are not finite, fewer than two labels occur, or the method
                cannot learn from the windows.
        """
        signals, parts = stack_modalities(X)
        labels = as_array(y)
        if labels.ndim == 2 and labels.shape[1] == 1:
            labels = labels[:, 0]
        if labels.shape != (len(signals),):
            raise ValueError(f"y has the shape {labels.shape}, but X has {len(signals)} windows")
        labelled = are_labels(labels)
        known = natural(labels[labelled])
        check_classification_targets(known)
        found, indices = np.unique(known, return_inverse=True)
        if len(found) < 2:
            raise ValueError(f"y has {len(found)} class besides -1 (no label); two classes are the least")
        classes = np.full(len(labels), UNLABELLED, np.int64)
        classes[labelled] = indices
        channels = channels_of_arrays(parts, self.channels, self.sensors)
        names = [str(name) for name in found]
        windows = Windows.from_arrays(
            signals, classes, names, channels, 1.0 if self.sample_rate is None else self.sample_rate
        )
        # Together and last: a fit that fails leaves the model of the one before.
        self.recogniser_, self.history_ = self._train(windows, np.flatnonzero(labelled))
        self.classes_ = found
        return self

    def predict(self, X: Signals) -> NDArray[Any]:  # noqa: N803
        """Return the most probable label of each window (windows,)."""
        probabilities = self.predict_proba(X)
        predicted: NDArray[Any] = self.classes_[probabilities.argmax(axis=1)]
        return predicted

    def predict_proba(self, X: Signals) -> NDArray[np.float32]:  # noqa: N803
        """Return the probabilities of the labels (windows, classes), in the order of ``classes_``."""
        return recognise(self._network(), self._check(X))

    def transform(self, X: Signals) -> NDArray[np.float32]:  # noqa: N803
        """Return the embeddings of windows (windows, features)."""
        signals = self._check(X)
        compute = ComputeSettings(device="cpu").resolve()
        embeddings: NDArray[np.float32] = embed(self._network().backbone, signals, compute).numpy()
        return embeddings

    def save(self, path: str | Path) -> None:
        """Write the model as safetensors, in the same format as recognisers of the pipelines.

        Raises:
            TypeError: if labels or parameters cannot be written as JSON.
        """
        check_is_fitted(self, "recogniser_")
        if self.sample_rate is None:
            warnings.warn(
                "The model's sampling rate is unknown, and the file says 1 Hz: pass sample_rate if recordings, and not "
                "windows, are to be recognised with it.",
                stacklevel=2,
            )
        state = {"parameters": _plain(self.get_params()), "labels": self.classes_.tolist()}
        with write_atomically(Path(path)) as staged:
            write_recogniser(self.recogniser_, staged, **{_HEADER: json.dumps(state)})

    @classmethod
    def load(cls, path: str | Path) -> ActivityClassifier:
        """Read a model back, or a recogniser that a pipeline has stored; nothing in the file is executed.

        Raises:
            SchemaError: if the file is broken or holds something else.
        """
        recogniser, header = read_recogniser_and_header(Path(path))
        state = json.loads(header.get(_HEADER, "{}"))
        classifier = cls(**state.get("parameters", {"sample_rate": recogniser.description.sampling_rate_hz}))
        classifier.recogniser_ = recogniser
        classifier.classes_ = np.array(state.get("labels", recogniser.description.class_names))
        return classifier

    def _train(self, windows: Windows, labelled: NDArray[np.int64]) -> tuple[TrainedRecogniser, pd.DataFrame]:
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        name, row = (self.method, _row(self.method)) if isinstance(self.method, str) else ("own", _own_row(self.method))
        plan = self._plan(name, row, windows, seed)
        members = np.arange(len(windows.signals))
        compute = ComputeSettings()
        require_trainable(plan, [len(members)], windows.layout, windows.class_count)
        encoders, history = pretrain(windows, [members], plan, compute)
        chosen = row.evaluations[0]
        evaluations = {chosen: _for_labels(_protocol().evaluations[chosen], len(labelled))}
        evaluation = EvaluationPlan(evaluations=evaluations, label_budgets=(_LABELS,), shown=_LABELS, seed=seed)
        nothing = np.empty(0, np.int64)
        roles = Roles.of_one_repeat(_LABELS, train=labelled, validation=nothing, test=nothing, pretrain=members)
        _, _, (head,) = evaluate(windows, roles, encoders, evaluation, compute)
        architecture, weights = combine(encoders, head, windows)
        origin = Origin(
            protocol="estimator",
            split="all windows",
            method=plan.name,
            evaluation=chosen,
            label_budget=_LABELS.name,
            repeat=0,
            validation_macro_f1=None,
            mean_validation_macro_f1=None,
            mean_test_macro_f1=None,
        )
        return TrainedRecogniser(architecture, weights, origin), history

    def _plan(self, name: str, row: MethodSettings, windows: Windows, seed: int) -> PretrainingPlan:
        """Return the pre-training plan: the settings of the method, with a batch size that suits the windows."""
        objective = row.objective
        if isinstance(self.epochs, bool) or not isinstance(self.epochs, Integral) or self.epochs < 1:
            raise ValueError(f"epochs is {self.epochs!r}; it has to be a whole number from 1 on")
        if self.channels is None and self.sensors is None:
            objective = _without_unknown_sensors(objective, windows.layout)
        count = len(windows.signals)
        size = max(FEWEST, min(row.budget.batch_size, count))
        budget = row.budget.model_copy(update={"epochs": int(self.epochs), "batch_size": size})
        shortest = row.backbone.shortest_window(windows.layout.modalities)
        if windows.length < shortest:
            raise ValueError(
                f"windows of {windows.length} samples are too short for method '{name}': {shortest} needed"
            )
        return PretrainingPlan(name=name, objective=objective, backbone=row.backbone, budget=budget, seed=seed)

    def _network(self) -> Any:
        check_is_fitted(self, "recogniser_")
        return self.recogniser_.build()

    def _check(self, X: Signals) -> NDArray[np.float32]:  # noqa: N803
        """Return windows as one array, after checking that their shape is that of the training windows."""
        check_is_fitted(self, "recogniser_")
        return stack_like(X, self.recogniser_.description.layout(self.recogniser_.length))

    def __sklearn_tags__(self) -> Tags:
        """Return tags: X has three dimensions."""
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = []
        return tags


def method_names() -> list[str]:
    """Return the valid names of ``method``."""
    return list(_protocol().methods)


@cache
def _protocol() -> ProtocolSettings:
    """Return the main job's protocol: from the installed package, or from the source checkout."""
    folders = (Path(__file__).parent, Path(__file__).parents[2])
    path = next(folder / _CONFIGURATION for folder in folders if (folder / _CONFIGURATION).is_file())
    return ProtocolSettings.model_validate(yaml.safe_load(path.read_text(encoding="utf-8"))[_PROTOCOL])


def _row(name: str) -> MethodSettings:
    if name not in _protocol().methods:
        raise ValueError(f"unknown method '{name}'; known are {', '.join(method_names())}")
    return _protocol().methods[name]


def _own_row(settings: Mapping[str, Any]) -> MethodSettings:
    """Return a row with the given settings, which refine the encoder and the budget of the main job."""
    if "epochs" in (settings.get("budget") or {}):
        raise ValueError("method['budget'] has epochs; set the parameter epochs instead")
    protocol = _protocol().model_dump(mode="json")
    row = {"title": "own", "evaluations": ["linear"], **_plain(settings)}
    return ProtocolSettings.model_validate({**protocol, "methods": {"own": row}, "compared_with": "own"}).methods["own"]


def _for_labels(settings: EvaluationSettings, labelled: int) -> EvaluationSettings:
    """Return an evaluation for any label budget, with batches that suit the number of labelled windows."""
    batch = min(_MOST_PER_BATCH, max(_FEWEST_PER_BATCH, labelled // 2))
    changed = {} if settings.head.fitted else {"batch_size": batch}
    return settings.model_copy(update={"label_budgets": None, **changed})


def _without_unknown_sensors(objective: Any, layout: Layout) -> Any:
    """Return an objective whose views leave out augmentations that need unknown sensors."""
    lists = getattr(objective, "by_modality", {})
    left_out = [one.name for views in lists.values() for view in views for one in view if one.problem(layout)]
    if not left_out or layout.sensors:
        return objective
    warnings.warn(
        f"The sensors of the channels are unknown: views are made without {', '.join(dict.fromkeys(left_out))}. "
        "Pass channels=['acc_x', 'acc_y', 'acc_z', ...] or sensors=['acc', 'acc', 'acc', ...].",
        stacklevel=5,
    )
    remaining = {
        name: tuple(tuple(one for one in view if not one.problem(layout)) for view in views)
        for name, views in lists.items()
    }
    return objective.model_copy(update={"views": remaining})


def _plain(value: Any) -> Any:
    """Return parameters as plain values for JSON."""
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(part) for part in value]
    if isinstance(value, np.generic):
        return value.item()
    return None if isinstance(value, np.random.RandomState) else value
