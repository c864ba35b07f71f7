"""Methods: what an encoder is trained with before anybody shows it a label. Each module here holds one family."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Union

from pydantic import Field

from contrastive_har.learning.methods.base import Learner, Objective, Step

__all__ = ["Learner", "Objective", "PretrainingMethod", "Step"]


def _methods(of: type[Objective]) -> Iterator[type[Objective]]:
    for subclass in of.__subclasses__():
        if "objective" in subclass.model_fields:
            yield subclass
        yield from _methods(subclass)


for _module in pkgutil.iter_modules(__path__, f"{__name__}."):
    import_module(_module.name)

if TYPE_CHECKING:
    PretrainingMethod = Objective
else:
    PretrainingMethod = Annotated[Union[tuple(_methods(Objective))], Field(discriminator="objective")]  # noqa: UP007
"""Any method, chosen by its ``objective`` in configuration."""
