"""A first look at a folder of recordings: what is in its files, and a ``dataset.yml`` for a person to correct."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import yaml

from contrastive_har.signals.recordings import BadRecordingError
from contrastive_har.sources.own.guessing import guess_description
from contrastive_har.sources.own.looking import FileFacts, are_intervals, look_at
from contrastive_har.sources.own.places import PassedOver, Place, find_places
from contrastive_har.sources.own.settings import DESCRIPTION_FILE


def propose(folder: Path) -> str:
    """Look at all files of a folder.

    Returns:
        The text of a ``dataset.yml``, with what was found as comments.

    Raises:
        BadRecordingError: if there is no such folder, or no table in it.
    """
    if not folder.is_dir():
        raise BadRecordingError(f"{folder}: no such folder.")
    places = find_places(folder)
    facts = [look_at(place) for place in places if isinstance(place, Place)]
    passed_over = [f"{one.name}: passed over, {one.reason}" for one in places if isinstance(one, PassedOver)]
    tables = [one for one in facts if one.numbers and not one.problem]
    intervals = [one for one in facts if are_intervals(one)]
    tables = [one for one in tables if one not in intervals]
    if any("timestamp" in one.roles for one in tables):  # what has no time beside them is about them
        tables = [one for one in tables if "timestamp" in one.roles]
    if not tables:
        reasons = "; ".join(
            one.problem or f"{one.place.where}: no samples in {', '.join(map(repr, one.others or one.numbers))[:300]}"
            for one in facts
        )
        raise BadRecordingError(f"{folder}: no file with samples. {reasons}".strip())
    content, remarks = guess_description(tables, intervals)
    remarks = [*(one.doubt for one in tables if one.doubt), *remarks]
    table = _table(facts).splitlines()
    comments = [f"What was found in {folder.name}/:", "", *table, *passed_over]
    comments += [one.problem.replace(f"{folder}/", "") for one in facts if one.problem]
    comments += [
        "",
        "Correct what follows. Only what stands here counts; nothing is guessed when the files are read.",
        *remarks,
    ]
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=110, default_flow_style=None)
    return "".join(f"# {line}".rstrip() + "\n" for line in comments) + text


def write_proposal(folder: Path, text: str) -> str:
    """Write ``dataset.yml`` into a folder that has none.

    Returns:
        The text, and what became of it.
    """
    target = folder / DESCRIPTION_FILE
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return f"{text}\n{target} exists and is left as it is.\n"
    return f"{text}\nWritten: {target}. Correct it, then: kedro run --params=dataset=my_data\n"


def _table(facts: Sequence[FileFacts]) -> str:
    """Return what each file holds, as a table of text."""
    rows = []
    for one in facts:
        minutes = {}
        if one.rate:
            minutes = {name or "(none)": count / one.rate / 60 for name, count in one.activities.items()}
        rows.append(
            {
                "file": one.place.name,
                "rows": one.rows,
                "subjects": ", ".join(sorted(one.subjects)[:4]) + (" ..." if len(one.subjects) > 4 else ""),
                "minutes": f"{one.seconds / 60:.1f}" if one.rate else "",
                "Hz": f"{one.rate:.4g} ± {100 * one.jitter:.0f} %" if one.rate else "",
                "gaps": one.gaps if one.rate else "",
                "minutes of": ", ".join(f"{name} {value:.1f}" for name, value in list(minutes.items())[:8]),
                "time": one.roles.get("timestamp", ""),
                "samples": ", ".join(one.numbers[:12]),
                "other columns": ", ".join(one.others[:6]),
            }
        )
    frame = pd.DataFrame(rows)
    return str(frame.loc[:, (frame != "").any()].to_string(index=False, max_colwidth=60))
