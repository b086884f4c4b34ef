"""Typed settings: the sections of params.yaml are these objects, handed on whole."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Rate = Annotated[float, Field(gt=0)]
Frozen = bool | Literal["early"]


class StrictModel(BaseModel):
    """Settings without unknown keys, without infinities, never changed once made."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Slice(StrictModel):
    """fastai v1's `slice(lr)`: the rate of the last parameter group; all others get a tenth."""

    slice: Rate


MaxLR = Rate | tuple[Rate, Rate] | Slice


class TrainPhase(StrictModel):
    """Some epochs with one schedule.

    `batch` is the global batch, over all workers. `max_lr` is one rate; `[a, b]`, between which the
    rates of the parameter groups are spaced (fastai's `slice(a, b)`); or `{slice: b}`, its
    `slice(b)`. `pct_start` is the share of the steps in which the rate rises. `frozen` says what of
    a pretrained encoder does not learn: all of it, its `early` part up to 1/8, or nothing. An epoch
    is every training sample once, or `samples_per_epoch`.
    """

    batch: int = Field(ge=1)
    epochs: int = Field(ge=0)
    max_lr: MaxLR
    pct_start: float = Field(0.3, ge=0, lt=1)
    frozen: Frozen = False
    samples_per_epoch: int | None = Field(None, ge=1)

    @property
    def history_columns(self) -> dict[str, int]:
        """What a row of the history says of the phase."""
        return {}

    def title(self, text: str) -> str:
        """`text`, and the phase's image size if it has one: for a progress bar."""
        return " at ".join([text, *map(str, self.history_columns.values())])


class Phase(TrainPhase):
    """Some epochs at one image size; progressive resize is a list of these."""

    image_px: int = Field(ge=32, le=4096, multiple_of=32)

    @property
    def history_columns(self) -> dict[str, int]:
        """The image size, in pixels."""
        return {"px": self.image_px}
