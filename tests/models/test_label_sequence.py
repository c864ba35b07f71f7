"""The label-sequence head against exhaustive scoring, a literal transcription of its loss, and published sizes."""

from __future__ import annotations

import math
import subprocess
import sys
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from contrastive_har.models.encoders.conv_bins import ConvBinsSettings
from contrastive_har.models.heads.label_sequence import LabelSequence, LabelSequenceSettings
from contrastive_har.models.heads.text_vectors import text_vectors
from contrastive_har.models.heads.words import Vocabulary, shown, spell

SIX = ("walking", "walking upstairs", "walking downstairs", "sitting", "standing", "lying")
SPELLED = {
    "walking": "walk",
    "walking upstairs": "walk upstairs",
    "walking downstairs": "walk downstairs",
    "sitting": "sit",
    "standing": "stand",
    "lying": "lie",
}
TWELVE = (*SIX, "stand to sit", "sit to stand", "sit to lie", "lie to sit", "stand to lie", "lie to stand")
SMALL = LabelSequenceSettings(embedding=5, width=7, word_vectors="random", names=SPELLED)


def decoder(
    classes: tuple[str, ...] = TWELVE, settings: LabelSequenceSettings = SMALL, features: int = 4
) -> LabelSequence:
    torch.manual_seed(0)
    return settings.build(features, classes).eval()


def spelled_out(head: LabelSequence, features: torch.Tensor, words: tuple[str, ...]) -> torch.Tensor:
    """The log-probability of one name for each window, word by word."""
    tokens = head.vocabulary.encode(words)
    scores = []
    for window in features:
        hidden, memory, total = head.hidden(window), head.memory(window), torch.zeros(())
        for read, written in pairwise(tokens):
            hidden, memory = head.cell(head.embedding.weight[read], (hidden, memory))
            total = total + head.output(hidden).log_softmax(0)[written]
        scores.append(total)
    return torch.stack(scores)


def test_names_are_split_into_words() -> None:
    assert spell("Sit-to-Stand") == ("sit", "to", "stand")
    assert spell("WALKING_UPSTAIRS ") == ("walking", "upstairs")


def test_the_tree_of_beginnings_scores_every_name_exactly() -> None:
    head = decoder()
    features = torch.randn(6, 4)
    wanted = torch.stack([spelled_out(head, features, name) for name in head.vocabulary.names], dim=1)
    torch.testing.assert_close(head(features), wanted)
    assert sum(len(level.tokens) for level in head.levels) == 16, "steps, instead of one for each word and end"
    assert sum(len(name) + 1 for name in head.vocabulary.names) == 38


words = st.lists(st.sampled_from(["a1", "b", "c", "dd"]), min_size=1, max_size=4).map(" ".join)


@given(st.lists(words, min_size=2, max_size=7, unique=True))
@settings(max_examples=40, deadline=None)
def test_any_names_are_scored_as_by_spelling_them_out(names: list[str]) -> None:
    head = decoder(tuple(names))
    features = torch.randn(3, 4)
    wanted = torch.stack([spelled_out(head, features, name) for name in head.vocabulary.names], dim=1)
    torch.testing.assert_close(head(features), wanted)
    assert (head(features).exp().sum(1) < 1).all(), "probabilities of different sequences"


def test_all_sequences_of_words_together_have_the_probability_one() -> None:
    # With one word, a sequence is known by its length.
    head = decoder(tuple(" ".join(["x"] * count) for count in range(1, 41)))
    features = torch.randn(3, 4)
    with torch.no_grad():
        head.output.bias.copy_(torch.tensor([-1e4, 0.0, 1.0]))  # never start again, end soon
        no_word = spelled_out(head, features, ()).exp()
        torch.testing.assert_close(head(features).exp().sum(1) + no_word, torch.ones(3))


def test_the_loss_is_the_mean_over_words_and_ends() -> None:
    head = decoder()
    features = torch.randn(12, 4)
    targets = torch.arange(12)
    names = head.vocabulary.names
    total = sum(-spelled_out(head, features[index : index + 1], names[index]).sum() for index in range(12))
    torch.testing.assert_close(head.loss(features, targets), total / sum(len(name) + 1 for name in names))


def test_training_cuts_names_down_to_a_word_at_the_asked_rate() -> None:
    names = ("open door 1", "open door 2", "close door 1", "drink from cup", "walk", "walk upstairs")
    head = decoder(names, SMALL.model_copy(update={"kept_word": 0.25, "names": {}})).train()
    assert [head.vocabulary.keepable(name) for name in head.vocabulary.names] == [
        ["open", "door"],
        ["open", "door"],
        ["close", "door"],
        ["drink", "cup"],
        [],
        ["upstairs"],
    ], "no number, no 'from', no word that is an activity itself"
    torch.manual_seed(1)
    drawn = head._draw(torch.zeros(8000, dtype=torch.long))
    full = torch.tensor([*head.vocabulary.encode(("open", "door", "1"))])
    kept = (drawn != full).any(1)
    assert kept.float().mean() == pytest.approx(0.25, abs=4 * math.sqrt(0.25 * 0.75 / 8000))
    for word in ("open", "door"):
        share = (drawn[:, 1] == head.vocabulary.encode((word,))[1])[kept].float().mean()
        assert share == pytest.approx(0.5, abs=0.05)
    end = head.vocabulary.encode(())[-1]
    assert (drawn[kept][:, 2] == end).all()
    assert (drawn[kept][:, 3:] < 0).all(), "nothing is to be written after the end"
    torch.testing.assert_close(
        head._draw(torch.full((50,), 4))[:, 1], torch.full((50,), head.vocabulary.encode(("walk",))[1])
    )
    torch.testing.assert_close(head.eval()._draw(torch.zeros(5, dtype=torch.long)), full.expand(5, -1))


def test_it_has_the_published_number_of_parameters() -> None:
    settings = LabelSequenceSettings(names=SPELLED, word_vectors="random")
    encoder = ConvBinsSettings(channels=(128, 128), kernels=(3, 3), bins=1, pooling="mean", batch_norm=True)
    for channels, wanted in ((6, 219_400), (9, 220_552)):
        modules = (encoder.build(channels, 128), settings.build(128, SIX))
        assert sum(weight.numel() for module in modules for weight in module.parameters()) == wanted


def test_names_that_share_nothing_have_a_token_for_each_word() -> None:
    shared, own = (SMALL.model_copy(update={"shared": flag}).vocabulary(TWELVE) for flag in (True, False))
    assert len(shared.words) == 7
    assert len(own.words) == sum(len(name) for name in own.names) == 26
    assert [len(name) for name in own.names] == [len(name) for name in shared.names]
    for ours, theirs in zip(own.names, shared.names, strict=True):
        assert [shown(word) for word in own.keepable(ours)] == shared.keepable(theirs), "the control cuts names alike"


def test_names_must_differ_and_have_words() -> None:
    with pytest.raises(ValueError, match="'sitting' and 'sat down' are both spelled 'sit'"):
        Vocabulary.of(["sitting", "sat down"], {"sitting": "sit", "sat down": "sit"})
    with pytest.raises(ValueError, match="'-' has no word"):
        Vocabulary.of(["walking", "-"], {})


def test_the_vocabulary_is_sorted_whatever_the_hash_seed() -> None:
    code = f"from contrastive_har.models.heads.words import Vocabulary; print(Vocabulary.of({TWELVE!r}, {{}}).tokens)"
    printed = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1")
    }
    assert len(printed) == 1
    tokens = Vocabulary.of(TWELVE, {}).tokens
    assert tokens[0] == "start"
    assert tokens[-1] == "end"
    assert list(tokens[1:-1]) == sorted(tokens[1:-1])


def test_words_start_from_the_text_model_only_if_asked() -> None:
    head = LabelSequenceSettings(names=SPELLED).build(4, SIX)
    before = head.embedding.weight.clone()
    head.initialise()
    assert not torch.equal(head.embedding.weight, before)
    torch.testing.assert_close(head.embedding.weight.detach(), text_vectors(head.vocabulary.tokens, 128))
    random = decoder()
    before = random.embedding.weight.clone()
    random.initialise()
    assert torch.equal(random.embedding.weight, before)


def test_vectors_of_related_words_point_in_similar_directions() -> None:
    vectors = text_vectors(["upstairs", "downstairs", "eating"], 128)
    torch.testing.assert_close(vectors.norm(dim=1), torch.full((3,), 128**0.5))
    cosines = vectors @ vectors.T / 128
    assert cosines[0, 1] > 0.5 > cosines[0, 2]
    torch.testing.assert_close(text_vectors(["eating"], 128)[0], vectors[2])
