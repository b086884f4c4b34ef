"""Every step does what its name says, to any picture, the same each time."""

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from lessonpipe.crappify import Recipe
from lessonpipe.crappify.steps import STEPS
from tests.conftest import make_picture

SIZES = [(64, 48), (1, 1), (2, 1), (3, 200), (200, 3)]


def degrade(step: object, picture: Image.Image, name: str = "a") -> NDArray[np.int64]:
    recipe = Recipe([step])  # type: ignore[list-item]
    return np.asarray(recipe.degrade(picture, name)).astype(np.int64)


def flat(value: int, width: int = 200, height: int = 160) -> Image.Image:
    return Image.new("RGB", (width, height), (value, value, value))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", sorted(STEPS))
def test_a_step_changes_neither_mode_nor_size_nor_the_given_picture(
    name: str, size: tuple[int, int]
) -> None:
    given = make_picture(*size)
    before = given.tobytes()
    made = Recipe([name]).degrade(given, "a")
    assert made.mode == "RGB"
    if name == "resize":
        assert min(made.size) == 96
    else:
        assert made.size == size
    assert given.tobytes() == before
    assert made.tobytes() == Recipe([name]).degrade(given, "a").tobytes()


@pytest.mark.parametrize("name", sorted(set(STEPS) - {"edges", "grey", "palette", "resize"}))
def test_a_step_draws_other_numbers_for_another_picture(name: str) -> None:
    given = make_picture(200, 160)
    assert len({degrade(name, given, str(i)).tobytes() for i in range(4)}) > 1


def test_resize_makes_the_shorter_side_as_asked() -> None:
    assert Recipe([{"resize": {"shorter": 30}}]).degrade(make_picture(90, 61), "a").size == (44, 30)
    assert Recipe([{"resize": {"shorter": 30}}]).degrade(make_picture(20, 10), "a").size == (60, 30)


def test_grey_is_luma_three_times(picture: Image.Image) -> None:
    made = degrade("grey", picture)
    luma = np.asarray(picture) @ [0.299, 0.587, 0.114]
    assert np.abs(made - luma[..., None]).max() <= 1


def test_edges_are_dark_lines_where_brightness_changes_and_paper_elsewhere() -> None:
    photo = flat(200)
    photo.paste((40, 90, 30), (0, 0, 100, 160))
    made = degrade({"edges": {"radius": 3}}, photo)
    assert (
        (made == made[..., :1]).all() and (made[:, :85] > 250).all() and (made[:, 115:] > 250).all()
    )
    assert made[:, 97:100].max() < 200  # on the dark side of the edge
    assert (degrade("edges", flat(0)) == 255).all()


def test_a_palette_has_the_nearest_of_its_colours_alone(picture: Image.Image) -> None:
    paints = [(0, 0, 0), (255, 255, 255), (200, 30, 30)]
    step = {"palette": {"colours": ["#000000", "#ffffff", "#c81e1e"], "brush": 3}}
    made = degrade(step, picture)
    given = np.asarray(picture.filter(ImageFilter.MedianFilter(3))).astype(int)
    off = [np.square(given - paint).sum(-1) for paint in paints]
    nearest = np.asarray(paints)[np.argmin(off, 0)]
    assert (made == nearest).all(-1).mean() > 0.97  # Pillow looks colours up by a coarse table
    assert {tuple(c) for c in made.reshape(-1, 3)} <= set(paints)
    speck = flat(255)
    speck.putpixel((50, 50), (0, 0, 0))
    assert (degrade({"palette": {"colours": step["palette"]["colours"]}}, speck) == 255).all()


def test_blur_takes_out_detail_and_keeps_the_mean(picture: Image.Image) -> None:
    made, before = degrade({"blur": {"radius": [2, 2]}}, picture), np.asarray(picture).astype(int)
    assert np.abs(np.diff(made, axis=1)).mean() < 0.6 * np.abs(np.diff(before, axis=1)).mean()
    assert made.mean() == pytest.approx(before.mean(), abs=1)


def test_jpeg_of_lower_quality_is_further_away(picture: Image.Image) -> None:
    off = [
        np.abs(degrade({"jpeg": {"quality": q}}, picture) - np.asarray(picture)).mean()
        for q in (95, 50, 5)
    ]
    assert 0 < off[0] < off[1] < off[2]


def test_noise_has_the_deviation_asked_for() -> None:
    made = degrade({"noise": {"sigma": [12, 12]}}, flat(128)) - 128
    assert made.std() == pytest.approx(12, rel=0.03) and abs(made.mean()) < 0.3
    assert abs(np.corrcoef(made[..., 0].ravel(), made[..., 1].ravel())[0, 1]) < 0.05
    grey = degrade({"noise": {"sigma": [12, 12], "colour": False}}, flat(128))
    assert (grey == grey[..., :1]).all()


def test_text_writes_the_drawn_quality_in_the_upper_left() -> None:
    for name in "abcdefgh":
        made = degrade("text", flat(0), name)
        rows, columns = np.nonzero(made.max(2))
        assert len(rows) > 10 and made.max() > 200
        assert rows.max() <= 80 + 14 and columns.max() <= 100 + 14
    first = Recipe(["text"])
    qualities = {first.rng(name).quality for name in "abcdefgh"}
    assert len(qualities) > 1


def test_text_has_the_given_content_and_height() -> None:
    small, large = (
        degrade({"text": {"says": "HH", "letters": tall}}, flat(0, 400, 400)) for tall in (10, 40)
    )
    heights = [np.ptp(np.nonzero(made.max(2))[0]) for made in (small, large)]
    assert heights[1] == pytest.approx(4 * heights[0], rel=0.3)


def test_holes_are_black_boxes_of_their_share() -> None:
    made = degrade({"hole": {"count": [1, 1], "share": [0.25, 0.25]}}, flat(200))
    rows, columns = np.nonzero(made.max(2) == 0)
    assert len(rows) == 50 * 40 == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
    assert set(np.unique(made)) == {0, 200}


def test_creases_only_brighten_and_go_from_edge_to_edge() -> None:
    for name in "abcdef":
        made = degrade({"crease": {"count": [1, 1]}}, flat(60), name)
        bright = made.max(2) > 80
        assert (made >= 60).all()
        rims = [bright[0].any(), bright[-1].any(), bright[:, 0].any(), bright[:, -1].any()]
        assert sum(rims) >= 2
        assert bright.mean() < 0.15


def test_ink_only_darkens_here_and_there() -> None:
    made = degrade({"ink": {"count": [2, 2], "share": [0.08, 0.08]}}, flat(200))
    assert (made <= 200).all() and made.min() < 100
    assert 0.002 < (made.max(2) < 150).mean() < 0.12


def test_scratches_are_as_often_thin_as_wide_and_light_as_dark() -> None:
    one = {"count": [1, 1], "width": [0.005, 0.08], "opacity": [1, 1]}
    share, lighter = [], []
    for i in range(200):
        made = degrade({"scratch": one}, flat(128), str(i)) - 128
        changed = np.abs(made).max(2) > 16
        share.append(changed.mean())
        if changed.any():
            lighter.append(made[changed].mean() > 0)
    assert 0.3 < np.mean(lighter) < 0.7
    thin, wide = np.quantile(share, [0.25, 0.95])
    assert 8 * thin < wide < 0.3
    assert np.mean(np.array(share) > 0) > 0.8  # the rest is out of the picture, or 128 itself


def test_stains_are_round_about_their_radius_and_tint_or_cover() -> None:
    areas, seen_through = [], []
    busy = make_picture(200, 160)
    for i in range(150):
        made = degrade({"stain": {"count": [1, 1], "share": [0.2, 0.2]}}, flat(128), str(i))
        areas.append((np.abs(made - 128).max(2) > 4).sum())
        over = degrade(
            {"stain": {"count": [1, 1], "share": [0.2, 0.2], "opacity": [1, 1]}}, busy, str(i)
        )
        before = np.asarray(busy).astype(int)
        where = np.abs(over - before).max(2) > 8
        if where.sum() > 200:
            seen_through.append(np.corrcoef(over[where].ravel(), before[where].ravel())[0, 1] > 0.5)
    assert 0.2 < np.mean(seen_through) < 0.95
    assert 0 < np.median(areas) < 1.5 * np.pi * 32**2


def test_dust_is_many_specks_and_little_of_the_picture() -> None:
    made = degrade({"dust": {"count": [60, 60], "share": [0.004, 0.01]}}, flat(128, 400, 400))
    changed = np.abs(made - 128).max(2) > 12
    rows, columns = np.nonzero(changed)
    assert 0.0005 < changed.mean() < 0.02
    assert np.ptp(rows) > 300 and np.ptp(columns) > 300
    assert made.min() < 128 < made.max()


def test_fade_lowers_contrast_and_colour_and_warms() -> None:
    given = make_picture(80, 60)
    before = np.asarray(given).astype(int)
    made = degrade(
        {"fade": {"contrast": [0.5, 0.5], "colour": [0.5, 0.5], "cast": [0.2, 0.2]}}, given
    )
    assert made.std() < 0.6 * before.std()
    assert np.ptp(made, axis=2).mean() < 0.8 * np.ptp(before, axis=2).mean() + 20
    warm = made[..., 0].mean() - made[..., 2].mean()
    assert warm > before[..., 0].mean() - before[..., 2].mean() - 1
    assert np.array_equal(
        degrade({"fade": {"contrast": [1, 1], "colour": [1, 1], "cast": [0, 0]}}, given), before
    )


def test_a_watermark_covers_the_whole_picture_and_shines_through() -> None:
    made = degrade({"watermark": {"opacity": [0.4, 0.4]}}, flat(100))
    assert made.max() <= 100 + round(0.4 * 155) + 1 and (made >= 100).all()
    marked = made.max(2) > 110
    for quarter in (marked[:80, :100], marked[:80, 100:], marked[80:, :100], marked[80:, 100:]):
        assert 0.02 < quarter.mean() < 0.6
