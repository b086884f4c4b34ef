"""The documentation as a site: built without a warning, and every link leads somewhere."""

import os
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import yaml

from tests.conftest import ROOT

ASSETS = {"script": "src", "img": "src", "source": "src", "iframe": "src", "video": "src"}


def build(config: Path, out: Path) -> subprocess.CompletedProcess[str]:
    """`mkdocs build --strict`, with all that it prints as its output."""
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", config, "--site-dir", out]
    env = os.environ | {
        "NO_MKDOCS_2_WARNING": "1"
    }  # of what will be in some years: no page's fault
    return subprocess.run(
        words,
        cwd=ROOT,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The site's folder, and what building it printed."""
    site = tmp_path_factory.mktemp("docs") / "site"
    done = build(ROOT / "mkdocs.yml", site)
    assert done.returncode == 0, done.stdout
    return site, done.stdout


class Page(HTMLParser):
    """The anchors of a page, what it links to, and what a browser fetches to show it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.assets: list[str] = []
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.ids |= {found[name] for name in ("id", "name") if name in found}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        if tag == "link" and found.get("rel") not in ("canonical", "prev", "next"):
            self.assets.append(found["href"])
        if found.get(ASSETS.get(tag, "")):
            self.assets.append(found[ASSETS[tag]])


def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path) for path in sorted(site.rglob("*.html"))}


def nav_files(entry: Any) -> list[str]:
    """The Markdown files of a part of the nav, in order."""
    if isinstance(entry, str):
        return [entry]
    parts = entry.values() if isinstance(entry, dict) else entry
    return [file for part in parts for file in nav_files(part)]


def test_no_warning_is_printed(built: tuple[Path, str]) -> None:
    assert "Documentation built" in built[1]
    assert "warning" not in built[1].lower() and "error" not in built[1].lower(), built[1]


def test_the_nav_has_every_page_once(built: tuple[Path, str]) -> None:
    text = (ROOT / "mkdocs.yml").read_text().split("\nnav:\n")[1]
    files = nav_files(yaml.safe_load(text))
    written = {p.relative_to(ROOT / "docs").as_posix() for p in (ROOT / "docs").rglob("*.md")}
    assert len(files) == len(set(files)) > 20 and set(files) == written
    for file in files:
        assert (built[0] / file).with_suffix(".html").is_file(), file


def test_every_link_and_picture_of_every_page_is_there(built: tuple[Path, str]) -> None:
    found, checked = pages(built[0]), 0
    for path, page in found.items():
        base = built[0] if path.name == "404.html" else path.parent
        for link in page.links + page.assets:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = path
            if parts.path.startswith("/"):  # 404.html is shown at any depth
                target = built[0] / unquote(parts.path).lstrip("/")
            elif parts.path:
                target = (base / unquote(parts.path)).resolve()
            assert target.is_relative_to(built[0]), (path.name, link)
            target = target / "index.html" if target.is_dir() else target
            assert target.is_file(), (path.name, link)
            if parts.fragment and target in found and not parts.fragment.startswith("__"):
                assert unquote(parts.fragment) in found[target].ids, (path.name, link)
            checked += 1
    assert checked > 1000


def test_no_page_and_no_style_fetches_anything_from_another_host(built: tuple[Path, str]) -> None:
    for path, page in pages(built[0]).items():
        assert page.assets, path
        for asset in page.assets:
            assert not urlsplit(asset).netloc and urlsplit(asset).scheme in ("", "data"), asset
    styles = list(built[0].rglob("*.css"))
    assert styles
    for style in styles:
        text = style.read_text("utf-8").replace('"', "").replace("'", "")
        assert "url(http" not in text and "url(//" not in text and "@import" not in text, style


def test_the_api_has_what_docstrings_say(built: tuple[Path, str]) -> None:
    for page, words in {
        "restorer": "bounds what is taken",
        "crappify": "White text at a random position",
        "losses": "how strong\na texture is",
    }.items():
        text = (built[0] / "api" / page).with_suffix(".html").read_text()
        assert words in text, page


@pytest.fixture
def little(tmp_path: Path) -> Path:
    """A project with a page of its own, by the hooks of ours; its mkdocs.yml."""
    (tmp_path / "docs").mkdir()
    shutil.copy(ROOT / "docs/hooks.py", tmp_path / "docs")
    (tmp_path / "README.md").write_text("# Hello\n")
    (tmp_path / "params.yaml").write_text("seed: 1\n")
    (tmp_path / "docs/index.md").write_text("# Home\n")
    config = {"site_name": "little", "hooks": ["docs/hooks.py"], "exclude_docs": "*.py"}
    config |= {"use_directory_urls": False, "theme": {"name": "mkdocs"}}
    (tmp_path / "mkdocs.yml").write_text(yaml.safe_dump(config))
    return tmp_path / "mkdocs.yml"


def write(config: Path, text: str) -> None:
    (config.parent / "docs/why").mkdir(exist_ok=True)
    (config.parent / "docs/why/page.md").write_text(text)


def test_links_to_files_of_the_repository_become_their_text(little: Path, tmp_path: Path) -> None:
    write(little, "# P\n\n[the params](../../params.yaml), [start](../../README.md#a)\n\n"
          "| a |\n|---|\n| `x\\|y` |\n\n```\n[code](../../params.yaml)\n```\n")  # fmt: skip
    done = build(little, tmp_path / "out")
    assert done.returncode == 0, done.stdout
    text = (tmp_path / "out/why/page.html").read_text()
    assert "the params," in text and 'href="../index.html">start</a>' in text
    assert "<code>x|y</code>" in text and "[code](../../params.yaml)" in text


def test_links_to_nothing_end_the_build(little: Path, tmp_path: Path) -> None:
    write(little, "# P\n\n[gone](../../gone.yaml)\n")
    done = build(little, tmp_path / "out")
    assert done.returncode != 0 and "gone.yaml" in done.stdout


def test_a_folder_that_is_no_earlier_build_is_not_emptied(little: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/restorer.onnx").write_bytes(b"a model")
    done = build(little, tmp_path / "out")
    assert done.returncode != 0 and "move it away" in done.stdout
    assert (tmp_path / "out/restorer.onnx").is_file()
