"""How pages of ours look, and how pictures get into them."""

import base64
import html

from PIL import Image

from lessonpipe.data.pictures import as_jpeg

STYLE = """
:root { color-scheme: light dark; --ink: #222; --soft: #777; --line: #ddd; --paper: #fcfcfa; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8e8e4; --soft: #999; --line: #444; --paper: #1b1b1a; }
  .curves { background: #fff; border-radius: 6px; }
}
body { font: 16px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2rem auto; padding: 0 1rem;
  color: var(--ink); background: var(--paper); }
h1 { font-weight: 600; margin-bottom: 0; } h2 { margin-top: 2.5rem; font-weight: 600; }
p.soft, small, caption { color: var(--soft); }
.wide { overflow-x: auto; } img, .curves svg { max-width: 100%; height: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .8rem; border-bottom: 1px solid var(--line); text-align: right; }
th:first-child, td:first-child { text-align: left; } small { display: block; font-size: .75em; }
pre { background: rgba(128,128,128,.12); padding: 1rem; border-radius: 6px; overflow-x: auto;
  font-size: .85em; }
"""


def embed_image(picture: Image.Image, words: str) -> str:
    """A picture inside the page, with words for who cannot see it."""
    return inline(as_jpeg(picture), "jpeg", words)


def inline(content: bytes, kind: str, words: str) -> str:
    """The same for the bytes of a picture file of this kind, as `webp`."""
    data = base64.b64encode(content).decode()
    alt = html.escape(words, quote=True)
    return f'<div class=wide><img alt="{alt}" src="data:image/{kind};base64,{data}"></div>'
