"""The backbone: what it embeds is what its encoders make of their own normalised channels."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from contrastive_har.learning.pretraining.plans import BackboneSettings
from contrastive_har.models.backbone import Backbone, TrainedStages
from contrastive_har.models.encoders import Encoder, EncoderSettings
from contrastive_har.models.encoders.co_occurrence import CoOccurrenceSettings
from contrastive_har.models.encoders.conv_autoencoder import ConvAutoencoderSettings
from contrastive_har.models.encoders.conv_bins import ConvBinsSettings
from contrastive_har.models.encoders.conv_gru import ConvGRUSettings
from contrastive_har.models.encoders.deepconvlstm import DeepConvLSTMSettings
from contrastive_har.models.encoders.dilated_filters import DilatedFiltersSettings
from contrastive_har.models.encoders.hand_features import HandFeaturesSettings
from contrastive_har.models.encoders.ma_cnn import MACNNSettings
from contrastive_har.models.encoders.minirocket import MiniRocketSettings
from contrastive_har.models.encoders.spectral import SpectralSettings
from contrastive_har.models.encoders.tarnet import TARNet, TARNetSettings
from contrastive_har.models.encoders.that import THATSettings
from contrastive_har.models.encoders.tpn import TPNSettings
from contrastive_har.models.encoders.transformer import TransformerSettings
from contrastive_har.models.encoders.tst import TSTSettings
from contrastive_har.signals.sensors import Channel, Layout

LENGTH = 50
SMALL_TPN = TPNSettings(channels=(4, 5, 6), kernels=(5, 3, 3))
TARNET = TARNetSettings(channels=(8,), layers=2, heads=2, feedforward=8)
GRU = ConvGRUSettings(channels=(4, 5), hidden=7, layers=2)
ALL: dict[str, EncoderSettings] = {
    "tpn": SMALL_TPN,
    "companding tpn": SMALL_TPN.model_copy(update={"companding": 0.05}),
    "transformer": TransformerSettings(channels=(4, 8), kernels=(3, 3), layers=2, heads=2, feedforward=8),
    "deepconvlstm": DeepConvLSTMSettings(convolutions=2, width=5),
    "conv_autoencoder": ConvAutoencoderSettings(channels=(4, 5), latent=6),
    "conv_gru": GRU,
    "conv_bins": ConvBinsSettings(channels=(4, 5), kernels=(3, 5), differences=True, pooling="both"),
    "dilated_filters": DilatedFiltersSettings(filters=3, kernel=5, dilations=(1, 3)),
    "spectral": SpectralSettings(segment=10, hop=4, channels=(5, 4)),
    "co_occurrence": CoOccurrenceSettings(channels=(4, 26, 5, 6, 7, 8)),
    "ma_cnn": MACNNSettings(channels=(4, 5), hidden=6),
    "tst": TSTSettings(channels=(8,), layers=2, heads=2, feedforward=8),
    "that": THATSettings(temporal_layers=2, temporal_filters=5),
    "tarnet": TARNET,
}
CHANNELS = {"inertial": slice(0, 6), "pressure": slice(6, 7), "skeleton": slice(7, 11)}
STATISTICS = torch.linspace(-2, 3, 11), torch.linspace(0.5, 4, 11)


def raw(count: int = 5, width: int = 11) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return 3 * torch.randn(count, LENGTH, width, generator=generator) + torch.arange(width)


def layout(*modalities: str) -> Layout:
    channels = [
        Channel(name=f"{name}_{index}", unit="", sensor=None, modality=name)
        for name in modalities
        for index in range(CHANNELS[name].stop - CHANNELS[name].start)
    ]
    return Layout(length=LENGTH, channels=tuple(channels))


def make(**chosen: EncoderSettings) -> Backbone:
    """Return a backbone of some modalities, with the statistics of their channels, in evaluation mode."""
    torch.manual_seed(0)
    indices: list[int] = []
    encoders: dict[str, Encoder] = {}
    for name, settings in chosen.items():
        part = CHANNELS[name]
        indices += range(part.start, part.stop)
        width = part.stop - part.start
        pairs = tuple((channel, channel + 1) for channel in range(0, width - 1, 2))
        encoders[name] = settings.build(width, LENGTH, pairs)
    backbone = Backbone(encoders, layout(*chosen))
    backbone.set_normalisation(*(values[indices] for values in STATISTICS))
    return backbone.eval()


def literal_normalisation(windows: torch.Tensor) -> torch.Tensor:
    mean, deviation = STATISTICS
    parts = [(windows[:, :, channel] - mean[channel]) / deviation[channel] for channel in range(windows.shape[2])]
    return torch.stack(parts, dim=2)


@pytest.mark.parametrize("name", ALL)
def test_one_modality_is_its_encoder_on_normalised_windows(name: str) -> None:
    backbone = make(inertial=ALL[name])
    encoder = backbone.by_modality["inertial"]
    windows = raw(width=6)
    assert backbone.features == encoder.features
    torch.testing.assert_close(backbone.normalise(windows), literal_normalisation(windows))
    torch.testing.assert_close(backbone(windows), encoder(literal_normalisation(windows)))
    assert not torch.allclose(backbone(windows), encoder(windows))


def test_without_statistics_windows_stay_as_they_are() -> None:
    encoder = SMALL_TPN.build(6, LENGTH).eval()
    backbone = Backbone({"inertial": encoder}, layout("inertial"))
    assert torch.equal(backbone(raw(width=6)), encoder(raw(width=6)))


def test_modalities_stand_side_by_side() -> None:
    backbone = make(inertial=SMALL_TPN, pressure=GRU, skeleton=SMALL_TPN)
    windows = raw()
    normalised = literal_normalisation(windows)
    expected = [
        encoder(normalised[:, :, CHANNELS[name]].contiguous()) for name, encoder in backbone.by_modality.items()
    ]
    assert list(backbone.by_modality) == ["inertial", "pressure", "skeleton"]
    assert [part.shape for part in expected] == [(5, 6), (5, 7), (5, 6)]
    assert backbone.features == 6 + 7 + 6
    torch.testing.assert_close(backbone(windows), torch.cat(expected, dim=1))


def test_a_modality_does_not_see_the_others() -> None:
    backbone = make(inertial=SMALL_TPN, skeleton=GRU)
    windows = raw(width=10)
    changed = windows.clone()
    changed[..., 6:] += 1
    before, after = backbone(windows), backbone(changed)
    assert torch.equal(after[:, :6], before[:, :6])
    assert not torch.isclose(after[:, 6:], before[:, 6:]).all(dim=1).any()


@pytest.mark.parametrize(
    ("wanted", "channels", "features"),
    [
        (["inertial"], [*range(6)], [*range(6)]),
        (["pressure"], [6], [*range(6, 13)]),
        (["skeleton"], [*range(7, 11)], [*range(13, 19)]),
        (["pressure", "skeleton"], [*range(6, 11)], [*range(6, 19)]),
        (["skeleton", "inertial"], [*range(6), *range(7, 11)], [*range(6), *range(13, 19)]),
        (["inertial", "pressure", "skeleton"], [*range(11)], [*range(19)]),
    ],
)
def test_only_some_modalities_are_their_part_of_the_embedding(
    wanted: list[str], channels: list[int], features: list[int]
) -> None:
    """Its windows have the channels of these modalities only, in the order of the whole, however they are named."""
    backbone = make(inertial=SMALL_TPN, pressure=GRU, skeleton=SMALL_TPN)
    part = backbone.only(wanted)
    windows = raw()
    assert part.features == len(features)
    assert not part.training
    torch.testing.assert_close(part(windows[..., channels]), backbone(windows)[:, features])
    torch.testing.assert_close(part.mean, STATISTICS[0][channels])
    torch.testing.assert_close(part.deviation, STATISTICS[1][channels])


def test_only_some_modalities_share_the_encoders() -> None:
    backbone = make(inertial=SMALL_TPN, skeleton=GRU).train()
    part = backbone.only(["skeleton"])
    assert part.training
    assert part.by_modality["skeleton"] is backbone.by_modality["skeleton"]
    assert [name for name in part.state_dict() if name.startswith("encoders.")] == [
        f"encoders.0.{name}" for name in backbone.by_modality["skeleton"].state_dict()
    ]
    with torch.no_grad():
        for parameter in part.parameters():
            parameter.zero_()
    assert not any(parameter.any() for parameter in backbone.by_modality["skeleton"].parameters())
    assert any(parameter.any() for parameter in backbone.by_modality["inertial"].parameters())


@pytest.mark.parametrize("trained", [0, 1, 2, 3, 4, 9, "all"])
@pytest.mark.parametrize("name", ALL)
def test_frozen_and_trained_stages_are_the_whole(name: str, trained: TrainedStages) -> None:
    backbone = make(inertial=ALL[name])
    windows = raw(width=6)
    activations = backbone.begin(windows, trained)
    assert list(activations) == ["inertial"]
    assert len(activations["inertial"]) == len(windows)
    torch.testing.assert_close(backbone.finish(activations, trained), backbone(windows))


@pytest.mark.parametrize("trained", [0, 1, 2, 3, 5, "all"])
def test_frozen_and_trained_stages_of_several_modalities_are_the_whole(trained: TrainedStages) -> None:
    """Three stages, four and one: each encoder trains its own last ones."""
    lstm = DeepConvLSTMSettings(convolutions=2, width=5)
    backbone = make(inertial=SMALL_TPN, pressure=TPNSettings(channels=(4,), kernels=(3,)), skeleton=lstm)
    depths = {name: encoder.depth for name, encoder in backbone.by_modality.items()}
    assert depths == {"inertial": 3, "pressure": 1, "skeleton": 4}
    windows = raw()
    torch.testing.assert_close(backbone.finish(backbone.begin(windows, trained), trained), backbone(windows))
    expected = [
        stage
        for encoder in backbone.by_modality.values()
        for index, stage in enumerate(encoder.stages)
        if trained == "all" or index >= encoder.depth - trained
    ]
    assert [id(stage) for stage in backbone.trained(trained)] == [id(stage) for stage in expected]


@pytest.mark.parametrize("name", [name for name in ALL if name != "tarnet"])
def test_most_encoders_add_no_loss_and_draw_nothing_for_it(name: str) -> None:
    backbone = make(inertial=ALL[name]).train()
    activations = backbone.begin(raw(width=6), "all")
    state = torch.get_rng_state()
    assert backbone.auxiliary_loss(activations, "all") is None
    assert torch.equal(torch.get_rng_state(), state)


def test_losses_are_added_up_over_encoders_that_are_trained_whole() -> None:
    one, two, tpn = TARNET, TARNET.model_copy(update={"layers": 3}), SMALL_TPN
    backbone = make(inertial=one, pressure=tpn, skeleton=two)
    activations = backbone.begin(raw(), "all")
    torch.manual_seed(0)
    encoders = {name: encoder for name, encoder in backbone.by_modality.items() if isinstance(encoder, TARNet)}
    expected = {name: encoder.auxiliary_loss(activations[name]) for name, encoder in encoders.items()}
    for trained, losses in (("all", ["inertial", "skeleton"]), (4, ["inertial", "skeleton"]), (3, ["inertial"])):
        torch.manual_seed(0)
        found = backbone.auxiliary_loss(activations, trained)
        torch.testing.assert_close(found, torch.stack([expected[name] for name in losses]).sum())
    for trained in (0, 1, 2):
        assert backbone.auxiliary_loss(backbone.begin(raw(), trained), trained) is None


def test_a_state_has_the_statistics_and_every_encoder() -> None:
    backbone, other = (make(inertial=SMALL_TPN, skeleton=GRU) for _ in range(2))
    with torch.no_grad():
        for value in other.state_dict().values():
            value += 1
    assert not torch.allclose(other(raw(width=10)), backbone(raw(width=10)))
    other.load_state_dict(backbone.state_dict())
    assert torch.equal(other(raw(width=10)), backbone(raw(width=10)))
    assert {name.partition(".")[0] for name in backbone.state_dict()} == {"mean", "deviation", "encoders"}


def test_windows_too_short_for_one_modality_name_the_cure() -> None:
    backbone = make(inertial=SMALL_TPN, skeleton=TPNSettings(channels=(4,), kernels=(20,)))
    assert backbone(raw(width=10)[:, :20]).shape == (5, 10)
    with pytest.raises(ValueError, match=r"Windows of 19 samples .* which needs 20\. Lengthen windows\.length"):
        backbone(raw(width=10)[:, :19])


@pytest.mark.parametrize("wanted", [["sceleton"], ["inertial", "sceleton"], []])
def test_modalities_that_it_does_not_have_are_refused(wanted: list[str]) -> None:
    """Else a misspelled one is left out without a word."""
    backbone = make(inertial=SMALL_TPN, skeleton=GRU)
    with pytest.raises(ValueError, match=r"modalities .*inertial, skeleton"):
        backbone.only(wanted)


def beside(*settings: EncoderSettings, encoder: EncoderSettings = SMALL_TPN) -> Backbone:
    """Return a calibrated backbone of two modalities with features beside each embedding, in evaluation mode."""
    torch.manual_seed(0)
    backbone = BackboneSettings(encoder=encoder, beside=settings).build(layout("inertial", "pressure"))
    backbone.set_normalisation(STATISTICS[0][:7], STATISTICS[1][:7])
    backbone.calibrate(raw(40, 7))
    return backbone.eval()


def test_features_beside_an_embedding_are_those_of_their_encoders() -> None:
    hand, rocket = HandFeaturesSettings(), MiniRocketSettings(size=84)
    windows = raw(5, 7)
    both = beside(hand, rocket)
    parts = [both.by_modality[name](both.normalise(windows)[..., CHANNELS[name]]) for name in ("inertial", "pressure")]
    widths = [part.shape[1] for part in parts]
    found = both(windows)
    assert both.features == found.shape[1] == sum(both.widths)
    for name, part, of_modality in zip(("inertial", "pressure"), parts, found.split(both.widths, dim=1), strict=True):
        torch.testing.assert_close(of_modality[:, : part.shape[1]], part)
        alone = both.only([name])
        torch.testing.assert_close(of_modality, alone(windows[..., CHANNELS[name]]))
    only_hand = beside(encoder=hand)
    for index, width in enumerate(only_hand.widths):
        own = found.split(both.widths, dim=1)[index][:, widths[index] : widths[index] + width]
        torch.testing.assert_close(own, only_hand(windows).split(only_hand.widths, dim=1)[index])


def test_features_beside_an_embedding_are_of_windows_in_their_units() -> None:
    """Hand features take windows as measured, whatever the statistics of the backbone."""
    windows = raw(5, 7)
    backbone = beside(HandFeaturesSettings())
    before = backbone(windows)
    learned = backbone.by_modality["inertial"].features
    backbone.set_normalisation(torch.zeros(7), torch.ones(7))
    torch.testing.assert_close(
        backbone(windows)[:, learned : backbone.widths[0]], before[:, learned : backbone.widths[0]]
    )
    assert not torch.allclose(backbone(windows)[:, :learned], before[:, :learned])


@pytest.mark.parametrize("trained", [0, 1, 2, "all"])
def test_stages_are_frozen_beside_features_too(trained: TrainedStages) -> None:
    backbone, windows = beside(HandFeaturesSettings()), raw(5, 7)
    activations = backbone.begin(windows, trained)
    assert list(activations) == list(backbone.parts)
    torch.testing.assert_close(backbone.finish(activations, trained), backbone(windows))
    stages = {name for stage in backbone.trained(trained) for name, _ in stage.named_parameters()}
    assert bool(stages) == (trained != 0)


def test_encoders_that_learn_do_not_stand_beside_another() -> None:
    with pytest.raises(ValidationError, match="'tpn' learns"):
        BackboneSettings(beside=(SMALL_TPN,))
