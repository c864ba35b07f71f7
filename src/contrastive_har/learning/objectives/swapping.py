"""SwAV: the cluster of one view is predicted from the others; clusters are found online, equally large in a batch."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from contrastive_har.learning.objectives.base import Step, StepResult
from contrastive_har.learning.objectives.two_views import TwoViews, directions
from contrastive_har.learning.objectives.views import Temperature, ViewsSettings
from contrastive_har.models.encoders import Encoder, EncoderSettings
from contrastive_har.signals.augmentations import Draws
from contrastive_har.signals.sensors import Layout


class SwAVSettings(ViewsSettings):
    """Swapped assignments of views (Caron et al. 2020, arXiv 2006.09882).

    Attributes:
        temperature: Divisor of the similarities of projections and prototypes.
        prototypes: Number of clusters; null takes three per activity, as published for ImageNet.
        smoothness: Divisor of those similarities in the assignment (epsilon): the higher, the softer.
        iterations: Iterations of Sinkhorn and Knopp's algorithm.
        frozen: Share of the training, at its start, in which the prototypes are not trained. Published: one epoch.
        crops: Number of further, shorter views, which are random pieces of views a and b in turn.
        crop_share: Length of such a piece, as a share of the window.
    """

    name: Literal["swav"] = "swav"
    projection: tuple[int, ...] = Field(default=(256, 128), min_length=1)
    projection_batch_norm: bool = True
    temperature: Temperature = 0.1
    prototypes: int | None = Field(default=None, gt=1)
    smoothness: Temperature = 0.05
    iterations: int = Field(default=3, gt=0)
    frozen: float = Field(default=0.1, ge=0, lt=1)
    crops: int = Field(default=4, ge=0)
    crop_share: float = Field(default=0.5, gt=0, le=1)

    def refusal(self, encoder: EncoderSettings) -> str | None:
        """Return why the encoder cannot be trained: it takes no pieces of windows."""
        if self.crops and not encoder.any_length:
            return (
                f"has shorter views, which the encoder '{encoder.name}' cannot embed as it is set; set crops: 0 or "
                "choose another encoder"
            )
        return super().refusal(encoder)

    def shortest_view(self, length: int) -> int:
        """Return the number of samples of a crop, if there are any."""
        return round(self.crop_share * length) if self.crops else length

    def build(self, encoder: Encoder, layout: Layout, classes: int) -> SwAV:
        """Return the objective that trains ``encoder``."""
        return SwAV(encoder, self, layout, classes)


class SwAV(TwoViews):
    """Predicts the assignment of each whole view to prototypes from every other view.

    Args:
        encoder: The encoder to train, along with a projection head and prototypes.
        settings: Views, projection head, prototypes and crops.
        layout: Layout of a window.
        classes: Number of activities.
    """

    def __init__(self, encoder: Encoder, settings: SwAVSettings, layout: Layout, classes: int) -> None:
        super().__init__(encoder, settings, layout)
        self.settings = settings
        self.prototypes = nn.Linear(settings.projection[-1], settings.prototypes or 3 * classes, bias=False)

    def loss(self, windows: Tensor, step: Step) -> StepResult:
        """Return the mean cross-entropy of ``windows`` (batch, time, channels), over pairs of views (eq. 2)."""
        settings = self.settings
        with torch.no_grad():
            self.prototypes.weight.copy_(functional.normalize(self.prototypes.weight, dim=1))
        weight = self.prototypes.weight
        if step.progress < settings.frozen:
            weight = weight.detach()
        draws = step.draws(windows)
        views = self.make_views_with(windows, step, draws)
        length = settings.shortest_view(windows.shape[1])
        views += [random_pieces(views[crop % 2], length, draws) for crop in range(settings.crops)]
        projections = [directions(self.embed_and_project, view, step) for view in views]
        similarities = [projection @ weight.T for projection in projections]
        losses = []
        for whole in range(2):
            codes = assign_equally(similarities[whole].detach() / settings.smoothness, settings.iterations)
            for other, similarity in enumerate(similarities):
                if other != whole:
                    predicted = (similarity / settings.temperature).log_softmax(1)
                    losses.append(-(codes * predicted).sum(1).mean())
        whole_views = torch.stack(projections[:2]).detach()
        return StepResult(torch.stack(losses).mean(), projections=whole_views)


def random_pieces(windows: Tensor, length: int, draws: Draws) -> Tensor:
    """Return a random piece (batch, ``length``, channels) of each of ``windows`` (batch, time, channels)."""
    places = windows.shape[1] - length + 1
    first = (draws.uniform(windows) * places).long().clamp(max=places - 1)  # the product may be rounded up
    samples = first[:, None] + torch.arange(length, device=windows.device)
    return windows.gather(1, samples[..., None].expand(-1, -1, windows.shape[2]))


def assign_equally(scores: Tensor, iterations: int) -> Tensor:
    """Return shares (batch, prototypes) of each window in each prototype, which add up to one for a window.

    Sinkhorn and Knopp's algorithm (eq. 3 to 5): exponentials of ``scores`` are divided by their sums over windows and
    over prototypes in turn, until prototypes have nearly equal shares of the batch.

    Args:
        scores: Scores (batch, prototypes).
        iterations: Number of iterations.
    """
    shares = (scores - scores.max()).exp()  # a common factor has no effect
    for _ in range(iterations):
        shares = shares / shares.sum(0)
        shares = shares / shares.sum(1, keepdim=True)
    return shares
