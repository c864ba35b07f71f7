"""What every method with every encoder on every source must keep."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import TypeAdapter

from contrastive_har.learning.compute import ComputeSettings
from contrastive_har.learning.evaluation import EvaluationSettings, evaluate
from contrastive_har.learning.evaluation.classifiers import read_classifiers, write_classifiers
from contrastive_har.learning.objectives import PretrainingMethod
from contrastive_har.learning.pretraining import HISTORY_COLUMNS, PretrainingBudget, Trainer, pretrain
from contrastive_har.learning.pretraining.encoders import (
    EncoderSet,
    build_encoder,
    embed,
    read_encoders,
    write_encoders,
)
from contrastive_har.models.encoders import EncoderSettings
from contrastive_har.signals.splits import LabelFraction, SplitSettings, assign_roles, windows_with_role
from contrastive_har.signals.cutting import WindowSettings, cut_windows
from contrastive_har.signals.windows import Windows, read_windows, write_windows
from contrastive_har.sources import IngestionSettings, open_source
from contrastive_har.use.recognisers import build_recogniser, combine_weights, recognise

SMALL_TRANSFORMER = {"layers": 1, "heads": 2, "feedforward": 16, "channels": [8, 8], "kernels": [3, 3]}
METHODS = {
    "untrained": {"objective": "untrained"},
    "simclr": {"objective": "contrastive"},
    "simclr, strong views": {
        "objective": "contrastive",
        "views": [[{"name": "rotation", "degrees": 30}, {"name": "scaling"}], [{"name": "permutation"}]],
    },
    "clusterclhar, K-means": {"objective": "contrastive", "clustering": {"algorithm": "kmeans"}},
    "clusterclhar, BIRCH": {"objective": "contrastive", "clustering": {"algorithm": "birch", "clusters": 4}},
    "clusterclhar, hierarchical": {"objective": "contrastive", "clustering": {"algorithm": "agglomerative"}},
    "clusterclhar, DBSCAN": {"objective": "contrastive", "clustering": {"algorithm": "dbscan", "confidence": 90}},
    "moco": {"objective": "moco", "queue": 100},
    "nnclr": {"objective": "nnclr", "queue": 100},
    "multi_task": {"objective": "multi_task"},
    "autoencoding": {"objective": "autoencoding", "corruption": [{"name": "noise"}]},
    "masked_reconstruction": {"objective": "masked_reconstruction"},
    "predictive_coding": {"objective": "predictive_coding"},
}
ENCODERS = {
    "tpn": {"name": "tpn"},
    "small tpn": {"name": "tpn", "channels": [8, 8], "kernels": [5, 3], "dropout": 0.2, "companding": 0.05},
    "transformer": {"name": "transformer", **SMALL_TRANSFORMER},
    "mean transformer": {"name": "transformer", **SMALL_TRANSFORMER, "batch_norm": False, "pooling": "mean"},
    "striding transformer": {"name": "transformer", **SMALL_TRANSFORMER, "stride": 4, "pooling": "mean"},
    "deepconvlstm": {"name": "deepconvlstm", "convolutions": 2, "width": 8},
    "conv_autoencoder": {"name": "conv_autoencoder", "channels": [8, 8], "latent": 16},
    "conv_gru": {"name": "conv_gru", "channels": [8, 8], "hidden": 8},
}
CPU = ComputeSettings(device="cpu", precision="float32", inference_batch=256)
SPLITS = {"unseen": SplitSettings(title="Unseen", leak_free=True, held_out="subjects", pretrain_on="train")}
FRACTIONS = [LabelFraction(share=0.1, batch_size=16)]
EVALUATIONS = {
    "linear": EvaluationSettings(title="Linear", trained_stages=0, learning_rate=0.1, epochs=3, test_every=2),
    "fine_tuning": EvaluationSettings(
        title="Fine", trained_stages=1, learning_rate=0.01, epochs=2, weight_penalty=1e-4, test_every=5
    ),
    "supervised": EvaluationSettings(title="All", trained_stages=2, learning_rate=0.001, epochs=2, weight_penalty=1e-4),
}


@pytest.fixture(scope="session")
def watch_windows(tmp_path_factory: pytest.TempPathFactory) -> Windows:
    path = tmp_path_factory.mktemp("watch") / "windows.parquet"
    source = open_source(path.parent, IngestionSettings(dataset="watch"))
    write_windows(cut_windows(source, WindowSettings(length=64, stride=1536)), path)
    return read_windows(path)


@pytest.fixture(params=["synthetic", "watch"])
def source_windows(request: pytest.FixtureRequest) -> Windows:
    return request.getfixturevalue("windows" if request.param == "synthetic" else "watch_windows")


@pytest.fixture(params=METHODS)
def method(request: pytest.FixtureRequest) -> PretrainingMethod:
    made: PretrainingMethod = TypeAdapter(PretrainingMethod).validate_python(METHODS[request.param])
    return made


@pytest.fixture(params=ENCODERS)
def encoder(request: pytest.FixtureRequest, method: PretrainingMethod) -> EncoderSettings:
    made: EncoderSettings = TypeAdapter(EncoderSettings).validate_python(ENCODERS[request.param])
    if method.refusal(made):
        pytest.skip("the protocol's settings refuse this pair")
    return made


def run(
    windows: Windows, method: PretrainingMethod, encoder: EncoderSettings, roles: pd.DataFrame, **budget: object
) -> tuple[EncoderSet, pd.DataFrame]:
    settings = {"epochs": 2, "batch_size": 64, "learning_rate": 1e-3, "dropout": True, **budget}
    return pretrain(
        windows.signals,
        windows.classes(),
        [windows_with_role(roles, "unseen", repeat, "pretrain") for repeat in range(2)],
        method,
        encoder,
        PretrainingBudget.model_validate(settings),
        CPU,
        seed=3,
        title="test",
    )


@pytest.mark.parametrize("dropout", [False, True])
def test_without_dropout_a_step_draws_nothing_unseeded(
    windows: Windows, method: PretrainingMethod, encoder: EncoderSettings, dropout: bool
) -> None:
    """Copies of the encoder, attention and recurrent layers included."""
    if not method.trains:
        pytest.skip("takes no step")
    shape = (windows.length, len(windows.description.channels))
    torch.manual_seed(0)
    learner = method.build(build_encoder(encoder, shape), shape, 3)
    budget = PretrainingBudget(epochs=1, batch_size=64, learning_rate=1e-3, dropout=dropout)
    losses = set()
    for seed in (1, 2):
        trainer = Trainer(deepcopy(learner), budget, CPU.resolve(), seed=3)
        torch.manual_seed(seed)
        losses.add(trainer.step(torch.from_numpy(windows.signals[:64])).loss.item())
    drops = any(getattr(module, "p", 0) for module in learner.modules() if isinstance(module, torch.nn.Dropout))
    assert len(losses) == (2 if dropout and drops else 1)


def test_contract(source_windows: Windows, method: PretrainingMethod, encoder: EncoderSettings, tmp_path: Path) -> None:
    windows = source_windows
    roles = assign_roles(windows, SPLITS, FRACTIONS, 2, seed=0)
    before = windows.signals.copy()
    torch.manual_seed(1)
    encoders, history = run(windows, method, encoder, roles)

    # The history has a finite row per repeat and epoch, or none where nothing is trained.
    assert list(history.columns) == HISTORY_COLUMNS
    if method.objective == "untrained":
        assert history.empty
    else:
        assert history[["repeat", "epoch"]].to_numpy().tolist() == [[0, 1], [0, 2], [1, 1], [1, 2]]
        assert np.isfinite(history[["loss", "seconds", "windows_per_second"]]).all().all()
        assert history["cluster_nmi"].notna().all() == (getattr(method, "clustering", None) is not None)

    # Embeddings are finite and of the declared width; the encoder survives storage bit by bit.
    normalised = encoders.encoders[1].normalisation(windows.signals)
    embeddings = embed(encoders.build(1), normalised, 100)
    assert embeddings.shape == (len(windows.signals), encoders.build(1).features)
    assert torch.isfinite(embeddings).all()
    write_encoders(encoders, tmp_path / "encoders.safetensors")
    stored = read_encoders(tmp_path / "encoders.safetensors")
    assert torch.equal(embed(stored.build(1), normalised, 100), embeddings)
    assert stored.fingerprint == encoders.fingerprint

    # The same seed gives the same numbers, whatever ran before; nothing global or foreign was touched.
    torch.manual_seed(99)
    undisturbed = torch.get_rng_state()
    again, repeated = run(windows, method, encoder, roles)
    for mine, theirs in zip(encoders.encoders, again.encoders, strict=True):
        assert all(torch.equal(mine.weights[name], theirs.weights[name]) for name in mine.weights)
    pd.testing.assert_series_equal(history["loss"], repeated["loss"])
    np.testing.assert_array_equal(windows.signals, before)

    # Every evaluation predicts every test window of every repeat, with probabilities.
    predictions, curves, classifiers = evaluate(
        windows.signals, windows.classes(), roles, "unseen", encoders, EVALUATIONS, FRACTIONS, CPU, 5, "test"
    )
    for (repeat, _), mine in predictions.groupby(["repeat", "evaluation"]):
        np.testing.assert_array_equal(mine["window"], windows_with_role(roles, "unseen", int(repeat), "test", 0.1))
        np.testing.assert_array_equal(mine["true"], windows.classes()[mine["window"]])
    assert torch.equal(torch.get_rng_state(), undisturbed)
    assert predictions["evaluation"].nunique() == 3
    assert predictions["probability"].between(1 / len(windows.description.recognised), 1).all()
    assert set(curves["role"]) == {"test", "validation"}
    linear = curves[(curves["evaluation"] == "linear") & (curves["role"] == "test") & (curves["repeat"] == 0)]
    assert linear["epoch"].tolist() == [2, 3], "every second epoch and the last"

    # A classifier on its encoder, both as stored, predicts again what was scored.
    write_classifiers(classifiers, tmp_path / "classifiers.safetensors")
    classes = len(windows.description.recognised)
    for one in read_classifiers(tmp_path / "classifiers.safetensors"):
        scored = predictions[(predictions["repeat"] == one.repeat) & (predictions["evaluation"] == one.evaluation)]
        weights = combine_weights(stored.encoders[one.repeat], one)
        network = build_recogniser(stored.settings, stored.shape, classes, weights)
        found = recognise(network, windows.signals[scored["window"]])
        np.testing.assert_allclose(found.max(axis=1), scored["probability"], rtol=1e-3, atol=1e-5)
        assert one.validation_macro_f1 is not None
