"""Partial settings that refine others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

BASE = "base"
"""The key by which an entry names another one that it refines."""

_OWN = ("title", "description")  # an entry's own, never taken over from its base


def refine(above: Mapping[str, Any], partial: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of ``above`` with the single keys of ``partial`` in their place, at any depth.

    A part that names another kind of thing (another ``name``) takes the whole place of the one above. Where the part
    above is None, or either is no mapping, the part of ``partial`` stands.
    """
    refined = dict(above)
    for key, value in partial.items():
        before = refined.get(key)
        other_kind = (
            isinstance(value, Mapping) and isinstance(before, Mapping) and value.get("name", before.get("name"))
        ) != (before.get("name") if isinstance(before, Mapping) else None)
        if isinstance(value, Mapping) and isinstance(before, Mapping) and not other_kind:
            refined[key] = refine(before, value)
        else:
            refined[key] = value
    return refined


def resolve_bases(entries: Mapping[str, Any]) -> dict[str, Any]:
    """Return entries in which each that names a ``base`` has that one's settings, refined by its own.

    Titles and descriptions are not taken over.

    Raises:
        ValueError: if a base is unknown, or entries are based on one another in a circle.
    """
    resolved: dict[str, Any] = {}

    def resolve(name: str, waiting: tuple[str, ...]) -> Any:
        if name in waiting:
            raise ValueError(f"rows are based on one another in a circle: {' -> '.join((*waiting, name))}")
        if name in resolved:
            return resolved[name]
        entry = entries[name]
        if not isinstance(entry, Mapping) or BASE not in entry:
            resolved[name] = entry
            return entry
        base = entry[BASE]
        if base not in entries:
            raise ValueError(f"row '{name}' is based on '{base}', which is none of {', '.join(entries)}")
        above = resolve(str(base), (*waiting, name))
        if not isinstance(above, Mapping):
            raise ValueError(f"row '{name}' is based on '{base}', which has no settings")  # noqa: TRY004
        own = {key: value for key, value in entry.items() if key != BASE}
        resolved[name] = refine({key: value for key, value in above.items() if key not in _OWN}, own)
        return resolved[name]

    for name in entries:
        resolve(name, ())
    return {name: resolved[name] for name in entries}


def refined_keys(above: Mapping[str, Any], refined: Mapping[str, Any], prefix: str = "") -> dict[str, tuple[Any, Any]]:
    """Return the values above and the refined ones, by the dotted names of all keys in which they differ."""
    found: dict[str, tuple[Any, Any]] = {}
    for key in {**above, **refined}:
        before, now = above.get(key), refined.get(key)
        if isinstance(before, Mapping) and isinstance(now, Mapping):
            found |= refined_keys(before, now, f"{prefix}{key}.")
        elif before != now:
            found[f"{prefix}{key}"] = (before, now)
    return found
