"""The tab Report: what the last run in this folder wrote, as it is when a visitor looks."""

import html
from pathlib import Path

import gradio as gr

from lessonpipe.app.page.widgets import UNQUEUED

REPORTS = {
    "Restorer": Path("reports/index.html"),
    "GAN and feature loss": Path("reports/comparison/index.html"),
    "Promotion": Path("reports/promotion.html"),
    "The lesson's other systems": Path("reports/lessons.html"),
}
NONE = "<p>No report is here yet: <code>make run</code> in a project's folder writes one.</p>"


def report_tab(tab: gr.Tab) -> None:
    """Builds the tab into the page; reports are read when a visitor selects it."""
    which = gr.Radio([], label="Report", visible=False, elem_id="which-report")
    shown = gr.HTML(NONE, elem_id="report")

    def look() -> tuple[gr.Radio, str]:
        there = [title for title, path in REPORTS.items() if path.is_file()]
        first = there[0] if there else None
        return gr.Radio(there, value=first, visible=len(there) > 1), framed(first)

    tab.select(look, None, [which, shown], **UNQUEUED)
    which.input(framed, which, shown, **UNQUEUED)


def framed(title: str | None) -> str:
    """A report in a frame of its own, which its scripts cannot leave."""
    if title is None or not REPORTS[title].is_file():
        return NONE
    page = html.escape(REPORTS[title].read_text("utf-8"), quote=True)
    return f'<iframe title="{title}" sandbox="allow-scripts" srcdoc="{page}"></iframe>'
