"""What docs/results says is what the scores beside it say."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest
import yaml

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs/results").glob("*.md"))
TABLE = re.compile(r"<!-- scores: (\S+\.csv), (\w+) -->\n((?:\|.*\n)+)")
CELL = re.compile(r"(\d+\.\d) ± (\d+\.\d)")
EVALUATIONS = {"linear": ("linear",), "fine-tuned": ("fine_tuning", "supervised")}


def method_names() -> dict[str, str]:
    """Names of methods by their titles, as rows begin."""
    settings = yaml.safe_load((ROOT / "conf/base/parameters_semi_supervised.yml").read_text())["semi_supervised"]
    names = {method["title"].lower(): name for name, method in settings["methods"].items()}
    return {**names, "supervised, from scratch": "supervised"}


def rows(text: str) -> list[list[str]]:
    return [[cell.strip(" *") for cell in line.strip().strip("|").split("|")] for line in text.splitlines()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_tables_are_their_scores(page: Path) -> None:
    found = TABLE.findall(page.read_text())
    assert found, "no table names its scores"
    names = method_names()
    for file, split, text in found:
        scores = pd.read_csv(page.parent / file)
        scores = scores[(scores["split"] == split) & (scores["metric"] == "macro_f1")]
        header, _, *body = rows(text)
        compared = 0
        for title, *cells in body:
            for column, cell in zip(header[1:], cells, strict=False):
                if not (told := CELL.match(cell)):
                    continue
                evaluation, share = column.split(", ")
                mine = scores[
                    (scores["method"] == names[title.lower()])
                    & scores["evaluation"].isin(EVALUATIONS[evaluation])
                    & (scores["label_fraction"] == float(share.removesuffix(" %")) / 100)
                ]["value"]
                assert float(told[1]) == pytest.approx(100 * mine.mean(), abs=0.0501), (title, column)
                assert float(told[2]) == pytest.approx(100 * mine.std(), abs=0.0501), (title, column)
                compared += 1
        assert compared >= len(body)
