"""The command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from kedro.framework.cli.utils import _split_params

from contrastive_har import __main__ as command_line
from contrastive_har.commands import _kedro, commands


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What commands pass on to ``kedro run``."""
    calls: list[tuple[str, ...]] = []
    monkeypatch.setattr(_kedro, "run_kedro", lambda *arguments, **options: calls.append(arguments))
    return calls


def invoke(*arguments: str) -> str:
    """Return what a command prints."""
    result = CliRunner().invoke(commands, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_help_lists_every_command_and_teaches(given: list[tuple[str, ...]]) -> None:
    text = invoke("--help")
    assert "\n    contrastive-har runs " in text, "a step has a line of its own"
    for name in ("compare", "describe", "predict", "run", "runs", "serve", "version"):
        assert f"\n  {name} " in text
        assert len(invoke(name, "--help")) > 100
    assert "First steps:" in text


def test_run_and_predict_call_the_pipelines(given: list[tuple[str, ...]], tmp_path: Path) -> None:
    invoke("run")
    invoke("run", "multimodal", "--dataset", "utd_mhad", "--resume", "--set", "seed=1", "--paper")
    recordings = tmp_path / "day.csv"
    recordings.touch()
    invoke("predict", str(recordings), "--protocol", "multimodal")
    assert given == [
        ("--pipelines=semi_supervised",),
        ("--pipelines=multimodal", "--params=dataset=utd_mhad,resume=true,seed=1", "--env=paper"),
        ("--pipelines=inference", f'--params=recordings="{recordings}",protocol=multimodal'),
    ]


@pytest.mark.parametrize("name", ["walk #1.csv", "007", "walk: monday.csv", "true", "a 'b' \\ c.csv"])
def test_a_path_arrives_as_it_is(
    given: list[tuple[str, ...]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Kedro reads parameters as YAML."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).touch()
    invoke("predict", name)
    parameters = given[0][1].removeprefix("--params=")
    assert _split_params(None, None, parameters) == {"recordings": name}


def test_what_would_be_lost_is_refused(given: list[tuple[str, ...]], tmp_path: Path) -> None:
    path = tmp_path / "walk, monday.csv"
    path.touch()
    for arguments, message in ((["predict", str(path)], "has a comma"), (["run", "--set", "resume"], "has no value")):
        result = CliRunner().invoke(commands, arguments)
        assert result.exit_code == 2
        assert message in result.output
    assert not given


def test_options_alone_are_those_of_kedro_run(given: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["contrastive-har", "--pipeline=multimodal"])
    command_line.main()
    assert given == [()], "Kedro reads the arguments of the process itself"
    command_line.main("--pipeline=ablation")
    assert given[1:] == [("--pipeline=ablation",)]


def test_help_and_commands_are_not(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--help"], ["version"]):
        monkeypatch.setattr("sys.argv", ["contrastive-har", *arguments])
        with pytest.raises(SystemExit, match=r"^0$"):
            command_line.main()
    assert "torch " in capsys.readouterr().out


def test_outside_a_project_the_cure_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(commands, ["runs"])
    assert result.exit_code == 1
    assert "there is no project here. Change into the folder" in str(result.exception) + result.output


def test_completion_knows_the_commands(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    variables: dict[str, Any] = {"COMP_WORDS": "contrastive-har ru", "COMP_CWORD": "1"}
    for name, value in {**variables, "_CONTRASTIVE_HAR_COMPLETE": "bash_complete"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.argv", ["contrastive-har"])
    with pytest.raises(SystemExit):
        command_line.main()
    assert capsys.readouterr().out.split() == ["plain,run", "plain,runs"]
