"""Names come at once; what is heavy is imported where it is used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from kedro.framework.startup import bootstrap_project
from kedro.pipeline import Pipeline

from contrastive_har.pipeline_registry import STAGES, PipelineOnDemand, register_pipelines

ROOT = Path(__file__).parents[1]
HEAVY = {
    "torch",
    "sklearn",
    "scipy.stats",
    "scipy.spatial",
    "scipy.cluster",
    "matplotlib",
    "mlflow",
    "pandas",
    "lightning_fabric",
    "distributed",
}
LIST_PIPELINES = """
from kedro.framework.startup import bootstrap_project
bootstrap_project({root!r})
from kedro.framework.project import pipelines
sorted(pipelines)
"""


def heavy_modules_after(code: str) -> set[str]:
    code += f"\nimport json, sys; print(json.dumps(sorted({HEAVY!r} & set(sys.modules))))"
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT)
    return set(json.loads(ran.stdout.splitlines()[-1]))


def test_listing_pipelines_imports_nothing_heavy() -> None:
    assert heavy_modules_after(LIST_PIPELINES.format(root=str(ROOT))) == set()


def test_stages_that_draw_nothing_do_not_import_figures() -> None:
    code = LIST_PIPELINES.format(root=str(ROOT)) + "import contrastive_har.catalog\n"
    code += "[pipelines[stage].nodes for stage in ('ingestion', 'windowing', 'pretraining', 'evaluation')]"
    assert heavy_modules_after(code) == {"torch", "mlflow", "pandas"}


def test_the_main_job_is_built_without_statistics() -> None:
    code = LIST_PIPELINES.format(root=str(ROOT)) + "pipelines['semi_supervised'].nodes"
    assert heavy_modules_after(code) == {"torch", "pandas"}


def test_mlflow_is_told_not_to_report_before_it_is_imported() -> None:
    code = LIST_PIPELINES.format(root=str(ROOT))
    code += "import os, sys; print('mlflow' in sys.modules, os.environ['DO_NOT_TRACK'])"
    told = {name: value for name, value in os.environ.items() if name != "DO_NOT_TRACK"}
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT, env=told)
    assert ran.stdout.splitlines()[-1] == "False true"


def test_signals_need_little_beyond_torch() -> None:
    paths = sorted((ROOT / "src/contrastive_har/signals").rglob("*.py"))
    names = [".".join(path.relative_to(ROOT / "src").with_suffix("").parts) for path in paths]
    code = "\n".join(f"import {name.removesuffix('.__init__')}" for name in names)
    assert heavy_modules_after(code) == {"torch", "pandas"}


def test_pipelines_are_built_when_looked_into() -> None:
    bootstrap_project(ROOT)
    pipelines = register_pipelines()
    stages = [pipelines[name] for name in STAGES]
    assert not any("_nodes" in vars(stage) for stage in stages)
    assert {node.name for node in pipelines["semi_supervised"].nodes} == {
        node.name for stage in stages for node in stage.nodes
    }
    assert pipelines["ingestion"].inputs() == {"raw_files", "params:ingestion", "params:engine"}
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = pipelines["ingestion"].no_such_thing


def test_the_only_tag_of_a_node_is_its_stage() -> None:
    """By which its time is summed up, and commands are told that compute it."""
    bootstrap_project(ROOT)
    pipelines = register_pipelines()
    for name in ("semi_supervised", "label_structures", "choosing_labels", "tuning", *STAGES):
        assert {node.name for node in pipelines[name].nodes if len(node.tags) != 1} == set(), name


@pytest.mark.parametrize(
    "name",
    [
        *("semi_supervised", "self_supervised", "ablation"),
        *("multimodal", "multimodal_concentration", "modality_subsets"),
        *("label_structures", "unseen_names", "names_on_encoders"),
        *("choosing_labels", "tuning"),
    ],
)
def test_no_namespace_is_interrupted(name: str) -> None:
    """Kedro would warn of it whenever the pipeline is run, and refuse to group nodes by namespace."""
    bootstrap_project(ROOT)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Namespace .* is interrupted")
        assert register_pipelines()[name].nodes


def test_an_error_while_building_is_the_error_one_sees() -> None:
    def fail() -> Pipeline:
        raise ValueError("split 'x' is unknown")

    with pytest.raises(ValueError, match="split 'x' is unknown"):
        _ = PipelineOnDemand(fail).nodes
