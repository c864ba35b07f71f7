"""Run a protocol."""

from __future__ import annotations

import os

import click

from contrastive_har.commands._kedro import run_pipeline


@click.command()
@click.argument("pipeline", default="semi_supervised")
@click.option(
    "--dataset", metavar="NAME", help="Data set: uci_har, watch, my_data, or a public one that is downloaded."
)
@click.option("--paper", is_flag=True, help="The published budget, which takes hours on a CPU.")
@click.option("--resume", is_flag=True, help="Skip what an earlier run has finished with the same code and settings.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Any parameter, e.g. --set seed=1.")
@click.option("--verbose", is_flag=True, help="Show every line of Kedro's log.")
def command(
    pipeline: str, dataset: str | None, paper: bool, resume: bool, settings: tuple[str, ...], verbose: bool
) -> None:
    """Learn and evaluate all methods of a protocol, and write its report.

    PIPELINE is a protocol (semi_supervised, self_supervised, multimodal, label_structures, ablation), a stage such as
    reporting, or any other name that 'kedro registry list' shows.
    """
    from contrastive_har.runs.console import VERBOSE

    if unset := [setting for setting in settings if "=" not in setting]:
        raise click.UsageError(f"--set {unset[0]} has no value. Write --set {unset[0]}=VALUE.")
    chosen = dict(setting.partition("=")[::2] for setting in settings)
    parameters = {"dataset": dataset, "resume": "true" if resume else None, **chosen}
    if verbose:
        os.environ[VERBOSE] = "1"
    run_pipeline(pipeline, parameters, *(["--env=paper"] if paper else []))
