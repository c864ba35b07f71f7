"""Every command in the README and the documentation can be parsed: options, pipelines, targets and modules exist."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import re
import shlex
from pathlib import Path

import click
import pytest
from kedro.framework.cli.project import run as kedro_run
from kedro.framework.startup import bootstrap_project

from contrastive_har.commands import commands
from contrastive_har.pipeline_registry import register_pipelines

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
_NAMES = r"kedro run|contrastive-har|make|python -m contrastive_har[.\w]*"
_COMMAND = re.compile(rf"((?:{_NAMES})(?: [^`\n]*)?)")


def commands_in(page: Path) -> set[str]:
    """Return the commands of a page: lines of blocks without a language, and code in the text."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```(?:bash)?\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    inline = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    found = [match.group(1) for line in lines if (match := _COMMAND.match(line))]
    found += [code for code in re.findall(r"`([^`\n]+)`", inline) if _COMMAND.fullmatch(code)]
    return {re.sub(r"\s+#.*|\s+\(.*", "", command).strip() for command in found}


FOUND = sorted({command for page in PAGES for command in commands_in(page)})


@functools.cache
def known_pipelines() -> set[str]:
    """Return the names of the pipelines."""
    with contextlib.chdir(ROOT):
        bootstrap_project(ROOT)
        return set(register_pipelines())


def parse(command: click.Command, arguments: list[str]) -> click.Context:
    """Return the context of a command; files that the arguments name need not exist."""
    try:
        return command.make_context("command", list(arguments))
    except click.MissingParameter:  # a mention of the command
        return click.Context(command)
    except click.BadParameter as error:
        if "does not exist" not in str(error):
            raise
        return click.Context(command)


def check(words: list[str]) -> None:
    """Fail if a command cannot be parsed."""
    if words[:2] == ["kedro", "run"] or (words[0] == "contrastive-har" and words[1:2] and words[1].startswith("--")):
        arguments = words[2:] if words[0] == "kedro" else words[1:]
        if arguments == ["--help"]:
            return
        given = parse(kedro_run, arguments).params
        named = [*(given.get("pipelines") or ()), *([given["pipeline"]] if given.get("pipeline") else [])]
        assert {str(name) for of in named for name in ([of] if isinstance(of, str) else of)} <= known_pipelines()
    elif words[0] == "contrastive-har" and words[1:]:
        command = commands.get_command(click.Context(commands), words[1])
        assert command is not None, f"there is no command {words[1]}"
        parse(command, words[2:])
    elif words[0] == "make" and words[1:]:
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8").replace("$(VENV)", ".venv")
        assert f"\n{words[1]}:" in makefile
    elif words[0] == "python":
        assert importlib.util.find_spec(words[2])


@pytest.mark.parametrize("command", FOUND)
def test_it_can_be_parsed(command: str) -> None:
    check(shlex.split(command.replace("…", "x")))


@pytest.mark.parametrize("command", FOUND)
def test_it_is_run_or_there_is_a_reason(command: str) -> None:
    program, *arguments = command.split()
    if program == "kedro" or not arguments or arguments[0].startswith("--"):
        return  # kedro run, in several rows of the table
    wanted = arguments[1].removeprefix("contrastive_har.") if program == "python" else arguments[0]
    table = (ROOT / "docs/commands.md").read_text(encoding="utf-8").partition("| commands | run by a test |")[2]
    rows = [row for row in table.splitlines() if row.startswith(f"| `{program} ")]
    named = {name.split()[-1].removeprefix(".") for row in rows for name in re.findall(r"`([^`]+)`", row.split("|")[1])}
    assert wanted.removeprefix(".") in named


def test_commands_are_found() -> None:
    assert {"make run", "contrastive-har runs", "kedro run --env=paper"} <= set(FOUND)
    with pytest.raises(click.NoSuchOption):
        check(["contrastive-har", "run", "--nonsense"])
    with pytest.raises(AssertionError):
        check(["kedro", "run", "--pipeline=nonsense"])
    with pytest.raises(AssertionError):
        check(["make", "nonsense"])
