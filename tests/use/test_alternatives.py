"""Recognisers for recordings that lack some of the modalities."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
import torch

from contrastive_har.files.stamps import SchemaError
from contrastive_har.files.tensors import read_tensors, write_tensors
from contrastive_har.learning.evaluation.trained import TrainedHead
from contrastive_har.learning.pretraining.encoders import EncoderSet
from contrastive_har.models.encoders.conv_bins import ConvBinsSettings
from contrastive_har.pipelines.inference.nodes import export_recogniser, recognise_recordings
from contrastive_har.scores.cells import Cell, name_evaluation
from contrastive_har.scores.table import EVERYTHING
from contrastive_har.signals.recordings import BadRecordingError
from contrastive_har.signals.windows import Windows
from contrastive_har.use.cards import describe_recogniser
from contrastive_har.use.new_recordings import columns_of
from contrastive_har.use.recogniser_files import read_recogniser, write_recogniser
from contrastive_har.use.recognisers import TrainedRecogniser, choose_recogniser, recognise
from contrastive_har.use.timelines import InferenceSettings, write_timeline
from tests.conftest import ACTIVITIES, RATE
from tests.learning.examples import THREE, TWO, in_modalities
from tests.use.test_recognisers import LENGTH, facts, make_encoders

CMC, SIMCLR = (Cell("p", "unseen", method) for method in ("cmc", "simclr"))
PROBABILITIES = [f"p({name})" for name in ACTIVITIES.values()]


def head(
    encoders: EncoderSet, repeat: int, value: float | None, modalities: tuple[str, ...] = (), evaluation: str = "linear"
) -> TrainedHead:
    """A linear head of some modalities (none: all), with random weights."""
    backbone = encoders.build(0)
    name = name_evaluation(evaluation, modalities) if modalities else evaluation
    width = (backbone.only(modalities) if modalities else backbone).features
    generator = torch.Generator().manual_seed(hash((repeat, len(modalities))) % 1000)
    weights = {
        "head.linear.weight": torch.randn(3, width, generator=generator),
        "head.linear.bias": torch.randn(3, generator=generator),
    }
    return TrainedHead(facts(repeat, value, evaluation=name, modalities=modalities or None), weights)


def scores_of(heads: dict[Cell, list[TrainedHead]]) -> pd.DataFrame:
    """A test score for every head."""
    rows = [
        {"split": cell.split, "method": cell.method, "evaluation": one.facts.evaluation, "label_budget": "10 %"}
        | {"repeat": one.facts.repeat, "metric": "macro_f1", "group": EVERYTHING, "value": 0.25}
        for cell, of_cell in heads.items()
        for one in of_cell
    ]
    return pd.DataFrame(rows)


def choose(
    windows: Windows, encoders: dict[Cell, EncoderSet], heads: dict[Cell, list[TrainedHead]]
) -> TrainedRecogniser:
    return choose_recogniser(windows, "p", encoders, heads, scores_of(heads))


@pytest.fixture(scope="module")
def both(windows: Windows) -> Windows:
    return in_modalities(windows, *TWO)


@pytest.fixture(scope="module")
def recogniser(both: Windows) -> TrainedRecogniser:
    """Of hand and foot, and of each alone: the foot is better."""
    encoders = make_encoders(both)
    values: dict[tuple[str, ...], float] = {("hand",): 0.4, ("foot",): 0.6, (): 0.5}
    heads = [head(encoders, repeat, value, some) for some, value in values.items() for repeat in range(2)]
    return choose(both, {CMC: encoders}, {CMC: heads})


def test_there_is_one_recogniser_for_each_set_of_modalities(windows: Windows) -> None:
    """That of most modalities first, then the better ones; in each, the best row and then its best repeat."""
    several = in_modalities(windows, *THREE)
    cmc, simclr = make_encoders(several), make_encoders(several)
    values: dict[Cell, dict[tuple[str, ...], tuple[float, float]]] = {
        CMC: {
            (): (0.5, 0.7),
            ("hand",): (0.2, 0.3),
            ("foot",): (0.5, 0.4),
            ("head",): (0.3, 0.9),
            ("hand", "foot"): (0.9, 0.9),
        },
        SIMCLR: {(): (0.9, 0.2), ("hand",): (0.4, 0.3), ("foot",): (0.9, 0.0)},
    }
    heads = {
        cell: [head(encoders, repeat, value, some) for some, pair in values[cell].items()
               for repeat, value in enumerate(pair)]
        for cell, encoders in ((CMC, cmc), (SIMCLR, simclr))
    }  # fmt: skip
    chosen = choose(several, {CMC: cmc, SIMCLR: simclr}, heads)
    found = [
        (one.modalities, one.origin.method, one.origin.repeat, one.origin.mean_validation_macro_f1)
        for one in (chosen, *chosen.alternatives)
    ]
    assert found == [
        (("hand", "foot", "head"), "cmc", 1, pytest.approx(0.6)),
        (("hand", "foot"), "cmc", 0, pytest.approx(0.9)),
        (("head",), "cmc", 1, pytest.approx(0.6)),
        (("foot",), "cmc", 0, pytest.approx(0.45)),
        (("hand",), "simclr", 0, pytest.approx(0.35)),
    ]
    assert [one.origin.evaluation for one in (chosen, *chosen.alternatives)][:2] == ["linear", "linear/hand-and-foot"]
    assert all(one.alternatives == () for one in chosen.alternatives)
    assert {one.origin.mean_test_macro_f1 for one in chosen.alternatives} == {0.25}


def test_encoders_of_a_modality_compete_with_its_part_of_others(both: Windows) -> None:
    whole = make_encoders(both)
    alone = make_encoders(both.only(["hand"]))
    heads = {CMC: [head(whole, 0, 0.5), head(whole, 0, 0.4, ("hand",))], SIMCLR: [head(alone, 0, 0.6)]}
    chosen = choose(both, {CMC: whole, SIMCLR: alone}, heads)
    (hand,) = chosen.alternatives
    assert (hand.modalities, hand.origin.method) == (("hand",), "simclr")
    assert hand.description.channel_names == ["x"]


def test_each_says_what_its_part_of_the_backbone_and_its_head_say(recogniser: TrainedRecogniser, both: Windows) -> None:
    backbone = make_encoders(both).build(0).eval()
    with torch.no_grad():
        embeddings = backbone(torch.from_numpy(both.signals[:20]))
    parts = dict(zip(backbone.channels, embeddings.split(backbone.widths, dim=1), strict=True))
    for one in recogniser.alternatives:
        assert one.origin.repeat == 0
        (modality,) = one.modalities
        weights = one.weights
        scores = parts[modality] @ weights["head.linear.weight"].T + weights["head.linear.bias"]
        found = recognise(one.build(), both.only([modality]).signals[:20])
        np.testing.assert_allclose(found, scores.softmax(1), rtol=1e-4, atol=1e-6)


def test_the_most_that_recordings_suffice_for_is_suited_to_them(recogniser: TrainedRecogniser) -> None:
    for columns, expected in (
        (["z", "y", "x", "timestamp"], ("hand", "foot")),
        (["y", "z", "note"], ("foot",)),
        ({"x"}, ("hand",)),
        (["x", "y"], ("hand",)),
        (["y"], ("hand", "foot")),
        ([], ("hand", "foot")),
    ):
        assert recogniser.suited_to(columns).modalities == expected


def test_modalities_may_be_chosen_in_any_order(recogniser: TrainedRecogniser) -> None:
    assert recogniser.only(["foot", "hand"]) is recogniser
    assert recogniser.only(("foot",)) is recogniser.alternatives[0]
    with pytest.raises(
        ValueError, match="there is no recogniser of head; there are those of: hand and foot, foot, hand"
    ):
        recogniser.only(["head"])
    with pytest.raises(ValueError, match=r"no recogniser of foot; there are those of: hand$"):
        recogniser.only(["hand"]).only(["foot"])


def test_alternatives_survive_storage(recogniser: TrainedRecogniser, both: Windows, tmp_path: Path) -> None:
    path = tmp_path / "recogniser.safetensors"
    write_recogniser(recogniser, path)
    stored = read_recogniser(path)
    assert len(stored.alternatives) == 2
    for mine, theirs in zip((stored, *stored.alternatives), (recogniser, *recogniser.alternatives), strict=True):
        assert (mine.architecture, mine.origin) == (theirs.architecture, theirs.origin)
        assert mine.weights.keys() == theirs.weights.keys()
        signals = both.only(mine.modalities).signals[:9]
        np.testing.assert_array_equal(recognise(mine.build(), signals), recognise(theirs.build(), signals))


CHANGES = [
    "missing weight",
    "other width",
    "unknown alternative",
    "no number",
    "no facts",
    "more facts",
    "broken facts",
    "not finite",
]


@pytest.mark.parametrize("change", CHANGES)
def test_damaged_alternatives_are_refused(recogniser: TrainedRecogniser, tmp_path: Path, change: str) -> None:
    path = tmp_path / "recogniser.safetensors"
    write_recogniser(recogniser, path)
    header, tensors = read_tensors(path, "recogniser")
    entries = {name: header[name] for name in ("architecture", "origin", "alternatives")}
    bias = "alternative.1.head.linear.bias"
    if change == "missing weight":
        tensors.pop(bias)
    elif change == "other width":
        tensors[bias] = torch.zeros(4)
    elif change == "unknown alternative":
        tensors["alternative.2.head.linear.bias"] = torch.zeros(3)
    elif change == "no number":
        tensors["alternative.one.head.linear.bias"] = tensors.pop(bias)
    elif change == "no facts":
        entries.pop("alternatives")
    elif change == "more facts":
        entries["alternatives"] = json.dumps(
            [*json.loads(entries["alternatives"]), json.loads(entries["alternatives"])[0]]
        )
    elif change == "broken facts":
        entries["alternatives"] = "[{}]"
    else:
        tensors[bias] = torch.full((3,), torch.nan)
    write_tensors(tensors, path, "recogniser", **entries)
    with pytest.raises(SchemaError, match=r"recogniser\.safetensors: not a readable recogniser file"):
        read_recogniser(path)


def test_a_file_without_alternatives_is_read(recogniser: TrainedRecogniser, tmp_path: Path) -> None:
    """As those are that were written before there were any."""
    path = tmp_path / "recogniser.safetensors"
    write_recogniser(replace(recogniser, alternatives=()), path)
    header, tensors = read_tensors(path, "recogniser")
    write_tensors(tensors, path, "recogniser", **{name: header[name] for name in ("architecture", "origin")})
    stored = read_recogniser(path)
    assert stored.alternatives == ()
    assert (stored.architecture, stored.origin) == (recogniser.architecture, recogniser.origin)


def write_csv(path: Path, *columns: str, seed: int = 0) -> Path:
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({"timestamp": np.arange(300) / RATE, **{name: rng.standard_normal(300) for name in columns}})
    table.to_csv(path, index=False)
    return path


@pytest.mark.parametrize(
    ("columns", "settings", "expected"),
    [
        (("x",), {}, ("hand",)),
        (("note", "z", "y"), {}, ("foot",)),
        (("x", "y", "z"), {}, ("hand", "foot")),
        (("x", "y", "z"), {"modalities": "foot"}, ("foot",)),
        (("x", "y", "z"), {"modalities": "foot+hand"}, ("hand", "foot")),
        (("x", "y", "z"), {"modalities": ["hand"]}, ("hand",)),
    ],
)
def test_inference_uses_the_part_that_the_recordings_suffice_for(
    recogniser: TrainedRecogniser,
    tmp_path: Path,
    columns: tuple[str, ...],
    settings: dict[str, Any],
    expected: tuple[str, ...],
) -> None:
    path = write_csv(tmp_path / "walk.csv", *columns)
    timeline = recognise_recordings(path, recogniser, InferenceSettings.model_validate({"smoothing": 1, **settings}))
    assert timeline.recogniser.modalities == expected
    write_timeline(timeline, tmp_path / "timeline.parquet")
    told = pd.read_parquet(tmp_path / "timeline.parquet")
    channels = timeline.recogniser.description.channel_names
    samples = pd.read_csv(path)[channels].to_numpy(np.float32)
    windows = np.stack([samples[start : start + LENGTH] for start in range(0, 300 - LENGTH + 1, 32)])
    found = told[PROBABILITIES].to_numpy()[: len(windows)]
    np.testing.assert_allclose(found, recognise(recogniser.only(expected).build(), windows), atol=1e-4)


def test_a_folder_has_what_all_of_its_files_have(recogniser: TrainedRecogniser, tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", "x", "y", "z")
    pd.DataFrame({"timestamp": [0.0], "y": [1.0], "z": [2.0]}).to_parquet(tmp_path / "b.parquet")
    assert columns_of(tmp_path, ["x", "y", "z"]) == {"y", "z"}
    assert recognise_recordings(tmp_path, recogniser, InferenceSettings(smoothing=1)).recogniser.modalities == ("foot",)


def test_what_suffices_for_nothing_names_the_missing_columns(recogniser: TrainedRecogniser, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "walk.csv", "y")
    timeline = recognise_recordings(path, recogniser, InferenceSettings(smoothing=1))
    with pytest.raises(BadRecordingError, match=r"walk\.csv: no column 'x', 'z'\. The model needs x, y, z;"):
        write_timeline(timeline, tmp_path / "timeline.parquet")
    chosen = recognise_recordings(path, recogniser, InferenceSettings(modalities=("hand",)))
    with pytest.raises(BadRecordingError, match=r"no column 'x'\. The model needs x;"):
        write_timeline(chosen, tmp_path / "timeline.parquet")
    with pytest.raises(ValueError, match="there is no recogniser of head; there are those of: hand and foot, foot"):
        recognise_recordings(path, recogniser, InferenceSettings(modalities=("head",)))
    (tmp_path / "broken.parquet").write_bytes(b"nothing")
    with pytest.raises(BadRecordingError, match=r"broken\.parquet: cannot be read"):
        write_timeline(
            recognise_recordings(tmp_path / "broken.parquet", recogniser, InferenceSettings(smoothing=1)),
            tmp_path / "timeline.parquet",
        )


@pytest.mark.parametrize("modalities", [None, ("foot",)])
def test_one_modality_may_be_exported(
    recogniser: TrainedRecogniser, both: Windows, modalities: tuple[str, ...] | None
) -> None:
    model = export_recogniser(recogniser, InferenceSettings(modalities=modalities))
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    wanted = modalities or ("hand", "foot")
    signals = both.only(wanted).signals[:7]
    (found,) = session.run(["probabilities"], {"windows": signals})
    np.testing.assert_allclose(found, recognise(recogniser.only(wanted).build(), signals), atol=1e-5)
    told = {one.key: json.loads(one.value) for one in onnx.load_from_string(model).metadata_props}
    assert [channel["modality"] for channel in told["channels"]] == (["foot"] * 2 if modalities else list(TWO))


def test_facts_name_the_encoders_in_use(recogniser: TrainedRecogniser) -> None:
    backbone = recogniser.architecture.backbone.model_copy(update={"encoders": {"foot": ConvBinsSettings()}})
    for modalities, expected in ((("hand", "foot"), "tpn, conv_bins"), (("foot",), "conv_bins"), (("hand",), "tpn")):
        one = recogniser.only(modalities)
        changed = replace(one, architecture=one.architecture.model_copy(update={"backbone": backbone}))
        assert describe_recogniser(changed)["encoder"] == expected
