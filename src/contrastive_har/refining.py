"""Settings: what is a protocol, partial ones that refine others, plain values, and names that are nearly right."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel

BASE = "base"
"""The key by which an entry names another entry that it refines."""

_NOT_INHERITED = ("title", "description")  # from the base


def refine(above: Mapping[str, Any], partial: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``above`` with the keys of ``partial`` merged into it, at any depth.

    A mapping in ``partial`` with another ``name`` replaces the one in ``above`` as a whole. Where the value in
    ``above`` is None, or either value is not a mapping, the value in ``partial`` is used.
    """
    refined = dict(above)
    for key, value in partial.items():
        current = refined.get(key)
        if isinstance(value, Mapping) and isinstance(current, Mapping) and not is_replaced(current, value):
            refined[key] = refine(current, value)
        else:
            refined[key] = value
    return refined


def is_replaced(current: Mapping[Any, Any], given: Mapping[str, Any]) -> bool:
    """Return whether given settings name another part than the current ones, with which they then share nothing."""
    return "name" in given and given["name"] != current.get("name")


def resolve_bases(entries: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries; one that names a ``base`` gets the settings of the base, refined by its own.

    Titles and descriptions are not inherited.

    Raises:
        ValueError: if a base is unknown, or entries are based on one another in a circle.
    """
    resolved: dict[str, Any] = {}

    def resolve(name: str, chain: tuple[str, ...]) -> Any:
        if name in chain:
            raise ValueError(f"rows are based on one another in a circle: {' -> '.join((*chain, name))}")
        if name in resolved:
            return resolved[name]
        entry = entries[name]
        if not isinstance(entry, Mapping) or BASE not in entry:
            resolved[name] = entry
            return entry
        base = entry[BASE]
        if not isinstance(base, str) or base not in entries:
            raise ValueError(f"row '{name}' is based on '{base}', which is none of {', '.join(entries)}")
        above = resolve(base, (*chain, name))
        if not isinstance(above, Mapping):
            raise ValueError(f"row '{name}' is based on '{base}', which has no settings")  # noqa: TRY004
        settings = {key: value for key, value in entry.items() if key != BASE}
        resolved[name] = refine({key: value for key, value in above.items() if key not in _NOT_INHERITED}, settings)
        return resolved[name]

    for name in entries:
        resolve(name, ())
    return {name: resolved[name] for name in entries}


def refined_keys(above: Mapping[str, Any], refined: Mapping[str, Any], prefix: str = "") -> dict[str, tuple[Any, Any]]:
    """Return (value above, refined value) by dotted key, for all keys in which the two differ."""
    differences: dict[str, tuple[Any, Any]] = {}
    for key in {**above, **refined}:
        old, new = above.get(key), refined.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            differences |= refined_keys(old, new, f"{prefix}{key}.")
        elif old != new:
            differences[f"{prefix}{key}"] = (old, new)
    return differences


def leaves(settings: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every value of nested settings with the keys that lead to it."""
    for key, value in settings.items():
        path = (*above, str(key))
        if isinstance(value, Mapping):
            yield from leaves(value, path)
        else:
            yield path, value


def plain(value: Any) -> Any:
    """Return validated settings as plain values."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {name: plain(part) for name, part in value.items()}
    return value


def is_protocol(values: Any) -> bool:
    """Return whether a parameter is a protocol."""
    return isinstance(values, Mapping) and "methods" in values


def for_dataset(protocol: dict[str, Any], dataset: str) -> dict[str, Any]:
    """Return a protocol with the splits and methods that are for a data set."""

    def chosen(part: str) -> dict[str, Any]:
        entries = resolve_bases(protocol[part])
        return {
            name: protocol[part][name]
            for name, entry in entries.items()
            if entry.get("datasets") is None or dataset in entry["datasets"]
        }

    return {**protocol, "splits": chosen("splits"), "methods": chosen("methods")}


def suggest(name: str, known: Iterable[str]) -> str:
    """Return a sentence that names the known name nearest to a wrong one, or all if none is near."""
    names = sorted(known)
    near = get_close_matches(name, names, 1)
    return f"Did you mean '{near[0]}'?" if near else f"There are: {', '.join(names)}."
