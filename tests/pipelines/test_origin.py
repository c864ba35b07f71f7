"""What identifies a run."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from datetime import date
from pathlib import Path
from typing import Any

import click
import pytest
from kedro.framework.cli.utils import _split_params

from contrastive_har.runs.origin import command_of, commit_of


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_the_commit_of_the_code_is_known_whatever_its_files_are_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for part in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{part}_NAME", "A")
        monkeypatch.setenv(f"GIT_{part}_EMAIL", "a@example.org")

    def git(*arguments: str) -> None:
        subprocess.run(["git", "-C", str(tmp_path), *arguments], check=True, capture_output=True)

    assert commit_of(tmp_path) == ""
    git("init")
    git("config", "core.quotePath", "false")  # names as they are
    file = tmp_path / os.fsdecode(b"Zeiten\xfc.txt")  # in Latin-1
    file.write_text("1")
    git("add", "-A")
    git("commit", "-m", "first")
    commit = commit_of(tmp_path)
    assert len(commit) == 40
    file.write_text("2")
    assert commit_of(tmp_path) == f"{commit}, with changed files"


@pytest.mark.parametrize(
    "parameters",
    [
        {"seed": 2},
        {"semi_supervised": {"repeats": 5, "evaluations": {"linear": {"head": {"name": "ridge"}}}}},
        {"dataset": "007"},
        {"dataset": "true"},
        {"dataset": "null", "resume": None},
        {"dataset": "1e3", "resume": True, "rate": 0.5},
        {"dataset": "a b: c # d", "title": ""},
        {"dataset": 'it\'s "so"', "title": "[x"},
        {"dataset": "???", "title": "?"},
    ],
)
def test_the_command_that_repeats_a_run_has_its_parameters(parameters: dict[str, Any]) -> None:
    command = command_of({"pipeline_names": ["multimodal"], "runtime_params": {**parameters, "run_id": "r"}})
    kedro, run, pipeline, given = shlex.split(command)
    assert (kedro, run, pipeline) == ("kedro", "run", "--pipeline=multimodal")
    context = click.Context(click.Command("run"))
    assert _split_params(context, click.Option(["--params"]), given.removeprefix("--params=")) == parameters


@pytest.mark.parametrize("value", ["${globals:dataset}", "${b}", date(2026, 1, 31)])
def test_what_cannot_be_repeated_is_shown_as_it_is(value: object) -> None:
    command = command_of({"pipeline_names": ["multimodal"], "runtime_params": {"dataset": value}})
    assert str(value) in command
