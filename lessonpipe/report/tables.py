"""Tables, once: rows of cells that become HTML or Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class Cell:
    """A cell: its text, and notes such as an interval.

    HTML shows notes in small type below the text, Markdown in brackets after it. `span` columns
    wide, and set as a heading if `heading`, which only HTML shows.
    """

    text: str
    notes: tuple[str, ...] = ()
    span: int = 1
    heading: bool = False


Row: TypeAlias = Sequence[Cell | str]


@dataclass(frozen=True)
class Table:
    """Column headings and rows; a cell without notes may be its text alone.

    `templates/macros.html` renders it as HTML.
    """

    columns: Sequence[str]
    rows: Sequence[Row]
    caption: str = ""

    @property
    def cells(self) -> list[list[Cell]]:
        """The rows, each cell a `Cell`."""
        return [[cell if isinstance(cell, Cell) else Cell(cell) for cell in r] for r in self.rows]

    def markdown(self) -> str:
        """Returns the table in GitHub's Markdown, without the caption."""
        rows = [[" ".join([c.text, *(f"({n})" for n in c.notes)]) for c in r] for r in self.cells]
        lines = [_line(self.columns), "|---" * len(self.columns) + "|", *map(_line, rows)]
        return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return "|" + "".join(f" {cell} |" if cell else " |" for cell in cells)
