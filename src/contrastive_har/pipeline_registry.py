"""Every pipeline by name."""

from __future__ import annotations

from pathlib import Path

from kedro.config import OmegaConfigLoader
from kedro.pipeline import Pipeline

from contrastive_har.pipelines import augmentation, evaluation, ingestion, pretraining, reporting, windowing

CONF = Path(__file__).parents[2] / "conf"

PROTOCOL = "semi_supervised"


def register_pipelines() -> dict[str, Pipeline]:
    """Return the pipelines that ``kedro run --pipeline=NAME`` knows.

    The splits and methods of a protocol are configuration: each gets a namespace, so that kedro-viz folds it and
    ``--namespaces`` runs it alone.
    """
    protocol = OmegaConfigLoader(str(CONF), base_env="base", default_run_env="local")["parameters"][PROTOCOL]
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
