"""The pages of an evaluation and of a promotion: self-contained, and escaped."""

from html.parser import HTMLParser
from pathlib import Path

import pytest
from jinja2 import UndefinedError
from PIL import Image

from lessonpipe.report.bootstrap import Difference
from lessonpipe.report.evaluation import Grid
from lessonpipe.report.high_resolution import HighResolution
from lessonpipe.report.page import report_page
from lessonpipe.report.promotion import Decision, PromotionParams, promotion_page
from lessonpipe.report.render import render

HISTORY = "epoch,train_loss,valid_loss,valid_psnr,valid_accuracy\n1,1,1,20,0.9\n2,1,1,21,0.9\n"
P = PromotionParams(
    model=Path("models/fit_pixel"),
    image_px=64,
    metric="psnr_gain",
    tolerances={"sharpness": 0.02},
)


class Elements(HTMLParser):
    """Counts elements, checks that every one that needs an end has it, and finds addresses."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.feed(html)
        assert self.open == ["html"]  # whose end HTML leaves out

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "img", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def grid(px: int) -> Grid:
    tile = Image.new("RGB", (px, px), "teal")
    return Grid(px, ["crappy", "gan", "photo"], [[tile] * 3])


def model(**means: float) -> dict[str, dict[str, float]]:
    return {m: {"mean": v, "median": v, "low": 0.0, "high": 1.0} for m, v in means.items()}


def test_the_report_has_sliders_and_a_table_per_size_curves_and_params(tmp_path: Path) -> None:
    (tmp_path / "history.csv").write_text(HISTORY)
    size = {
        "crappy": model(psnr=20),
        "gan": model(psnr=25, text_removed=0.5),
        "gan_against_crappy": {"ssim": {"times": 1.5, "low": 1.0, "high": 2.0}},
    }
    html = report_page(
        {"64": size, "96": size, "critic": {"accuracy": 0.876}},
        [grid(64), grid(96)],
        HighResolution((640, 800), Image.new("RGB", (8, 8)), 3.21, 1.26),
        {"fit_gan": tmp_path / "history.csv"},
        {"crappify": {"recipe": ["text"]}, "note": "<b>", "download": {"folder": "/albums/ann/my"}},
    )
    page = Elements(html)
    assert page.tags.count("img") == 2 * 3 + 1 and page.tags.count("table") == 2
    assert page.tags.count("input") == 2
    assert all(address.startswith("data:image/jpeg;base64,") for address in page.addresses)
    assert html.count('aria-label="boundary of crappy, left, and gan, right"') == 2
    assert "<td>25.000<small>0.000…1.000</small><small>median 25.000</small></td>" in html
    assert "<tr><td>PSNR, dB</td><td>20.000<small>" in html
    assert "<tr><td>text removed</td><td>–</td><td>0.500<small>" in html
    assert "<p class=soft>gan against crappy: ssim × 1.50 (1.00…2.00)</p>" in html
    assert "87.6%" in html
    assert " s from start to end" not in html and " GB" not in html  # each time others
    assert html.count('<div class="wide curves"><svg') == 1
    assert "Beside another run" not in html
    assert "note: &lt;b&gt;" in html
    assert "folder: …/my" in html and "/albums/ann" not in html


def test_the_report_compares_with_another_runs_figures(tmp_path: Path) -> None:
    (tmp_path / "history.csv").write_text(HISTORY)
    html = report_page(
        {
            "critic": {"accuracy": 0.5},
            "reference": {"fit_gan valid_loss at 64": {"ours": 0.4, "reached": 0.3}},
        },
        [],
        HighResolution((640, 800), Image.new("RGB", (8, 8)), 1, 1),
        {"fit_gan": tmp_path / "history.csv"},
        {"crappify": {}},
    )
    Elements(html)
    row = "<tr><td>fit_gan valid_loss at 64</td><td>0.4000</td><td>0.3000</td></tr>"
    assert html.index("Beside another run") < html.index(row)


@pytest.mark.parametrize("promoted", ["v3", None])
def test_the_promotions_page_has_reasons_differences_and_models(promoted: str | None) -> None:
    reasons = [] if promoted else ["sharpness is worse <by> 0.1"]
    differences = {"psnr_gain": Difference(0.5, 0.25, 0.75), "sharpness": Difference(-0.1, -1, 1)}
    decision = Decision(bool(promoted), reasons, differences)
    lineages = {"in service": {"weights": "0123", "measures": "long"}, "new": {"weights": "4567"}}
    html = promotion_page(P, decision, grid(64), lineages, promoted)
    page = Elements(html)
    assert page.tags.count("img") == page.tags.count("table") == 1
    title = "v3 went into service" if promoted else "not promoted"
    assert f"<h1>{title}</h1>" in html and f"<title>lessonpipe: {title}</title>" in html
    surely = "psnr_gain is surely better, and nothing is worse than allowed"
    assert f"<p>{surely if promoted else 'sharpness is worse &lt;by&gt; 0.1'}</p>" in html
    assert "<td>+0.500</td><td>+0.250…+0.750</td><td>–</td>" in html
    assert "<td>-0.100</td><td>-1.000…+1.000</td><td>0.02</td>" in html
    assert "0123" in html and "4567" in html and "long" not in html


def test_a_promotion_without_a_comparison_has_neither_table_nor_pictures() -> None:
    decision = Decision(True, ["there was none before"], {})
    html = promotion_page(P, decision, None, {"new": {"weights": "4567"}}, "v1")
    assert not {"img", "table"} & set(Elements(html).tags)
    assert "<p>there was none before</p>" in html


def test_a_page_that_lacks_a_value_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        render("promotion.html", outcome="promoted")
