"""Heads against literal transcriptions of what they compute, and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter
from sklearn import linear_model as reference
from torch import nn
from torch.nn import functional

from contrastive_har.models.heads import BaseHeadSettings, HeadSettings
from contrastive_har.models.heads.boosted_trees import BoostedTreesSettings
from contrastive_har.models.heads.hierarchical import HierarchicalSettings
from contrastive_har.models.heads.late_fusion import LateFusion, LateFusionSettings
from contrastive_har.models.heads.linear import LinearSettings
from contrastive_har.models.heads.logistic import LogisticSettings
from contrastive_har.models.heads.mlp import MLP, MLPSettings
from contrastive_har.models.heads.ridge import Ridge, RidgeSettings

NAMES = ("walk", "walk upstairs", "sit", "stand")
CLASSES = len(NAMES)
HIERARCHICAL = HierarchicalSettings(groups={"static": ("sit", "stand"), "dynamic": ("walk", "walk upstairs")})


def examples(count: int, width: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Features around one centre per class, not centred themselves, and class indices."""
    generator = torch.Generator().manual_seed(seed)
    targets = torch.arange(count) % CLASSES
    centres = torch.randn(CLASSES, width, generator=generator)
    noise = torch.randn(count, width, generator=generator)
    return 3 + centres[targets] + noise, targets


@pytest.mark.parametrize(
    "settings",
    [
        LinearSettings(),
        MLPSettings(),
        LogisticSettings(),
        RidgeSettings(penalty=2),
        LateFusionSettings(head=LogisticSettings(inverse_penalty=2)),
        BoostedTreesSettings(rounds=3, depth=2),
        HIERARCHICAL,
    ],
)
def test_a_head_is_chosen_by_name(settings: BaseHeadSettings) -> None:
    read = TypeAdapter(HeadSettings).validate_python(settings.model_dump())
    assert read == settings
    assert read.build(5, NAMES)(torch.randn(7, 5)).shape == (7, CLASSES)


def test_the_linear_head_is_a_linear_layer_trained_by_cross_entropy() -> None:
    torch.manual_seed(0)
    head = LinearSettings().build(5, NAMES)
    features, targets = examples(9, 5)
    weight, bias = (head.state_dict()[f"linear.{name}"].double().numpy() for name in ("weight", "bias"))
    assert weight.shape == (CLASSES, 5)
    assert np.abs(weight).max() <= (6 / (5 + CLASSES)) ** 0.5
    assert not bias.any()
    scores = features.double().numpy() @ weight.T + bias
    np.testing.assert_allclose(head(features).detach(), scores, rtol=1e-5, atol=1e-5)
    chances = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    expected = -np.mean([np.log(row[target]) for row, target in zip(chances, targets.tolist(), strict=True)])
    assert head.loss(features, targets).item() == pytest.approx(expected, rel=1e-5)


def test_the_mlp_head_rectifies_and_drops_each_hidden_layer_and_not_the_last() -> None:
    torch.manual_seed(0)
    head = MLPSettings(hidden=(7, 6), dropout=0.25).build(5, NAMES)
    kinds = [nn.Linear, nn.ReLU, nn.Dropout, nn.Linear, nn.ReLU, nn.Dropout, nn.Linear]
    assert [type(layer) for layer in head.layers] == kinds
    assert {layer.p for layer in head.layers if isinstance(layer, nn.Dropout)} == {0.25}
    features, targets = examples(9, 5)
    head.eval()
    layers = [layer for layer in head.layers if isinstance(layer, nn.Linear)]
    activations = features.double().numpy()
    for index, layer in enumerate(layers):
        activations = activations @ layer.weight.detach().double().numpy().T + layer.bias.detach().double().numpy()
        if index < 2:
            activations = np.maximum(activations, 0)
    np.testing.assert_allclose(head(features).detach(), activations, rtol=1e-4, atol=1e-5)
    expected = functional.cross_entropy(torch.from_numpy(activations), targets)
    assert head.loss(features, targets).item() == pytest.approx(expected.item(), rel=1e-5)
    head.train()
    assert not torch.equal(head(features), head(features)), "it drops in training"


def test_the_mlp_head_learns_what_no_linear_one_can() -> None:
    corners = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    targets = torch.tensor([0, 1, 1, 0])
    accuracies = []
    for settings in (MLPSettings(hidden=(16,), dropout=0), LinearSettings()):
        torch.manual_seed(0)
        head = settings.build(2, ["same", "different"])
        optimiser = torch.optim.Adam(head.parameters(), lr=0.05)
        for _ in range(200):
            optimiser.zero_grad()
            head.loss(corners, targets).backward()
            optimiser.step()
        accuracies.append((head(corners).argmax(1) == targets).double().mean().item())
    assert accuracies[0] == 1 > accuracies[1]


def literal_ridge(features: np.ndarray, targets: np.ndarray, penalty: float) -> tuple[np.ndarray, np.ndarray]:
    """(X'X + penalty I)^-1 X'Y of centred X and Y, one class after the other."""
    centre = features.mean(axis=0)
    centred = features - centre
    weights, biases = [], []
    for index in range(CLASSES):
        signs = np.array([1.0 if target == index else -1.0 for target in targets])
        inverse = np.linalg.inv(centred.T @ centred + penalty * np.eye(features.shape[1]))
        weight = inverse @ centred.T @ (signs - signs.mean())
        weights.append(weight)
        biases.append(signs.mean() - centre @ weight)
    return np.stack(weights, axis=1), np.array(biases)


@pytest.mark.parametrize("penalty", [0.1, 1.0, 30.0])
@pytest.mark.parametrize(("count", "width"), [(50, 6), (12, 12), (10, 30)])
def test_the_ridge_head_is_its_closed_form_and_scikit_learns(count: int, width: int, penalty: float) -> None:
    features, targets = examples(count, width)
    head = RidgeSettings(penalty=penalty).build(width, NAMES)
    assert not head(features).any(), "nothing has been fitted"
    head.fit(features, targets)
    weight, bias = literal_ridge(features.double().numpy(), targets.numpy(), penalty)
    np.testing.assert_allclose(head.weight, weight, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(head.bias, bias, rtol=1e-4, atol=1e-5)
    signs = np.where(targets.numpy()[:, None] == np.arange(CLASSES), 1.0, -1.0)
    theirs = reference.Ridge(alpha=penalty, solver="svd").fit(features.double().numpy(), signs)
    np.testing.assert_allclose(head.weight, theirs.coef_.T, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(head.bias, theirs.intercept_, rtol=1e-4, atol=1e-5)
    unseen, _ = examples(20, width, seed=1)
    np.testing.assert_allclose(head(unseen), theirs.predict(unseen.double().numpy()), rtol=1e-3, atol=1e-4)
    classifier = reference.RidgeClassifier(alpha=penalty, solver="svd").fit(features.double().numpy(), targets.numpy())
    np.testing.assert_array_equal(head(unseen).argmax(1), classifier.predict(unseen.double().numpy()))


def test_the_ridge_head_takes_the_penalty_of_the_least_leave_one_out_error() -> None:
    features, targets = examples(30, 20)
    penalties = (0.01, 30.0, 1e4)
    signs = np.where(targets.numpy()[:, None] == np.arange(CLASSES), 1.0, -1.0)
    errors = []
    for penalty in penalties:
        of_penalty = []
        for left_out in range(30):
            kept = np.arange(30) != left_out
            weight, bias = literal_ridge(features.double().numpy()[kept], targets.numpy()[kept], penalty)
            of_penalty.append((features.double().numpy()[left_out] @ weight + bias - signs[left_out]) ** 2)
        errors.append(np.mean(of_penalty))
    assert np.argmin(errors) == 1, "neither end, or the test shows nothing"
    chosen = RidgeSettings(penalty=penalties).build(20, NAMES)
    chosen.fit(features, targets)
    weight, bias = literal_ridge(features.double().numpy(), targets.numpy(), penalties[1])
    np.testing.assert_allclose(chosen.weight, weight, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(chosen.bias, bias, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("width", [5, 200])
def test_the_logistic_head_has_the_least_penalised_loss(width: int) -> None:
    """At the minimum, the gradient of the cross-entropy, summed, plus that of the penalty is zero."""
    features, targets = examples(60, width)
    head = LogisticSettings(inverse_penalty=0.5).build(width, NAMES)
    head.fit(features, targets)
    chances = torch.softmax(head(features).double(), dim=1)
    wanted = functional.one_hot(targets, CLASSES).double()
    gradient = features.double().T @ (chances - wanted) + head.weight.double() / 0.5
    assert gradient.abs().max() < 0.02
    assert (chances - wanted).sum(0).abs().max() < 0.02, "the biases have no penalty"
    assert not list(head.parameters())


@pytest.mark.parametrize("present", [(2,), (0, 3), (0, 1, 3)])
def test_the_logistic_head_never_predicts_a_class_without_a_label(present: tuple[int, ...]) -> None:
    features, targets = examples(80, 5)
    shown = torch.isin(targets, torch.tensor(present))
    head = LogisticSettings().build(5, NAMES)
    head.fit(features[shown], targets[shown])
    chances = head(features).softmax(1)
    assert not chances[:, [index for index in range(CLASSES) if index not in present]].any()
    if len(present) > 1:
        theirs = reference.LogisticRegression(C=1.0, max_iter=2000)
        theirs.fit(features[shown].double().numpy(), targets[shown].numpy())
        expected = theirs.predict_proba(features.double().numpy())
        np.testing.assert_allclose(chances[:, list(present)], expected, atol=1e-4)


def test_the_ridge_head_knows_classes_without_examples() -> None:
    features, targets = examples(30, 6)
    head = RidgeSettings().build(6, [*NAMES, "never seen"])
    head.fit(features, targets)
    torch.testing.assert_close(head(features)[:, CLASSES], torch.full((30,), -1.0))
    assert (head(features).argmax(1) < CLASSES).all()


def test_a_fitted_ridge_head_survives_storage_and_has_nothing_to_train() -> None:
    features, targets = examples(30, 6)
    head = RidgeSettings().build(6, NAMES)
    head.fit(features, targets)
    assert not list(head.parameters())
    again = Ridge(6, CLASSES, RidgeSettings())
    again.load_state_dict(head.state_dict())
    assert torch.equal(again(features), head(features))


@pytest.mark.parametrize("settings", [LinearSettings(), MLPSettings(), HIERARCHICAL])
def test_a_head_that_is_trained_by_gradient_is_not_fitted(settings: BaseHeadSettings) -> None:
    head = settings.build(5, NAMES)
    assert not settings.fitted
    assert RidgeSettings().fitted
    before = {name: value.clone() for name, value in head.state_dict().items()}
    with pytest.raises(TypeError, match=f"{type(head).__name__} is trained by gradient"):
        head.fit(*examples(9, 5))
    assert all(torch.equal(value, before[name]) for name, value in head.state_dict().items())


FUSED = [LinearSettings(), MLPSettings(hidden=(6,), dropout=0), LogisticSettings()]
WIDTHS = (3, 2, 4)


def fused(settings: BaseHeadSettings) -> LateFusion:
    torch.manual_seed(0)
    head = LateFusionSettings.model_validate({"head": settings.model_dump()}).build_for(WIDTHS, NAMES)
    if settings.fitted:
        head.fit(*examples(60, sum(WIDTHS)))
    return head


@pytest.mark.parametrize("settings", FUSED)
def test_late_fusion_averages_the_probabilities_of_one_head_per_modality(settings: BaseHeadSettings) -> None:
    head = fused(settings)
    features, targets = examples(11, sum(WIDTHS), seed=1)
    chances, losses = [], []
    start = 0
    for one, width in zip(head.heads, WIDTHS, strict=True):
        part = features[:, start : start + width]
        chances.append(one(part).softmax(1))
        losses.append(functional.cross_entropy(one(part), targets).item())
        start += width
    torch.testing.assert_close(head(features).softmax(1), torch.stack(chances).mean(0))
    assert head.loss(features, targets).item() == pytest.approx(sum(losses), rel=1e-5), "each learns by itself"


def test_late_fusion_fits_each_head_to_its_own_features() -> None:
    head = fused(LogisticSettings())
    features, targets = examples(60, sum(WIDTHS))
    for one, part in zip(head.heads, features.split(WIDTHS, dim=1), strict=True):
        alone = LogisticSettings().build(part.shape[1], NAMES)
        alone.fit(part, targets)
        torch.testing.assert_close(one(part), alone(part))


def test_a_modality_does_not_move_the_head_of_another() -> None:
    head = fused(LinearSettings())
    features, targets = examples(9, sum(WIDTHS))
    head.loss(features, targets).backward()
    first = [one.linear.weight.grad.clone() for one in head.heads]  # type: ignore[union-attr, operator]
    head.zero_grad()
    other = features.clone()
    other[:, WIDTHS[0] :] += 1
    head.loss(other, targets).backward()
    second = [one.linear.weight.grad for one in head.heads]  # type: ignore[union-attr]
    assert [torch.equal(a, b) for a, b in zip(first, second, strict=True)] == [True, False, False]


def test_late_fusion_of_a_single_modality_is_its_head() -> None:
    torch.manual_seed(0)
    head = LateFusionSettings().build(5, NAMES)
    features, _ = examples(9, 5)
    torch.testing.assert_close(head(features).softmax(1), head.heads[0](features).softmax(1))
    assert not LateFusionSettings().fitted
    assert LateFusionSettings(head=LogisticSettings()).fitted


def test_a_head_whose_scores_are_no_log_probabilities_is_not_fused() -> None:
    for inner in ("ridge", "late_fusion"):
        with pytest.raises(ValueError, match=inner):
            TypeAdapter(HeadSettings).validate_python({"name": "late_fusion", "head": {"name": inner}})


def test_impossible_heads_are_refused() -> None:
    for settings in (
        {"name": "ridge", "penalty": 0},
        {"name": "mlp", "hidden": []},
        {"name": "mlp", "dropout": 1},
        {"name": "boosted_trees", "depth": 40},
    ):
        with pytest.raises(ValueError, match=settings["name"]):
            TypeAdapter(HeadSettings).validate_python(settings)
    with pytest.raises(ValueError, match="nope"):
        TypeAdapter(HeadSettings).validate_python({"name": "nope"})
    assert isinstance(MLPSettings().build(5, NAMES), MLP)


@pytest.mark.parametrize(
    "settings",
    [
        LogisticSettings(inverse_penalty=0.3),
        RidgeSettings(penalty=2.0),
        LateFusionSettings(head=LogisticSettings()),
        BoostedTreesSettings(rounds=3, depth=2),
    ],
)
def test_a_window_that_weighs_twice_counts_as_two(settings: BaseHeadSettings) -> None:
    features, targets = examples(60, 5)
    twice = torch.arange(60) < 20
    weighted, repeated = (settings.build_for([2, 3], NAMES) for _ in range(2))
    weighted.fit(features, targets, 1.0 + twice)
    repeated.fit(torch.cat([features, features[twice]]), torch.cat([targets, targets[twice]]))
    torch.testing.assert_close(weighted(features).softmax(1), repeated(features).softmax(1), atol=5e-3, rtol=0)
    plain = settings.build_for([2, 3], NAMES)
    plain.fit(features, targets)
    assert not torch.allclose(plain(features).softmax(1), weighted(features).softmax(1), atol=1e-3)


@pytest.mark.parametrize(
    "settings",
    [
        LogisticSettings(inverse_penalty=0.3),
        LogisticSettings(standardise=True),
        RidgeSettings(penalty=2.0),
        LateFusionSettings(head=LogisticSettings()),
        BoostedTreesSettings(rounds=3, depth=2),
    ],
)
@pytest.mark.parametrize(("earlier", "later"), [((0, 1), (0, 1)), ((0, 2), (0, 1, 2, 3)), ((0, 1, 2, 3), (1, 3))])
@pytest.mark.parametrize("width", [5, 200])
def test_a_head_that_is_fitted_again_is_as_one_that_was_not(
    settings: BaseHeadSettings, earlier: tuple[int, ...], later: tuple[int, ...], width: int
) -> None:
    features, targets = examples(60, width)
    first, again = (torch.isin(targets, torch.tensor(some)) for some in (earlier, later))
    refitted, fresh = (settings.build_for([2, width - 2], NAMES) for _ in range(2))
    refitted.fit(features[first] + 1, targets[first])
    for head in (refitted, fresh):
        head.fit(features[again], targets[again])
    torch.testing.assert_close(refitted(features).softmax(1), fresh(features).softmax(1), atol=5e-3, rtol=0)


def test_a_regression_that_is_fitted_again_takes_fewer_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = []

    class Counted(reference.LogisticRegression):
        def fit(self, *arguments: object, **options: object) -> Counted:
            fitted = super().fit(*arguments, **options)
            steps.append(int(self.n_iter_[0]))
            return fitted

    monkeypatch.setattr("sklearn.linear_model.LogisticRegression", Counted)
    features, targets = examples(200, 20)
    head = LogisticSettings(standardise=True).build(20, NAMES)
    head.fit(features[:190], targets[:190])
    head.fit(features, targets)
    assert steps[1] < 0.8 * steps[0]


def test_a_standardised_regression_does_not_depend_on_units() -> None:
    features, targets = examples(60, 5)
    scale, shift = torch.tensor([1e-3, 1.0, 50.0, 2.0, 1e3]), torch.arange(5.0)
    features[:, 3] = 4.0  # constant
    for standardise in (True, False):
        settings = LogisticSettings(standardise=standardise)
        first, second = settings.build(5, NAMES), settings.build(5, NAMES)
        first.fit(features, targets)
        second.fit(features * scale + shift, targets)
        same = torch.allclose(first(features).softmax(1), second(features * scale + shift).softmax(1), atol=2e-3)
        assert same == standardise


def test_a_standardised_regression_is_scikit_learns_of_z_scores() -> None:
    features, targets = examples(60, 5)
    head = LogisticSettings(inverse_penalty=0.5, standardise=True).build(5, NAMES)
    head.fit(features, targets)
    z_scores = ((features - features.mean(0)) / features.std(0, correction=0)).double().numpy()
    expected = reference.LogisticRegression(C=0.5, max_iter=2000).fit(z_scores, targets.numpy())
    np.testing.assert_allclose(head(features).softmax(1).numpy(), expected.predict_proba(z_scores), atol=1e-3)


def test_variants_are_the_settings_to_choose_from() -> None:
    settings = LogisticSettings(inverse_penalty=(1, 0.1))
    assert list(settings.variants) == [LogisticSettings(inverse_penalty=1), LogisticSettings(inverse_penalty=0.1)]
    fused = LateFusionSettings(head=settings)
    assert [one.head for one in fused.variants] == list(settings.variants)
    assert list(RidgeSettings().variants) == [RidgeSettings()]
