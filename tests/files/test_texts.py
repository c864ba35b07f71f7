"""Texts from others: small files that stand for large ones, files that are none, and endless messages."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from contrastive_har.files.stamps import explain
from contrastive_har.files.texts import read_yaml, shorten
from contrastive_har.runs.refusals import find_refusal
from contrastive_har.signals.label_names import label_names
from contrastive_har.signals.recordings import BadRecordingError
from contrastive_har.sources import IngestionSettings, open_source

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
BROKEN = {
    "a billion values": (f"{LAUGHS}title: *i\nactivities: *i\n", "more than 100000 values"),
    "merged": (
        "m0: &m0 {a: 1}\n" + "".join(f"m{n}: &m{n} {{<<: [{', '.join([f'*m{n - 1}'] * 50)}]}}\n" for n in range(1, 4)),
        "more than 100000 values",
    ),
    "itself": ("title: &a [*a]", "more than 100000 values"),
    "deep": (f"title: {'[' * 700}", "nested too deeply"),
    "large": ("x" * (1 << 19), "more than 262144 bytes"),
    "not text": ("\udcff", "UnicodeDecodeError|utf-8"),
    "half a character": ('title: "\\ud800"', "surrogates not allowed"),
    "not YAML": ("a: {", "while parsing a flow node"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_would_fill_the_memory_is_refused(tmp_path: Path, name: str) -> None:
    content, reason = BROKEN[name]
    (tmp_path / "dataset.yml").write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(BadRecordingError, match=reason) as caught:
        open_source(tmp_path, IngestionSettings(dataset="my_data"))
    assert len(str(caught.value)) < 1000
    with pytest.raises(ValueError, match=reason):
        label_names("my_data", str(tmp_path / "dataset.yml"))


def test_references_that_stay_small_are_read(tmp_path: Path) -> None:
    content = {"a": {"b": [1, 2]}, "c": "ä"}
    (tmp_path / "f.yml").write_text("\ufeffa: &a {b: [1, 2]}\nd: [*a, *a]\nc: ä\n", encoding="utf-8")
    assert read_yaml(tmp_path / "f.yml") == {**content, "d": [content["a"], content["a"]]}
    (tmp_path / "f.yml").write_text("")
    assert read_yaml(tmp_path / "f.yml") is None


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_refused(tmp_path: Path, make: object) -> None:
    make(tmp_path / "dataset.yml")  # type: ignore[operator]
    with pytest.raises(BadRecordingError, match=r"dataset\.yml: .*not a regular file"):
        open_source(tmp_path, IngestionSettings(dataset="my_data"))


def test_messages_are_cut() -> None:
    assert shorten("a") == "a"
    assert len(str(BadRecordingError("a" * 1_000_000))) == 2000
    with pytest.raises(ValueError, match="label_names: a/a/") as caught:
        label_names("my_data", f"{'a/' * 10_000}x")
    assert len(find_refusal(caught.value) or "") == 2000


class EndlessError(Exception):
    def __str__(self) -> str:
        return str(10**5000)


def test_an_error_of_any_kind_is_told_on_one_printable_line() -> None:
    assert explain(ValueError("a\n b\x1b[2J\x07")) == "ValueError: a b[2J"
    assert explain(KeyError(10**5000)) == "KeyError"
    assert explain(EndlessError()) == "EndlessError"
    assert explain(ValueError("走路 ü")) == "ValueError: 走路 ü"
