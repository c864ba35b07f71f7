"""Partial settings take over what they do not say, and only that."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from contrastive_har.refining import plain, refine, refined_keys, resolve_bases

KEYS = st.sampled_from(["name", "title", "a", "b", "c"])
LEAVES = st.none() | st.integers(0, 3) | st.sampled_from(["x", "y"]) | st.lists(st.integers(0, 3), max_size=2)
SETTINGS = st.dictionaries(KEYS, st.recursive(LEAVES, lambda part: st.dictionaries(KEYS, part, max_size=3)), max_size=4)


def test_single_keys_are_refined_at_any_depth() -> None:
    above = {"a": {"b": {"c": 1, "d": 2}, "e": 3}, "f": 4}
    before = deepcopy(above)
    assert refine(above, {"a": {"b": {"c": 9}}, "g": 5}) == {"a": {"b": {"c": 9, "d": 2}, "e": 3}, "f": 4, "g": 5}
    assert above == before, "what is refined stays as it was"


def test_lists_and_single_values_take_the_whole_place() -> None:
    assert refine({"a": [1, 2, 3], "b": {"c": 1}, "d": 2}, {"a": [4], "b": 5, "d": {"e": 6}}) == {
        "a": [4],
        "b": 5,
        "d": {"e": 6},
    }


def test_another_name_takes_the_place_of_the_whole_part() -> None:
    above = {"encoder": {"name": "tpn", "channels": [32], "dropout": 0.1}}
    assert refine(above, {"encoder": {"name": "conv_gru", "hidden": 8}}) == {
        "encoder": {"name": "conv_gru", "hidden": 8}
    }
    same = {"encoder": {"name": "tpn", "channels": [32], "dropout": 0.2}}
    assert refine(above, {"encoder": {"dropout": 0.2}}) == same
    assert refine(above, {"encoder": {"name": "tpn", "dropout": 0.2}}) == same
    deep = {"objective": {"name": "contrastive", "temperature": 0.1, "clustering": {"name": "birch", "threshold": 0.5}}}
    assert refine(deep, {"objective": {"clustering": {"name": "kmeans"}}}) == {
        "objective": {"name": "contrastive", "temperature": 0.1, "clustering": {"name": "kmeans"}}
    }
    assert refine({"head": {"width": 3}}, {"head": {"name": "mlp"}}) == {"head": {"name": "mlp"}}, "it had no name"


def test_a_part_that_is_none_is_replaced_and_none_replaces_a_part() -> None:
    kmeans = {"clustering": {"name": "kmeans", "clusters": 16}}
    assert refine({"clustering": None}, kmeans) == kmeans
    assert refine(kmeans, {"clustering": None}) == {"clustering": None}
    assert refine(kmeans, {"clustering": {"clusters": None}}) == {"clustering": {"name": "kmeans", "clusters": None}}


@given(above=SETTINGS)
def test_refining_by_nothing_or_by_the_same_changes_nothing(above: dict[str, Any]) -> None:
    assert refine(above, {}) == above
    assert refine(above, above) == above
    assert refined_keys(above, above) == {}


@given(above=SETTINGS, partial=SETTINGS)
def test_refining_twice_is_refining_once(above: dict[str, Any], partial: dict[str, Any]) -> None:
    once = refine(above, partial)
    assert refine(once, partial) == once
    assert set(once) == {*above, *partial}


def test_bases_are_chained_in_whichever_order_they_are_listed() -> None:
    entries = {
        "third": {"base": "second", "title": "Third", "budget": {"epochs": 3}},
        "first": {"title": "First", "objective": {"name": "x", "temperature": 0.1, "width": 5}, "evaluations": ["l"]},
        "second": {"base": "first", "title": "Second", "objective": {"temperature": 0.2}},
    }
    before = deepcopy(entries)
    resolved = resolve_bases(entries)
    assert list(resolved) == ["third", "first", "second"], "in their order"
    assert resolved["first"] == entries["first"]
    assert resolved["second"] == {
        "title": "Second",
        "objective": {"name": "x", "temperature": 0.2, "width": 5},
        "evaluations": ["l"],
    }
    assert resolved["third"] == {**resolved["second"], "title": "Third", "budget": {"epochs": 3}}
    assert entries == before


def test_titles_and_descriptions_are_an_entrys_own() -> None:
    first = {"title": "First", "description": "The first.", "part": {"title": "kept", "size": 1}}
    resolved = resolve_bases({"first": first, "second": {"base": "first"}, "third": {"base": "second", "title": "3"}})
    assert resolved["second"] == {"part": first["part"]}, "those of parts are taken over"
    assert resolved["third"] == {"title": "3", "part": first["part"]}


def test_circles_are_refused() -> None:
    with pytest.raises(ValueError, match="in a circle: a -> b -> c -> a"):
        resolve_bases({"a": {"base": "b"}, "b": {"base": "c"}, "c": {"base": "a"}})
    with pytest.raises(ValueError, match="in a circle: a -> a"):
        resolve_bases({"a": {"base": "a"}})
    with pytest.raises(ValueError, match="in a circle: b -> c -> b"):
        resolve_bases({"b": {"base": "c"}, "c": {"base": "b"}, "a": {"base": "b"}})


def test_an_unknown_base_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="row 'a' is based on 'miracle', which is none of a, b"):
        resolve_bases({"a": {"base": "miracle"}, "b": {}})


@pytest.mark.parametrize("base", [["b"], {"name": "b"}, 3, None, ""])
def test_a_base_that_is_no_name_is_refused(base: object) -> None:
    with pytest.raises(ValueError, match="row 'a' is based on"):
        resolve_bases({"a": {"base": base}, "b": {}})


def test_a_base_without_settings_is_refused() -> None:
    with pytest.raises(ValueError, match="row 'a' is based on 'b', which has no settings"):
        resolve_bases({"a": {"base": "b"}, "b": None})
    assert resolve_bases({"b": None}) == {"b": None}, "whoever validates rows will refuse it"


def test_refined_keys_name_every_difference() -> None:
    above = {"encoder": {"name": "tpn", "channels": [32, 64], "companding": None}, "budget": {"epochs": 4}, "gone": 1}
    refined = {"encoder": {"name": "tpn", "channels": [32], "companding": 0.02}, "budget": {"epochs": 4}, "new": 2}
    assert refined_keys(above, refined) == {
        "encoder.channels": ([32, 64], [32]),
        "encoder.companding": (None, 0.02),
        "gone": (1, None),
        "new": (None, 2),
    }
    assert refined_keys({"a": {"b": 1}}, {"a": None}) == {"a": ({"b": 1}, None)}


def test_settings_become_plain_values() -> None:
    class Part(BaseModel):
        sizes: tuple[int, ...]

    assert plain({"a": {"b": Part(sizes=(1, 2))}, "c": "d"}) == {"a": {"b": {"sizes": [1, 2]}}, "c": "d"}
    assert plain(Part(sizes=())) == {"sizes": []}
