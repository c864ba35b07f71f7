"""Texts from others: YAML files that stay small when they are read, and messages that stay short."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

_LARGEST = 1 << 18  # bytes of a file
_MOST = 100_000  # values of a file, each counted as often as others refer to it
_LONGEST = 2000  # characters of a message


def read_yaml(path: Path) -> Any:
    """Read a YAML file as plain values.

    Raises:
        ValueError: if it is not a regular file, too large or not YAML, or if its values refer to one another so often
            that they would fill the memory when they are written out.
    """
    if not path.is_file():
        raise ValueError("it is not a regular file")
    with path.open("rb") as file:
        content = file.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise ValueError(f"it has more than {_LARGEST} bytes")
    try:
        loader = yaml.SafeLoader(content.decode("utf-8-sig"))
        root = loader.get_single_node()
        if root is None:
            return None
        if _count(root, {}) > _MOST:
            raise ValueError(f"it has more than {_MOST} values, with those that are referred to ('*name')")
        return loader.construct_document(root)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except yaml.YAMLError as error:
        raise ValueError(shorten(str(error))) from error


def _count(node: yaml.Node, known: dict[int, int]) -> int:
    """Return the number of values in a node, written out; ``known`` are those of the nodes inside, by id.

    Raises:
        UnicodeError: if a text has half a character, as escapes can say, which no file could hold.
    """
    if id(node) not in known:
        known[id(node)] = _MOST  # while it is being counted: it refers to itself
        if isinstance(node, yaml.ScalarNode):
            node.value.encode()
        parts = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else node.value
        known[id(node)] = 1 if isinstance(node, yaml.ScalarNode) else 1 + sum(_count(part, known) for part in parts)
    return known[id(node)]


def shorten(message: str, longest: int = _LONGEST) -> str:
    """Return a message, cut to 2,000 characters or so many: files of others can make it as long as they are."""
    return message if len(message) <= longest else f"{message[: longest - 3]}..."
