"""What a lesson leaves to look at, beside its model: figures, and pictures with their words."""

from pathlib import Path

from pydantic import Field

from lessonpipe.config import StrictModel
from lessonpipe.io.atomic import read_json, write_json

RESULT_FILE = "shown.json"


class Score(StrictModel):
    """What one system reached: a value a seed, and the seconds that each training took.

    `lesson` is what the lesson reached, if it says; `goal` what is asked here where the data are
    other ones; `parts` by name what the value is the mean of, too many for the table.
    """

    system: str
    measure: str
    values: list[float] = Field(min_length=1)
    seconds: list[float] = Field(default_factory=list)
    lesson: float | None = None
    goal: float | None = None
    parts: dict[str, float] = Field(default_factory=dict)

    @property
    def mean(self) -> float:
        """Over the seeds."""
        return sum(self.values) / len(self.values)


class Plot(StrictModel):
    """A file of the lesson's folder (.svg, .jpg, .png or .webp), and what it shows in words."""

    file: str
    words: str


class LessonResult(StrictModel):
    """A lesson's part of the page; `text` says in a paragraph what was learnt."""

    title: str
    text: str
    figures: list[Score]
    pictures: list[Plot]

    def write(self, folder: Path) -> None:
        """Leave it in the lesson's folder, where its pictures are."""
        for picture in self.pictures:
            assert (folder / picture.file).is_file(), picture.file
        write_json(folder / RESULT_FILE, self.model_dump())

    @classmethod
    def read(cls, folder: Path) -> "LessonResult":
        """What `write` left."""
        return cls(**read_json(folder / RESULT_FILE))
