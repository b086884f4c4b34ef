"""A picture of 256 pixels becomes a large one, by the command a person would type."""

import re

import numpy as np
import pytest
from PIL import Image

from lessonpipe.errors import LessonpipeError
from lessonpipe.nets import Generator, UnetConfig
from lessonpipe.nets.io import save_model
from lessonpipe.report.high_resolution import describe, most_detailed, restore_high_resolution
from lessonpipe.report.measured import keep_measured, read_measured
from tests.conftest import make_picture

SIZE = (640, 800)


def test_the_detail_is_the_square_with_the_most_fine_structure():
    pixels = np.full((640, 640, 3), 120, np.uint8)
    pixels[320:400, 240:320] = np.random.default_rng(0).integers(0, 255, (80, 80, 3))
    assert most_detailed(Image.fromarray(pixels), 80) == (240, 320)


@pytest.mark.slow
def test_the_figure_has_three_columns_and_the_commands_seconds_and_memory(tmp_path):
    make_picture(1400, 1800).save(tmp_path / "photo.jpg")
    net = Generator(
        UnetConfig(encoder="tf_efficientnet_lite0", widths=[8, 8, 8, 8], head=8), pretrained=False
    )
    save_model(tmp_path / "model", net, {})
    figure = restore_high_resolution(tmp_path / "photo.jpg", tmp_path / "model", SIZE)
    assert figure.size == SIZE
    assert figure.picture.width > 3 * 320 and figure.picture.height > 400 + 320
    assert 0.5 < figure.seconds < 120
    assert 0.2 < figure.memory_gb < 4
    keep_measured(tmp_path / "live", figure.measured())
    told = describe(read_measured(tmp_path / "live"))
    assert re.fullmatch(r"restored 640×800 in \d+\.\d s from start to end, \d\.\d GB", told)
    assert describe(read_measured(tmp_path / "nothing")) == ""


def test_a_command_that_fails_says_why(tmp_path):
    make_picture(1400, 1800).save(tmp_path / "photo.jpg")
    with pytest.raises(LessonpipeError, match="not a model folder"):
        restore_high_resolution(tmp_path / "photo.jpg", tmp_path / "nothing", SIZE)
