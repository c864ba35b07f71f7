"""Kedro's settings of this project."""

import os

from contrastive_har.runs import console, hooks, refusals
from contrastive_har.runs.session import RunContext, RunSession
from contrastive_har.runs.settings import ProjectConfiguration

# MLflow collects usage statistics unless this is set before it is imported.
os.environ.setdefault("DO_NOT_TRACK", "true")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")  # creating its database would be told line by line
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # of the one file of a model

SESSION_CLASS = RunSession
CONTEXT_CLASS = RunContext
CONFIG_LOADER_CLASS = ProjectConfiguration
HOOKS = hooks.HOOKS

refusals.show_refusals()
console.ignore_expected_warnings()
console.write_all_characters()

# The project tracks its runs itself; the plugin would open a second MLflow run beside each.
DISABLE_HOOKS_FOR_PLUGINS = ("kedro-mlflow",)


def raw_folder(dataset: str) -> str:
    """Return the folder of a data set's files, for the catalog."""
    from contrastive_har import sources  # slow to import: `kedro --help` does not need it

    return sources.raw_folder(dataset)


def label_names(dataset: str, path: str | None = None) -> dict[str, str]:
    """Return how the activities of a data set are spelled, for the parameters."""
    from contrastive_har.signals import label_names

    return label_names.label_names(dataset, path)


CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    "config_patterns": {"mlflow": ["mlflow*"], "airflow": ["airflow*"]},
    # An environment lists only what it changes: conf/paper the published budgets, conf/local a user's settings.
    "merge_strategy": {"parameters": "soft"},
    "custom_resolvers": {"raw_folder": raw_folder, "label_names": label_names},
}
