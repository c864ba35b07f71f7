"""Every pipeline by name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from kedro.pipeline import Pipeline
from kedro.utils import find_kedro_project

from contrastive_har.refining import for_dataset, is_protocol, suggest
from contrastive_har.runs.session import MAIN, RunSession
from contrastive_har.runs.settings import load_configuration

STAGES = ("ingestion", "windowing", "augmentation", "pretraining", "evaluation", "registration", "reporting")
CHOOSING_STAGES = ("ingestion", "windowing", "pretraining", "labelling")
"""Stages of a protocol that tries strategies to choose the windows to label."""
TUNING_STAGES = ("ingestion", "windowing", "tuning")
"""Stages of a protocol that searches for the settings of its methods."""


class PipelineOnDemand(Pipeline):
    """A pipeline that is built when its nodes are first needed.

    Importing the nodes takes seconds; listing pipeline names should not.

    Args:
        build: Returns the pipeline.
    """

    def __init__(
        self, build: Callable[[], Pipeline]
    ) -> None:  # the parent's attributes are set when the pipeline is built
        self._build = build

    def __getattr__(self, name: str) -> Any:
        # Called for missing attributes: before the pipeline is built, all are missing.
        if name.startswith("__") or "_nodes" in vars(self) or "_build" not in vars(self):
            raise AttributeError(name)
        vars(self).update(vars(self._build()))
        return object.__getattribute__(self, name)


def register_pipelines() -> dict[str, Pipeline]:
    """Return the pipelines that ``kedro run --pipeline=NAME`` knows.

    These are the protocols (those of one ``part_of`` together), the stages of the main protocol, and the pipelines
    that use its result. Protocols with their splits and methods are those of the open session's configuration, or of
    conf/base and conf/local if there is no session; splits that are not for the data set of the run are left out.

    Raises:
        ValueError: if the configured protocol of inference does not exist.
    """
    parameters = _parameters()
    protocols = {
        name: for_dataset(value, parameters["dataset"]) for name, value in parameters.items() if is_protocol(value)
    }
    if (protocol := parameters["protocol"]) not in protocols:
        raise ValueError(f"There is no protocol '{protocol}'. {suggest(str(protocol), protocols)}")
    by_pipeline: dict[str, dict[str, Any]] = defaultdict(dict)
    for name, value in protocols.items():
        by_pipeline[value.get("part_of") or name][name] = value
    pipelines: dict[str, Pipeline] = {
        name: PipelineOnDemand(partial(_create_protocols, parts)) for name, parts in by_pipeline.items()
    }
    stages = {stage: PipelineOnDemand(partial(_create_stage, stage, MAIN, protocols[MAIN])) for stage in STAGES}
    report = PipelineOnDemand(partial(_create_report, MAIN, protocols[MAIN]))
    return {
        "__default__": pipelines[MAIN],
        **pipelines,
        **stages,
        "report": report,
        "describe": PipelineOnDemand(_create_description),
        "labelling": PipelineOnDemand(_create_proposals),
        "compare": PipelineOnDemand(_create_comparison),
        "inference": PipelineOnDemand(partial(_create_inference, parameters["protocol"])),
        "export": PipelineOnDemand(partial(_create_export, parameters["protocol"])),
    }


def _create_protocols(protocols: dict[str, dict[str, Any]]) -> Pipeline:
    stages = (
        _create_stage(stage, name, settings) for name, settings in protocols.items() for stage in _stages(settings)
    )
    return sum(stages, Pipeline([]))


def _stages(settings: dict[str, Any]) -> tuple[str, ...]:
    if settings.get("choosing"):
        return CHOOSING_STAGES
    return TUNING_STAGES if settings.get("search") else STAGES


def _create_report(protocol: str, settings: dict[str, Any]) -> Pipeline:
    """Return the part of the reporting stage that writes the report, without tracking."""
    stage = _create_stage("reporting", protocol, settings)
    return stage.to_outputs(*(f"{protocol}.{name}" for name in ("report", "report_summary", "metrics")))


def _create_description() -> Pipeline:
    from contrastive_har.pipelines import ingestion

    return ingestion.create_description()


def _create_proposals() -> Pipeline:
    from contrastive_har.pipelines import labelling

    return labelling.create_proposals()


def _create_comparison() -> Pipeline:
    from contrastive_har.pipelines import comparison

    return comparison.create_pipeline()


def _create_inference(protocol: str) -> Pipeline:
    from contrastive_har.pipelines import inference

    return inference.create_pipeline(protocol)


def _create_export(protocol: str) -> Pipeline:
    from contrastive_har.pipelines import inference

    return inference.create_export(protocol)


def _create_stage(stage: str, protocol: str, settings: dict[str, Any]) -> Pipeline:
    """Return a stage of a protocol; each split and method gets a namespace.

    kedro-viz folds a namespace, and ``--namespaces`` runs it alone.
    """
    from contrastive_har.protocols.methods import trained_once
    from contrastive_har.scores.cells import Cell
    from contrastive_har.signals.splits import SplitSettings

    splits, methods = list(settings["splits"]), list(settings["methods"])
    cells = [Cell(protocol, split, method) for split in splits for method in methods]
    validated = [name for name, split in settings["splits"].items() if SplitSettings.model_validate(split).validates]
    # No recogniser is chosen for ablations, or without validation windows.
    chooses = bool(validated) and not settings.get("part_of")
    if stage == "registration" and not chooses:
        return Pipeline([])
    arguments: dict[str, tuple[Any, ...]] = {
        "ingestion": (),
        "windowing": (protocol, splits),
        "augmentation": (protocol,),
        "pretraining": (cells, trained_once(settings["methods"])),
        "evaluation": (cells,),
        "labelling": (cells,),
        "tuning": (cells, (settings.get("search") or {}).get("trials", 0)),
        "registration": ([cell for cell in cells if cell.split in validated],),
        "reporting": (cells, bool(settings.get("sweep")), _spells(settings), chooses),
    }
    module = import_module(f"contrastive_har.pipelines.{stage}")  # this one only: others take long to import
    pipeline: Pipeline = module.create_pipeline(*arguments[stage])
    return pipeline


def _spells(protocol: dict[str, Any]) -> bool:
    """Return whether a head of a protocol spells the names of activities."""
    heads = (evaluation.get("head") or {} for evaluation in protocol["evaluations"].values())
    return any(head.get("name") == "label_sequence" for head in heads)


def _parameters() -> dict[str, Any]:
    configuration = RunSession.configuration
    if configuration is None:
        configuration = load_configuration(find_kedro_project(Path.cwd()) or Path.cwd())
    parameters: dict[str, Any] = configuration["parameters"]
    return parameters
