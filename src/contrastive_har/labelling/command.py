"""The command ``contrastive-har label``: proposes windows, serves the page, compares and converts labels."""

from __future__ import annotations

import argparse
import getpass
import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from contrastive_har.files.stamps import explain
from contrastive_har.labelling.answers import Answer, AnswerFile, compare_answers
from contrastive_har.labelling.label_studio import configuration, from_tasks, signals_of, to_tasks
from contrastive_har.labelling.session import LabellingSession, LabellingSettings
from contrastive_har.labelling.strategies import Strategy, strategy_names
from contrastive_har.signals.recordings import BadRecordingError
from contrastive_har.sources.my_data import describe


def main(arguments: Sequence[str]) -> int:
    """Run the command with its arguments; return the exit status."""
    given = _parser().parse_args(arguments)
    try:
        if given.compare:
            return _compare(*given.compare)
        if given.from_label_studio:
            return _import(given)
        return _label(given)
    except (BadRecordingError, OSError, ValidationError, ValueError) as error:
        sys.exit(f"Error: {explain(error) if isinstance(error, ValidationError) else error}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="contrastive-har label",
        description="Label the windows of recordings that teach a classifier most, in a page on this machine.",
    )
    parser.add_argument("folder", type=Path, nargs="?", help="the recordings and their dataset.yml")
    parser.add_argument("--windows", type=int, default=24, help="windows, or stretches, in a round (24)")
    parser.add_argument("--strategy", choices=strategy_names(), help="default: cluster_centres of unit length")
    parser.add_argument("--spread", choices=["subject", "recording"], help="spread the windows over these")
    parser.add_argument("--stretch", type=float, help="seconds of stretches to label instead of single windows")
    parser.add_argument("--recogniser", type=Path, help="a recogniser whose encoder embeds the windows")
    parser.add_argument("--labels", default="labels.csv", help="name of the file of answers (labels.csv)")
    parser.add_argument("--labeller", default=getpass.getuser(), help="who labels (the user)")
    parser.add_argument("--media", type=Path, help="folder of videos or photos with the names of the recordings")
    parser.add_argument("--port", type=int, default=0, help="port of the page; 0 takes a free one")
    parser.add_argument("--table", type=Path, help="write the proposed windows to this CSV instead of serving a page")
    parser.add_argument("--label-studio", type=Path, help="write answers and proposals as tasks of Label Studio")
    parser.add_argument("--from-label-studio", type=Path, help="add the answers of an export of Label Studio")
    parser.add_argument("--compare", type=Path, nargs=2, metavar="LABELS", help="compare two files of answers")
    return parser


def _label(given: argparse.Namespace) -> int:
    if given.media is not None and not given.media.is_dir():
        raise ValueError(f"{given.media}: no such folder. Correct --media.")
    settings = LabellingSettings(windows=given.windows, recogniser=given.recogniser, labels=given.labels)
    named = {"name": given.strategy} if given.strategy else settings.strategy.model_dump()
    strategy = TypeAdapter(Strategy).validate_python({**named, "spread": given.spread, "stretch": given.stretch})
    settings = settings.model_copy(update={"strategy": strategy})
    session = LabellingSession(_folder(given), settings)
    if given.table or given.label_studio:
        table = session.table()
        if given.table:
            table.to_csv(given.table, index=False)
        if given.label_studio:
            rows = table.drop(columns=["seconds", "why"]).to_dict("records")
            proposed = [Answer(**row, activity="", labeller="", labelled_at="") for row in rows]
            _export(session, proposed, given.label_studio)
        unit = "windows" if strategy.stretch is None else "stretches"
        sys.stdout.write(f"{len(table)} {unit} are proposed: {table['seconds'].sum():.1f} s of signal.\n")
        return 0
    from contrastive_har.labelling.page import create_page, listen, serve  # an optional dependency

    listening = listen(given.port)
    host, port = listening.getsockname()
    sys.stdout.write(f"Label at http://{host}:{port}/ and end with Ctrl+C. Answers: {session.file.path}\n")
    sys.stdout.flush()
    serve(create_page(session, given.labeller, given.media), listening)
    return 0


def _export(session: LabellingSession, proposed: Sequence[Answer], path: Path) -> None:
    unlabelled = session.unlabelled
    tasks = to_tasks(session.answers(), proposed, partial(signals_of, unlabelled))
    path.write_text(json.dumps(tasks), encoding="utf-8")
    channels = unlabelled.windows.description.channel_names
    path.with_suffix(".xml").write_text(configuration(session.activities, channels), encoding="utf-8")


def _import(given: argparse.Namespace) -> int:
    path = given.from_label_studio
    try:
        tasks = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not JSON ({error}). Export the tasks as JSON again.") from error
    folder = _folder(given)
    file, activities = AnswerFile(folder / given.labels), describe(folder).class_names
    known = {_said(answer) for answer in file.read()}
    added = [answer for answer in from_tasks(tasks, given.labeller) if _said(answer) not in known]
    for answer in added:
        if answer.activity not in activities:
            raise ValueError(f"unknown activity '{answer.activity}' in the export; there are {', '.join(activities)}")
    for answer in added:
        file.append(answer)
    sys.stdout.write(f"{len(added)} answers are added to {file.path}.\n")
    return 0


def _said(answer: Answer) -> tuple[str, float, float, str, str]:
    return answer.recording, answer.start, answer.end, answer.activity, answer.labeller


def _compare(first: Path, second: Path) -> int:
    found = compare_answers(AnswerFile(first).read(), AnswerFile(second).read())
    sys.stdout.write(f"Both labelled {found.seconds:g} s. Cohen's kappa: {found.kappa:.3f}\n")
    if len(found.disagreements):
        sys.stdout.write(found.disagreements.to_string(index=False) + "\n")
    return 0


def _folder(given: argparse.Namespace) -> Path:
    if given.folder is None:
        raise ValueError("name a folder of recordings")
    folder: Path = given.folder
    return folder
