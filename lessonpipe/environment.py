"""The environment variables that the project reads: facts of the machine, never of the result."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from lessonpipe.errors import UserError


class Environment(BaseSettings):
    """Every variable, typed; None where it is unset or empty. The README's table lists them."""

    model_config = SettingsConfigDict(
        env_prefix="LESSONPIPE_", extra="ignore", frozen=True, allow_inf_nan=False
    )

    workers: int | None = Field(
        None, ge=1, description="the number of worker processes, a whole number above 0"
    )
    device: str | None = Field(None, description="where to compute: `cpu`, `cuda`, `cuda:1`, `mps`")
    compile: str | None = Field(
        None, description="train through `torch.compile`: `1`, or the name of a backend"
    )
    cache_gb: float = Field(
        2.0,
        ge=0,
        description="the memory for decoded pictures in GB, a number of at least 0 (2); on a GPU "
        "they lie where they fit into a quarter of its free memory",
    )
    loaders: int | None = Field(
        None,
        ge=0,
        description="the number of processes that decode what does not fit there, or is turned, "
        "zoomed or warped: a whole number of at least 0 (one a core, up to 8)",
    )
    ray_address: str | None = Field(
        None, alias="RAY_ADDRESS", description="a running Ray cluster, `HEAD:6379`"
    )
    storage: str | None = Field(
        None, description="what the cluster's nodes all see: a folder, `s3://bucket/folder`"
    )
    weights: Path | None = Field(None, description="a folder of pretrained weights")
    hub: str | None = Field(
        None, description="a mirror of torchvision's weights (`resnet34`, `vgg16_bn` and more)"
    )
    pets_url: str | None = Field(None, description="a mirror of the Oxford-IIIT pets")
    mnist_url: str | None = Field(None, description="a mirror of MNIST's four files")
    bedrooms_url: str | None = Field(None, description="a mirror of LSUN's bedrooms")
    streets_url: str | None = Field(None, description="a mirror of CamVid")
    streets_md5: str | None = Field(None, description="the MD5 of that mirror, if packed anew")
    progress: Literal["json"] | None = Field(
        None, description="`json` for progress as JSON lines, which the flows read"
    )
    detached: bool = Field(
        False, description="`1` for a stage that outlives the process that started it, else `0`"
    )
    commit: str | None = Field(
        None, description="the commit that models are stamped with, where there is no repository"
    )

    @model_validator(mode="before")
    @classmethod
    def _without_blanks(cls, values: dict[str, Any]) -> dict[str, Any]:
        return {name: text.strip() for name, text in values.items() if text.strip()}


def variable_name(field: str) -> str:
    """The environment variable that a field of `Environment` is read from."""
    return Environment.model_fields[field].alias or f"LESSONPIPE_{field.upper()}"


def environment() -> Environment:
    """Read the variables as they are now. Raises `UserError` that names a wrong one."""
    try:
        return Environment()
    except ValidationError as error:
        wrong = error.errors()[0]
        field = str(wrong["loc"][0])
        raise UserError(
            f"{variable_name(field)}={wrong['input']!r}: it must be "
            f"{Environment.model_fields[field].description}"
        ) from None
