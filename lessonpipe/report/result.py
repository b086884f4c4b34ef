"""What a stage leaves to look at beside its model: scores, and plots with their captions."""

from pathlib import Path

from pydantic import Field

from lessonpipe.config import StrictModel
from lessonpipe.io.atomic import atomic_write, read_json, write_json

RESULT_FILE = "result.json"


class Score(StrictModel):
    """What one system reached: a value per seed.

    `seconds` are those that each training took: told, and not written, as no two runs have the
    same. `lesson` is what the course reached, if it says; `goal` what is asked for here where the
    data or the network differ; `parts` by name what the value is the mean of, too many for the
    table.
    """

    system: str
    measure: str
    values: list[float] = Field(min_length=1)
    seconds: list[float] = Field(default_factory=list, exclude=True)
    lesson: float | None = None
    goal: float | None = None
    parts: dict[str, float] = Field(default_factory=dict)

    @property
    def mean(self) -> float:
        """The mean over the seeds."""
        return sum(self.values) / len(self.values)

    @property
    def text(self) -> str:
        """The score in a line: system, measure, mean, and what the course reached."""
        lesson = "" if self.lesson is None else f" (lesson {self.lesson:.4g})"
        return f"{self.system}: {self.measure} {self.mean:.4f}{lesson}"

    @property
    def took(self) -> float | None:
        """The mean of the seconds, if they are known."""
        return sum(self.seconds) / len(self.seconds) if self.seconds else None


class Plot(StrictModel):
    """A file of the stage's folder (.svg, .jpg, .png or .webp), and what it shows."""

    file: str
    caption: str


class Result(StrictModel):
    """A stage's part of a page; `text` says in a paragraph what was learnt."""

    title: str
    text: str
    scores: list[Score]
    plots: list[Plot]

    def write(self, folder: Path) -> None:
        """Write it into the stage's folder, where its plots are; tell scores and seconds."""
        for plot in self.plots:
            assert (folder / plot.file).is_file(), plot.file
        write_json(folder / RESULT_FILE, self.model_dump())
        for score in self.scores:
            print(score.text, flush=True)
        for system, seconds in self.took.items():
            print(f"{system}: {seconds:.0f} s a training", flush=True)

    @property
    def took(self) -> dict[str, float]:
        """The seconds of a training by system, of those whose are known."""
        return {s.system: s.took for s in self.scores if s.took is not None}

    @classmethod
    def read(cls, folder: Path) -> "Result":
        """Read the result in a stage's folder."""
        return cls(**read_json(folder / RESULT_FILE))


def write_plots(folder: Path, files: dict[str, tuple[str | bytes, str]]) -> list[Plot]:
    """Write `{file name: (content, caption)}` into a folder; returns the plots, in that order."""
    for name, (content, _) in files.items():
        atomic_write(folder / name, content)
    return [Plot(file=name, caption=caption) for name, (_, caption) in files.items()]
