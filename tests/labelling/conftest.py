"""Recordings without labels, to be labelled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from contrastive_har.labelling.session import LabellingSession, LabellingSettings
from tests.conftest import OWN_DESCRIPTION, own_frame

SUBJECTS = ("anna", "ben", "carl", "dora")


@pytest.fixture
def unlabelled_folder(tmp_path: Path) -> Path:
    """Recordings of four people, without labels."""
    return write_unlabelled(tmp_path / "recordings")


def write_unlabelled(folder: Path) -> Path:
    """Write recordings of four people: rest, walk and run, eight seconds of each; nothing says so."""
    folder.mkdir()
    rng = np.random.default_rng(3)
    for name in SUBJECTS:
        own_frame(name, rng).drop(columns=["activity", "subject"]).to_csv(folder / f"{name}.csv", index=False)
    (folder / "dataset.yml").write_text(yaml.safe_dump(OWN_DESCRIPTION))
    return folder


def true_activity(start: float) -> str:
    """What was done at a time, of recordings of eight seconds of each activity."""
    return ("rest", "walk", "run")[min(int((start + 1) // 8), 2)]


def table_of(folder: Path) -> pd.DataFrame:
    """The answers on disk."""
    return pd.read_csv(folder / "labels.csv", keep_default_na=False)


def open_session(folder: Path, **settings: Any) -> LabellingSession:
    """A session with rounds of six."""
    return LabellingSession(folder, LabellingSettings.model_validate({"windows": 6, **settings}))


def answer_next(session: LabellingSession, count: int) -> list[int]:
    """Answer proposals one after the other, correctly."""
    answered = []
    for _ in range(count):
        index = session.proposals()[0]
        session.answer(index, true_activity(session.span(index)[0]), "anna")
        answered.append(index)
    return answered
