"""What a person sees when the project refuses something: a message, and no traceback; faults keep theirs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel

from contrastive_har.runs.refusals import find_refusal
from contrastive_har.signals.descriptions import DatasetDescription
from contrastive_har.signals.recordings import BadRecordingError, Recordings, write_recordings
from tests.conftest import OWN_DESCRIPTION
from tests.pipelines.conftest import make_project


def raised(call: object) -> BaseException:
    with pytest.raises(Exception) as caught:
        call()  # type: ignore[operator]
    return caught.value


def refuse(tmp_path: Path) -> None:
    description = DatasetDescription.model_validate({"name": "made", **OWN_DESCRIPTION})
    write_recordings(Recordings(description, lambda: iter([])), tmp_path / "recordings.parquet")


def test_refusals_of_the_project_are_told_from_faults(tmp_path: Path) -> None:
    error = raised(lambda: refuse(tmp_path))
    assert isinstance(error, BadRecordingError)
    assert find_refusal(error) == str(error)

    def wrapped() -> None:
        try:
            refuse(tmp_path)
        except BadRecordingError as inner:
            raise OSError("Kedro cannot store an artifact") from inner

    assert find_refusal(raised(wrapped)) == str(error)

    class Settings(BaseModel):
        stride: int

    assert find_refusal(raised(lambda: Settings.model_validate({"stride": "x"}))) == (
        "Settings: stride: Input should be a valid integer, unable to parse string as an integer"
    )
    assert find_refusal(raised(lambda: int("x"))) is None, "raised by others"
    assert find_refusal(raised(lambda: {}["x"])) is None


def test_a_refused_run_ends_with_one_short_message(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    (project.path / "data/01_raw/my_data/dataset.yml").write_text("channels: 5")
    command = [sys.executable, "-m", "kedro", "run", "--pipeline=ingestion", "--params=dataset=my_data"]
    ran = subprocess.run(command, cwd=project.path, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert "Traceback" not in ran.stdout + ran.stderr
    (line,) = [line for line in ran.stderr.splitlines() if line.startswith("Error: ")]
    assert "dataset.yml" in line
    assert "See docs/your_data.md" in line
    (log,) = project.path.glob("data/08_reporting/run_log.jsonl/*/run_log.jsonl")
    assert "Traceback" in log.read_text()
