"""Typed settings that refuse what they do not know."""

from pydantic import BaseModel, ConfigDict


class StrictModel(BaseModel):
    """Settings without unknown keys, without infinities, never changed once made."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
