"""Parameters that do not exist are refused, with the nearest one that does."""

from __future__ import annotations

from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from contrastive_har import settings
from contrastive_har.protocols import ProtocolError, plans_of
from contrastive_har.runs.dags import ScheduleSettings
from contrastive_har.runs.settings import ProjectConfiguration, settings_of
from contrastive_har.runs.tracking_server import TrackingSettings

BASE = {
    "dataset": "${runtime_params:dataset,${globals:dataset}}",
    "resume": False,
    "seed": 1,
    "report": {"confidence": 0.95},
    "semi_supervised": {"repeats": 2, "methods": {"m": {}}},
}


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    for environment in ("base", "local"):
        (tmp_path / environment).mkdir()
    (tmp_path / "base/parameters.yml").write_text(yaml.safe_dump(BASE))
    (tmp_path / "base/globals.yml").write_text("dataset: uci_har")
    return tmp_path


def load(conf: Path, **given: Any) -> dict[str, Any]:
    assert settings.CONFIG_LOADER_CLASS is ProjectConfiguration
    return dict(
        ProjectConfiguration(str(conf), runtime_params=given, **settings.CONFIG_LOADER_ARGS)["parameters"],
    )


@pytest.mark.parametrize(
    ("given", "wrong", "near"),
    [
        ({"datset": "watch"}, "datset", "dataset"),
        ({"resum": True}, "resum", "resume"),
        ({"semi_supervized": {"repeats": 3}}, "semi_supervized", "semi_supervised"),
        ({"semi_supervized": {"methods": {}}}, "semi_supervized", "semi_supervised"),
        ({"report": {"confidense": 0.9}}, "report.confidense", "report.confidence"),
    ],
)
def test_a_misspelt_runtime_parameter_is_refused(conf: Path, given: dict[str, Any], wrong: str, near: str) -> None:
    with pytest.raises(ValueError, match=rf"^--params: there is no parameter '{wrong}'\. Did you mean '{near}'\?"):
        load(conf, **given)


@pytest.mark.parametrize(
    ("name", "value", "setting"),
    [("semi_supervised", 3, "semi_supervised.methods"), ("report", None, "report.confidence")],
)
def test_a_value_in_place_of_settings_is_refused(conf: Path, name: str, value: Any, setting: str) -> None:
    with pytest.raises(ValueError, match=rf"^--params: '{name}' is not a value but has settings, such as '{setting}'"):
        load(conf, **{name: value})
    (conf / "local/parameters.yml").write_text(yaml.safe_dump({name: value}))
    with pytest.raises(ValueError, match=rf"local/parameters.yml: '{name}' is not a value but has settings"):
        load(conf)


HEAD = {"name": "logistic", "penalty": 1}
ANOTHER = {"name": "knn", "neighbours": 5}


@pytest.mark.parametrize(
    ("given", "expected"),
    [(ANOTHER, ANOTHER), ({"penalty": 3}, HEAD | {"penalty": 3}), (HEAD | {"penalty": 3}, HEAD | {"penalty": 3})],
)
@pytest.mark.parametrize("path", [("labelling",), ("semi_supervised", "methods", "m")])
def test_settings_of_another_name_replace_those_below(
    conf: Path, path: tuple[str, ...], given: dict[str, Any], expected: dict[str, Any]
) -> None:
    def at_path(head: dict[str, Any]) -> dict[str, Any]:
        return reduce(lambda inner, name: {name: inner}, reversed(path), {"head": head})

    def head(**params: Any) -> Any:
        return reduce(getitem, path, load(conf, **params))["head"]

    local = conf / "local/parameters.yml"
    (conf / "base/parameters.yml").write_text(yaml.safe_dump(BASE | at_path(HEAD)))
    assert head(**at_path(given)) == expected
    local.write_text(yaml.safe_dump(at_path(given)))
    assert head() == expected
    local.write_text(yaml.safe_dump(at_path(HEAD)))
    assert head(**at_path(given)) == expected


@pytest.mark.parametrize("seed", [-1, "x", 0.5, None])
def test_a_seed_is_a_number_that_generators_take(seed: Any) -> None:
    with pytest.raises(ProtocolError, match="Parameter 'seed'"):
        plans_of({"seed": seed, "dataset": "uci_har"})


def test_a_parameter_unlike_all_others_is_refused_with_their_list(conf: Path) -> None:
    with pytest.raises(ValueError, match=r"'qqq'\. There are: dataset, report, resume, seed, semi_supervised\."):
        load(conf, qqq=1)


def test_a_misspelt_setting_of_a_protocol_is_refused() -> None:
    with pytest.raises(ProtocolError, match=r"There is no 'repeatz'\. Did you mean 'repeats'\?"):
        plans_of({"seed": 1, "semi_supervised": {"methods": {}, "repeatz": 3}})


@pytest.mark.parametrize(
    ("file", "content", "near"),
    [
        ("parameters.yml", {"sed": 1}, "seed"),
        ("parameters_mine.yml", {"report": {"confidense": 1}}, "report.confidence"),
        ("globals.yml", {"datset": "watch"}, "dataset"),
    ],
)
def test_a_misspelt_parameter_of_an_environment_is_refused_with_its_file(
    conf: Path, file: str, content: dict[str, Any], near: str
) -> None:
    (conf / "local" / file).write_text(yaml.safe_dump(content))
    with pytest.raises(ValueError, match=rf"/local/{file}: there is no parameter .* Did you mean '{near}'\?"):
        load(conf)


@pytest.mark.parametrize(
    ("name", "near"), [("paramters.yml", "parameters"), ("parameter_mine.yml", "parameters"), ("mlfow.yaml", "mlflow")]
)
def test_a_misspelt_file_is_refused(conf: Path, name: str, near: str) -> None:
    """Kedro reads files by their names, and passes over all others."""
    (conf / "local" / name).write_text("seed: 3")
    with pytest.raises(ValueError, match=rf"/local/{name} is not read\. Did you mean '{near}'\?"):
        load(conf)
    (conf / "local" / name).rename(conf / "local/names_of_activities.yml")
    load(conf)


@pytest.mark.parametrize(("file", "kind"), [("mlflow", TrackingSettings), ("airflow", ScheduleSettings)])
def test_a_misspelt_key_is_refused_with_its_file(file: str, kind: type[BaseModel]) -> None:
    with pytest.raises(ValueError, match=rf"^{file}\.yml: .*wrong_key: "):
        settings_of(kind, {file: {"wrong_key": 1}}, file)


def test_an_environment_may_have_its_own_protocols(conf: Path) -> None:
    own = {"_shared": 1, "mine": {"methods": {}}, "seed": 3}
    (conf / "local/parameters.yml").write_text(yaml.safe_dump(own))
    loaded = load(conf, mine={"title": "T"}, dataset="watch")
    assert (loaded["seed"], loaded["dataset"]) == (3, "watch")
    assert loaded["mine"] == {"methods": {}, "title": "T"}
