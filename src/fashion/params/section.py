"""What the sections of params.yaml have in common."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(gt=0, lt=2**31)]


class Section(BaseModel):
    """A section: unknown keys are errors, values are not converted to another type, and nothing changes after loading.

    DVC compares the values in the file: a string or a boolean accepted as a number would be a different value there.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)
