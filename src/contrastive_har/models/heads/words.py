"""Class names as sequences of words, and the vocabulary of a set of names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

START = "start"
END = "end"

_OF = " ("  # in a token of one name only, between the word and the name; no word has a space in it
_SEPARATORS = re.compile(r"[\s_\-/&,]+")
_MEANINGLESS = frozenset({"a", "and", "from", "of", "on", "the", "to", "with"})


def spell(name: str) -> tuple[str, ...]:
    """Return the words of a name, in lower case."""
    return tuple(word for word in _SEPARATORS.split(name.lower()) if word)


def shown(token: str) -> str:
    """Return the word of a token, which may be that of one name only."""
    return token.partition(_OF)[0]


def means_something(word: str) -> bool:
    """Return whether a word says by itself what is done: it is neither a number nor one like "to"."""
    return word not in _MEANINGLESS and not word.isdigit()


@dataclass(frozen=True)
class Vocabulary:
    """The names of some classes and all their words.

    Attributes:
        names: The words of each class's name, by class index.
    """

    names: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, classes: Sequence[str], spelled: Mapping[str, str], shared: bool = True) -> Vocabulary:
        """Return the vocabulary of some classes.

        Args:
            classes: Names of the classes.
            spelled: How names are spelled, where it differs from the name itself, by name.
            shared: Whether names share their words; otherwise each word of each name is a token of its own.

        Raises:
            ValueError: if a name has no word, or two have the same.
        """
        names = [spell(spelled.get(name, name)) for name in classes]
        for index, words in enumerate(names):
            if not words:
                raise ValueError(f"the name of activity '{classes[index]}' has no word; spell it in the head's names")
            if (first := names.index(words)) != index:
                raise ValueError(
                    f"activities '{classes[first]}' and '{classes[index]}' are both spelled '{' '.join(words)}'; "
                    "correct the head's names"
                )
        if not shared:
            names = [tuple(f"{word}{_OF}{' '.join(words)})" for word in words) for words in names]
        return cls(tuple(names))

    @cached_property
    def words(self) -> tuple[str, ...]:
        """All words, sorted."""
        return tuple(sorted({word for name in self.names for word in name}))

    @cached_property
    def tokens(self) -> tuple[str, ...]:
        """What a decoder reads and writes: the start, all words, the end."""
        return (START, *self.words, END)

    def encode(self, words: Sequence[str]) -> list[int]:
        """Return the token indices of a name: the start, its words, the end."""
        known = {word: index for index, word in enumerate(self.words, start=1)}
        return [0, *(known[word] for word in words), len(self.words) + 1]

    def keepable(self, name: Sequence[str]) -> list[str]:
        """Return the words of a name that may stand for it alone: meaningful ones that are no other class's name."""
        whole = {shown(name[0]) for name in self.names if len(name) == 1}
        return [word for word in name if means_something(shown(word)) and shown(word) not in whole]
