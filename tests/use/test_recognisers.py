"""The model for use: how it is chosen, stored, exported and applied to recordings."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
import torch
from pydantic import TypeAdapter

from contrastive_har.files.stamps import SchemaError
from contrastive_har.files.tensors import write_tensors
from contrastive_har.learning.evaluation.trained import HeadFacts, TrainedHead
from contrastive_har.learning.pretraining import BackboneSettings
from contrastive_har.learning.pretraining.encoders import EncoderSet
from contrastive_har.models.encoders import EncoderSettings
from contrastive_har.models.heads import HeadSettings
from contrastive_har.models.heads.label_sequence import LabelSequenceSettings
from contrastive_har.models.heads.linear import LinearSettings
from contrastive_har.models.heads.mlp import MLPSettings
from contrastive_har.models.heads.ridge import RidgeSettings
from contrastive_har.reports.timelines import draw_timeline, summarise_timeline
from contrastive_har.scores.cells import Cell
from contrastive_har.signals.budgets import LabelBudget
from contrastive_har.signals.normalisation import Normalisation
from contrastive_har.signals.recordings import BadRecordingError, Piece, Rejection
from contrastive_har.signals.sensors import Channel
from contrastive_har.signals.windows import Windows
from contrastive_har.use.export import export_onnx
from contrastive_har.use.recogniser_files import read_recogniser, write_recogniser
from contrastive_har.use.recognisers import TrainedRecogniser, choose_recogniser, combine, recognise
from contrastive_har.use.timelines import (
    InferenceSettings,
    Timeline,
    read_timeline,
    recognise_recordings,
    write_timeline,
)
from tests.conftest import ACTIVITIES, RATE
from tests.learning.test_contract import ENCODERS, HEADS

LENGTH, STRIDE = 64, 32
SPELLING = LabelSequenceSettings(embedding=4, width=6, word_vectors="random")


def make_encoders(windows: Windows, name: str = "small tpn", repeats: int = 2) -> EncoderSet:
    encoder: EncoderSettings = TypeAdapter(EncoderSettings).validate_python(ENCODERS[name])
    settings = BackboneSettings(encoder=encoder)
    torch.manual_seed(0)
    normalisation = Normalisation.of(windows.signals)
    made = []
    for _ in range(repeats):
        backbone = settings.build(windows.layout)
        backbone.set_normalisation(torch.from_numpy(normalisation.mean), torch.from_numpy(normalisation.deviation))
        made.append(backbone.state_dict())
    return EncoderSet(settings, windows.layout, "fingerprint", tuple(made))


def facts(repeat: int, value: float | None, **others: object) -> HeadFacts:
    known = {"evaluation": "linear", "label_budget": "10 %", "head": {"name": "linear"}, **others}
    return HeadFacts.model_validate({"repeat": repeat, "validation_macro_f1": value, **known})


def linear_head(encoders: EncoderSet, repeat: int, value: float | None) -> TrainedHead:
    width = encoders.build(0).features
    weights = {"head.linear.weight": torch.randn(3, width), "head.linear.bias": torch.full((3,), float(repeat))}
    return TrainedHead(facts(repeat, value), weights)


def scores(**values: float) -> pd.DataFrame:
    rows = [
        {"split": "unseen", "method": method, "evaluation": "linear", "label_budget": "10 %", "repeat": repeat}
        | {"metric": "macro_f1", "group": group, "value": value + (group != "all")}
        for method, value in values.items()
        for repeat in range(2)
        for group in ("all", "class: rest")
    ]
    return pd.DataFrame(rows)


SIMCLR = Cell("semi_supervised", "unseen", "simclr")


@pytest.fixture
def recogniser(windows: Windows) -> TrainedRecogniser:
    encoders = make_encoders(windows)
    heads = [linear_head(encoders, repeat, 0.5) for repeat in range(2)]
    return choose_recogniser(windows, "semi_supervised", {SIMCLR: encoders}, {SIMCLR: heads}, scores(simclr=0.7))


def test_validation_chooses_and_test_scores_do_not(windows: Windows) -> None:
    encoders = make_encoders(windows)
    values = {"lucky": (0.99, 0.1), "good": (0.7, 0.8), "best tested": (0.6, 0.6)}
    heads = {
        Cell("p", "unseen", method): [linear_head(encoders, repeat, value) for repeat, value in enumerate(pair)]
        for method, pair in values.items()
    }
    paper = Cell("p", "paper", "good")
    heads[paper] = [linear_head(encoders, 0, None)]
    tested = scores(**{"lucky": 0.5, "good": 0.55, "best tested": 0.9})
    chosen = choose_recogniser(windows, "p", dict.fromkeys(heads, encoders), heads, tested)
    origin = chosen.origin
    assert (origin.protocol, origin.split, origin.method, origin.repeat) == ("p", "unseen", "good", 1)
    assert (origin.evaluation, origin.label_budget) == ("linear", "10 %")
    assert (origin.validation_macro_f1, origin.mean_validation_macro_f1) == (0.8, pytest.approx(0.75))
    assert origin.mean_test_macro_f1 == pytest.approx(0.55)
    assert torch.equal(chosen.weights["head.linear.bias"], torch.ones(3))
    with pytest.raises(ValueError, match="no validation windows"):
        choose_recogniser(windows, "p", {paper: encoders}, {paper: heads[paper]}, tested)


def test_the_label_budget_that_is_asked_for_is_chosen_among(windows: Windows) -> None:
    encoders = make_encoders(windows)
    few, many = linear_head(encoders, 0, 0.5), linear_head(encoders, 0, 0.9)
    heads = {SIMCLR: [replace(few, facts=facts(0, 0.5, label_budget="1 %")), many]}

    def chosen(budget: str | None) -> str:
        asked = budget and LabelBudget.model_validate(budget)
        found = choose_recogniser(windows, "semi_supervised", {SIMCLR: encoders}, heads, scores(simclr=0.7), asked)
        return found.origin.label_budget

    assert [chosen(budget) for budget in (None, "10 %", "1%")] == ["10 %", "10 %", "1 %"]
    with pytest.raises(ValueError, match="with the label budget '5 %'"):
        chosen("5 %")


def test_a_recogniser_survives_storage(recogniser: TrainedRecogniser, windows: Windows, tmp_path: Path) -> None:
    path = tmp_path / "recogniser.safetensors"
    write_recogniser(recogniser, path)
    stored = read_recogniser(path)
    assert (stored.architecture, stored.origin) == (recogniser.architecture, recogniser.origin)
    assert (stored.description, stored.length, stored.stride) == (windows.description, LENGTH, STRIDE)
    found = recognise(stored.build(), windows.signals)
    np.testing.assert_array_equal(found, recognise(recogniser.build(), windows.signals))
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)


def test_the_network_is_normalisation_encoder_and_head(recogniser: TrainedRecogniser, windows: Windows) -> None:
    network = recogniser.build()
    normalised = torch.from_numpy(Normalisation.of(windows.signals)(windows.signals[:5]))
    encoder = network.backbone.by_modality["inertial"]
    logits = encoder(normalised) @ recogniser.weights["head.linear.weight"].T
    expected = (logits + recogniser.weights["head.linear.bias"]).softmax(1).detach()
    np.testing.assert_allclose(recognise(network, windows.signals[:5]), expected, rtol=1e-5)


@pytest.mark.parametrize("settings", [LinearSettings(), MLPSettings(hidden=(5,)), RidgeSettings(), SPELLING])
def test_any_head_and_what_was_trained_with_it_make_a_recogniser(windows: Windows, settings: HeadSettings) -> None:
    """What an evaluation changed in a backbone takes the place of what was pre-trained."""
    encoders = make_encoders(windows)
    backbone = encoders.build(1)
    with torch.no_grad():
        changed = {name: value + 0.1 for name, value in backbone.state_dict().items() if "convolutions.1" in name}
    head = settings.build(backbone.features, list(ACTIVITIES.values())).eval()
    with torch.no_grad():
        for value in head.state_dict().values():
            value.normal_()
    weights = {f"head.{name}": value for name, value in head.state_dict().items()}
    weights |= {f"backbone.{name}": value for name, value in changed.items()}
    trained = TrainedHead(facts(1, 0.5, head=settings), weights)
    architecture, state = combine(encoders, trained, windows)
    found = recognise(architecture.build(state), windows.signals[:20])
    backbone.load_state_dict({**backbone.state_dict(), **changed})
    with torch.no_grad():
        expected = head(backbone(torch.from_numpy(windows.signals[:20]))).softmax(1)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert (architecture.head, architecture.description) == (settings, windows.description)
    assert len(changed) == 2


def test_a_recogniser_of_one_modality_has_its_channels_only(windows: Windows) -> None:
    """It takes windows of these channels and says what the whole backbone's part of the embedding says."""
    channels = [
        Channel(name="acc_x", unit="g"),
        Channel(name="hip", unit="cm", sensor="skeleton", modality="skeleton"),
        Channel(name="knee", unit="cm", sensor="skeleton", modality="skeleton"),
    ]
    both = Windows.from_arrays(windows.signals, windows.classes(), list(ACTIVITIES.values()), channels, RATE)
    encoders = make_encoders(both)
    width = encoders.build(0).features // 2
    weights = {"head.linear.weight": torch.randn(3, width), "head.linear.bias": torch.randn(3)}
    trained = TrainedHead(facts(1, 0.5, modalities=("skeleton",)), weights)
    architecture, state = combine(encoders, trained, both)
    assert architecture.description.channel_names == ["hip", "knee"]
    found = recognise(architecture.build(state), both.signals[:20, :, 1:])
    with torch.no_grad():
        embeddings = encoders.build(1)(torch.from_numpy(both.signals[:20]))[:, width:]
        expected = (embeddings @ weights["head.linear.weight"].T + weights["head.linear.bias"]).softmax(1)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("change", ["missing weight", "other width", "no origin", "broken architecture", "other head"])
def test_what_does_not_fit_is_refused(recogniser: TrainedRecogniser, tmp_path: Path, change: str) -> None:
    path = tmp_path / "recogniser.safetensors"
    weights = dict(recogniser.weights)
    header = {
        "architecture": recogniser.architecture.model_dump_json(),
        "origin": recogniser.origin.model_dump_json(),
    }
    write_tensors(weights, path, "recogniser", **header)
    assert read_recogniser(path).origin == recogniser.origin
    if change == "missing weight":
        weights.pop("head.linear.bias")
    elif change == "other width":
        weights["head.linear.weight"] = torch.zeros(3, 7)
    elif change == "no origin":
        header.pop("origin")
    elif change == "other head":
        other = recogniser.architecture.model_copy(update={"head": RidgeSettings()})
        header["architecture"] = other.model_dump_json()
    else:
        header["architecture"] = "{"
    write_tensors(weights, path, "recogniser", **header)
    with pytest.raises(SchemaError, match=r"recogniser\.safetensors: not a readable recogniser file"):
        read_recogniser(path)


def exported(recogniser: TrainedRecogniser, windows: Windows) -> bytes:
    """The ONNX model of a recogniser, which says what the recogniser says."""
    model = export_onnx(recogniser)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    expected = recognise(recogniser.build(), windows.signals[:50])
    for count in (1, 3, 50):
        (found,) = session.run(["probabilities"], {"windows": windows.signals[:count]})
        np.testing.assert_allclose(found, expected[:count], atol=1e-5)
    return model


@pytest.mark.parametrize("name", [name for name in ENCODERS if not name.endswith(" transformer")])
def test_onnx_says_what_torch_says(windows: Windows, name: str) -> None:
    encoder: EncoderSettings = TypeAdapter(EncoderSettings).validate_python(ENCODERS[name])
    length = max(encoder.shortest_window, 24)  # the exporter writes recurrent layers sample by sample
    windows = replace(windows, length=length, signals=np.ascontiguousarray(windows.signals[:, :length]))
    encoders = make_encoders(windows, name, repeats=1)
    heads = [linear_head(encoders, 0, 0.5)]
    recogniser = choose_recogniser(windows, "semi_supervised", {SIMCLR: encoders}, {SIMCLR: heads}, scores(simclr=0.7))
    model = exported(recogniser, windows)
    told_facts = {one.key: json.loads(one.value) for one in onnx.load_from_string(model).metadata_props}
    assert told_facts["activities"] == list(ACTIVITIES.values())
    assert told_facts["sampling_rate_hz"] == RATE
    assert told_facts["channels"][0] == {"name": "x", "unit": "g", "sensor": "sensor", "modality": "inertial"}
    assert told_facts["encoder"] == encoder.name
    assert told_facts["head"] == "linear"
    assert told_facts["label_budget"] == "10 %"


@pytest.mark.parametrize("name", ["boosted trees", "hierarchical", "knn"])
def test_heads_that_are_no_plain_layers_are_exported(windows: Windows, name: str) -> None:
    settings: HeadSettings = TypeAdapter(HeadSettings).validate_python(HEADS[name])
    encoders = make_encoders(windows, repeats=1)
    head = settings.build(encoders.build(0).features, list(ACTIVITIES.values()))
    if settings.fitted:
        with torch.no_grad():
            head.fit(encoders.build(0)(torch.from_numpy(windows.signals)), torch.from_numpy(windows.classes()))
    weights = {f"head.{name}": value for name, value in head.state_dict().items()}
    heads = [TrainedHead(facts(0, 0.5, head=settings), weights)]
    recogniser = choose_recogniser(windows, "semi_supervised", {SIMCLR: encoders}, {SIMCLR: heads}, scores(simclr=0.7))
    exported(recogniser, windows)


def pieces(
    seconds: np.ndarray, samples: np.ndarray, cuts: tuple[int, ...] = (), rate: float | None = None, name: str = "r"
) -> Callable[[], Iterator[Piece]]:
    def read() -> Iterator[Piece]:
        parts = zip(np.split(seconds, cuts), np.split(samples, cuts), strict=True)
        for row, (times, values) in zip((0, *cuts), parts, strict=True):
            yield Piece(name, Path("file.csv"), row + 2, times, values, rate)

    return read


def told(timeline: Timeline, folder: Path) -> pd.DataFrame:
    write_timeline(timeline, folder / "timeline.parquet")
    return read_timeline(folder / "timeline.parquet")


def signal(rows: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((rows, 3)).cumsum(axis=0) / 10


PROBABILITIES = [f"p({name})" for name in ACTIVITIES.values()]


def test_a_timeline_is_its_windows_and_covers_everything(recogniser: TrainedRecogniser, tmp_path: Path) -> None:
    samples = signal(500)
    timeline = told(
        recognise_recordings(pieces(np.arange(500) / RATE, samples), recogniser, InferenceSettings(smoothing=1)),
        tmp_path,
    )
    starts = [*range(0, 500 - LENGTH + 1, STRIDE), 500 - LENGTH]
    windows = np.stack([samples[start : start + LENGTH] for start in starts]).astype(np.float32)
    expected = recognise(recogniser.build(), windows)
    np.testing.assert_allclose(timeline[PROBABILITIES], expected, atol=1e-4)
    assert timeline["activity"].tolist() == [list(ACTIVITIES.values())[best] for best in expected.argmax(1)]
    np.testing.assert_allclose(timeline["probability"], expected.max(1), atol=1e-4)
    assert timeline["start"].iloc[0] == 0
    assert timeline["end"].iloc[-1] == 500 / RATE
    np.testing.assert_allclose(timeline["start"].iloc[1:], timeline["end"].iloc[:-1])
    middle = (np.array(starts[1:-1]) + LENGTH / 2) / RATE
    np.testing.assert_allclose((timeline["start"] + timeline["end"]).iloc[1:-1] / 2, middle)


@pytest.mark.parametrize("smoothing", [1, 3, 7])
@pytest.mark.parametrize("rate", [50.0, 104.0, 20.0])
def test_pieces_change_nothing(recogniser: TrainedRecogniser, tmp_path: Path, smoothing: int, rate: float) -> None:
    samples, seconds = signal(900), 5 + np.arange(900) / rate
    settings = InferenceSettings(smoothing=smoothing, stride=0.5)
    whole = told(recognise_recordings(pieces(seconds, samples), recogniser, settings), tmp_path)
    for cuts in ((450,), (1, 2, 3, 40, 41, 600, 899), tuple(range(50, 900, 50))):
        cut = told(recognise_recordings(pieces(seconds, samples, cuts), recogniser, settings), tmp_path)
        pd.testing.assert_frame_equal(cut, whole, atol=1e-5)


def test_smoothing_averages_neighbours(recogniser: TrainedRecogniser, tmp_path: Path) -> None:
    read = pieces(np.arange(900) / RATE, signal(900), tuple(range(100, 900, 100)))
    raw = told(recognise_recordings(read, recogniser, InferenceSettings(smoothing=1)), tmp_path)
    smooth = told(recognise_recordings(read, recogniser, InferenceSettings(smoothing=5)), tmp_path)
    expected = raw[PROBABILITIES].rolling(5, center=True, min_periods=1).mean()
    np.testing.assert_allclose(smooth[PROBABILITIES], expected, atol=1e-5)
    pd.testing.assert_frame_equal(smooth[["start", "end"]], raw[["start", "end"]])


def test_a_gap_divides_and_a_short_one_is_bridged(recogniser: TrainedRecogniser, tmp_path: Path) -> None:
    seconds = np.arange(600) / RATE
    seconds[200:] += 0.1
    seconds[400:] += 10
    for cuts in ((), (200, 400), (399,), (401,)):
        read = pieces(seconds, signal(600), cuts)
        timeline = told(recognise_recordings(read, recogniser, InferenceSettings(smoothing=1)), tmp_path)
        breaks = timeline["start"].iloc[1:].to_numpy() - timeline["end"].iloc[:-1].to_numpy()
        assert (breaks > 1e-6).sum() == 1
        assert breaks.max() == pytest.approx(10, abs=2 / RATE)
        assert timeline["end"].iloc[-1] == pytest.approx(seconds[-1] + 1 / RATE)


def test_stretches_shorter_than_a_window_are_not_guessed(recogniser: TrainedRecogniser, tmp_path: Path) -> None:
    read = pieces(np.arange(30) / RATE, signal(30))
    timeline = told(recognise_recordings(read, recogniser, InferenceSettings(smoothing=1)), tmp_path)
    assert timeline["activity"].isna().all()
    assert timeline["end"].tolist() == [pytest.approx(30 / RATE)]
    assert "too short" in summarise_timeline(timeline)
    assert draw_timeline(timeline).axes


def test_bad_settings_and_times_are_refused(recogniser: TrainedRecogniser, tmp_path: Path) -> None:
    read = pieces(np.arange(100) / RATE, signal(100))
    with pytest.raises(ValueError, match=r"inference.stride is 2.0 s; choose one of 0.02 to 1.28 s"):
        recognise_recordings(read, recogniser, InferenceSettings(stride=2.0))
    with pytest.raises(ValueError, match="smoothing is 2; an odd number"):
        InferenceSettings(smoothing=2)
    seconds = np.arange(100) / RATE
    seconds[70] = seconds[69]
    for cuts in ((), (70,)):
        with pytest.raises(BadRecordingError, match=r"file.csv, row 72: the time stamp is not later"):
            told(
                recognise_recordings(pieces(seconds, signal(100), cuts), recogniser, InferenceSettings(smoothing=1)),
                tmp_path,
            )


def test_a_model_of_clips_labels_no_recording(windows: Windows, tmp_path: Path) -> None:
    """Clips of various lengths are resampled to one: their time axis is not a recording's."""
    clips = replace(windows, table=windows.table.assign(end=windows.table["end"] + 3))
    encoders = make_encoders(clips)
    heads = {SIMCLR: [linear_head(encoders, 0, 0.5)]}
    recogniser = choose_recogniser(clips, "semi_supervised", {SIMCLR: encoders}, heads, scores(simclr=0.7))
    with pytest.raises(ValueError, match="trained on clips"):
        recognise_recordings(pieces(np.arange(100) / RATE, signal(100)), recogniser, InferenceSettings(smoothing=1))


@pytest.mark.parametrize("largest", [np.inf, np.nan])
def test_what_gives_no_probabilities_is_refused(recogniser: TrainedRecogniser, tmp_path: Path, largest: float) -> None:
    samples = signal(100)
    samples[70:] = [largest, -largest, largest]
    with pytest.raises(ValueError, match=r"^Samples up to (inf|nan) give no probabilities"):
        recognise(recogniser.build(), np.stack([samples[:LENGTH], samples[-LENGTH:]]).astype(np.float32))
    read = pieces(np.arange(100) / RATE, samples, (65, 80))
    with pytest.raises(BadRecordingError, match=r"file.csv, recording 'r', up to row (81|101): Samples up to"):
        told(recognise_recordings(read, recogniser, InferenceSettings(smoothing=1)), tmp_path)


@pytest.mark.parametrize("declared", [None, 10.0])
def test_slow_recordings_are_warned_about(
    recogniser: TrainedRecogniser, caplog: pytest.LogCaptureFixture, declared: float | None
) -> None:
    slow = pieces(np.arange(100) / 10, signal(100), (40,), declared)
    list(recognise_recordings(slow, recogniser, InferenceSettings(smoothing=1)).rows())
    assert caplog.text.count("Hz, the model learned") == 1
    assert "has 10 Hz, the model learned from 50 Hz" in caplog.text


def test_of_a_file_that_is_left_out_nothing_is_told(recogniser: TrainedRecogniser, tmp_path: Path) -> None:
    """What is wrong may be in its last row, after much of it was recognised."""
    seconds, samples = np.arange(300) / RATE, signal(300)
    good, other = pieces(seconds, samples, name="good"), pieces(seconds, samples, (100, 200), name="also good")

    def read() -> Iterator[Piece | Rejection]:
        for number, (name, rejected) in enumerate((("first", True), ("good", False), ("last", True))):
            file = Path(f"{name}.csv")
            for piece in (*good(), *other()):
                yield replace(piece, file=file, recording=f"{number} {piece.recording}")
            if rejected:
                yield Rejection(name, f"{file}: broken", file=file)

    found = told(recognise_recordings(read, recogniser, InferenceSettings(smoothing=1)), tmp_path)
    alone = told(recognise_recordings(good, recogniser, InferenceSettings(smoothing=1)), tmp_path)
    assert list(found["recording"].unique()) == ["1 good", "1 also good"]
    for name in found["recording"].unique():
        part = found[found["recording"] == name].reset_index(drop=True)
        pd.testing.assert_frame_equal(part[PROBABILITIES], alone[PROBABILITIES])


def test_rates_of_rounded_time_stamps_are_those_of_the_clock(recogniser: TrainedRecogniser, tmp_path: Path) -> None:
    """At 60 Hz, stamps with two decimals have steps of 0.01 and 0.02 s, of which the median is 50 or 100 Hz."""
    samples = np.sin(np.arange(1200) / 60)[:, None] * np.ones(3)
    exact, rounded = (
        told(recognise_recordings(pieces(seconds, samples), recogniser, InferenceSettings(smoothing=1)), tmp_path)
        for seconds in (np.arange(1200) / 60, np.round(np.arange(1200) / 60, 2))
    )
    assert len(rounded) == len(exact)
    np.testing.assert_allclose(rounded[PROBABILITIES], exact[PROBABILITIES], atol=0.1)


def test_memory_does_not_grow_with_the_recording(recogniser: TrainedRecogniser, tmp_path: Path) -> None:
    def peak(count: int) -> int:
        def read() -> Iterator[Piece]:
            for part in range(count):
                seconds = (part * 5000 + np.arange(5000)) / 100
                yield Piece("r", Path("file.csv"), 2, seconds, np.ones((5000, 3)) * np.sin(seconds)[:, None], None)

        tracemalloc.start()
        write_timeline(recognise_recordings(read, recogniser, InferenceSettings(smoothing=3)), tmp_path / "t.parquet")
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(2)
    assert peak(40) < 1.5 * peak(5)
