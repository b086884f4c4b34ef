"""One table, as Markdown and as HTML."""

from jinja2 import ChoiceLoader, DictLoader, Environment, PackageLoader

from lessonpipe.report.tables import Cell, Table

TABLE = Table(
    ["", "gain <dB>"],
    [
        [Cell("group & co", ("a command",), span=2, heading=True)],
        ["gan", Cell("1.0", ("0.5…1.5", "median 1"))],
    ],
    caption="means",
)


def html(table: Table) -> str:
    page = '{% from "macros.html" import table %}{{ table(t) }}'
    loader = ChoiceLoader([PackageLoader("lessonpipe.report"), DictLoader({"page": page})])
    return Environment(loader=loader, autoescape=True).get_template("page").render(t=table)


def test_markdown_has_notes_in_brackets() -> None:
    assert TABLE.markdown().splitlines() == [
        "| | gain <dB> |",
        "|---|---|",
        "| group & co (a command) |",
        "| gan | 1.0 (0.5…1.5) (median 1) |",
    ]


def test_html_has_escaped_text_and_notes_in_small_type() -> None:
    rows = html(TABLE)
    assert "<caption>means</caption>" in rows
    assert "<th></th><th>gain &lt;dB&gt;</th>" in rows
    assert "<tr><th colspan=2>group &amp; co<small>a command</small></th></tr>" in rows
    assert "<td>1.0<small>0.5…1.5</small><small>median 1</small></td></tr>" in rows
    assert "<caption>" not in html(Table(["a"], [["b"]]))
