"""Units of samples: which quantity they are of, and conversion between them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources

import yaml

STANDARD_GRAVITY = "acceleration"
"""The quantity whose first unit is standard gravity, 9.80665 m/s²."""


@dataclass(frozen=True)
class Unit:
    """A unit.

    Attributes:
        name: How the project writes it.
        quantity: What it measures, such as ``acceleration``.
        size: One of it in the first unit of the quantity (g, rad/s, uT).
        limit: More than any wearable sensor measures, in this unit.
    """

    name: str
    quantity: str
    size: float
    limit: float


def find_unit(name: str) -> Unit | None:
    """Return a unit by any of its names, such as ``m/s^2``; None if it is not known."""
    return _units().get(_plain(name)) or _units().get(_plain(name).casefold())


def factor(source: str, target: str) -> float:
    """Return what samples in one unit are multiplied with to be in another.

    Raises:
        ValueError: if the units differ and are not known to be of one quantity.
    """
    if _plain(source) == _plain(target):
        return 1.0
    found = find_unit(source), find_unit(target)
    if found[0] is None or found[1] is None or found[0].quantity != found[1].quantity:
        raise ValueError(f"'{source}' cannot be converted to '{target}'")
    return found[0].size / found[1].size


def _plain(name: str) -> str:
    return name.strip().replace(" ", "")


@cache
def _units() -> dict[str, Unit]:
    text = resources.files(__package__).joinpath("units.yml").read_text(encoding="utf-8")
    units: dict[str, Unit] = {}
    for quantity, facts in yaml.safe_load(text).items():
        for name, entry in facts["units"].items():
            unit = Unit(name, quantity, float(entry["size"]), float(facts["limit"]) / float(entry["size"]))
            for alias in (name, *entry["names"]):
                units[_plain(alias)] = unit
                units.setdefault(_plain(alias).casefold(), unit)
    return units
