"""Any file a person may have: read rightly, or refused with the reason."""

import os
import random
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lessonpipe.data.photos import cut_tiles, find_pictures, group_split, open_photo
from lessonpipe.errors import PictureError, UserError
from tests.conftest import make_picture


def png_that_claims(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header promises a large picture."""

    def part(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + part(b"IHDR", head)
        + part(b"IDAT", zlib.compress(b"\0" * 64))
        + part(b"IEND", b"")
    )


def bad_files(folder: Path) -> dict[str, str]:
    """Write unreadable files; returns a word of the reason of each."""
    make_picture().save(folder / "whole.jpg")
    whole = (folder / "whole.jpg").read_bytes()
    (folder / "whole.jpg").unlink()
    contents = {
        "empty.jpg": (b"", "empty"),
        "half.jpg": (whole[: len(whole) // 2], "cannot be read"),
        "words.png": (b"these are only words", "not a picture"),
        "bomb.png": (png_that_claims(60_000, 60_000), "too many pixels"),
        "large.png": (png_that_claims(12_001, 10_000), "more than 120 million"),
        "short.png": (png_that_claims(10_000, 10_000), "cannot be read"),
    }
    for name, (content, _) in contents.items():
        (folder / name).write_bytes(content)
    return {name: reason for name, (_, reason) in contents.items()}


def test_unreadable_files_are_refused_with_name_and_reason(tmp_path: Path) -> None:
    for name, reason in bad_files(tmp_path).items():
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(PictureError, match=reason) as told:
                open_photo(tmp_path / name)
        assert str(tmp_path / name) in str(told.value)


def test_a_missing_file_is_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="No such file"):
        open_photo(tmp_path / "none.jpg")


def test_a_folder_is_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="directory"):
        open_photo(tmp_path)


KINDS = {
    "JPEG": {"jpg": {}},
    "PNG": {"png": {}},
    "WEBP": {"webp": {}},
    "GIF": {"gif": {}},
    "BMP": {"bmp": {}},
    "TIFF": {"tif": {}, "lzw.tif": {"compression": "tiff_lzw"}},
}


def test_damaged_bytes_never_raise_anything_else(tmp_path: Path) -> None:
    rng = random.Random(0)
    path = tmp_path / "a"
    refused = 0
    for kind, names in KINDS.items():
        for options in names.values():
            make_picture(24, 16).save(path, kind, **options)
            whole = path.read_bytes()
            for _ in range(60):
                damaged = bytearray(whole)
                for _ in range(rng.choice([1, 3, 9])):
                    damaged[rng.randrange(len(damaged))] = rng.randrange(256)
                path.write_bytes(damaged[: rng.randrange(1, len(damaged) * 2)])
                try:
                    assert open_photo(path).mode == "RGB"
                except PictureError:
                    refused += 1
    assert refused > 50


def test_grey_of_16_bits_keeps_its_tones(tmp_path: Path) -> None:
    tones = np.linspace(0, 65535, 256).round().astype(np.uint16)
    for suffix in (".png", ".tif"):
        path = tmp_path / f"a{suffix}"
        Image.fromarray(np.tile(tones, (4, 1))).save(path)
        row = np.asarray(open_photo(path))[0]
        assert np.array_equal(row, np.repeat(np.arange(256)[:, None], 3, 1))


def test_a_dark_picture_of_16_bits_stays_dark(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 200, np.uint16)).save(tmp_path / "a.png")
    assert np.asarray(open_photo(tmp_path / "a.png")).max() <= 1


def test_floating_point_pictures_of_0_to_1_keep_their_tones(tmp_path: Path) -> None:
    Image.fromarray(np.linspace(0, 1, 256, dtype=np.float32)[None]).save(tmp_path / "a.tif")
    assert np.array_equal(np.asarray(open_photo(tmp_path / "a.tif"))[0, :, 0], np.arange(256))


def test_transparent_pixels_turn_white_and_half_transparent_ones_mix(tmp_path: Path) -> None:
    pixels = np.zeros((2, 3, 4), np.uint8)
    pixels[..., 0], pixels[:, 1, 3], pixels[:, 2, 3] = 200, 51, 255
    rgba = Image.fromarray(pixels)
    rgba.save(tmp_path / "a.png")
    made = np.asarray(open_photo(tmp_path / "a.png"))[0].tolist()
    assert made == [[255, 255, 255], [244, 204, 204], [200, 0, 0]]
    rgba.convert("LA").save(tmp_path / "b.png")
    assert np.asarray(open_photo(tmp_path / "b.png"))[0, 0].tolist() == [255, 255, 255]


def test_a_palette_with_a_transparent_colour_turns_white_there(tmp_path: Path) -> None:
    paletted = Image.new("P", (2, 1))
    paletted.putpalette([255, 0, 0, 0, 0, 255])
    paletted.putpixel((1, 0), 1)
    for name in ("a.png", "a.gif"):
        paletted.save(tmp_path / name, transparency=0)
        made = np.asarray(open_photo(tmp_path / name))[0].tolist()
        assert made == [[255, 255, 255], [0, 0, 255]]


def test_cmyk_grey_and_bilevel_become_rgb(tmp_path: Path) -> None:
    red = Image.new("RGB", (16, 16), (200, 30, 40))
    red.convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    assert np.abs(np.asarray(open_photo(tmp_path / "a.jpg")).astype(int) - [200, 30, 40]).max() < 6
    for mode in ("L", "1"):
        Image.new(mode, (3, 2), 255).save(tmp_path / "b.png")
        assert np.array_equal(open_photo(tmp_path / "b.png"), np.full((2, 3, 3), 255))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photos_are_turned_as_their_exif_says(orientation: int, tmp_path: Path) -> None:
    upright = np.arange(6 * 4 * 3, dtype=np.uint8).reshape(4, 6, 3) * 3
    stored = {  # EXIF 2.32, tag 274: how the stored picture lies
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }
    exif = Image.Exif()
    exif[274] = orientation
    path = tmp_path / "a.png"
    Image.fromarray(np.ascontiguousarray(stored[orientation])).save(path, exif=exif)
    assert np.array_equal(open_photo(path), upright)


def test_the_first_frame_of_an_animation_is_read(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue", "lime")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert open_photo(tmp_path / "a.gif").getpixel((0, 0)) == (255, 0, 0)


def test_pictures_are_found_in_subfolders_unless_they_are_hidden(tmp_path: Path) -> None:
    shown = ["a.jpg", "in/b.PNG", "in/deep/100% ünï 写真 [1].jpeg", "in/c.TIFF"]
    hidden = [".a.jpg", "in/._b.jpg", ".thumbs/c.jpg", "in/.cache/d.jpg", "e.txt", "in/f"]
    for name in shown + hidden:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        make_picture(8, 8).save(tmp_path / name, "PNG")
    expected = sorted(tmp_path / name for name in shown)
    assert find_pictures([tmp_path]) == expected
    assert find_pictures([tmp_path, tmp_path / "a.jpg", tmp_path / "in"]) == expected
    assert find_pictures([tmp_path / shown[2]]) == [tmp_path / shown[2]]
    assert find_pictures([f"{tmp_path}/**/*.PNG"]) == [tmp_path / "in/b.PNG"]
    assert all(open_photo(path).size == (8, 8) for path in expected)


def test_pictures_in_a_hidden_folder_that_is_named_are_found(tmp_path: Path) -> None:
    (tmp_path / ".mine").mkdir()
    make_picture(8, 8).save(tmp_path / ".mine/a.png")
    assert find_pictures([tmp_path / ".mine"]) == [tmp_path / ".mine/a.png"]


def test_paths_that_do_not_exist_are_named(tmp_path: Path) -> None:
    (tmp_path / "dangling.jpg").symlink_to(tmp_path / "gone.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    for name in ("none", "none*.jpg", "dangling.jpg", "pipe.jpg"):
        with pytest.raises(UserError, match="no such file") as told:
            find_pictures([tmp_path / name])
        assert name in str(told.value)
    with pytest.raises(UserError, match=r"dangling\.jpg"):
        find_pictures([tmp_path / "d*.jpg"])


NAMES = [f"{room}{i}.jpg" for room in ("69", "730", "11", "12", "13", "14") for i in range(5)]
PATTERN = r"(69|730|\d\d)\d*\.jpg$"


def test_no_group_is_in_both_splits_and_the_share_is_right() -> None:
    for seed in range(30):
        splits = group_split(NAMES, group_pattern=PATTERN, valid_share=0.4, seed=seed)
        assert set(splits) == set(NAMES)
        valid = {name[:-5] for name, split in splits.items() if split == "valid"}
        train = {name[:-5] for name, split in splits.items() if split == "train"}
        assert valid and train and not valid & train
        assert 0.2 <= sum(split == "valid" for split in splits.values()) / len(NAMES) <= 0.4


def test_the_split_depends_on_the_seed_and_not_on_the_order() -> None:
    drawn = [
        group_split(NAMES, group_pattern=PATTERN, valid_share=0.4, seed=seed) for seed in range(8)
    ]
    assert drawn[3] == group_split(NAMES[::-1], group_pattern=PATTERN, valid_share=0.4, seed=3)
    assert len({tuple(sorted(splits.items())) for splits in drawn}) > 3


def test_photos_for_training_alone_leave_the_split_of_the_others_as_it_is() -> None:
    how = {"group_pattern": PATTERN, "valid_share": 0.4, "seed": 3}
    others = [f"various/{i}.jpg" for i in range(40)]
    splits = group_split([*NAMES, *others], **how, train_only="^various/")
    assert {name: splits[name] for name in NAMES} == group_split(NAMES, **how)
    assert {splits[name] for name in others} == {"train"}


def test_without_a_pattern_every_photo_is_its_own_group() -> None:
    splits = group_split(NAMES, group_pattern=None, valid_share=0.2, seed=1)
    assert sum(split == "valid" for split in splits.values()) == 6


def test_one_group_always_goes_to_validation() -> None:
    names = ["a1", "a2", "a3", "b1"]
    splits = group_split(names, group_pattern=r"(\w)\d", valid_share=0.01, seed=0)
    assert [name for name, split in splits.items() if split == "valid"] == ["b1"]


@pytest.mark.parametrize("names", [[], ["a1"], ["a1", "a2"]])
def test_fewer_than_two_groups_cannot_be_split(names: list[str]) -> None:
    with pytest.raises(UserError, match="check group_pattern"):
        group_split(names, group_pattern=r"(\w)\d", valid_share=0.5, seed=0)


def coordinates(width: int, height: int) -> Image.Image:
    """A picture whose red is its x and green its y, as shares of 255."""
    x = np.linspace(0, 255, width)[None].repeat(height, 0)
    y = np.linspace(0, 255, height)[:, None].repeat(width, 1)
    return Image.fromarray(np.stack([x, y, 0 * x], -1).round().astype(np.uint8))


def test_tiles_are_squares_from_all_over_the_photo_at_many_scales() -> None:
    spans, middles = [], []
    for tile in cut_tiles(coordinates(400, 300), "a", count=40, tile_px=32, seed=1):
        assert tile.size == (32, 32)
        red, green = (np.asarray(tile)[..., c].astype(float) for c in (0, 1))
        assert np.ptp(red) * 400 == pytest.approx(np.ptp(green) * 300, abs=1300)  # square
        spans.append(np.ptp(green))
        middles.append((red.mean(), green.mean()))
    assert min(spans) < 60 and max(spans) > 180
    assert (np.ptp(middles, axis=0) > 80).all()


def test_tiles_are_the_same_each_time_and_differ_by_name_and_seed() -> None:
    photo = make_picture(90, 70)

    def cut(name: str, seed: int) -> list[bytes]:
        tiles = cut_tiles(photo, name, count=3, tile_px=32, seed=seed)
        return [tile.tobytes() for tile in tiles]

    assert cut("a", 1) == cut("a", 1)
    assert not set(cut("a", 1)) & (set(cut("b", 1)) | set(cut("a", 2)))


@pytest.mark.parametrize("size", [(1, 1), (20, 31), (200, 3), (32, 32)])
def test_photos_smaller_than_the_tile_are_enlarged(size: tuple[int, int]) -> None:
    tiles = list(cut_tiles(make_picture(*size), "a", count=2, tile_px=32, seed=1))
    assert [tile.size for tile in tiles] == [(32, 32)] * 2
