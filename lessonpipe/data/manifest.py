"""The list of pairs that crappify leaves beside its pictures: what is what, and in which split."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from lessonpipe.errors import MissingError
from lessonpipe.io.atomic import read_json, write_json

Split = Literal["train", "valid"]


@dataclass(frozen=True, slots=True)
class Pair:
    """One good picture and its crappy version, paths relative to the manifest's folder."""

    name: str
    photo: str
    group: str
    split: Split
    good: str
    crappy: str
    sha256: str

    def as_dict(self) -> dict[str, str]:
        """Its fields by name: what `dataclasses.asdict` gives, in a tenth of the time."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True)
class Manifest:
    """All pairs, sorted by name, and the recipe that degraded them; in words, its `damage`.

    `target` are the steps that made the good pictures of photos; none where those are the photos.
    """

    recipe: list[Any]
    quality: tuple[int, int]
    seed: int
    pairs: list[Pair]
    damage: list[str] = field(default_factory=list)
    target: list[Any] | None = None

    def write(self, folder: Path) -> None:
        """Write `manifest.json` into `folder`."""
        content = {**vars(self), "pairs": [pair.as_dict() for pair in self.pairs]}
        if self.target is None:
            del content["target"]
        write_json(folder / "manifest.json", content)

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """Read it back. Raises `MissingError` when there is none."""
        path = Path(folder) / "manifest.json"
        if not path.is_file():
            raise MissingError(f"{path} is not there", path)
        raw = read_json(path)
        pairs = [Pair(**pair) for pair in raw["pairs"]]
        quality = (raw["quality"][0], raw["quality"][1])
        damage, target = raw.get("damage", []), raw.get("target")
        return cls(raw["recipe"], quality, raw["seed"], pairs, damage, target)

    def split(self, split: Split) -> list[Pair]:
        """The pairs of one split."""
        return [pair for pair in self.pairs if pair.split == split]
