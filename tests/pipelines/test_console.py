"""What the console can show."""

from __future__ import annotations

import io
import sys

import pytest

from contrastive_har.runs.console import write_all_characters


@pytest.mark.parametrize(
    ("encoding", "shown"), [("ascii", "93.1 \\xb1 0.4"), ("koi8-r", "93.1 \\xb1 0.4"), ("utf-8", "93.1 ± 0.4")]
)
def test_characters_that_a_console_lacks_end_no_run(encoding: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding))
    write_all_characters()
    sys.stdout.write("93.1 ± 0.4\n")
    sys.stdout.flush()
    assert written.getvalue().decode(encoding) == f"{shown}\n"
