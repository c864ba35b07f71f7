"""What identifies a run: its id, the command that repeats it, and the commit of its code."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kedro.io import DataCatalog
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from contrastive_har.refining import leaves
from contrastive_har.reports.origin import RunFacts
from contrastive_har.runs.manifest import manifests_of
from contrastive_har.runs.session import MAIN
from contrastive_har.scores.cells import Cell

_SCORES = ".scores"
_LISTS = ("namespaces", "tags", "from_nodes", "to_nodes", "from_inputs", "to_outputs")


def describe_run(run_params: Mapping[str, Any], catalog: DataCatalog) -> RunFacts:
    """Return the facts of a run.

    Args:
        run_params: What Kedro tells its hooks about the run.
        catalog: Its catalog.
    """
    project = Path(run_params["project_path"])
    run_id = str(run_params["run_id"])
    manifest = manifests_of(catalog).path(run_id)
    return RunFacts(
        run_id=run_id,
        command=command_of(run_params),
        commit=commit_of(project),
        manifest=str(manifest.relative_to(project) if manifest.is_relative_to(project) else manifest),
    )


def scoring_runs(run_id: str, protocol: str, catalog: DataCatalog) -> dict[str, list[str]]:
    """Return the commands of the runs that computed the scores which a run reports, by id, the oldest first.

    Args:
        run_id: Id of the run.
        protocol: The protocol that it reports.
        catalog: Its catalog.
    """
    manifests = manifests_of(catalog)
    versions = manifest.versions if (manifest := manifests.find(run_id)) else {}
    of_cells = (
        (Cell.parse(name.rpartition(".")[0]), version) for name, version in versions.items() if name.endswith(_SCORES)
    )
    scores = {version for cell, version in of_cells if cell and cell.protocol == protocol}
    found = {version: manifests.find(version) for version in sorted(scores)}
    return {version: manifest.commands if manifest else [] for version, manifest in found.items()}


def command_of(run_params: Mapping[str, Any]) -> str:
    """Return the command that ran a run."""
    return shlex.join(["kedro", "run", *_options(run_params)])


def _options(run_params: Mapping[str, Any]) -> Iterator[str]:
    names = run_params["pipeline_names"] or [MAIN]
    if names != [MAIN]:
        yield f"--pipeline{'s' if len(names) > 1 else ''}={','.join(names)}"
    if run_params.get("env"):
        yield f"--env={run_params['env']}"
    for option in _LISTS:
        if values := run_params.get(option):
            yield f"--{option.replace('_', '-')}={','.join(values)}"
    if nodes := run_params.get("node_names"):
        yield f"--nodes={','.join(nodes)}"
    parameters = {".".join(path): value for path, value in leaves(run_params.get("runtime_params", {}))}
    if given := ",".join(f"{name}={_written(value)}" for name, value in parameters.items() if name != "run_id"):
        yield f"--params={given}"


def _written(value: Any) -> str:
    """Return a value as Kedro reads it back, in quotes only if it would be another one without."""
    try:
        is_read_back = OmegaConf.from_dotlist([f"value={value}"]).value == value
    except (YAMLError, OmegaConfBaseException):
        is_read_back = False
    return value if is_read_back and isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def commit_of(project: Path) -> str:
    """Return the commit of the code in a folder, and whether files have changed since; empty outside a repository."""
    git = shutil.which("git")
    if git is None:
        return ""

    def ask(*arguments: str) -> str:
        asked = [git, "-C", str(project), *arguments]
        return subprocess.run(asked, capture_output=True, check=False).stdout.decode(errors="replace").strip()  # noqa: S603

    commit = ask("rev-parse", "HEAD")
    changed = ask("status", "--porcelain", "--untracked-files=no") if commit else ""
    return f"{commit}, with changed files" if changed else commit
