"""Times a step of pre-training on several modalities: hard negatives and their variants against CMC.

    OMP_WAIT_POLICY=passive python benchmarks/multimodal.py --csv steps.csv --figure steps.png
    OMP_WAIT_POLICY=passive python benchmarks/multimodal.py --quick               # under a minute

The objectives and the encoder are those of conf/base/parameters_multimodal.yml, the windows random. Batch size, number
of modalities and length of windows are varied one at a time. All methods take a step in each round, in turn, so that a
slow minute of the machine hits all; ratios are to CMC's processor time in the same round, their quartiles those over
rounds. (Threads that wait actively, which is OpenMP's default, would spend processor time.) CMC is timed twice: the
ratio of the second to the first shows the noise. The loss alone is timed with given clusters. Each peak of memory is
measured in a process of its own; on Linux only.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor
from torch.nn import functional
from tqdm.auto import tqdm

from contrastive_har.learning.compute import ComputeSettings
from contrastive_har.learning.losses import contrast
from contrastive_har.learning.objectives.contrastive import ContrastiveSettings
from contrastive_har.learning.pretraining.plans import BackboneSettings, PretrainingBudget
from contrastive_har.learning.pretraining.trainer import Trainer
from contrastive_har.refining import resolve_bases
from contrastive_har.reports.figures.style import COLOURS, GRID, new_figure
from contrastive_har.signals.sensors import Channel, Layout

PARAMETERS = Path(__file__).parents[1] / "conf/base/parameters_multimodal.yml"
UNIT, AGAIN = "cmc", "cmc, again"
METHODS = [UNIT, AGAIN, "hard_negatives", "hard_negatives_debiased", "hard_negatives_within", "cluster_negatives"]
CLASSES = 27  # UTD-MHAD: clusters, and the reciprocal of the class prior
BATCHES, MODALITIES, LENGTHS = (64, 128, 256, 512, 1024, 2048), (2, 3, 4), (50, 128, 200)
WINDOWS = (2048, 8192, 32768, 131072)
AXES = ("x", "y", "z")
FEATURES = 128  # of projections
FEWEST, MOST = 5, 400  # rounds
MEGABYTE = 2**20


@dataclass(frozen=True)
class Case:
    """What a step is taken on.

    Attributes:
        part: ``step``, or ``loss`` for the loss and its gradient alone.
        batch: Windows.
        modalities: Modalities of a window, of two sensors with three axes each.
        length: Samples of a window.
        precision: Precision of encoders and heads.
        threads: Threads of the processor.
    """

    part: str = "step"
    batch: int = 256
    modalities: int = 2
    length: int = 50
    precision: str = "float32"
    threads: int = 1

    @property
    def layout(self) -> Layout:
        return Layout(
            length=self.length,
            channels=tuple(
                Channel(name=f"{sensor}_{modality}_{axis}", unit="g", modality=f"modality_{modality}")
                for modality in range(self.modalities)
                for sensor in ("first", "second")
                for axis in AXES
            ),
        )

    def windows(self, count: int) -> Tensor:
        return torch.randn(count, self.length, self.layout.width, generator=torch.Generator().manual_seed(0))


def cases(batches: Sequence[int], precisions: Sequence[str], threads: int, quick: bool) -> Iterator[Case]:
    """Return what is timed: one of batch size, modalities and length differs from the default."""
    modalities, lengths = ((3,), (128,)) if quick else (MODALITIES, LENGTHS)
    default = Case(batch=batches[0] if quick else Case.batch)
    for count in sorted({1, threads}):
        # The loss is computed in float32 with either precision of the encoders.
        yield from (Case("loss", batch=batch, threads=count) for batch in batches)
        for precision in precisions:
            start = replace(default, precision=precision, threads=count)
            varied = [replace(start, batch=batch) for batch in batches]
            varied += [replace(start, modalities=number) for number in modalities]
            varied += [replace(start, length=length) for length in lengths]
            yield from dict.fromkeys(varied)


def settings() -> tuple[BackboneSettings, dict[str, ContrastiveSettings]]:
    """Return the encoders and the objective of each method."""
    configured = yaml.safe_load(PARAMETERS.read_text(encoding="utf-8"))["multimodal"]
    rows: Mapping[str, Any] = resolve_bases(configured["methods"])
    objectives = {name: ContrastiveSettings(**rows[UNIT if name == AGAIN else name]["objective"]) for name in METHODS}
    return BackboneSettings(encoder=configured["encoder"]), objectives


def trainer(case: Case, method: str) -> Trainer:
    """Return a trainer with the same initial weights for each method."""
    torch.manual_seed(0)
    backbone, objectives = settings()
    encoders = {
        name: backbone.of(name).build(part.stop - part.start, case.length)
        for name, part in case.layout.modalities.items()
    }
    objective = objectives[method].build_for(encoders, case.layout, CLASSES)
    budget = PretrainingBudget(epochs=1, batch_size=case.batch, learning_rate=1e-3)
    compute = ComputeSettings.model_validate({"device": "cpu", "precision": case.precision})
    return Trainer(objective, budget, compute.resolve(), seed=0)


def work_of(case: Case) -> dict[str, Callable[[], object]]:
    """Return what is timed, by method."""
    if case.part == "step":
        windows = case.windows(case.batch)
        return {method: partial(trainer(case, method).step, windows) for method in METHODS}
    random = torch.Generator().manual_seed(0)
    first = torch.randn(case.batch, FEATURES, generator=random)
    second = first + torch.randn(case.batch, FEATURES, generator=random)
    a, b = (functional.normalize(view, dim=1).requires_grad_() for view in (first, second))
    clusters = torch.randint(CLASSES, (2, case.batch), generator=random)
    return {
        method: partial(
            lambda *arguments: contrast(*arguments).backward(),
            a,
            b,
            objective.temperature,
            objective.negatives.at(0.0, CLASSES),
            (clusters[0], clusters[1]) if objective.clustering else None,
        )
        for method, objective in settings()[1].items()
    }


def measure(case: Case, seconds: float) -> list[dict[str, Any]]:
    """Time all methods in turn for about ``seconds`` of processor time; return a row for each."""
    torch.set_num_threads(case.threads)
    work = work_of(case)
    for function in work.values():
        function()
    wall: dict[str, list[float]] = {method: [] for method in work}
    processor: dict[str, list[float]] = {method: [] for method in work}
    end = time.process_time() + seconds
    order = list(work)
    while len(wall[UNIT]) < FEWEST or (time.process_time() < end and len(wall[UNIT]) < MOST):
        for method in order:
            started, spent = time.perf_counter(), time.process_time()
            work[method]()
            processor[method].append(time.process_time() - spent)
            wall[method].append(time.perf_counter() - started)
        order = [*order[1:], order[0]]
    rows = []
    for method in work:
        ratios = [mine / unit for mine, unit in zip(processor[method], processor[UNIT], strict=True)]
        lower, median, upper = statistics.quantiles(ratios, n=4)
        rows.append(
            {
                **asdict(case),
                "method": method,
                "rounds": len(ratios),
                "processor_ms": round(1e3 * statistics.median(processor[method]), 3),
                "wall_ms": round(1e3 * statistics.median(wall[method]), 3),
                "ratio_lower": round(lower, 4),
                "ratio": round(median, 4),
                "ratio_upper": round(upper, 4),
            }
        )
    return rows


def peak() -> float:
    """Return the peak memory of this process in MB."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def memory(case: Case, method: str, count: int) -> tuple[float, float]:
    """Return by how many MB steps on batches of ``count`` windows raise the peak of memory, and MB of the windows."""
    torch.set_num_threads(case.threads)
    learner = trainer(case, method)
    # What a step of any size needs is no part of what is measured, nor is the peak of importing.
    learner.step(case.windows(CLASSES))
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    before = peak()
    windows = case.windows(count)
    for index in torch.randperm(count).split(case.batch)[:3]:
        learner.step(windows.index_select(0, index))
    return peak() - before, windows.nbytes / MEGABYTE


def memory_in_a_process(case: Case, method: str, count: int) -> tuple[float, float]:
    """Return ``memory`` as measured in a new process, as peak memory is a process's."""
    chosen = json.dumps([asdict(case), method, count])
    command = [sys.executable, __file__, "--memory-of", chosen]
    raised, windows = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return raised, windows


def show(rows: list[dict[str, Any]]) -> None:
    """Print the rows of one case."""
    first = rows[0]
    what = f"{first['modalities']} modalities of {first['length']} samples" if first["part"] == "step" else "alone"
    tqdm.write(
        f"\n{first['part']}, batch {first['batch']}, {what}, {first['precision']}, {first['threads']} threads, "
        f"{first['rounds']} rounds"
    )
    for row in rows:
        tqdm.write(
            f"  {row['method']:<24} {row['processor_ms']:9.2f} ms processor  {row['wall_ms']:9.2f} ms wall   "
            f"{row['ratio']:6.3f} x cmc ({row['ratio_lower']:.3f} to {row['ratio_upper']:.3f})"
        )


def show_memory(batches: Sequence[int], counts: Sequence[int]) -> None:
    """Measure and print peaks of memory against batch size and number of windows."""
    print("\npeak memory of steps, in MB")
    for batch in batches:
        peaks = {name: memory_in_a_process(Case(batch=batch), name, batch)[0] for name in METHODS if name != AGAIN}
        print(f"  batch {batch:5d}   " + "   ".join(f"{name} {peak:.0f}" for name, peak in peaks.items()))
    print("\npeak memory against the number of windows, batches of 256, hard negatives, in MB")
    for count in counts:
        raised, windows = memory_in_a_process(Case(), "hard_negatives", count)
        print(f"  {count:7d} windows   windows {windows:6.1f}   in all {raised:6.1f}   steps {raised - windows:6.1f}")


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw ratios of processor time against batch size, for one thread and bfloat16."""
    figure = new_figure(8, 3.2)
    step, alone = figure.subplots(1, 2)
    colours = dict(zip(METHODS, ("black", "#999999", *COLOURS), strict=False))
    for axis, start in ((step, Case(precision="bfloat16")), (alone, Case("loss"))):
        for method in METHODS[1:]:
            drawn = [
                row
                for row in rows
                if row["method"] == method
                and Case(**{name: row[name] for name in asdict(start)}) == replace(start, batch=row["batch"])
            ]
            below = [row["ratio"] - row["ratio_lower"] for row in drawn]
            above = [row["ratio_upper"] - row["ratio"] for row in drawn]
            style = {"color": colours[method], "marker": "o", "markersize": 3, "linewidth": 1.2, "capsize": 2}
            batches, ratios = [row["batch"] for row in drawn], [row["ratio"] for row in drawn]
            axis.errorbar(batches, ratios, [below, above], label=method.replace("_", " "), **style)
        axis.axhline(1.1, color="black", linewidth=0.8, linestyle=":")
    step.set_title("training step in bfloat16: time over CMC's", fontsize=9)
    alone.set_title("loss and gradient alone: time over CMC's", fontsize=9)
    for axis in (step, alone):
        axis.set_xscale("log")
        axis.set_xticks(BATCHES, map(str, BATCHES))
        axis.minorticks_off()
        axis.set_xlabel("batch size", fontsize=9)
        axis.tick_params(labelsize=8)
        axis.grid(**GRID)
    step.legend(fontsize=7)
    figure.savefig(path, dpi=110, metadata={"Software": None} if path.suffix == ".png" else None)


def main() -> None:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="besides one (default all)")
    parser.add_argument("--seconds", type=float, default=20, help="processor time of each case (default 20)")
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES, help="batch sizes (default 64 to 2048)")
    parser.add_argument("--precision", nargs="+", default=["bfloat16", "float32"], help="of encoders (default both)")
    parser.add_argument("--quick", action="store_true", help="few small cases, five rounds each")
    parser.add_argument("--csv", type=Path, help="file to write all measured times to")
    parser.add_argument("--figure", type=Path, help="image to draw, by its suffix PNG or SVG")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.memory_of:
        case, method, count = json.loads(chosen.memory_of)
        print(json.dumps(memory(Case(**case), method, count)))
        return

    batches, seconds = ((32, 64), 0.0) if chosen.quick else (chosen.batches, chosen.seconds)
    rows: list[dict[str, Any]] = []
    for case in tqdm(list(cases(batches, chosen.precision, chosen.threads, chosen.quick)), unit=" cases", disable=None):
        measured = measure(case, seconds)
        show(measured)
        rows += measured
    if chosen.csv:
        with chosen.csv.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    if chosen.figure:
        draw(rows, chosen.figure)
    show_memory(() if chosen.quick else batches, WINDOWS[:2] if chosen.quick else WINDOWS)


if __name__ == "__main__":
    main()
