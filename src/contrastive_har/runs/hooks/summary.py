"""The summary of a run: results, paths of artifacts, times and memory."""

from __future__ import annotations

import resource
import sys
import textwrap
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from contrastive_har.refining import plain
from contrastive_har.runs.hooks.context import ContextHooks, NodeClock
from contrastive_har.scores.cells import Cell, title_evaluations

if TYPE_CHECKING:
    import pandas as pd

_LOCATIONS = {
    "recogniser": "Model:  ",
    "onnx_model": "Model:  ",
    "timeline": "Result: ",
    "timeline_picture": "Picture:",
    "proposed_windows": "Table:  ",
    "trials_report": "Report: ",
    "trials_curves": "Picture:",
    "tuning_report": "Report: ",
    "tuning_figure": "Picture:",
    "run_comparison_page": "Page:   ",
}
"""Labels of the artifacts whose path is printed, besides reports."""


_WIDTH = 100  # of printed sentences
_NOTE = "mlflow.note.content"  # the description of a run
_OF_METHODS = ("pretraining", "evaluation")  # stages whose cost is printed by method


class SummaryHooks(ContextHooks):
    """Prints results, paths of artifacts, times and memory at the end of a run."""

    def __init__(self, clock: NodeClock) -> None:
        self._clock = clock
        self._ran: dict[str, Node] = {}

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        """Record that a node runs."""
        self._ran[node.name] = node

    @hook_impl(tryfirst=True)
    def after_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Print the result table and the report's path; log times and memory to the tracked run."""
        if self.is_worker():
            return
        parts: dict[tuple[str, str], float] = defaultdict(float)
        for node in self._ran.values():
            parts[", ".join(node.tags), node.namespace or ""] += self._clock.seconds(node)
        self._ran = {}
        seconds, by_method = _sum_up(parts)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**30 if sys.platform == "darwin" else 2**20)
        of_parts = {f"seconds/{stage}/{part}": value for (stage, part), value in parts.items() if part}
        of_stages = {f"seconds/{stage}": value for stage, value in seconds.items()}
        _log_metrics({**of_stages, **of_parts, "peak_memory_gib": memory})
        from contrastive_har.catalog import AtomicDataset
        from contrastive_har.reports.tables import describe_budget

        for name in sorted(pipeline.outputs()):
            if name.endswith(".report"):
                self._print_results(name.removesuffix(".report"), cast(AtomicDataset, catalog[name]).path, catalog)
        for name in sorted(pipeline.all_outputs()):
            kind = name.rpartition(".")[2]
            if kind in _LOCATIONS:
                print(f"{_LOCATIONS[kind]} {cast(AtomicDataset, catalog[name]).path}")
            if kind == "timeline":
                from contrastive_har.reports.timelines import summarise_timeline

                print(f"{summarise_timeline(catalog.load(name))}\n")
            if kind == "recogniser":
                origin = catalog.load(name).origin
                split = plain(self.context.params[origin.protocol])["splits"][origin.split]["title"]
                tested = f"test windows: macro-F1 {100 * origin.mean_test_macro_f1:.1f} % ({split.lower()})"
                labels = describe_budget(origin.label_budget)
                print(f"         {origin.method}, {origin.evaluation}, {labels}; {tested}")
                whole = f"{name.removesuffix(kind)}whole_recordings"
                if whole in pipeline.all_outputs():
                    self._print_expectation(catalog.load(whole))
        print(f"Time:    {self._clock.elapsed():.0f} s; peak memory {memory:.1f} GiB")
        if len(seconds) > 1:
            print(f"         Nodes, which may run side by side: {_listed(seconds)}")
        for method, of_method in by_method.items():
            print(f"         {method}: {_listed(of_method)}")
        print("Runs:    mlflow ui        Lineage: kedro viz run")

    def _print_results(self, protocol: str, report: Path, catalog: DataCatalog) -> None:
        """Print the result table of a protocol and the path of its report; log and describe them."""
        from contrastive_har.reports.answer import asked
        from contrastive_har.reports.findings import unfinished
        from contrastive_har.reports.tables import console_table

        settings, scores = plain(self.context.params[protocol]), catalog.load(f"{protocol}.scores")
        print(f"\n{console_table(catalog.load(f'{protocol}.summary'))}\n")
        methods, configured, splits = (
            {name: one["title"] for name, one in settings[kind].items()}
            for kind in ("methods", "evaluations", "splits")
        )
        evaluations = title_evaluations(configured, scores["evaluation"].unique())
        for sentence in unfinished(scores, methods, evaluations, splits):
            print(textwrap.fill(sentence, _WIDTH), end="\n\n")
        print(f"Report:  {report}")
        _log_report(protocol, report, catalog.load(f"{protocol}.metrics"))
        question = asked(catalog.load(f"{protocol}.summary"), settings["splits"])
        command = catalog.load("params:run").command
        _describe(catalog.load(f"{protocol}.report_summary"), command, protocol, question)

    def _print_expectation(self, people: pd.DataFrame) -> None:
        """Print how well the recogniser does on whole recordings, if they were scored."""
        from contrastive_har.reports.expectation import describe_expectation

        if len(people):
            sentence = describe_expectation(people, plain(self.context.params["report"])["confidence"])
            print(textwrap.fill(sentence, _WIDTH, initial_indent="Expect:  ", subsequent_indent=" " * 9))


def _sum_up(parts: Mapping[tuple[str, str], float]) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """Return seconds by stage, and by method and stage summed over splits; ``parts`` are by stage and namespace."""
    seconds: dict[str, float] = defaultdict(float)
    by_method: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for (stage, namespace), value in parts.items():
        seconds[stage] += value
        if (cell := Cell.parse(namespace)) and stage in _OF_METHODS:
            by_method[f"{cell.protocol}, {cell.method}"][stage] += value
    return dict(seconds), dict(by_method)


def _listed(seconds: Mapping[str, float]) -> str:
    return ", ".join(f"{stage} {value:.0f} s" for stage, value in seconds.items())


def _log_metrics(metrics: dict[str, float]) -> None:
    import mlflow

    if mlflow.active_run():
        mlflow.log_metrics(metrics)


def _log_report(protocol: str, report: Path, scores: dict[str, float]) -> None:
    import mlflow

    if mlflow.active_run():
        mlflow.log_artifact(str(report), protocol)
        mlflow.log_metrics({f"macro_f1/{protocol}.{cell}": value for cell, value in scores.items()})


def _describe(summary: str, command: str, protocol: str, asked: tuple[str, str]) -> None:
    """Describe the tracked run: title and answer of the report, the command, and where the report and scores are."""
    import mlflow

    from contrastive_har.runs.tracked_views import save_view

    if active := mlflow.active_run():
        run = mlflow.get_run(active.info.run_id)
        title, answer = summary.split("\n\n")[:2]
        before = run.data.tags.get(_NOTE, "")
        report = f"#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}/artifacts/{protocol}/report.html"
        links = f"[The report]({report}), [the table of scores]({save_view(run, protocol, *asked)})"
        described = f"{title}\n\n{answer}\n\n`{command}`\n\n{links}"
        mlflow.set_tag(_NOTE, "\n\n".join([before, described]) if before.startswith("#") else described)
