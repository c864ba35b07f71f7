"""The preview of augmentations: lines of sensors, stick figures of skeletons."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from contrastive_har.pipelines.augmentation.nodes import preview_views
from contrastive_har.protocols import ViewsPlan
from contrastive_har.reports.figures import draw_views
from contrastive_har.scores.statistics import ReportSettings
from contrastive_har.signals.augmentations import ALL_AUGMENTATIONS, BodyScaling, CropResize, Noise, Rotation
from contrastive_har.signals.descriptions import DatasetDescription
from contrastive_har.signals.sensors import Layout
from contrastive_har.signals.windows import Windows

JOINTS = {"head": (0, 1.8), "hips": (0, 1.0), "left_foot": (-0.2, 0), "right_foot": (0.2, 0)}
SKELETON: dict[str, Any] = {
    "centre": "hips",
    "reference": ("head", "hips"),
    "bones": [("head", "hips"), ("hips", "left_foot"), ("hips", "right_foot")],
    "limbs": {"left leg": ("hips", "left_foot"), "right leg": ("hips", "right_foot")},
}


def windows_of(**skeleton: Any) -> Windows:
    """Two activities of a heart rate and of a body (across, up, depth) that walks sideways."""
    body = {joint: {"unit": "m", "channels": [f"{joint}_{axis}" for axis in "xyz"]} for joint in JOINTS}
    description = DatasetDescription.model_validate(
        {
            "name": "walks",
            "title": "Walks",
            "sampling_rate_hz": 10,
            "activities": {0: "walk", 1: "run"},
            "modalities": {"heart": {"monitor": {"unit": "1/min", "channels": ["rate"]}}, "body": body},
            "skeletons": {"body": {**SKELETON, **skeleton}},
        }
    )
    signals = np.random.default_rng(0).normal(size=(2, 21, 13)).astype(np.float32)
    for index, position in enumerate(JOINTS.values()):
        signals[..., 1 + 3 * index : 4 + 3 * index] = [*position, 2]
        signals[..., 1 + 3 * index] += np.arange(21) / 10
    arrays = Windows.from_arrays(signals, np.array([0, 1]), ["walk", "run"], description.channels)
    return Windows(description, 21, 21, arrays.table, signals)


def titles_of(figure: Figure, modality: int) -> list[str]:
    """Names of a modality's views, beside their rows."""
    shown = [axis.get_ylabel().replace("\n", " ") for axis in figure.subfigs[modality].axes]
    return [name for name in shown if name]


def bones_of(axis: Axes) -> np.ndarray:
    """Ends of the bones: (bones, frames, ends, 2), without the offsets of the frames."""
    lines = np.array([line.get_xydata() for line in axis.lines]).reshape(3, 5, 2, 2)
    lines[..., 0] -= axis.get_xticks()[:, None]
    return lines


def test_each_modality_has_the_views_that_its_layout_allows() -> None:
    windows = windows_of()
    views = ((Rotation(degrees=30),), (CropResize(low=0.7), BodyScaling()), (Noise(),))
    plan = ViewsPlan(views={"other": views}, seed=1)
    figure = preview_views(windows, plan, ReportSettings())
    heart, body = (titles_of(figure, modality) for modality in (0, 1))
    names = [augment.name for augment in ALL_AUGMENTATIONS]
    of_bodies = {"body_scaling", "body_rotation", "shear", "joint_dropout", "limb_dropout"}
    refused = {"rotation", "channel_shuffle", *of_bodies}
    assert heart == ["as recorded", *(name for name in names if name not in refused)]
    assert body == ["as recorded", *names, "rotation degrees 30.0", "crop_resize low 0.7 + body_scaling"]
    figure.canvas.draw()
    boxes = [axis.title.get_window_extent() for axis in figure.subfigs[0].axes if axis.get_title()]
    assert boxes
    assert all(left.x1 <= right.x0 for left, right in pairwise(boxes)), "titles do not overlap"


@pytest.mark.parametrize("upward", [True, False])
def test_bodies_stand_upright_in_their_unit_of_length(upward: bool) -> None:
    windows = windows_of(upward=upward)
    if not upward:
        windows.signals[..., 2::3] *= -1
    figure = preview_views(windows, ViewsPlan(views={"other": ()}, seed=1), ReportSettings(preview_windows=1))
    axis = figure.subfigs[1].axes[0]
    head, left, right = bones_of(axis).transpose(0, 2, 1, 3)
    np.testing.assert_allclose(head[0], [[0, 1]] * 5, atol=1e-5)
    np.testing.assert_allclose(head[1], [[0, 0]] * 5, atol=1e-5)
    np.testing.assert_allclose(left[1], [[-0.25, -1.25]] * 5, atol=1e-5)
    np.testing.assert_allclose(right[1], [[0.25, -1.25]] * 5, atol=1e-5)
    assert axis.get_aspect() == 1
    assert axis.get_ylim()[0] < axis.get_ylim()[1]
    assert [label.get_text() for label in figure.subfigs[1].axes[-1].get_xticklabels()] == [
        "0.0",
        "0.5",
        "1.0",
        "1.5",
        "2.0",
    ]
    colours = [line.get_color() for line in axis.lines]
    assert len(set(map(str, colours))) == 3, "the trunk and each limb"
    assert [text.get_text() for text in figure.subfigs[1].legends[0].get_texts()] == ["left leg", "right leg"]


def test_bodies_share_one_scale_and_stay_inside_their_panels() -> None:
    figure = preview_views(windows_of(), ViewsPlan(views={"other": ()}, seed=1), ReportSettings(preview_windows=1))
    panels = figure.subfigs[1].axes
    assert len({round(float(np.ptp(axis.get_ylim())), 5) for axis in panels}) == 1
    for axis in panels:
        heights = bones_of(axis)[..., 1]
        assert axis.get_ylim()[0] <= heights.min() < heights.max() <= axis.get_ylim()[1]


def test_a_vertical_first_coordinate_is_drawn_upwards() -> None:
    windows = windows_of(vertical=0)
    exchanged = windows.signals.copy()
    exchanged[..., 1::3], exchanged[..., 2::3] = windows.signals[..., 2::3], windows.signals[..., 1::3]
    windows.signals[:] = exchanged
    figure = preview_views(windows, ViewsPlan(views={"other": ()}, seed=1), ReportSettings(preview_windows=1))
    expected = preview_views(windows_of(), ViewsPlan(views={"other": ()}, seed=1), ReportSettings(preview_windows=1))
    drawn, wanted = (bones_of(one.subfigs[1].axes[0]) for one in (figure, expected))
    # Here the body walks upwards.
    np.testing.assert_allclose(drawn[..., 0], wanted[..., 0], atol=1e-5)
    np.testing.assert_allclose(drawn[:, 0], wanted[:, 0], atol=1e-5)


def test_joints_without_bones_are_dots() -> None:
    figure = preview_views(
        windows_of(bones=(), limbs={}), ViewsPlan(views={"other": ()}, seed=1), ReportSettings(preview_windows=1)
    )
    (dots,) = figure.subfigs[1].axes[0].lines
    assert dots.get_linestyle() == "None"
    assert len(dots.get_xydata()) == 5 * len(JOINTS)
    figure.canvas.draw()


def test_of_many_channels_a_dozen_are_drawn() -> None:
    views = {"inertial": {"as recorded": np.zeros((1, 10, 60), np.float32)}}
    figure = draw_views(views, Layout.anonymous(10, 60), ["walk"], 50)
    assert len(figure.subfigs[0].axes[0].lines) == 12
    assert figure.subfigs[0].legends[0].get_texts()[-1].get_text() == "48 further channels are not shown"
    figure.canvas.draw()
