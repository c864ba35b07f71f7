"""What validation people tell about a recogniser: its temperature, and what is unlike its training data."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch
from scipy.special import log_softmax, softmax

from contrastive_har.files.stamps import SchemaError
from contrastive_har.files.tensors import read_tensors, write_tensors
from contrastive_har.learning.evaluation import EvaluationPlan, EvaluationSettings, evaluate
from contrastive_har.models.heads.linear import LinearSettings
from contrastive_har.models.heads.logistic import LogisticSettings
from contrastive_har.models.heads.ridge import RidgeSettings
from contrastive_har.pipelines.inference.nodes import recognise_recordings
from contrastive_har.reports.calibration import calibration_rows
from contrastive_har.reports.figures import draw_reliability
from contrastive_har.reports.timelines import draw_timeline, summarise_timeline
from contrastive_har.scores.cells import Cell
from contrastive_har.signals.budgets import LabelBudget
from contrastive_har.signals.descriptions import UNLABELLED, DatasetDescription
from contrastive_har.signals.recordings import Recording, Recordings
from contrastive_har.signals.roles import Roles, rows_of
from contrastive_har.signals.sensors import Channel
from contrastive_har.signals.windows import Windows
from contrastive_har.use.calibration import Calibration, calibrate
from contrastive_har.use.cards import describe_recogniser, model_card
from contrastive_har.use.export import export_onnx
from contrastive_har.use.recogniser_files import read_recogniser, write_recogniser
from contrastive_har.use.recognisers import TrainedRecogniser, choose_recogniser, recognise
from contrastive_har.use.timelines import InferenceSettings, read_timeline, write_timeline
from contrastive_har.use.validation import assess_calibration, complete_recogniser, score_windows
from contrastive_har.use.whole_recordings import _by_second, score_recordings
from tests.conftest import ACTIVITIES, RATE
from tests.learning.examples import CPU
from tests.use.test_alternatives import scores_of
from tests.use.test_recognisers import make_encoders

LENGTH = 64
BUDGET = LabelBudget(share=1.0)
CELL = Cell("p", "unseen", "simclr")
AXES = ("x", "y", "z")
CHANNELS = [
    Channel(name=f"{sensor}_{axis}", unit=unit, sensor=sensor, modality=modality)
    for sensor, unit, modality in (("acc", "g", "accelerometer"), ("gyro", "rad/s", "gyroscope"))
    for axis in AXES
]
NAMES = [channel.name for channel in CHANNELS]
STRENGTH = {"rest": 0.02, "walk": 0.3, "run": 0.6}


def worn(person: int, activity: str, seconds: float) -> np.ndarray:
    """Accelerations with gravity, along an axis that depends on the activity and a little on the person; rotations."""
    rng = np.random.default_rng([person, list(ACTIVITIES.values()).index(activity)])
    time = np.arange(round(seconds * RATE)) / RATE
    gravity = np.array([0.2, 0.95, 0.2] if activity != "rest" else [0.95, 0.2, 0.2]) + 0.05 * rng.standard_normal(3)
    phases = rng.uniform(0, 2 * np.pi, 6)
    waves = STRENGTH[activity] * np.sin(2 * np.pi * 1.5 * time[:, None] + phases)
    waves += (0.01 + 0.4 * STRENGTH[activity]) * rng.standard_normal(waves.shape)
    return (waves + np.concatenate([gravity, 0.02 * rng.standard_normal(3)])).astype(np.float32)


@pytest.fixture(scope="module")
def worn_windows() -> Windows:
    """Windows of ten people."""
    signals, classes, people = [], [], []
    for person in range(10):
        for index, activity in enumerate(ACTIVITIES.values()):
            signals.append(worn(person, activity, 20 * LENGTH / RATE).reshape(20, LENGTH, 6))
            classes += [index] * 20
            people += [str(person)] * 20
    made = Windows.from_arrays(
        np.concatenate(signals), np.array(classes), list(ACTIVITIES.values()), CHANNELS, sampling_rate_hz=RATE
    )
    return replace(made, table=made.table.assign(subject=people))


@pytest.fixture(scope="module")
def roles(worn_windows: Windows) -> dict[str, Roles]:
    """Six people train, two validate, two test."""
    people = worn_windows.table["subject"].astype(int).to_numpy()
    members = {"pretrain": people < 6, "train": people < 6, "validation": (people == 6) | (people == 7)}
    members["test"] = people >= 8
    rows = [
        rows_of("unseen", 0, None if role == "pretrain" else BUDGET, role, np.flatnonzero(chosen))  # type: ignore[arg-type]
        for role, chosen in members.items()
    ]
    return {"unseen": Roles(pd.concat(rows))}


@pytest.fixture(scope="module")
def chosen(worn_windows: Windows, roles: dict[str, Roles]) -> TrainedRecogniser:
    """A trained recogniser, with alternatives, as it is chosen."""
    encoders = make_encoders(worn_windows, repeats=1)
    head = {"title": "Logistic", "head": LogisticSettings()}
    evaluations = {
        name: EvaluationSettings.model_validate({**head, "modalities": modalities})
        for name, modalities in (("all", None), ("each", "each"))
    }
    plan = EvaluationPlan(name="t", evaluations=evaluations, label_budgets=(BUDGET,), shown=BUDGET, seed=0)
    _, _, heads = evaluate(worn_windows, roles["unseen"], encoders, plan, CPU)
    return choose_recogniser(worn_windows, "p", {CELL: encoders}, {CELL: heads}, scores_of({CELL: heads}))


@pytest.fixture(scope="module")
def recogniser(chosen: TrainedRecogniser, worn_windows: Windows, roles: dict[str, Roles]) -> TrainedRecogniser:
    return complete_recogniser(chosen, worn_windows, roles)


def scaled(*names: str, factor: float) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda table: table.assign(**{name: factor * table[name] for name in names})


ACCELERATIONS, ROTATIONS = NAMES[:3], NAMES[3:]


def timeline_of(
    recogniser: TrainedRecogniser, folder: Path, change: Callable[[pd.DataFrame], pd.DataFrame], **settings: int
) -> pd.DataFrame:
    """The timeline of a test person's recording."""
    samples = np.concatenate([worn(9, activity, 20) for activity in ACTIVITIES.values()])
    table = pd.DataFrame(samples, columns=NAMES).assign(timestamp=np.arange(len(samples)) / RATE)
    change(table).to_csv(folder / "day.csv", index=False)
    planned = recognise_recordings(
        folder / "day.csv", recogniser, InferenceSettings.model_validate({"smoothing": 1, **settings})
    )
    write_timeline(planned, folder / "timeline.parquet")
    return read_timeline(folder / "timeline.parquet")


def test_a_new_person_is_familiar(
    recogniser: TrainedRecogniser, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    timeline = timeline_of(recogniser, tmp_path, lambda table: table)
    assert timeline["unfamiliar"].mean() < 0.1
    assert timeline["unfamiliar"].dtype == bool
    assert timeline["distance"].dtype == np.float32
    assert "unlike" not in caplog.text
    assert summarise_timeline(timeline).split()[-1] in ("0.0", "0.1")


@pytest.mark.parametrize(
    ("columns", "factor"), [(ACCELERATIONS, 9.81), (ACCELERATIONS, -1.0), (ACCELERATIONS, 1 / 9.81), (ROTATIONS, 57.3)]
)
def test_other_units_and_axes_are_unfamiliar(
    recogniser: TrainedRecogniser, tmp_path: Path, caplog: pytest.LogCaptureFixture, columns: list[str], factor: float
) -> None:
    with caplog.at_level(logging.WARNING):
        timeline = timeline_of(recogniser, tmp_path, scaled(*columns, factor=factor))
    assert timeline["unfamiliar"].mean() > 0.8
    (said,) = [text for text in (record.getMessage() for record in caplog.records) if "unlike" in text]
    assert said.startswith(f"{tmp_path / 'day.csv'}: ")
    assert "of recording 'day' is unlike the training data (mean distance" in said
    assert all(name.strip() in columns for name in said.partition("mostly in ")[2].partition(")")[0].split(","))
    minutes = summarise_timeline(timeline)
    assert "(unfamiliar)" in minutes.splitlines()[0]
    assert float(minutes.split()[-1]) == pytest.approx(timeline["unfamiliar"].mean(), abs=0.06), "of a minute"
    assert "unlike the training data" in [text.get_text() for text in draw_timeline(timeline).legends[0].texts]


def test_alternatives_have_references_of_their_own_channels(recogniser: TrainedRecogniser, tmp_path: Path) -> None:
    for one in recogniser.alternatives:
        assert one.reference is not None
        assert one.reference.statistics.shape == (360, 6)
    without = timeline_of(recogniser, tmp_path, lambda table: table.drop(columns=ROTATIONS))
    degrees = timeline_of(recogniser.only(["accelerometer"]), tmp_path, scaled(*ROTATIONS, factor=57.3))
    pd.testing.assert_frame_equal(without, degrees)
    assert without["unfamiliar"].mean() < 0.1


def test_distances_are_smoothed_like_probabilities(recogniser: TrainedRecogniser, tmp_path: Path) -> None:
    def spiked(table: pd.DataFrame) -> pd.DataFrame:
        table.loc[500:504, "acc_x"] = 1e7
        return table

    raw = timeline_of(recogniser, tmp_path, spiked)
    smooth = timeline_of(recogniser, tmp_path, spiked, smoothing=3)
    expected = np.sqrt((raw["distance"].astype(float) ** 2).rolling(3, center=True, min_periods=1).mean())
    np.testing.assert_allclose(smooth["distance"], expected, rtol=1e-4)
    assert (smooth["unfamiliar"] == (smooth["distance"] > 1)).all()


def test_without_a_reference_distances_are_unknown(
    recogniser: TrainedRecogniser, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    unknown = replace(recogniser, reference=None)
    timeline = timeline_of(unknown, tmp_path, scaled(*ACCELERATIONS, factor=9.81))
    assert timeline["distance"].isna().all()
    assert not timeline["unfamiliar"].any()
    assert "unlike" not in caplog.text
    short = timeline_of(recogniser, tmp_path, lambda table: table.iloc[:30])
    assert short[["activity", "distance"]].isna().all().all()
    assert short["unfamiliar"].tolist() == [False]


def test_test_windows_change_nothing(
    chosen: TrainedRecogniser, recogniser: TrainedRecogniser, worn_windows: Windows, roles: dict[str, Roles]
) -> None:
    """Not even where they were pre-trained on."""
    tests = roles["unseen"].members(0, "test", BUDGET)
    signals = worn_windows.signals.copy()
    signals[tests] = 1e6
    seen = Roles(pd.concat([roles["unseen"].table, rows_of("unseen", 0, None, "pretrain", tests)]))
    again = complete_recogniser(chosen, replace(worn_windows, signals=signals), {"unseen": seen})
    for mine, theirs in zip((again, *again.alternatives), (recogniser, *recogniser.alternatives), strict=True):
        assert mine.calibration == theirs.calibration
        assert mine.reference is not None
        assert theirs.reference is not None
        np.testing.assert_array_equal(mine.reference.statistics, theirs.reference.statistics)
        np.testing.assert_array_equal(mine.reference.scale, theirs.reference.scale)


@pytest.mark.parametrize("factor", [0.2, 1.0, 3.0, 12.0])
def test_the_temperature_of_scaled_scores_is_the_scale(factor: float) -> None:
    """Three of four windows are right with a probability of 3/4, so that the best temperature is 1."""
    probabilities = np.tile(np.array([[0.75, 0.25], [0.25, 0.75]]), (40, 1))
    classes = np.tile([0, 1], 40)
    classes[:20] = 1 - classes[:20]
    scores = factor * np.log(probabilities)
    found = calibrate(scores, classes)
    assert found.temperature == pytest.approx(factor, rel=1e-4)
    assert (found.windows, found.reason) == (80, None)


def test_scores_that_are_log_probabilities_are_not_made_surer() -> None:
    """The people by whom a recogniser is chosen are those of whom it recognises most."""
    rng = np.random.default_rng(0)
    scores = rng.standard_normal((400, 3)).astype(np.float32)
    classes = np.where(rng.random(400) < 0.95, scores.argmax(axis=1), rng.integers(3, size=400))
    assert calibrate(scores, classes).temperature < 1
    kept = calibrate(scores, classes, sharpens=False)
    assert kept.temperature == 1
    assert kept.reason is not None
    assert calibrate(20 * scores, classes, sharpens=False).temperature > 1
    assert LinearSettings().has_likelihood
    assert not RidgeSettings().has_likelihood


def test_the_temperature_of_known_probabilities_is_recovered() -> None:
    rng = np.random.default_rng(0)
    scores = 2 * rng.standard_normal((20_000, 5))
    classes = (softmax(scores, axis=1).cumsum(axis=1) > rng.uniform(size=(20_000, 1))).argmax(axis=1)
    found = calibrate((4 * scores).astype(np.float32), classes)
    assert found.temperature == pytest.approx(4, rel=0.03)
    likelihoods = {
        temperature: log_softmax(4 * scores / temperature, axis=1)[np.arange(20_000), classes].mean()
        for temperature in (0.98 * found.temperature, found.temperature, 1.02 * found.temperature)
    }
    assert max(likelihoods, key=likelihoods.__getitem__) == found.temperature


@pytest.mark.parametrize(
    ("scores", "classes", "reason"),
    [
        (np.zeros((0, 3)), [], "fewer than 50 validation windows"),
        (np.ones((49, 3)), np.arange(49) % 3, "fewer than 50 validation windows"),
        (np.ones((60, 3)), np.arange(60) % 2, "1 of the activities without validation windows"),
        (9 * np.eye(3)[np.arange(60) % 3], np.arange(60) % 3, "every validation window is recognised"),
        (
            np.log(1 - np.eye(3)[np.arange(60) % 3] + 1e-300),
            np.arange(60) % 3,
            "the best temperature is not between 1/20 and 20",
        ),
        (
            np.where(np.arange(60)[:, None] > 0, 1.0, [[-np.inf, 0.0, 0.0]]),
            np.arange(60) % 3,
            "the true activity of a validation window has the probability 0",
        ),
    ],
)
def test_without_a_fit_the_temperature_is_1_and_the_reason_is_kept(
    scores: np.ndarray, classes: np.ndarray, reason: str
) -> None:
    found = calibrate(scores, np.asarray(classes, np.int64))
    assert (found.temperature, found.windows) == (1.0, len(classes))
    assert reason in str(found.reason)


@pytest.mark.parametrize("temperature", [0.1, 0.5, 3.0, 15.0])
def test_a_temperature_changes_probabilities_and_no_prediction(
    recogniser: TrainedRecogniser, worn_windows: Windows, temperature: float
) -> None:
    plain = replace(recogniser, calibration=Calibration())
    warm = replace(recogniser, calibration=Calibration(temperature=temperature))
    signals = worn_windows.signals
    before, after = (recognise(one.build(), signals) for one in (plain, warm))
    scores = score_windows(warm.build(), signals)
    np.testing.assert_allclose(after, softmax(scores.astype(float) / temperature, axis=1), rtol=1e-3, atol=1e-6)
    np.testing.assert_array_equal(before.argmax(axis=1), after.argmax(axis=1))
    np.testing.assert_allclose(after.sum(axis=1), 1, rtol=1e-5)
    assert np.abs(before - after).max() > 0.01
    assert describe_recogniser(warm)["temperature"] == temperature
    assert "No temperature was fitted: there were no validation windows." in model_card(plain)
    fitted = replace(warm, calibration=Calibration(temperature=temperature, windows=120, reason=None))
    assert f"divided by a temperature of {temperature:.2f}, which was fitted" in model_card(fitted)
    hostile = recogniser.description.model_copy(update={"title": "<b>|[x](javascript:1)", "licence": "`[y](z)`"})
    architecture = recogniser.architecture.model_copy(update={"description": hostile})
    card = model_card(replace(plain, architecture=architecture))
    assert "\\<b>\\|\\[x](javascript:1)" in card
    assert "Licence: \\`\\[y](z)\\`." in card
    session = onnxruntime.InferenceSession(export_onnx(warm), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"windows": signals[:9]})
    np.testing.assert_allclose(found, after[:9], atol=1e-5)


def test_calibration_is_assessed_without_and_with_the_temperature(
    recogniser: TrainedRecogniser, worn_windows: Windows, roles: dict[str, Roles]
) -> None:
    own = Calibration(temperature=4.0, windows=120, reason=None)
    bins = assess_calibration(replace(recogniser, calibration=own), worn_windows, roles)
    rows = calibration_rows(bins)
    assert rows[0].modalities == "accelerometer-and-gyroscope"
    assert {row.modalities for row in rows[1:]} == {"accelerometer", "gyroscope"}
    assert rows[0].temperature == "4.00"
    assert bins.groupby(["modalities", "role", "calibrated"])["windows"].sum().eq(120).all()
    for role, errors in (("validation", rows[0].errors[:2]), ("test", rows[0].errors[2:])):
        members = roles["unseen"].members(0, role, BUDGET)  # type: ignore[arg-type]
        scores = score_windows(recogniser.build(), worn_windows.signals[members])
        for temperature, error in zip((1.0, 4.0), errors, strict=True):
            confidence = softmax(scores / temperature, axis=1).max(axis=1)
            right = scores.argmax(axis=1) == worn_windows.classes()[members]
            places = np.ceil(confidence * 15)
            apart = [abs((right - confidence)[places == place].sum()) for place in np.unique(places)]
            assert float(error) == pytest.approx(100 * sum(apart) / len(members), abs=0.1)
    figure = draw_reliability(bins)
    labels = figure.axes[0].get_legend_handles_labels()[1]
    assert labels == [
        f"without a temperature: error {rows[0].errors[2]} %",
        f"with its temperature: error {rows[0].errors[3]} %",
    ]


def test_temperature_and_reference_survive_storage(
    recogniser: TrainedRecogniser, worn_windows: Windows, tmp_path: Path
) -> None:
    path = tmp_path / "recogniser.safetensors"
    write_recogniser(recogniser, path)
    stored = read_recogniser(path)
    for mine, theirs in zip((stored, *stored.alternatives), (recogniser, *recogniser.alternatives), strict=True):
        assert mine.calibration == theirs.calibration
        assert mine.weights.keys() == theirs.weights.keys()
        assert mine.reference is not None
        assert theirs.reference is not None
        signals = worn_windows.only(mine.modalities).signals
        np.testing.assert_array_equal(mine.reference.differences(signals), theirs.reference.differences(signals))
        np.testing.assert_array_equal(recognise(mine.build(), signals), recognise(theirs.build(), signals))


CHANGES = [
    "temperature",
    "not finite",
    "unknown key",
    "scale",
    "missing",
    "unknown array",
    "other channels",
    "alternative",
]


@pytest.mark.parametrize("change", CHANGES)
def test_damaged_temperatures_and_references_are_refused(
    recogniser: TrainedRecogniser, tmp_path: Path, change: str
) -> None:
    path = tmp_path / "recogniser.safetensors"
    write_recogniser(recogniser, path)
    header, tensors = read_tensors(path, "recogniser")
    entries = {name: header[name] for name in ("architecture", "origin", "calibration", "alternatives")}
    if change in ("temperature", "not finite", "unknown key"):
        key, value = {"unknown key": ("more", 1), "temperature": ("temperature", 0)}.get(
            change, ("temperature", float("inf"))
        )
        entries["calibration"] = json.dumps({**json.loads(entries["calibration"]), key: value})
    elif change == "scale":
        tensors["reference.scale"] = -tensors["reference.scale"]
    elif change == "missing":
        tensors.pop("reference.scale")
    elif change == "unknown array":
        tensors["reference.more"] = torch.ones(1)
    elif change == "other channels":
        tensors |= {name: tensors[f"alternative.0.{name}"] for name in ("reference.scale", "reference.statistics")}
    else:
        tensors["alternative.1.reference.statistics"] = torch.full((3, 6), torch.nan)
    write_tensors(tensors, path, "recogniser", **entries)
    with pytest.raises(SchemaError, match=r"recogniser\.safetensors: not a readable recogniser file"):
        read_recogniser(path)


def test_a_file_without_temperature_and_reference_is_read(recogniser: TrainedRecogniser, tmp_path: Path) -> None:
    """As those are that were written before there were any."""
    path = tmp_path / "recogniser.safetensors"
    write_recogniser(replace(recogniser, alternatives=(), reference=None), path)
    header, tensors = read_tensors(path, "recogniser")
    write_tensors(tensors, path, "recogniser", **{name: header[name] for name in ("architecture", "origin")})
    stored = read_recogniser(path)
    assert (stored.calibration, stored.reference) == (Calibration(), None)


def days(*people: int) -> Recordings:
    """A day of each person: every activity for 20 seconds, then 5 seconds that nobody labelled."""

    def read() -> Iterator[Recording]:
        for person in people:
            parts = [worn(person, activity, 20) for activity in ACTIVITIES.values()]
            parts.append(worn(person, "rest", 5))
            codes = np.repeat([*ACTIVITIES, UNLABELLED], [len(part) for part in parts]).astype(np.int16)
            yield Recording(str(person), f"day of {person}", 7 + np.arange(len(codes)), codes, np.concatenate(parts))

    channels = tuple(Channel(name=name, unit="g", sensor=None) for name in reversed(NAMES))
    described = DatasetDescription(
        name="days", title="Days", sampling_rate_hz=RATE, channels=channels, activities=ACTIVITIES
    )
    turned = (replace(one, samples=one.samples[:, ::-1].copy()) for one in read())
    rows = list(turned)
    return Recordings(described, lambda: iter(rows))


def test_whole_recordings_of_test_people_are_scored_second_by_second(
    recogniser: TrainedRecogniser, worn_windows: Windows, roles: dict[str, Roles], tmp_path: Path
) -> None:
    """Channels may be in another order than those of the recogniser; people it was trained on do not count."""
    settings = InferenceSettings(smoothing=1)
    found = score_recordings(recogniser, days(0, 8, 6, 9), worn_windows, roles, settings)
    assert found["subject"].tolist() == ["8", "9"]
    assert (found["recordings"] == 1).all()
    assert (found["seconds"] == 20 * len(ACTIVITIES)).all()
    assert (found["unlabelled"] == 5).all()
    timeline = timeline_of(recogniser, tmp_path, lambda table: table)
    names = list(ACTIVITIES.values())
    covering = [
        timeline[(timeline["start"] <= second + 0.5) & (second + 0.5 < timeline["end"])]["activity"].item()
        for second in range(20 * len(names) - 1)
    ]
    right = [name == names[second // 20] for second, name in enumerate(covering)]
    assert found["accuracy"].iloc[1] == pytest.approx(np.mean(right), abs=0.03)
    assert 0.6 < found["macro_f1"].iloc[1] < 1


def test_seconds_without_an_answer_are_wrong(
    recogniser: TrainedRecogniser, worn_windows: Windows, roles: dict[str, Roles]
) -> None:
    """A recording that is shorter than a window, of the activity that comes first."""
    whole = days(9)
    short = min(recogniser.length - 1, RATE)

    def read() -> Iterator[Recording]:
        for one in whole:
            yield replace(one, sample=one.sample[:short], activity=one.activity[:short], samples=one.samples[:short])

    found = score_recordings(
        recogniser, Recordings(whole.description, read), worn_windows, roles, InferenceSettings(smoothing=1)
    )
    assert found["seconds"].item() == 1
    assert found["accuracy"].item() == found["macro_f1"].item() == 0


def test_a_second_beside_a_gap_is_judged_by_what_is_recognised_of_it(
    recogniser: TrainedRecogniser, worn_windows: Windows, roles: dict[str, Roles]
) -> None:
    """Its middle is in the gap, where the last answer is the one before the gap."""
    (day,) = days(9)
    first, second = (np.flatnonzero(day.activity == code)[: 10 * RATE] for code in list(ACTIVITIES)[:2])
    late = round(0.6 * RATE)
    sample = np.concatenate([np.arange(10 * RATE), 13 * RATE + late + np.arange(10 * RATE - late)])
    chosen = np.concatenate([first, second[late:]])
    broken = replace(day, sample=sample, activity=day.activity[chosen], samples=day.samples[chosen])
    true, recognised = _by_second(recogniser, days(9).description, broken, InferenceSettings(smoothing=1))
    assert true.tolist() == [0] * 10 + [1] * 10
    assert recognised[9] != recognised[10] == recognised[11]


def test_seconds_of_unknown_activities_are_wrong(
    recogniser: TrainedRecogniser, worn_windows: Windows, roles: dict[str, Roles]
) -> None:
    """Such as transitions: they lower the accuracy, and the F1 of what they are taken for."""
    settings = InferenceSettings(smoothing=1)
    whole = days(9)
    plain = score_recordings(recogniser, whole, worn_windows, roles, settings)
    other = max(ACTIVITIES) + 1
    described = whole.description.model_copy(update={"activities": {**ACTIVITIES, other: "sit to stand"}})

    def read() -> Iterator[Recording]:
        for one in whole:
            yield replace(one, activity=np.where(one.activity == UNLABELLED, other, one.activity).astype(np.int16))

    found = score_recordings(recogniser, Recordings(described, read), worn_windows, roles, settings)
    assert (found["unknown"].item(), found["unlabelled"].item()) == (5, 0)
    assert found["seconds"].item() == plain["seconds"].item() + 5
    right = plain["accuracy"].item() * plain["seconds"].item()
    assert found["accuracy"].item() == pytest.approx(right / found["seconds"].item())
    assert found["macro_f1"].item() < plain["macro_f1"].item()


def test_people_that_were_learned_from_are_not_scored(
    recogniser: TrainedRecogniser, worn_windows: Windows, roles: dict[str, Roles]
) -> None:
    """A split by sessions tests other sessions of the same people."""
    table = roles[recogniser.origin.split].table
    tested = set(worn_windows.table["subject"].iloc[table.loc[table["role"] == "test", "window"].unique()])
    of_nine = worn_windows.table.index[worn_windows.table["subject"] == "9"][0]
    extra = table[table["role"] == "pretrain"].assign(window=of_nine).drop_duplicates()
    shared = {recogniser.origin.split: Roles(pd.concat([table, extra]))}
    found = score_recordings(recogniser, days(8, 9), worn_windows, shared, InferenceSettings(smoothing=1))
    assert {"8", "9"} <= tested
    assert found["subject"].tolist() == ["8"]


def test_people_without_recordings_are_not_scored(
    recogniser: TrainedRecogniser, worn_windows: Windows, roles: dict[str, Roles]
) -> None:
    assert score_recordings(recogniser, days(0, 9), worn_windows, roles, InferenceSettings(smoothing=1))[
        "subject"
    ].tolist() == ["9"]
    assert score_recordings(recogniser, days(0), worn_windows, roles, InferenceSettings(smoothing=1)).empty
