"""The code of a registered model: the packages it requires are all that it imports."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from contrastive_har.catalog import registry
from contrastive_har.catalog.registry import _CODE, _REQUIRED, _requirements
from contrastive_har.learning.pretraining.plans import BackboneSettings
from contrastive_har.models.encoders.aeon import QuantSettings

LISTED = """
import runpy, sys
runpy.run_path(sys.argv[1])  # as MLflow does
print(*(module.__file__ for name, module in sys.modules.items() if name.startswith("contrastive_har.")), sep="\\n")
"""


def imported(path: Path) -> Iterator[str]:
    """Find the packages that a module imports when it is imported itself."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module).partition(".")[0]


def installed_with(names: tuple[str, ...]) -> set[str]:
    """Find all distributions that come with some, by their names in lower case."""
    found, left = set[str](), [name.lower() for name in names]
    while left:
        if (name := left.pop().replace("_", "-")) in found:
            continue
        found.add(name)
        needed = map(Requirement, requires(name) or ())
        left += [one.name.lower() for one in needed if one.marker is None or one.marker.evaluate({"extra": ""})]
    return found


def test_what_the_served_code_imports_is_required() -> None:
    """An environment that is built from a model's requirements has no other packages."""
    listed = subprocess.run(
        [sys.executable, "-c", LISTED, str(_CODE)], capture_output=True, text=True, check=True
    ).stdout
    names = {name for path in listed.split() for name in imported(Path(path))}
    names -= {*sys.stdlib_module_names, "contrastive_har"}
    distributions = packages_distributions()
    present = installed_with(_REQUIRED)
    missing = {name for name in names if not {one.lower() for one in distributions[name]} & present}
    assert {"torch", "tqdm", "yaml"} <= names
    assert missing == set()


def test_an_encoder_of_an_optional_package_requires_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "version", lambda name: "1.0")
    plain = _requirements(BackboneSettings())
    assert plain == [f"{name}==1.0" for name in _REQUIRED]
    assert _requirements(BackboneSettings(encoder=QuantSettings())) == [*plain, "aeon==1.0"]
    assert _requirements(BackboneSettings(beside=(QuantSettings(), QuantSettings()))) == [*plain, "aeon==1.0"]
