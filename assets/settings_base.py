"""What all settings share: their base, and the ranges of numbers that many of them use."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(gt=0)]
Count = Annotated[int, Field(ge=0)]
Usd = Annotated[float, Field(ge=0)]


class Settings(BaseModel):
    """Base of every concern: immutable, and an unknown setting is an error rather than a typo nobody sees."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def describe_validation(error: ValidationError) -> str:
    """Pydantic's findings in one line: setting, and what is wrong with it."""
    return "; ".join(f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors())
