"""The nodes of the reporting stage."""

from __future__ import annotations

import pytest

from contrastive_har.files.fingerprints import fingerprint
from contrastive_har.pipelines.reporting import nodes
from contrastive_har.reports.tracked import TrackedRun
from contrastive_har.signals.windows import Windows


def test_windows_are_hashed_once_for_the_runs_of_all_cells(windows: Windows, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[str] = []

    def hashed(*parts: str) -> str:
        found.append(fingerprint(*parts))
        return found[-1]

    monkeypatch.setattr(nodes, "fingerprint", hashed)
    described = [TrackedRun(name, {}, {}, [], {}, "synthetic") for name in "abc"]
    gathered = nodes.gather_runs(windows, described[:1], described[1:])
    assert [run.name for run in gathered] == ["a", "b", "c"]
    assert found == [fingerprint(windows.signals, windows.table["activity"].to_numpy())]
    assert {run.digest for run in gathered} == set(found)
