"""Every pipeline by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from kedro.config import OmegaConfigLoader
from kedro.framework.project import settings
from kedro.pipeline import Pipeline
from kedro.utils import find_kedro_project

PROTOCOL = "semi_supervised"
STAGES = ("ingestion", "windowing", "augmentation", "pretraining", "evaluation", "reporting")


class PipelineOnDemand(Pipeline):
    """A pipeline that is put together when somebody looks into it.

    Its nodes' modules import torch and more, which whoever only asks for names should not wait for.

    Args:
        build: Returns the pipeline.
    """

    def __init__(self, build: Callable[[], Pipeline]) -> None:  # the parent's attributes come with the first look
        self._build = build

    def __getattr__(self, name: str) -> Any:
        # Python asks here for attributes that are not there: until the pipeline is built, every one of them.
        if name.startswith("__") or "_nodes" in vars(self) or "_build" not in vars(self):
            raise AttributeError(name)
        vars(self).update(vars(self._build()))
        return object.__getattribute__(self, name)


def register_pipelines() -> dict[str, Pipeline]:
    """Return the pipelines that ``kedro run --pipeline=NAME`` knows."""
    stages: dict[str, Pipeline] = {name: PipelineOnDemand(partial(_create_stage, name)) for name in STAGES}
    main_job = PipelineOnDemand(partial(_join, list(stages.values())))
    return {"__default__": main_job, PROTOCOL: main_job, **stages}


def _join(stages: list[Pipeline]) -> Pipeline:
    return sum(stages, Pipeline([]))


def _create_stage(name: str) -> Pipeline:
    """Put a stage together.

    The splits and methods of a protocol are configuration: each gets a namespace, so that kedro-viz folds it and
    ``--namespaces`` runs it alone. They are read from conf/base and conf/local.
    """
    from contrastive_har.pipelines import augmentation, evaluation, ingestion, pretraining, reporting, windowing

    protocol = _parameters()[PROTOCOL]
    cells = (PROTOCOL, list(protocol["splits"]), list(protocol["methods"]))
    build: dict[str, Callable[[], Pipeline]] = {
        "ingestion": ingestion.create_pipeline,
        "windowing": partial(windowing.create_pipeline, PROTOCOL),
        "augmentation": partial(augmentation.create_pipeline, PROTOCOL),
        "pretraining": partial(pretraining.create_pipeline, *cells),
        "evaluation": partial(evaluation.create_pipeline, *cells),
        "reporting": partial(reporting.create_pipeline, *cells),
    }
    return build[name]()


def _parameters() -> dict[str, Any]:
    # The project somebody stands in; the source checkout for whoever stands elsewhere.
    project = find_kedro_project(Path.cwd()) or Path(__file__).parents[2]
    loader = OmegaConfigLoader(str(project / settings.CONF_SOURCE), **settings.CONFIG_LOADER_ARGS)
    parameters: dict[str, Any] = loader["parameters"]
    return parameters
