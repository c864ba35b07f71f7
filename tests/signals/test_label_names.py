"""How the activities of data sets are spelled."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from contrastive_har.models.heads.label_sequence import LabelSequenceSettings
from contrastive_har.signals.label_names import label_names
from contrastive_har.sources import OWN_DATA, describe_source, source_names

PUBLIC = [name for name in source_names() if name != OWN_DATA]


@pytest.mark.parametrize("dataset", PUBLIC)
def test_all_activities_of_a_data_set_can_be_spelled(dataset: str) -> None:
    activities = list(describe_source(dataset).activities.values())
    names = label_names(dataset)
    assert set(names) <= set(activities), "a spelling of an activity that the data set does not have"
    LabelSequenceSettings(names=names).vocabulary(activities)  # all differ and have words


def test_the_spelling_of_the_bundled_data_shares_words() -> None:
    activities = list(describe_source("uci_har").activities.values())
    names = LabelSequenceSettings(names=label_names("uci_har")).vocabulary(activities)
    assert names.words == ("downstairs", "lie", "sit", "stand", "to", "upstairs", "walk")


def test_a_file_takes_the_place_of_the_known_spelling(tmp_path: Path) -> None:
    path = tmp_path / "names.yml"
    path.write_text(yaml.safe_dump({"source": "ours", "names": {"sitting": "legs bent"}}))
    assert label_names("uci_har", str(path)) == {"sitting": "legs bent"}
    assert label_names(OWN_DATA, str(path)) == {"sitting": "legs bent"}
    assert label_names(OWN_DATA) == {}


@pytest.mark.parametrize("text", [None, "names: {sitting: [legs]}", "sitting: legs", "a: [", b"\xff"])
def test_other_files_are_refused_by_name(tmp_path: Path, text: str | bytes | None) -> None:
    path = tmp_path / "names.yml"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=r"label_names: .*names\.yml is no file with 'source' and 'names'"):
        label_names("uci_har", str(path))
