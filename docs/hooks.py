"""What `mkdocs build` does with links to files of the repository that are no pages of the site."""

import os
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import Abort
from mkdocs.structure.pages import Page

LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)#\s]+)(#[^)\s]*)?\)")
CELL_CODE = re.compile(r"`[^`]*`")
TABLE_ROW = re.compile(r"^\|.*$", re.MULTILINE)
CODE = re.compile(r"(^(?:```|~~~).*?^(?:```|~~~)$)", re.DOTALL | re.MULTILINE)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Refuse to build over a folder that is no earlier build: mkdocs would empty it."""
    site = Path(config.site_dir)
    if site.is_dir() and any(site.iterdir()) and not (site / "objects.inv").is_file():
        raise Abort(f"{site} holds something else: move it away, or build with --site-dir")
    return config


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, **_: Any) -> str:
    """The page with links to files of the repository, outside of docs/, as their text alone.

    The README becomes a link to the site's first page. Links to nothing stay, and are warned of.
    """
    docs, here = Path(config.docs_dir).resolve(), Path(str(page.file.abs_src_path)).resolve()

    def replaced(link: re.Match[str]) -> str:
        target = (here.parent / link[2]).resolve()
        if "://" in link[2] or target.is_relative_to(docs) or not target.exists():
            return link[0]
        if target == docs.parent / "README.md":
            return f"[{link[1]}]({os.path.relpath(docs / 'index.md', here.parent)})"
        return link[1]

    def in_cells(row: re.Match[str]) -> str:  # only the forge needs \| for | in a table's code
        return CELL_CODE.sub(lambda code: code[0].replace("\\|", "|"), row[0])

    parts = CODE.split(markdown)  # text, code, text, …
    parts[::2] = [TABLE_ROW.sub(in_cells, LINK.sub(replaced, text)) for text in parts[::2]]
    return "".join(parts)
