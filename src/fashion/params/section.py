"""What the sections of params.yaml have in common."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(gt=0, lt=2**31)]


class Section(BaseModel):
    """An unknown key is an error, nothing is turned into another type, and nothing changes after loading.

    DVC compares what stands in the file: a text or a truth value that passed for a number would be another value there.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)
