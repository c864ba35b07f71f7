"""Settings that cannot work are refused before anything is trained, in whichever stage they come to light."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from contrastive_har.learning.compute import ComputeSettings
from contrastive_har.pipelines.pretraining.nodes import pretrain_encoders
from contrastive_har.pipelines.windowing.nodes import assign_roles, check_methods
from contrastive_har.protocols import IllPosedError, ProtocolSettings, require_trainable
from contrastive_har.signals.cutting import WindowSettings, cut_windows
from contrastive_har.signals.recordings import Recordings
from contrastive_har.signals.roles import Roles, SplitError
from contrastive_har.signals.windows import Windows, read_windows, write_windows

CPU = ComputeSettings(device="cpu")
CLUSTERED = {"name": "contrastive", "clustering": {"name": "kmeans", "clusters": 40}}


def protocol(**change: Any) -> ProtocolSettings:
    settings = {
        "title": "T",
        "repeats": 1,
        "windows": {"length": 64, "stride": 32},
        "label_budgets": ["10 %"],
        "splits": {"p": {"title": "P", "leak_free": False, "held_out": "none", "pretrain_on": "all"}},
        "budget": {"epochs": 1, "batch_size": 64, "learning_rate": 0.1},
        "compared_with": "m",
        "methods": {"m": {"title": "M", "objective": {"name": "contrastive"}, "evaluations": ["linear"]}},
        "evaluations": {
            "linear": {"title": "L", "trained_stages": 0, "learning_rate": 0.1, "epochs": 1, "batch_size": 8}
        },
    }
    return ProtocolSettings.model_validate({**settings, **change})


def trained_with(objective: dict[str, Any], **change: Any) -> ProtocolSettings:
    return protocol(methods={"m": {"title": "M", "objective": objective, "evaluations": ["linear"]}}, **change)


def clustered(**change: Any) -> ProtocolSettings:
    return trained_with(CLUSTERED, **change)


def roles_of(windows: Windows, settings: ProtocolSettings) -> Roles:
    return assign_roles(windows, settings.split_plan("p", 0))


def check(windows: Windows, settings: ProtocolSettings) -> dict[str, Any]:
    """Check as the pipeline does; return what was found about the one method."""
    checked = check_methods(windows, roles_of(windows, settings), settings)
    return dict(checked["m"])


def pretrain(
    windows: Windows, roles: Roles, settings: ProtocolSettings, checkpoints: Path, compute: ComputeSettings = CPU
) -> None:
    pretrain_encoders(windows, roles, {}, settings.pretraining_plan("m", 0), compute, checkpoints)


def test_windows_too_short_for_an_encoder(recordings: Recordings, tmp_path: Path) -> None:
    short = {"length": 45, "stride": 32}
    path = tmp_path / "windows.parquet"
    write_windows(cut_windows(recordings, WindowSettings(**short)), path)
    windows = read_windows(path)
    with pytest.raises(IllPosedError, match=r"45 samples .* method 'm', which needs 46\. Lengthen windows\.length"):
        check(windows, protocol(windows=short))
    with pytest.raises(IllPosedError, match=r"Lengthen windows_of\.synthetic\.length"):
        check(windows, protocol(windows_of={"synthetic": short}))


def test_pretraining_alone_refuses_windows_that_are_too_short(recordings: Recordings, tmp_path: Path) -> None:
    """Other settings may have made the windows, for which other methods were checked."""
    path = tmp_path / "windows.parquet"
    write_windows(cut_windows(recordings, WindowSettings(length=45, stride=32)), path)
    windows = read_windows(path)
    roles = roles_of(windows, protocol())
    checkpoints = tmp_path / "checkpoints"
    with pytest.raises(IllPosedError, match=r"45 samples .* method 'm', which needs 46"):
        pretrain(windows, roles, protocol(), checkpoints)
    assert not checkpoints.exists()


def test_more_clusters_than_the_smallest_batch_has_windows(windows: Windows) -> None:
    """A last batch of fewer is left out; batches that are all smaller are refused."""
    total = len(windows.table)
    assert 0 < total % 64 < 40, "the fixture's last batch is small"
    assert check(windows, clustered()) == {"pretraining_windows": total, "smallest_batch": 64}
    small = {"epochs": 1, "batch_size": 32, "learning_rate": 0.1}
    with pytest.raises(IllPosedError, match=r"'m' asks for 40 clusters, but .* has 32 windows; lower clustering"):
        check(windows, clustered(budget=small))


def test_a_clustering_that_finds_their_number_is_asked_for_none(windows: Windows) -> None:
    found = {"name": "contrastive", "clustering": {"name": "dbscan", "clusters": 40}}
    assert check(windows, trained_with(found))["smallest_batch"] == len(windows.table) % 64


def test_pretraining_alone_refuses_them_too(windows: Windows, tmp_path: Path) -> None:
    """Other settings may have made the windows and the roles."""
    roles = roles_of(windows, protocol())
    small = clustered(budget={"epochs": 1, "batch_size": 32, "learning_rate": 0.1})
    with pytest.raises(IllPosedError, match="'m' asks for 40 clusters"):
        pretrain(windows, roles, small, tmp_path)
    assert not list(tmp_path.iterdir())


def test_pretraining_counts_its_processes(windows: Windows, tmp_path: Path) -> None:
    """Three of them share 41 windows as 13 each."""
    fits = clustered(budget={"epochs": 1, "batch_size": 41, "learning_rate": 0.1})
    assert check(windows, fits)["smallest_batch"] == 41
    three = ComputeSettings(device="cpu", machines=3)
    with pytest.raises(IllPosedError, match=r"40 clusters, but .* has 39 windows; .* or raise budget.batch_size"):
        pretrain(windows, roles_of(windows, fits), fits, tmp_path, three)
    with pytest.raises(IllPosedError, match=r"'m' has 2 windows to pre-train on, in 3 processes"):
        require_trainable(fits.pretraining_plan("m", 0), [2], windows.layout, 3, processes=3)


def test_an_unknown_augmentation_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'mirror'.*'noise', 'scaling', 'rotation'"):
        trained_with({"name": "contrastive", "views": [[{"name": "mirror"}], []]})


def test_an_unknown_objective_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'miracle'.*'contrastive'.*'moco'.*'untrained'"):
        trained_with({"name": "miracle"})


def test_a_last_batch_of_one_window_is_never_clustered(windows: Windows) -> None:
    total = len(windows.table)
    budget = {"epochs": 1, "batch_size": total - 1, "learning_rate": 0.1}
    assert check(windows, clustered(budget=budget))["smallest_batch"] == total - 1


def test_roles_of_fewer_repeats_are_noticed(windows: Windows, tmp_path: Path) -> None:
    roles = roles_of(windows, protocol())
    with pytest.raises(SplitError, match=r"no repeat 2 of split 'p'.* --tags=windowing"):
        pretrain(windows, roles, protocol(repeats=2), tmp_path)
