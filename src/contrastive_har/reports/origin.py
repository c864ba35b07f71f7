"""The origin of a report: the run, how to repeat it, versions and hardware."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

_PACKAGES = ("torch", "scikit-learn", "numpy", "pandas", "kedro", "mlflow")


@dataclass(frozen=True)
class RunFacts:
    """What identifies a run.

    Attributes:
        run_id: Its id.
        command: The command that repeats it.
        commit: Commit of the code; empty outside a repository.
        manifest: Path of its manifest inside the project.
    """

    run_id: str
    command: str
    commit: str
    manifest: str


def describe_origin(run: RunFacts, device: str) -> dict[str, str]:
    """Return the rows of the table that says where a report comes from."""
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    return {
        "Run": run.run_id,
        "Command": run.command,
        "Commit": run.commit or "not run inside a Git repository",
        "Manifest": f"{run.manifest} (parameters, versions of all packages, and of everything read and written)",
        "Computed on": f"{device}; {_processor()}, {os.cpu_count()} cores, {platform.machine()}, {platform.system()}",
        "Versions": f"contrastive-har {version('contrastive-har')}, Python {platform.python_version()}, {packages}",
        "Written": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def _processor() -> str:
    """Return the name of the processor, as far as the system tells it."""
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text(encoding="utf-8").splitlines() if facts.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or "unknown processor")
