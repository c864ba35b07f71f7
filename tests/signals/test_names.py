"""Names and addresses in descriptions that later steps could not use are refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from contrastive_har.protocols import ProtocolSettings
from contrastive_har.signals.descriptions import DatasetDescription
from contrastive_har.signals.recordings import BadRecordingError, check_recording
from tests.conftest import OWN_DESCRIPTION, recording


def describe(**change: Any) -> DatasetDescription:
    return DatasetDescription.model_validate({"name": "made", **OWN_DESCRIPTION, **change})


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a" * 300, "has 300 characters, more than 100"),
        ("a\x00b", "has control characters"),
        ("a\nb", "has control characters"),
        (" ", "is empty"),
        ("\u200b", "is empty"),
        ("a\x85b", "has control characters"),
        ("a\u202eb", "has control characters"),
        ("\ud800", "has control characters"),
        ("activity", "a column of a served model's answers is"),
    ],
)
def test_activities_with_unusable_names_are_refused(name: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        describe(activities={0: "rest", 1: name, 2: "run"})
    assert len(str(caught.value)) < 1000


def test_channels_and_groups_with_unusable_names_are_refused() -> None:
    for change in ({"channels": [{"name": "\ud800", "unit": "g"}]}, {"groups": ["g" * 101]}):
        with pytest.raises(ValueError, match="the name of a channel, group or modality has"):
            describe(**change)
    joined = ["\u0645\u06cc\u200c\u0631\u0648\u0645", "\U0001f469\u200d\U0001f9bd"]  # joiners control nothing
    assert describe(activities=dict(enumerate(joined))).class_names == joined


@pytest.mark.parametrize("subject", ["s" * 101, "s\x00", "s\udc80", ""])
def test_subjects_with_unusable_names_are_refused(subject: str) -> None:
    made = recording("1", np.random.default_rng(0))
    check_recording(replace(made, subject="走路 $x^$ .."), describe(), "file.csv")
    with pytest.raises(BadRecordingError, match=r"^file\.csv: the name of its subject (has|is) "):
        check_recording(replace(made, subject=subject), describe(), "file.csv")


def test_only_web_addresses_become_links() -> None:
    assert describe(url="https://example.org").url == "https://example.org"
    for key in ("url", "download"):
        with pytest.raises(ValueError, match="no address that starts with https:// or http://"):
            describe(**{key: "javascript:alert(1)"})
    with pytest.raises(ValueError, match=r"url\n.*no address that starts with https"):
        ProtocolSettings.model_validate({"title": "T", "url": "javascript:alert(1)", "methods": {}})
