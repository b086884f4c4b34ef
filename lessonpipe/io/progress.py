"""Progress of whatever takes long: a bar on a terminal, lines in a log, or JSON for a program.

With LESSONPIPE_PROGRESS=json in the environment, as flows set it for a stage's process, progress is
one JSON object a line, which `parse_event` reads back.
"""

import json
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from tqdm import tqdm

from lessonpipe.environment import environment, variable_name

JSON_ENV = {variable_name("progress"): "json"}  # for a process whose progress a program reads


@dataclass(frozen=True)
class Progress:
    """`n` of `total` items are done, `rate` of them a second; None is unknown."""

    title: str
    n: float
    total: float | None
    unit: str
    rate: float | None

    @property
    def percent(self) -> float | None:
        """From 0 to 100."""
        return 100 * self.n / self.total if self.total else None

    def __str__(self) -> str:
        text = f"{self.title}: {self.n}{f'/{self.total}' if self.total else ''} {self.unit}"
        if self.rate:
            text += f", {self.rate:.2f} a second"
            text += f", {(self.total - self.n) / self.rate:.0f} s left" if self.total else ""
        return text


@dataclass(frozen=True)
class Done:
    """A stage has ended well, after `seconds`."""

    stage: str
    seconds: float

    def __str__(self) -> str:
        return f"{self.stage}: done in {self.seconds:.0f} s"


Event = Progress | Done
EVENTS: dict[str, type[Progress] | type[Done]] = {"progress": Progress, "done": Done}


def print_done(stage: str, seconds: float) -> None:
    """Print that a stage has ended well."""
    event = Done(stage, seconds)
    print(_to_json(event) if environment().progress == "json" else event, flush=True)


def parse_event(line: str) -> Event | None:
    """Return the event of a line, whatever Ray has put before and after it; None for other text."""
    try:
        found, _ = json.JSONDecoder().raw_decode(line, line.index("{"))
        ((kind, fields),) = found.items()
        return EVENTS[kind](**fields)
    except (ValueError, AttributeError, KeyError, TypeError):
        return None


def progress_bar(
    items: Iterable[Any], title: str, *, total: int | None = None, unit: str = "it"
) -> Any:
    """Iterate over `items`, showing how many are done, how fast, and how long the rest takes."""
    json_mode = environment().progress == "json"
    live = sys.stderr.isatty() and not json_mode
    kind = tqdm if live else JsonLines if json_mode else TextLines
    return kind(
        items,
        title,
        total,
        unit=f" {unit}",
        mininterval=0.2 if live else 10.0,
        maxinterval=1.0 if live else 20.0,
        delay=0 if live else 2,
        ncols=100,
        leave=live,
    )


class TextLines(tqdm):
    """A bar that ends each of its states with a newline, so that a log's reader gets it at once."""

    @staticmethod
    def status_printer(file: Any) -> Any:
        """Return the function that prints the bar."""
        return lambda bar: bar.strip() and print(bar.rstrip(), file=file, flush=True)


class JsonLines(tqdm):
    """A bar whose states are `Progress` events."""

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        """Print the state; `msg` is the text that tqdm would put in its place when it ends."""
        if msg is None:
            title, rate = self.desc.removesuffix(": "), self.format_dict["rate"]
            event = Progress(title, self.n, self.total, self.unit.strip(), rate)
            print(_to_json(event), file=self.fp, flush=True)


def _to_json(event: Event) -> str:
    return json.dumps({type(event).__name__.lower(): asdict(event)})
