"""The plans of protocols: the settings that each pipeline node depends on, and no others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from pydantic import BaseModel, NonNegativeInt, TypeAdapter, ValidationError

from contrastive_har.labelling.trials import ChoosingPlan
from contrastive_har.learning.evaluation.settings import EvaluationSettings
from contrastive_har.models.heads.label_sequence import LabelSequenceSettings
from contrastive_har.models.heads.words import Vocabulary
from contrastive_har.protocols.methods import REFINED, MethodSettings
from contrastive_har.protocols.settings import ProtocolSettings
from contrastive_har.refining import is_protocol, plain, refined_keys, suggest
from contrastive_har.scores.cells import title_evaluations
from contrastive_har.signals.splits import SplitSettings

PLANS = "plans"
"""Prefix of the parameters that are plans."""

_SEED = TypeAdapter(NonNegativeInt)


class ProtocolError(ValueError):
    """A protocol whose settings are not valid."""


_NAMED = ("methods", "evaluations", "splits")  # settings by names that a user may add to


def plans_of(parameters: Mapping[str, Any]) -> dict[str, BaseModel]:
    """Return the plans of every protocol in the project's parameters.

    Each pipeline node takes the plan of its own row, split or windows: its result depends on no other settings.

    Returns:
        By dotted name, after that of the protocol: ``windows``, ``views``, ``registration``, ``splits`` and a split,
        ``pretraining``, ``evaluation`` or ``choosing`` and a method, ``trials``, a method and a number.

    Raises:
        ProtocolError: naming the protocol and the setting.
    """
    plans: dict[str, BaseModel] = {}
    try:
        seed = _SEED.validate_python(parameters["seed"])
    except ValidationError as error:
        raise ProtocolError(f"Parameter 'seed': {error}") from error
    for name, values in parameters.items():
        if not is_protocol(values):
            continue
        try:
            protocol = ProtocolSettings.model_validate(values)
        except ValidationError as error:
            raise ProtocolError(f"Parameter '{name}': {error}{_spelling(error, values)}") from error
        plans[f"{name}.windows"] = protocol.windows_for(parameters["dataset"])
        plans[f"{name}.registration"] = protocol.registration_plan()
        plans[f"{name}.views"] = protocol.views_plan(seed)
        for split in protocol.splits:
            plans[f"{name}.splits.{split}"] = protocol.split_plan(split, seed)
        for method in protocol.methods:
            plans[f"{name}.pretraining.{method}"] = pretraining = protocol.pretraining_plan(method, seed)
            plans[f"{name}.evaluation.{method}"] = evaluation = protocol.evaluation_plan(method, seed)
            if protocol.choosing is not None:
                few = protocol.fewest_labels
                plan = ChoosingPlan(name=method, choosing=protocol.choosing, label_budget=few, seed=seed)
                plans[f"{name}.choosing.{method}"] = plan
            if protocol.search is not None:
                first = protocol.search.plan(pretraining, evaluation)
                for number in range(protocol.search.trials):
                    plans[f"{name}.trials.{method}.{number}"] = first.model_copy(update={"number": number})
    return plans


def _spelling(error: ValidationError, values: Mapping[str, Any]) -> str:
    """Return the settings that are nearest to unknown ones, and to incomplete rows or splits, as sentences."""
    incomplete = dict.fromkeys(each["loc"][:2] for each in error.errors() if each["type"] == "missing")
    told = [
        f"\n'{name}' of '{kind}' is new, and incomplete. {suggest(str(name), set(values[str(kind)]) - {name})}"
        for kind, name in (place for place in incomplete if len(place) == 2 and place[0] in _NAMED)
    ]
    schema = ProtocolSettings.model_json_schema()
    known = {name for part in (schema, *schema["$defs"].values()) for name in part.get("properties", ())}
    unknown = [
        str(each["loc"][-1])
        for each in error.errors()
        if each["type"] == "extra_forbidden" and each["loc"][:2] not in incomplete and each["loc"][-1] not in known
    ]
    return "".join([*told, *(f"\nThere is no '{name}'. {suggest(name, known)}" for name in unknown)])


def titles(named: Mapping[str, SplitSettings | MethodSettings | EvaluationSettings]) -> dict[str, str]:
    """Return titles by name."""
    return {name: settings.title for name, settings in named.items()}


def evaluation_titles(protocol: ProtocolSettings, *tables: pd.DataFrame) -> dict[str, str]:
    """Return the titles of the evaluations that ``tables`` of results have, by name."""
    names = dict.fromkeys(name for table in tables for name in table["evaluation"].unique())
    return title_evaluations(titles(protocol.evaluations), names)


def refinements(protocol: ProtocolSettings, dataset: str) -> dict[str, dict[str, tuple[Any, Any]]]:
    """Return where a row's encoder and budget, and the windows of a data set, differ from the protocol's.

    Returns:
        (value of the protocol, refined value) by dotted key, by ``windows`` or the name of the method.
    """
    refined = {"windows": refined_keys(plain(protocol.windows), plain(protocol.windows_for(dataset)))}
    above = {name: plain(getattr(protocol, name)) for name in REFINED}
    for name, row in protocol.methods.items():
        refined[name] = refined_keys(above, {key: plain(getattr(row, key)) for key in REFINED})
    return {name: keys for name, keys in refined.items() if keys}


def spells(protocol: ProtocolSettings) -> bool:
    """Return whether a head of a protocol spells the names of activities."""
    return bool(_spelling_heads(protocol))


def vocabulary_of(protocol: ProtocolSettings, classes: Sequence[str]) -> Vocabulary:
    """Return the words of the names of some classes, spelled as by the first head that spells them.

    Names share their words here, also if that head keeps them apart.

    Raises:
        ValueError: if a name has no word, or two have the same.
    """
    heads = _spelling_heads(protocol)
    return Vocabulary.of(classes, heads[0].names if heads else {})


def _spelling_heads(protocol: ProtocolSettings) -> list[LabelSequenceSettings]:
    heads = (evaluation.head for evaluation in protocol.evaluations.values())
    return [head for head in heads if isinstance(head, LabelSequenceSettings)]
