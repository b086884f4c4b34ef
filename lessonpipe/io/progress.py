"""Progress for whatever takes long: a bar on a terminal, a line now and then in a log."""

import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm


class Lines(tqdm):
    """A bar of whole lines: one that ends with the next one's start is read a turn late."""

    @staticmethod
    def status_printer(file: Any) -> Any:
        """What prints the bar."""
        return lambda bar: bar.strip() and print(bar.rstrip(), file=file, flush=True)


def progress_bar(
    items: Iterable[Any], title: str, *, total: int | None = None, unit: str = "it"
) -> Any:
    """Wrap `items`: shows how far, how fast, and how long it will still take."""
    live = sys.stderr.isatty()
    return (tqdm if live else Lines)(
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
