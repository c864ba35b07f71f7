"""The origin of a report: the run, how to repeat it, versions and hardware."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

_PACKAGES = ("torch", "scikit-learn", "numpy", "pandas", "kedro", "mlflow")


@dataclass(frozen=True)
class RunFacts:
    """What identifies a run.

    Attributes:
        run_id: Its id.
        command: The command that ran it.
        scored: Commands of the runs that computed the scores, by id; other runs if it has resumed or reports them.
        commit: Commit of the code; empty outside a repository.
        manifest: Path of its manifest inside the project.
    """

    run_id: str
    command: str
    commit: str
    manifest: str
    scored: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def repeated_by(self) -> list[str]:
        """The commands that compute the scores, and write the report, again."""
        return list(
            dict.fromkeys([command for commands in self.scored.values() for command in commands] + [self.command])
        )


def describe_origin(run: RunFacts, device: str) -> dict[str, str]:
    """Return the rows of the table that says where a report comes from."""
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    return {
        "Run": run.run_id,
        "Command": run.command,
        "Scores": _scored(run),
        "Commit": run.commit or "not run inside a Git repository",
        "Manifest": f"{run.manifest} (parameters, versions of all packages, and of everything read and written)",
        "Computed on" if _computed_alone(run) else "Written on": f"{device}; {_machine()}",
        "Versions": f"contrastive-har {version('contrastive-har')}, Python {platform.python_version()}, {packages}",
        "Written": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def _computed_alone(run: RunFacts) -> bool:
    return all(one == run.run_id and list(commands) == [run.command] for one, commands in run.scored.items())


def _scored(run: RunFacts) -> str:
    """Return which runs computed the scores, with their commands where these are not the one of the report."""
    if _computed_alone(run):
        return "computed by this run"
    named = []
    for one, commands in run.scored.items():
        name = "this run" if one == run.run_id else f"run {one}"
        named.append(f"{name} ({'; '.join(commands) or 'its manifest names no command'})")
    return f"computed by {', '.join(named)}"


def _machine() -> str:
    return f"{_processor()}, {os.cpu_count()} cores, {platform.machine()}, {platform.system()}"


def _processor() -> str:
    """Return the name of the processor, as far as the system tells it."""
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text(encoding="utf-8").splitlines() if facts.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or "unknown processor")
