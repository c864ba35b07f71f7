"""Vectors of words from a small text model, whose table is inside an installed package; nothing is downloaded."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file
from torch import Tensor

from contrastive_har.files.packages import locate

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PACKAGE = "wordllama"  # MIT; read as data, never imported
_TABLE = "l2_supercat_256.safetensors"
_TOKENIZER = "l2_supercat_tokenizer_config.json"
_PROJECTION_SEED = 0


def text_vectors(words: Sequence[str], width: int) -> Tensor:
    """Return vectors (words, ``width``) whose angles follow the words' meanings, each of norm ``sqrt(width)``.

    A word's vector is the mean of its tokens' vectors in the table of WordLlama (256 values), projected by a fixed
    random matrix, which nearly keeps angles (Johnson and Lindenstrauss 1984). The norm is the usual one of a row of
    standard normal values, with which embeddings start otherwise.

    Raises:
        PackagedFileError: if the package is not installed.
    """
    tokenizer, table = _tokenizer(), _table()
    # Without its first token, which marks the beginning of a text.
    means = torch.stack([table[tokenizer.encode(word, add_special_tokens=False).ids].mean(0) for word in words])
    generator = torch.Generator().manual_seed(_PROJECTION_SEED)
    projected = means @ torch.randn(table.shape[1], width, generator=generator)
    scaled: Tensor = projected * (width**0.5 / projected.norm(dim=1, keepdim=True))
    return scaled


@cache
def _tokenizer() -> Tokenizer:
    from tokenizers import Tokenizer  # only heads with such vectors need it

    return Tokenizer.from_file(str(locate(PACKAGE, _TOKENIZER)))


@cache
def _table() -> Tensor:
    table: Tensor = load_file(locate(PACKAGE, _TABLE))["embedding.weight"]
    return table.float()
