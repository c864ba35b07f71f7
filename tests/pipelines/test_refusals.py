"""Settings that cannot work are refused before anything is trained, in whichever stage they come to light."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from contrastive_har.learning.compute import ComputeSettings
from contrastive_har.pipelines.pretraining.nodes import pretrain_encoders
from contrastive_har.pipelines.windowing.nodes import assign_roles, cut
from contrastive_har.protocols import IllPosedError, ProtocolSettings
from contrastive_har.signals.engines import LOCAL
from contrastive_har.signals.recordings import Recordings
from contrastive_har.signals.splits import SplitError
from contrastive_har.signals.windows import Windows

CLUSTERED = {"objective": "contrastive", "clustering": {"algorithm": "kmeans", "clusters": 40}}


def protocol(**change: Any) -> ProtocolSettings:
    settings = {
        "title": "T",
        "repeats": 1,
        "windows": {"length": 64, "stride": 32},
        "label_fractions": [{"share": 0.1, "batch_size": 8}],
        "splits": {"p": {"title": "P", "leak_free": False, "held_out": "none", "pretrain_on": "all"}},
        "pretraining": {"epochs": 1, "batch_size": 64, "learning_rate": 0.1},
        "compared_with": "m",
        "methods": {"m": {"title": "M", "pretraining": {"objective": "contrastive"}, "evaluations": ["linear"]}},
        "evaluations": {"linear": {"title": "L", "trained_stages": 0, "learning_rate": 0.1, "epochs": 1}},
    }
    return ProtocolSettings.model_validate({**settings, **change})


def clustered(**change: Any) -> ProtocolSettings:
    method = {"title": "M", "pretraining": CLUSTERED, "evaluations": ["linear"]}
    return protocol(methods={"m": method}, **change)


def test_windows_too_short_for_an_encoder_are_not_cut(windows: Windows) -> None:
    recordings = Recordings(windows.description, lambda: pytest.fail("nothing is read"))
    short = {"length": 45, "stride": 32}
    with pytest.raises(IllPosedError, match=r"45 samples .* method 'm', which needs 46\. Lengthen windows\.length"):
        cut(recordings, protocol(windows=short), LOCAL)
    own = protocol(windows_of={"synthetic": short})
    with pytest.raises(IllPosedError, match=r"Lengthen windows_of\.synthetic\.length"):
        cut(recordings, own, LOCAL)


def test_more_clusters_than_the_smallest_batch_has_windows(windows: Windows) -> None:
    total = len(windows.table)
    smallest = total % 64
    assert 0 < smallest < 40, "the fixture's last batch is small"
    with pytest.raises(
        IllPosedError, match=rf"'m' asks for 40 clusters, but .* has {smallest} windows; .*batch_size: (\d+)"
    ) as raised:
        assign_roles(windows, clustered(), 0)
    fitting = int(str(raised.value).split("batch_size: ")[1].split(" ")[0])
    assert total % fitting == 0 or total % fitting >= 40
    budget = {"epochs": 1, "batch_size": fitting, "learning_rate": 0.1}
    assert len(assign_roles(windows, clustered(pretraining=budget), 0))


def test_a_clustering_that_finds_their_number_is_asked_for_none(windows: Windows) -> None:
    found = {"objective": "contrastive", "clustering": {"algorithm": "dbscan", "clusters": 40}}
    assert len(
        assign_roles(
            windows, protocol(methods={"m": {"title": "M", "pretraining": found, "evaluations": ["linear"]}}), 0
        )
    )


def test_pretraining_alone_refuses_them_too(windows: Windows, tmp_path: Path) -> None:
    """Other settings may have made the windows and the splits."""
    splits = assign_roles(windows, protocol(), 0)
    with pytest.raises(IllPosedError, match="'m' asks for 40 clusters"):
        pretrain_encoders(
            windows, splits, tmp_path, clustered(), ComputeSettings(device="cpu"), 0, split="p", method="m"
        )
    assert not list(tmp_path.iterdir())


def test_pretraining_counts_its_processes(windows: Windows, tmp_path: Path) -> None:
    """Three of them share 41 windows of the last batch as 13 each."""
    budget = {"epochs": 1, "batch_size": len(windows.table) - 41, "learning_rate": 0.1}
    fits = clustered(pretraining=budget)
    splits = assign_roles(windows, fits, 0)
    three = ComputeSettings(device="cpu", machines=3)
    with pytest.raises(
        IllPosedError, match=r"40 clusters, but .* has 39 windows; .*batch_size: (\d+) would do"
    ) as raised:
        pretrain_encoders(windows, splits, tmp_path, fits, three, 0, split="p", method="m")
    assert int(str(raised.value).split("batch_size: ")[1].split(" ")[0]) % 3 == 0
    with pytest.raises(IllPosedError, match=r"'m' has 2 windows to pre-train on, in 3 processes"):
        fits.require_trainable("m", [2], (windows.length, 3), 3, processes=3)


def test_an_unknown_augmentation_is_refused_with_the_known_ones() -> None:
    views = {"objective": "contrastive", "views": [[{"name": "mirror"}], []]}
    with pytest.raises(ValueError, match=r"'mirror'.*'noise', 'scaling', 'rotation'"):
        protocol(methods={"m": {"title": "M", "pretraining": views, "evaluations": ["linear"]}})


def test_an_unknown_method_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'miracle'.*'contrastive'.*'moco'.*'untrained'"):
        protocol(methods={"m": {"title": "M", "pretraining": {"objective": "miracle"}, "evaluations": ["linear"]}})


def test_a_last_batch_of_one_window_is_never_clustered(windows: Windows) -> None:
    total = len(windows.table)
    budget = {"epochs": 1, "batch_size": total - 1, "learning_rate": 0.1}
    assert len(assign_roles(windows, clustered(pretraining=budget), 0))


def test_splits_of_fewer_repeats_are_noticed(windows: Windows, tmp_path: Path) -> None:
    splits = assign_roles(windows, protocol(), 0)
    with pytest.raises(SplitError, match=r"no repeat 2 of 'p'.* --tags=windowing"):
        pretrain_encoders(
            windows, splits, tmp_path, protocol(repeats=2), ComputeSettings(device="cpu"), 0, split="p", method="m"
        )
