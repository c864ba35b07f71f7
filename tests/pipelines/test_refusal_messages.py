"""What a person sees when the project refuses something: a message, and no traceback; faults keep theirs."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from kedro.runner import ParallelRunner, SequentialRunner, ThreadRunner
from kedro.utils import load_obj
from pydantic import BaseModel

from contrastive_har.protocols import plans_of
from contrastive_har.runs.refusals import find_refusal
from contrastive_har.runs.session import MAIN, RunSession
from contrastive_har.signals.descriptions import DatasetDescription
from contrastive_har.signals.recordings import BadRecordingError, Recordings, write_recordings
from tests.conftest import OWN_DESCRIPTION
from tests.pipelines.conftest import FEW, TINY, Project, make_project


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
    assert find_refusal(raised(lambda: object().x)) is None  # type: ignore[attr-defined]
    unknown_runner = raised(lambda: load_obj("Nonsense", "kedro.runner"))  # as Kedro does with --runner
    assert find_refusal(unknown_runner) == "module 'kedro.runner' has no attribute 'Nonsense'"


def test_a_setting_is_refused_without_the_notes_of_pydantic() -> None:
    named = {"dataset": "uci_har", "seed": 1, "mine": {"methods": {}, "repeats": [0, "]"]}}
    refusal = find_refusal(raised(lambda: plans_of(named)))
    assert refusal is not None
    assert refusal.startswith("Parameter 'mine': ")
    assert "Input should be a valid integer\n" in refusal
    assert not re.search(r"input_value|input_type|type=|pydantic", refusal)


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


@pytest.mark.parametrize(
    ("options", "cure"),
    [
        ({"runner": ThreadRunner()}, r"--runner=ThreadRunner: .*Leave it out; docs/scaling\.md"),
        ({"runner": ParallelRunner()}, "--runner=ParallelRunner: "),
        ({"runner": SequentialRunner(is_async=True)}, r"--async: .*Leave it out\."),
        ({"only_missing_outputs": True}, "--params=resume=true"),
    ],
)
def test_options_that_cannot_do_what_they_are_for_are_refused(
    tmp_path: Path, options: dict[str, Any], cure: str
) -> None:
    project = make_project(tmp_path, FEW)
    with RunSession.create(project.path) as session, pytest.raises(ValueError, match=cure) as caught:
        session.run(pipeline_names=["ingestion"], **options)
    assert find_refusal(caught.value) == str(caught.value)
    assert not (project.path / "data/08_reporting").exists(), "nothing has begun"


def test_a_folder_that_the_locale_cannot_read_is_refused(tmp_path: Path) -> None:
    """Without UTF-8, Python has stand-ins for the bytes of a name, which cannot be written anywhere."""
    with pytest.raises(ValueError, match=r"n \?\?: the name of the folder is not in this locale\. Set PYTHONUTF8=1\."):
        RunSession.create(tmp_path / "n \udcc3\udcbc")


def test_a_misspelt_parameter_ends_a_run_with_one_short_message(tmp_path: Path) -> None:
    project = make_project(tmp_path, FEW)
    with pytest.raises(ValueError, match=r"no parameter 'datset'\. Did you mean 'dataset'\?") as caught:
        project.run("ingestion", datset="watch")
    assert find_refusal(caught.value) == str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "params", "message"),
    [
        ({"pipeline_names": ["ingestionn"]}, {}, "Did you mean one of these instead?\n    ingestion"),
        ({"pipeline_names": [MAIN], "namespaces": [f"{MAIN}.paper.simclrr"]}, {}, f"'{MAIN}.paper.simclrr'"),
        ({"pipeline_names": ["ingestion"], "tags": ["reportin"]}, {}, "Pipeline contains no nodes"),
        ({"pipeline_names": ["ingestion"], "load_versions": {"recording": "1"}}, {}, "[recording] are not found"),
        ({"pipeline_names": ["ingestion"]}, {"dataset": "motionsense"}, "unknown data set 'motionsense'"),
        ({"pipeline_names": ["ingestion"]}, {"resume": "flase"}, "resume=flase: it is true or false."),
        ({"pipeline_names": ["ingestion"]}, {"run_id": "2026-13-01T12.00.00.000Z"}, "is not a time like"),
        ({"pipeline_names": ["describe"]}, {"recordings": None}, "Give it, as in --params=recordings=PATH."),
        ({"pipeline_names": ["compare"]}, {"runs": "1999"}, "0 runs begin with '1999'"),
        ({"pipeline_names": ["describe"]}, {"recordings": {"foo": "x"}}, "recordings is {'foo': 'x'}, not a path"),
        ({"pipeline_names": ["describe"]}, {"recordings": 12}, "Give one: --params=recordings=./PATH."),
        ({"pipeline_names": ["ingestion"]}, {"protocol": "semi"}, "There is no protocol 'semi'."),
        (
            {"pipeline_names": ["ingestion"]},
            {MAIN: {**TINY[MAIN], "methods": {"clusterclharr": {"repeats": 3}}}},
            "'clusterclharr' of 'methods' is new, and incomplete. Did you mean 'clusterclhar'?",
        ),
    ],
)
def test_arguments_that_kedro_or_the_project_refuses(
    project: Project, arguments: dict[str, Any], params: dict[str, Any], message: str
) -> None:
    def run() -> None:
        with RunSession.create(project.path, runtime_params={**project.tiny, **params}) as session:
            session.run(**arguments)

    with contextlib.chdir(project.path):
        refusal = find_refusal(raised(run))
    assert refusal is not None
    assert message in refusal
    assert "pydantic.dev" not in refusal


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("resume: true", r"resume is set in .*/conf\. Remove it there, and use --params=resume="),
        ("seed: ${globals:sed}", "sed"),
        ("seed: {", r"parameters\.yml"),
        ("seed: 1\nseed: 2", r"local/parameters\.yml: .*duplicate key seed.* Correct or delete it\."),
        ("[1]", r"local/parameters\.yml: it has no keys with values\. Correct or delete it\."),
        ("seed: 1 # \xfc", r"local/parameters\.yml: .*'utf-8' codec can't decode byte 0xfc"),
    ],
)
def test_a_configuration_that_cannot_be_read_is_refused(project: Project, content: str, message: str) -> None:
    (project.path / "conf/local/parameters.yml").write_text(content, encoding="latin-1")

    def load() -> None:
        with RunSession.create(project.path) as session:
            session.load_context()

    with contextlib.chdir(project.path):
        refusal = find_refusal(raised(load))
    assert refusal is not None
    assert re.search(message, refusal)


def test_an_artifact_that_is_refused_while_it_is_made_is_told_by_its_reason_alone(project: Project) -> None:
    """Not by what Kedro says of the data set and its hidden path."""
    strict = {"ingestion": {"on_bad_recording": "fail"}}
    refusal = find_refusal(raised(lambda: project.run("ingestion", **strict)))
    assert refusal is not None
    assert re.match(r"\S*s11\.csv, row 7: unknown activity 'swim'", refusal)


def test_a_path_that_cannot_be_one_is_refused_in_short(once: Project) -> None:
    refusal = find_refusal(raised(lambda: once.run("inference", recordings="x" * 5000)))
    assert refusal is not None
    assert refusal.endswith("...: File name too long.")
    assert len(refusal) < 300


def test_what_comes_first_is_named(project: Project) -> None:
    missing = {
        "windowing": r"recordings has no version yet\. Run 'kedro run --pipeline=ingestion' first,",
        "evaluation": r"encoders has no version yet\. Run 'kedro run --pipeline=pretraining' first,",
        "inference": r"recogniser has no version yet\. Run 'kedro run --pipeline=registration' first,",
    }
    for pipeline, message in missing.items():
        with pytest.raises(ValueError, match=message):
            project.run(pipeline)
