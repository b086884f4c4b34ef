"""The page's server: on this machine alone unless told, every visitor's files apart and removed."""

import atexit
import os
import shutil
import signal
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

import gradio as gr
from starlette.middleware import Middleware

from lessonpipe.app.page.damage import damage_tab
from lessonpipe.app.page.report import report_tab
from lessonpipe.app.page.restore import restore_tab
from lessonpipe.app.page.training import Training
from lessonpipe.app.page.uploads import UploadLimit
from lessonpipe.app.page.visitors import Visitors
from lessonpipe.app.page.widgets import EXAMPLES
from lessonpipe.errors import UserError

LOCAL = ("127.0.0.1", "localhost", "::1")
MAX_BYTES = "200mb"  # of an upload
KEPT_SECONDS = 6 * 3600  # that uploads are kept: some wait for their turn
HERE = Path(__file__).parent
TITLE = "lessonpipe"


def build(root: Path, training: Training | None = None) -> gr.Blocks:
    """The page; visitors' results lie in folders of their own below `root`.

    With a `training`, recipes can be trained for.
    """
    visitors = Visitors(root)
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(600, KEPT_SECONDS)) as page:
        gr.Markdown("# lessonpipe\nRestores damaged pictures, on this machine.", elem_id="title")
        with gr.Tab("Restore"):
            restore_tab(page, visitors)
        with gr.Tab("Damage") as tab:
            damage_tab(page, tab, training)
        with gr.Tab("Report") as tab:
            report_tab(tab)
        page.unload(visitors.leave)
    return page


def theme() -> gr.themes.Base:
    """The looks: fonts that every machine has, so that nothing is fetched from the web.

    Its own shades of text on tints have too little contrast (WCAG 2 asks for 4.5).
    """
    soft = gr.themes.Soft(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
    return soft.set(
        color_accent="*primary_600",
        block_label_text_color="*primary_700",
        block_title_text_color="*primary_700",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_dark="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_hover_dark="*primary_700",
        body_text_color_subdued="*neutral_600",
        block_info_text_color="*neutral_600",
        link_text_color="*primary_700",
        link_text_color_dark="*primary_400",
    )


def serve(
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    password: str | None = None,
    browser: bool = False,
    block: bool = True,
    training: Training | None = None,
) -> str:
    """Starts the page; returns its address. With `block`, until Ctrl-C.

    Raises `UserError` for another host than this machine without a password, and for a port that
    is taken.
    """
    if host not in LOCAL and not password:
        raise UserError(f"{host} can be reached by others: add --password (the user is lessonpipe)")
    root = Path(tempfile.mkdtemp(prefix="lessonpipe-page-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["GRADIO_TEMP_DIR"] = str(root / "uploads")
    page = build(root / "results", training)
    page.queue(max_size=200)
    try:
        _, url, _ = page.launch(
            server_name=host,
            server_port=port,
            auth=("lessonpipe", password) if password else None,
            max_file_size=MAX_BYTES,
            allowed_paths=[str(EXAMPLES)],
            inbrowser=browser,
            share=False,
            quiet=True,
            prevent_thread_lock=True,
            footer_links=[],
            app_kwargs={"middleware": [Middleware(UploadLimit, folder=root / "uploads")]},
            show_error=False,
            theme=theme(),
            css_paths=HERE / "page.css",
            js=(HERE / "page.js").read_text("utf-8"),
            ssr_mode=False,
            run_history=False,
        )
    except OSError as error:
        raise UserError(f"the page did not start: {error}; choose another --port") from error
    print(f"the page is at {url} (Ctrl-C ends it)", flush=True)
    if block:
        for name in ("SIGTERM", "SIGHUP"):  # a closed terminal, too, ends it as Ctrl-C does
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), signal.default_int_handler)
        with suppress(KeyboardInterrupt):
            threading.Event().wait()
        page.close(verbose=False)
    return str(url)
