"""Every pipeline by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kedro.config import OmegaConfigLoader
from kedro.framework.project import settings
from kedro.pipeline import Pipeline
from kedro.utils import find_kedro_project

from contrastive_har.pipelines import augmentation, evaluation, ingestion, pretraining, reporting, windowing

PROTOCOL = "semi_supervised"


def register_pipelines() -> dict[str, Pipeline]:
    """Return the pipelines that ``kedro run --pipeline=NAME`` knows.

    The splits and methods of a protocol are configuration: each gets a namespace, so that kedro-viz folds it and
    ``--namespaces`` runs it alone. They are read from conf/base and conf/local.
    """
    protocol = _parameters()[PROTOCOL]
    splits, methods = list(protocol["splits"]), list(protocol["methods"])
    stages = {
        "ingestion": ingestion.create_pipeline(),
        "windowing": windowing.create_pipeline(PROTOCOL),
        "augmentation": augmentation.create_pipeline(PROTOCOL),
        "pretraining": pretraining.create_pipeline(PROTOCOL, splits, methods),
        "evaluation": evaluation.create_pipeline(PROTOCOL, splits, methods),
        "reporting": reporting.create_pipeline(PROTOCOL, splits, methods),
    }
    main_job = sum(stages.values(), Pipeline([]))
    return {"__default__": main_job, PROTOCOL: main_job, **stages}


def _parameters() -> dict[str, Any]:
    # The project somebody stands in; the source checkout for whoever stands elsewhere.
    project = find_kedro_project(Path.cwd()) or Path(__file__).parents[2]
    loader = OmegaConfigLoader(str(project / settings.CONF_SOURCE), **settings.CONFIG_LOADER_ARGS)
    parameters: dict[str, Any] = loader["parameters"]
    return parameters
