"""Self-attention against PyTorch's."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from contrastive_har.models.layers.attention import SelfAttention

STEPS = torch.randn(5, 11, 12, generator=torch.Generator().manual_seed(0))


def both() -> tuple[SelfAttention, nn.MultiheadAttention]:
    torch.manual_seed(1)
    theirs = nn.MultiheadAttention(12, 3, batch_first=True)
    ours = SelfAttention(12, 3, batch_first=True)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


@pytest.mark.parametrize("need_weights", [False, True])
def test_it_is_that_of_pytorch(need_weights: bool) -> None:
    ours, theirs = both()
    found, expected = (one(STEPS, STEPS, STEPS, need_weights=need_weights) for one in (ours, theirs))
    torch.testing.assert_close(found, expected)
    gradients = [
        torch.autograd.grad(outputs[0].square().sum(), one.in_proj_weight)[0]
        for outputs, one in ((found, ours), (expected, theirs))
    ]
    torch.testing.assert_close(*gradients)


def test_sums_over_steps_are_in_float32_without_matrix_units(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    original = nn.functional.scaled_dot_product_attention

    def watched(query: torch.Tensor, *others: torch.Tensor, **options: float) -> torch.Tensor:
        seen.append(query.dtype)
        return original(query, *others, **options)

    monkeypatch.setattr(nn.functional, "scaled_dot_product_attention", watched)
    ours, _ = both()
    for has_units in (False, True):
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda has_units=has_units: has_units)
        with torch.autocast("cpu", torch.bfloat16):
            attended, _ = ours(STEPS, STEPS, STEPS, need_weights=False)
        assert attended.dtype == torch.bfloat16
    assert seen == [torch.float32, torch.bfloat16]


def test_weights_are_dropped_in_training_only() -> None:
    ours, _ = both()
    ours.dropout = 0.5
    once, again = (ours(STEPS, STEPS, STEPS, need_weights=False)[0] for _ in range(2))
    assert not torch.equal(once, again)
    ours.eval()
    once, again = (ours(STEPS, STEPS, STEPS, need_weights=False)[0] for _ in range(2))
    assert torch.equal(once, again)
