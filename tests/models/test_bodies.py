"""A backbone of sensors and of bodies: how each is normalised, embedded and exported."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from scipy.spatial.transform import Rotation

from contrastive_har.learning.evaluation.trained import HeadFacts, TrainedHead
from contrastive_har.learning.pretraining import BackboneSettings
from contrastive_har.learning.pretraining.encoders import EncoderSet, read_encoders, write_encoders
from contrastive_har.models.backbone import Backbone
from contrastive_har.scores.cells import Cell
from contrastive_har.signals.descriptions import DatasetDescription
from contrastive_har.signals.normalisation import Normalisation
from contrastive_har.signals.windows import Windows
from contrastive_har.use.export import export_onnx
from contrastive_har.use.recognisers import choose_recogniser, recognise
from tests.use.test_recognisers import scores

JOINTS = ("head", "hips", "hand")
ENCODERS: dict[str, Any] = {
    "encoder": {"name": "tpn", "channels": [4, 5], "kernels": [3, 3]},
    "encoders": {"body": {"name": "conv_bins", "channels": [4, 6], "kernels": [3, 3], "differences": True}},
}
BODY = slice(3, 12)
DESCRIPTION = DatasetDescription.model_validate(
    {
        "name": "gym",
        "title": "Gym",
        "sampling_rate_hz": 10,
        "activities": {0: "rest", 1: "walk", 2: "run"},
        "modalities": {
            "inertial": {"acc": {"unit": "g", "channels": ["acc_x", "acc_y", "acc_z"]}},
            "body": {joint: {"unit": "m", "channels": [f"{joint}_{axis}" for axis in "xyz"]} for joint in JOINTS},
        },
        "skeletons": {"body": {"centre": "hips", "reference": ("head", "hips")}},
    }
)


def windows(count: int = 30) -> Windows:
    signals = (2 + 3 * np.random.default_rng(0).standard_normal((count, 20, 12))).astype(np.float32)
    arrays = Windows.from_arrays(signals, np.arange(count) % 3, DESCRIPTION.class_names, DESCRIPTION.channels)
    return replace(arrays, description=DESCRIPTION)


def settings(**changes: Any) -> BackboneSettings:
    return BackboneSettings.model_validate({**ENCODERS, **changes})


def make(chosen: BackboneSettings, shown: Windows) -> Backbone:
    torch.manual_seed(0)
    backbone = chosen.build(shown.layout)
    statistics = chosen.normalisation_of(shown.signals, shown.layout)
    backbone.set_normalisation(torch.from_numpy(statistics.mean), torch.from_numpy(statistics.deviation))
    return backbone.eval()


def literal_body(window: np.ndarray) -> np.ndarray:
    """One window (time, joints x 3), one joint after the other: less the hips, over the length of the trunk."""
    joints = {name: window[:, 3 * index : 3 * index + 3] for index, name in enumerate(JOINTS)}
    trunk = np.sqrt(((joints["head"][0] - joints["hips"][0]) ** 2).sum())
    return np.concatenate([(joints[name] - joints["hips"][0]) / trunk for name in JOINTS], axis=1)


@pytest.mark.parametrize("normalisation", ["channel", "sensor"])
def test_sensors_are_normalised_and_bodies_are_centred(normalisation: str) -> None:
    shown = windows()
    backbone = make(settings(normalisation=normalisation), shown)
    found = backbone.normalise(torch.from_numpy(shown.signals)).numpy()
    sensor = shown.signals[..., :3].astype(np.float64)
    if normalisation == "channel":
        expected = (sensor - sensor.mean((0, 1))) / sensor.std((0, 1))
    else:
        expected = sensor / np.sqrt(sensor.var((0, 1)).mean())
    np.testing.assert_allclose(found[..., :3], expected, rtol=1e-4, atol=1e-5)
    bodies = [literal_body(window) for window in shown.signals[..., BODY].astype(np.float64)]
    np.testing.assert_allclose(found[..., BODY], bodies, rtol=1e-4, atol=1e-5)


def test_a_body_is_embedded_wherever_and_however_large_it_is() -> None:
    shown = windows()
    backbone = make(settings(), shown)
    signals = torch.from_numpy(shown.signals)
    generator = torch.Generator().manual_seed(0)
    moved = signals.clone()
    place = 10 * torch.randn(len(signals), 1, 1, 3, generator=generator)
    size = 0.5 + torch.rand(len(signals), 1, 1, 1, generator=generator)
    moved[..., BODY] = (signals[..., BODY].unflatten(2, (3, 3)) * size + place).flatten(2)
    torch.testing.assert_close(backbone(moved), backbone(signals), rtol=1e-3, atol=1e-4)
    turned = signals.clone()
    turned[..., BODY] *= -1
    assert not torch.allclose(backbone(turned), backbone(signals), atol=1e-2)
    tilted = signals.clone()
    tilted[..., :3] *= 2
    assert not torch.allclose(backbone(tilted), backbone(signals), atol=1e-2)


@pytest.mark.parametrize("wanted", ["inertial", "body"])
def test_only_a_modality_is_its_part_of_the_embedding(wanted: str) -> None:
    shown = windows()
    backbone = make(settings(), shown)
    part = backbone.only([wanted])
    own = torch.from_numpy(shown.only([wanted]).signals)
    first = backbone.widths[0]
    whole = backbone(torch.from_numpy(shown.signals))
    torch.testing.assert_close(part(own), whole[:, :first] if wanted == "inertial" else whole[:, first:])
    assert bool(part.layout.skeletons) == (wanted == "body")
    assert backbone.widths == [5, backbone.features - 5]


def test_normalisation_by_sensor_commutes_with_rotations_and_keeps_angles() -> None:
    """That of each channel does not."""
    shown = windows()
    shown.signals[..., 0] *= 5  # axes differ, as those of gravity do
    matrix = Rotation.from_euler("xyz", [20, -50, 70], degrees=True).as_matrix().astype(np.float32)
    turned = shown.signals.copy()
    turned[..., :3] = shown.signals[..., :3] @ matrix.T

    def normalised(signals: np.ndarray, how: str) -> np.ndarray:
        return settings(normalisation=how).normalisation_of(signals, shown.layout)(signals)[..., :3]

    def cosines(vectors: np.ndarray) -> np.ndarray:
        unit = vectors / np.linalg.norm(vectors, axis=2, keepdims=True)
        return np.einsum("nti,nti->nt", unit[:, 1:], unit[:, :-1])

    for how, same in (("sensor", True), ("channel", False)):
        before, after = normalised(shown.signals, how), normalised(turned, how)
        assert np.allclose(after, before @ matrix.T, atol=1e-3) == same
        assert np.allclose(cosines(before), cosines(shown.signals[..., :3]), atol=1e-4) == same


def test_statistics_leave_bodies_alone() -> None:
    shown = windows()
    statistics = settings().normalisation_of(shown.signals, shown.layout)
    assert not statistics.mean[BODY].any()
    assert (statistics.deviation[BODY] == 1).all()
    np.testing.assert_allclose(statistics.mean[:3], Normalisation.of(shown.signals).mean[:3])


def test_channels_without_a_sensor_are_normalised_by_themselves() -> None:
    signals = np.random.default_rng(0).normal(3, [1, 2, 3, 9], (50, 7, 4)).astype(np.float32)
    found = Normalisation.by_sensor(signals, [(0, 2)])
    alone = Normalisation.of(signals)
    for channel in (1, 3):
        assert (found.mean[channel], found.deviation[channel]) == (alone.mean[channel], alone.deviation[channel])
    expected = np.sqrt((signals[..., 0].var() + signals[..., 2].var()) / 2)
    np.testing.assert_allclose(found.deviation[[0, 2]], expected, rtol=1e-5)
    assert not found.mean[[0, 2]].any()
    assert Normalisation.by_sensor(np.ones((5, 7, 2), np.float32), [(0, 1)]).deviation.tolist() == [1, 1]
    np.testing.assert_allclose(found(signals) * found.deviation + found.mean, signals, rtol=1e-4, atol=1e-5)


def encoder_set(shown: Windows) -> EncoderSet:
    chosen = settings(normalisation="sensor")
    return EncoderSet(chosen, shown.layout, "fingerprint", (make(chosen, shown).state_dict(),))


def test_encoders_of_bodies_survive_storage(tmp_path: Path) -> None:
    shown = windows()
    encoders = encoder_set(shown)
    write_encoders(encoders, tmp_path / "encoders.safetensors")
    stored = read_encoders(tmp_path / "encoders.safetensors")
    assert stored.layout.skeletons == DESCRIPTION.skeletons
    signals = torch.from_numpy(shown.signals)
    assert torch.equal(stored.build(0).eval()(signals), encoders.build(0).eval()(signals))


@pytest.mark.parametrize("modalities", [None, ("body",)])
def test_the_exported_model_centres_bodies_too(modalities: tuple[str, ...] | None) -> None:
    shown = windows()
    encoders = encoder_set(shown)
    part = shown.only(modalities)
    backbone = encoders.build(0) if modalities is None else encoders.build(0).only(modalities)
    known = {"repeat": 0, "evaluation": "linear", "label_budget": "10 %", "head": {"name": "linear"}}
    facts = HeadFacts.model_validate({**known, "validation_macro_f1": 0.5, "modalities": modalities})
    torch.manual_seed(1)
    weights = {"head.linear.weight": torch.randn(3, backbone.features), "head.linear.bias": torch.randn(3)}
    cell = Cell("p", "unseen", "m")
    heads = {cell: [TrainedHead(facts, weights)]}
    recogniser = choose_recogniser(shown, "p", {cell: encoders}, heads, scores(m=0.7))
    assert recogniser.modalities == tuple(part.layout.modalities)
    expected = recognise(recogniser.build(), part.signals)
    session = onnxruntime.InferenceSession(export_onnx(recogniser), providers=["CPUExecutionProvider"])
    for signals in (part.signals, part.signals[:1]):
        (found,) = session.run(["probabilities"], {"windows": signals})
        np.testing.assert_allclose(found, expected[: len(signals)], atol=1e-5)
    moved = part.signals.copy()
    moved[..., -9:] = 2 * moved[..., -9:] + 5
    (found,) = session.run(["probabilities"], {"windows": moved})
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert np.ptp(expected, axis=0).max() > 0.05
