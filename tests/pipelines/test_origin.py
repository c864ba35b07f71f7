"""What identifies a run."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from contrastive_har.runs.origin import commit_of


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
