"""A decoder that spells the name of an activity word by word (SHARE, Zhang et al. 2023, arXiv 2301.03462)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from contrastive_har.models.heads.base import BaseHeadSettings, Head
from contrastive_har.models.heads.text_vectors import text_vectors
from contrastive_har.models.heads.words import Vocabulary, shown

_NO_TOKEN = -100  # what cross-entropy ignores


class LabelSequenceSettings(BaseHeadSettings):
    """A recurrent decoder over the words of activity names; the defaults are SHARE's.

    Attributes:
        names: How names are spelled, by name of the activity; names that are not listed are spelled as they are. Other
            names that share more words are what SHARE calls augmentation of sequences.
        shared: Whether names share their words; otherwise each word of each name is a token of its own. Comparing the
            two tells what sharing gives.
        embedding: Width of a word's vector.
        width: Width of the decoder.
        dropout: Share of the decoder's outputs dropped in training.
        word_vectors: Initial vectors of the words: ``text_model``, those of a small text model, or ``random``.
        kept_word: Probability that a training name is cut down to one of its words, which then is all that is to be
            spelled. Words that are the whole name of another activity are not kept: they would make it look like that
            one. Neither are numbers, nor words like "to".
    """

    name: Literal["label_sequence"] = "label_sequence"
    names: dict[str, str] = Field(default_factory=dict)
    shared: bool = True
    embedding: int = Field(default=128, gt=0)
    width: int = Field(default=128, gt=0)
    dropout: float = Field(default=0.5, ge=0, lt=1)
    word_vectors: Literal["text_model", "random"] = "text_model"
    kept_word: float = Field(default=0.2, ge=0, le=1)

    def vocabulary(self, classes: Sequence[str]) -> Vocabulary:
        """Return the words of the names of some classes.

        Raises:
            ValueError: if a name has no word, or two have the same.
        """
        return Vocabulary.of(classes, self.names, self.shared)

    def classes_by_word(self, classes: Sequence[str]) -> dict[str, list[int]]:
        """Return the indices of the classes whose names have a word, by word, also if the decoder keeps them apart."""
        names = Vocabulary.of(classes, self.names)
        return {word: [index for index, name in enumerate(names.names) if word in name] for word in names.words}

    def build(self, features: int, classes: Sequence[str]) -> LabelSequence:
        """Return an untrained decoder."""
        return LabelSequence(features, self.vocabulary(classes), self)


class LabelSequence(Head):
    """An LSTM that reads a window's embedding as its first state, and writes the words of a name.

    Activities are scored by the exact log-probability of their whole names, end included. Names with a common beginning
    share its steps: the decoder walks the tree of all beginnings, level by level.

    Args:
        features: Width of an embedding.
        vocabulary: The names of the classes.
        settings: Widths, dropout and initial vectors.
    """

    def __init__(self, features: int, vocabulary: Vocabulary, settings: LabelSequenceSettings) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        self.settings = settings
        tokens, width = len(vocabulary.tokens), settings.width
        self.hidden = nn.Linear(features, width)
        self.memory = nn.Linear(features, width)
        self.embedding = nn.Embedding(tokens, settings.embedding)
        self.cell = nn.LSTMCell(settings.embedding, width)
        self.dropout = nn.Dropout(settings.dropout)
        self.output = nn.Linear(width, tokens)
        nn.init.uniform_(self.output.weight, -0.1, 0.1)
        nn.init.zeros_(self.output.bias)
        self.levels = _tree(vocabulary)
        sequences = [vocabulary.encode(name) for name in vocabulary.names]
        # Index 0 of each class is its name; the others are the words that may stand for it alone.
        variants = [
            [sequence, *([0, vocabulary.encode([word])[1], sequence[-1]] for word in vocabulary.keepable(name))]
            for sequence, name in zip(sequences, vocabulary.names, strict=True)
        ]
        self._counts = torch.tensor([len(of_class) - 1 for of_class in variants])
        self._variants = _padded(variants)

    def initialise(self) -> None:
        """Set the words' initial vectors to those of the text model, if configured."""
        if self.settings.word_vectors == "text_model":
            tokens = [shown(token) for token in self.vocabulary.tokens]
            vectors = text_vectors(tokens, self.settings.embedding)
            with torch.no_grad():
                self.embedding.weight.copy_(vectors)

    def forward(self, features: Tensor) -> Tensor:
        """Return the log-probability of each class's name (batch, classes) for ``features`` (batch, features)."""
        batch, width = features.shape[0], self.settings.width
        hidden, memory = (state.unsqueeze(1) for state in self._first_state(features))
        scores = features.new_zeros(batch, len(self.vocabulary.names))
        for level in self.levels:
            nodes = len(level.tokens)
            words = self.embedding(torch.tensor(level.tokens, device=features.device))
            parents = torch.tensor(level.parents, device=features.device)
            hidden, memory = (
                state.index_select(1, parents).reshape(batch * nodes, width) for state in (hidden, memory)
            )
            hidden, memory = self.cell(words.repeat(batch, 1), (hidden, memory))
            chances = self.output(self.dropout(hidden)).log_softmax(1).view(batch, -1)
            hidden, memory = (state.view(batch, nodes, width) for state in (hidden, memory))
            following = chances.index_select(1, torch.tensor(level.following, device=features.device))
            # A name that has ended before this level adds nothing.
            scores = scores + following * torch.tensor(level.goes_on, device=features.device)
        return scores

    def loss(self, features: Tensor, targets: Tensor) -> Tensor:
        """Return the mean cross-entropy of the names' words and ends, each given the true words before it."""
        sequences = self._draw(targets)
        hidden, memory = self._first_state(features)
        outputs = []
        for step in range(sequences.shape[1] - 1):
            read = sequences[:, step].clamp(min=0)
            hidden, memory = self.cell(self.embedding(read), (hidden, memory))
            outputs.append(self.output(self.dropout(hidden)))
        written = sequences[:, 1:].flatten()
        return functional.cross_entropy(torch.stack(outputs, 1).flatten(0, 1), written, ignore_index=_NO_TOKEN)

    def _first_state(self, features: Tensor) -> tuple[Tensor, Tensor]:
        return self.hidden(features), self.memory(features)

    def _draw(self, targets: Tensor) -> Tensor:
        """Return the tokens (batch, time) of each target's name, or of one word of it."""
        variants, counts = self._variants.to(targets.device), self._counts.to(targets.device)[targets]
        if not self.training or not self.settings.kept_word:
            return variants[targets, 0]
        drawn = torch.rand(2, len(targets)).to(targets.device)
        word = 1 + (drawn[1] * counts).long()
        index = torch.where((drawn[0] < self.settings.kept_word) & (counts > 0), word, 0)
        return variants[targets, index]


@dataclass(frozen=True)
class _Level:
    """The beginnings of names that have equally many words, and what each name continues with there.

    Attributes:
        tokens: The last token of each beginning.
        parents: Index of the beginning one word shorter, in the level above.
        following: For each class, index of its next token in the flattened (beginning, token) scores.
        goes_on: For each class, 1 if its name is not over yet, else 0.
    """

    tokens: list[int]
    parents: list[int]
    following: list[int]
    goes_on: list[float]


def _tree(vocabulary: Vocabulary) -> list[_Level]:
    """Return the levels of the tree of all beginnings of names."""
    sequences = [tuple(vocabulary.encode(name)) for name in vocabulary.names]
    levels: list[_Level] = []
    above: dict[tuple[int, ...], int] = {(): 0}
    for length in range(1, max(map(len, sequences))):
        running = [len(sequence) > length for sequence in sequences]
        beginnings = {sequence[:length]: None for sequence, goes_on in zip(sequences, running, strict=True) if goes_on}
        here = {beginning: index for index, beginning in enumerate(beginnings)}
        following = [
            here[sequence[:length]] * len(vocabulary.tokens) + sequence[length] if goes_on else 0
            for sequence, goes_on in zip(sequences, running, strict=True)
        ]
        tokens, parents = [one[-1] for one in here], [above[one[:-1]] for one in here]
        levels.append(_Level(tokens, parents, following, [float(goes_on) for goes_on in running]))
        above = here
    return levels


def _padded(variants: Sequence[Sequence[Sequence[int]]]) -> Tensor:
    """Return token sequences (classes, variants, time) as one array; ``_NO_TOKEN`` fills up."""
    most = max(map(len, variants))
    longest = max(len(sequence) for of_class in variants for sequence in of_class)
    padded = torch.full((len(variants), most, longest), _NO_TOKEN)
    for index, of_class in enumerate(variants):
        for variant, sequence in enumerate(of_class):
            padded[index, variant, : len(sequence)] = torch.tensor(sequence)
    return padded
