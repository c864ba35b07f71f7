"""What settings, plans and the facts in files have in common: no unknown keys, and values that do not change."""

from pydantic import BaseModel, ConfigDict


class StrictModel(BaseModel):
    """A model that refuses unknown keys, and whose values cannot be set again."""

    model_config = ConfigDict(frozen=True, extra="forbid")
