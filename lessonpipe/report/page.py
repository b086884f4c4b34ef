"""The report: one self-contained HTML page. People would rather look than read."""

import html
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

from lessonpipe.data.pictures import grid
from lessonpipe.io.git import commit
from lessonpipe.report import reference
from lessonpipe.report.curves import curves
from lessonpipe.report.high_resolution import HighResolution
from lessonpipe.report.style import STYLE, embed_image

HEADINGS = {
    "psnr_gain": "PSNR gained, dB",
    "psnr": "PSNR, dB",
    "ssim": "SSIM",
    "perceptual": "perceptual distance",
    "text_removed": "text removed",
    "text_ceiling": "text ceiling",
    "damage_removed": "damage removed",
    "damage_ceiling": "damage ceiling",
    "sharpness": "sharpness",
    "colourfulness": "colourfulness",
    "ab_error": "colours off, Lab ab",
}


@dataclass
class Grid:
    """Pictures of a few validation tiles, a column a model."""

    image_px: int
    titles: list[str]
    rows: list[list[Image.Image]] = field(default_factory=list)

    def picture(self) -> Image.Image:
        """All rows as one picture."""
        return grid(self.rows, self.titles)


def page(
    metrics: dict[str, Any],
    grids: list[Grid],
    medium: HighResolution,
    histories: dict[str, Path],
    params: dict[str, Any],
) -> str:
    """The whole page; every picture is inside it."""
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><title>lessonpipe: report</title>",
        '<meta name=viewport content="width=device-width, initial-scale=1">',
        f"<style>{STYLE}</style><h1>What the restorer learnt</h1>",
        f"<p class=soft>commit {html.escape(commit())} · validation photos only, no room of which "
        "was seen in training</p>",
    ]
    for one in grids:
        words = f"crappy, {', '.join(one.titles[1:-1])} and photo at {one.image_px} pixels"
        parts += [
            f"<h2>At {one.image_px} pixels</h2>",
            embed_image(one.picture(), words),
            table(metrics[str(one.image_px)]),
        ]
    accuracy = metrics["critic"]["accuracy"]
    parts += [
        "<h2>From 256 pixels to 1280×1600</h2>",
        embed_image(
            medium.picture, "256 pixels enlarged, restored, and the photo; below, a detail"
        ),
        f"<p class=soft>without text, JPEG quality 60, by <code>lessonpipe restore</code>: "
        f"{medium.seconds:.1f} s from start to end, {medium.memory_gb:.1f} GB</p>",
        "<h2>How the training went</h2>",
        f"<div class='wide curves'>{curves(histories)}</div>",
        f"<p>Before the GAN, the critic was right about {accuracy:.1%} of the validation "
        "logits.</p>",
        *_beside(metrics),
        "<h2>What was done to the photos</h2>",
        f"<pre>{html.escape(yaml.safe_dump(params['crappify'], sort_keys=False))}</pre>",
        "<h2>All parameters</h2><details><summary>by stage</summary>",
        f"<pre>{html.escape(yaml.safe_dump(params, sort_keys=False))}</pre></details>",
    ]
    return "\n".join(parts) + "\n"


def _beside(metrics: dict[str, Any]) -> list[str]:
    if "beside" not in metrics:
        return []
    return ["<h2>Beside another run</h2>", reference.table(metrics["beside"])]


def table(models: dict[str, Any]) -> str:
    """A row a model, a column a measure: mean, and the 95 % interval below it."""
    shown = {name: m for name, m in models.items() if "psnr" in m}
    columns = [c for c in HEADINGS if any(c in m for m in shown.values())]
    head = "".join(f"<th>{HEADINGS[c]}</th>" for c in columns)
    rows = []
    for name, measures in shown.items():
        cells = "".join(f"<td>{_cell(measures.get(c))}</td>" for c in columns)
        rows.append(f"<tr><td>{html.escape(name)}</td>{cells}</tr>")
    lines = [
        f"{name.replace('_', ' ')}: {measure} × {v['times']:.2f} ({v['low']:.2f}…{v['high']:.2f})"
        for name, m in models.items()
        if "psnr" not in m
        for measure, v in m.items()
        if "times" in v
    ]
    return (
        f"<div class=wide><table><caption>means over photos; below, 95 % bootstrap intervals and "
        f"the median</caption><tr><th></th>{head}</tr>{''.join(rows)}</table></div>"
        + "".join(f"<p class=soft>{line}</p>" for line in lines)
    )


def _cell(v: dict[str, float] | None) -> str:
    if v is None:
        return "–"
    return (
        f"{v['mean']:.3f}<small>{v['low']:.3f}…{v['high']:.3f}</small>"
        f"<small>median {v['median']:.3f}</small>"
    )
