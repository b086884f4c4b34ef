"""Batches end well: bad files, kills, names, standard input and output, for people and programs."""

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lessonpipe.app.cli import main
from lessonpipe.inference import batch
from tests.app.test_cli import Restore, files, restore
from tests.conftest import make_picture, until

__all__ = ["restore"]


def test_whatever_a_file_raises_the_others_are_restored(
    restore: Restore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        make_picture(20, 10).save(f"{name}.png")
    real = batch.restore_file

    def sometimes(restorer: object, source: Path, *args: object, **options: object) -> list[str]:
        if source.name == "b.png":
            raise ZeroDivisionError("a decoder's own")
        return real(restorer, source, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(batch, "restore_file", sometimes)
    code, output, errors = restore("a.png", "b.png", "c.png", "-o", "out")
    assert code == 1 and "2 restored" in output
    assert errors == "not restored: b.png: ZeroDivisionError: a decoder's own\n"
    assert files("out") == {"a.png", "c.png"}


def test_the_same_command_goes_on_with_what_is_missing(restore: Restore) -> None:
    Path("my").mkdir()
    for i in range(4):
        make_picture(20, 10, seed=i).save(f"my/{i}.png")
    assert restore("my", "-o", "out")[0] == 0
    before = {name: Path("out", name).stat().st_mtime_ns for name in files("out")}
    Path("out/2.png").unlink()
    make_picture(20, 10, seed=9).save("my/4.png")
    code, output, _ = restore("my", "-o", "out")
    assert code == 0 and "2 restored" in output and "3 were there already" in output
    after = {name: Path("out", name).stat().st_mtime_ns for name in files("out")}
    assert set(after) == {f"{i}.png" for i in range(5)}
    assert {name for name in before if after[name] == before[name]} == {"0.png", "1.png", "3.png"}


@pytest.mark.parametrize("change", ["source", "options", "strength"])
def test_a_result_of_something_else_is_not_taken_for_this_ones(
    change: str, restore: Restore
) -> None:
    make_picture(20, 10).save("a.png")
    assert restore("a.png", "-o", "out")[0] == 0
    args = {"options": ["--scale", 2], "strength": ["--strength", 0.5]}.get(change, [])
    if change == "source":
        make_picture(20, 10, seed=1).save("a.png")
    code, _, errors = restore("a.png", "-o", "out", *args)
    assert code == 2 and "out/a.png would be replaced" in errors
    assert restore("a.png", "-o", "out", "--skip-existing", *args)[0] == 0
    code, output, _ = restore("a.png", "-o", "out", "--overwrite", *args)
    assert code == 0 and "1 restored" in output


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_killed_or_interrupted_it_goes_on_and_leaves_nothing_half_written(
    number: signal.Signals, model: Path, tmp_path: Path
) -> None:
    (tmp_path / "my").mkdir()
    for i in range(60):
        make_picture(200, 150, seed=i).save(tmp_path / f"my/{i:02}.png")
    words = [sys.executable, "-m", "lessonpipe.app.cli", "restore", "my", "-o", "out"]
    words += ["--model", str(model), "--jobs", "2"]
    process = subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    until(lambda: len(list(tmp_path.glob("out/[0-9]*.png"))) > 3)
    process.send_signal(number)
    _, errors = process.communicate()
    assert process.returncode == (130 if number == signal.SIGINT else -9)
    assert "Traceback" not in errors
    done = files(tmp_path / "out")
    first = {n: (tmp_path / "out" / n).stat().st_mtime_ns for n in done if not n.startswith(".")}
    assert 0 < len(first) < 60
    again = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert files(tmp_path / "out") == {f"{i:02}.png" for i in range(60)}
    kept = [n for n in first if (tmp_path / "out" / n).stat().st_mtime_ns == first[n]]
    assert len(kept) >= len(first) - 2  # two were between their file and the journal's line


@pytest.mark.slow
def test_of_two_commands_into_one_folder_each_picture_is_restored_by_one(
    restore: Restore, model: Path
) -> None:
    Path("my").mkdir()
    for i in range(24):
        make_picture(300, 200, seed=i).save(f"my/{i}.png")
    command = [sys.executable, "-m", "lessonpipe.app.cli", "restore", "my", "-o", "out", "--json"]
    both = [
        subprocess.Popen([*command, "--model", model], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    rows = [
        json.loads(line) for one in both for line in one.communicate(timeout=300)[0].splitlines()
    ]
    assert [one.returncode for one in both] == [0, 0]
    made = [row["target"] for row in rows if row["status"] == "restored"]
    assert sorted(made) == sorted(f"out/{i}.png" for i in range(24))
    journal = [json.loads(line) for line in Path("out", batch.JOURNAL).read_text().splitlines()]
    assert sorted(row["name"] for row in journal if row["done"]) == sorted(
        f"{i}.png" for i in range(24)
    )
    assert {path.name for path in Path("out").iterdir()} == {
        batch.JOURNAL,
        *(f"{i}.png" for i in range(24)),
    }
    for i in range(24):
        with Image.open(f"out/{i}.png") as picture:
            picture.load()
            assert picture.size == (300, 200)


def test_what_the_journal_calls_done_is_looked_at(restore: Restore) -> None:
    Path("my").mkdir()
    for i in range(5):
        make_picture(20, 10, seed=i).save(f"my/{i}.png")
    assert restore("my", "-o", "out")[0] == 0
    whole = [Path(f"out/{i}.png").read_bytes() for i in range(5)]
    Path("out/0.png").write_bytes(b"")
    Path("out/1.png").write_bytes(bytes(len(whole[1])))
    Path("out/2.png").write_bytes(whole[2][: len(whole[2]) // 2])
    Image.new("RGB", (10, 10)).save("out/3.png")  # what somebody made of it
    own = Path("out/3.png").read_bytes()
    code, output, _ = restore("my", "-o", "out")
    assert code == 0 and "3 restored" in output and "2 were there already" in output
    expected = [*whole[:3], own, whole[4]]
    assert [Path(f"out/{i}.png").read_bytes() for i in range(5)] == expected


def test_a_file_that_costs_its_decoder_costs_the_others_nothing(restore: Restore) -> None:
    Path("my").mkdir()
    with open("my/0.tif", "wb") as stream:
        stream.truncate(60 * 2**30)  # sparse
    Path("my/1.jpg").write_text("%!PS-Adobe-3.0 EPSF-3.0\n{} loop\n")
    Image.new("1", (12_000, 12_000)).save("my/2.png")
    make_picture(20, 10).save("my/3.png")
    code, output, errors = restore("my", "-o", "out")
    assert code == 1 and "1 restored" in output and files("out") == {"3.png"}
    assert "my/0.tif: 61,440 MB are more than 2,048 MB" in errors
    assert "my/1.jpg: not a picture" in errors and "my/2.png: 12000x12000 pixels" in errors


def test_one_picture_can_be_given_its_file(restore: Restore) -> None:
    make_picture(20, 10).save("a.png")
    assert restore("a.png", "-o", "new/b.jpg")[0] == 0
    assert Image.open("new/b.jpg").format == "JPEG" and files("new") == {"b.jpg"}
    make_picture(20, 10).save("c.png")
    code, _, errors = restore("a.png", "c.png", "-o", "d.png")
    assert code == 2 and "2 pictures do not go into the one file d.png" in errors


def test_a_picture_comes_from_standard_input_and_goes_to_standard_output(
    model: Path, tmp_path: Path
) -> None:
    buffer = io.BytesIO()
    make_picture(20, 10).save(buffer, "JPEG")
    words = [sys.executable, "-m", "lessonpipe.app.cli", "restore", "-", "-o", "-"]
    done = subprocess.run(
        [*words, "--model", str(model), "--scale", "2"],
        cwd=tmp_path,
        input=buffer.getvalue(),
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    restored = Image.open(io.BytesIO(done.stdout))
    assert (restored.format, restored.size) == ("JPEG", (40, 20))


def test_formats_and_names_are_as_asked_and_none_is_lost(restore: Restore) -> None:
    Path("my").mkdir()
    for name in ("a.png", "a.jpg", "b.gif", "b.gif.png"):
        make_picture(20, 10).save(f"my/{name}")
    assert restore("my", "-o", "out")[0] == 0
    assert {"a.png", "a.jpg", "b.gif.png"} < files("out") and len(files("out")) == 4
    assert restore("my", "-o", "jpg", "--format", "jpg")[0] == 0
    assert {"a.jpg", "a.png.jpg"} < files("jpg") and len(files("jpg")) == 4
    assert restore("my/a.png", "-o", "named", "--suffix", "-new")[0] == 0
    assert files("named") == {"a-new.png"}


def test_sub_folders_are_left_out_on_request(restore: Restore) -> None:
    Path("my/in").mkdir(parents=True)
    for name in ("a.png", "in/b.png"):
        make_picture(20, 10).save(f"my/{name}")
    assert restore("my", "-o", "out", "--no-recursive")[0] == 0
    assert files("out") == {"a.png"}


def test_names_of_any_bytes_and_dashes_are_restored(
    restore: Restore, model: Path, tmp_path: Path
) -> None:
    for name in (os.fsdecode(b"caf\xe9.png"), "-dash.png", "new\nline.png"):
        make_picture(20, 10).save(tmp_path / name)
    code, _, errors = restore(".", "-o", "out")
    assert code == 0, errors
    assert len(files("out")) == 3
    assert main(["restore", "-o", "one", "--model", str(model), "--", "-dash.png"]) == 0
    assert files("one") == {"-dash.png"}


def test_a_dry_run_writes_nothing(restore: Restore) -> None:
    make_picture(20, 10).save("a.png")
    code, output, _ = restore("a.png", "-o", "out", "--dry-run")
    assert code == 0 and "a.png -> out/a.png" in output and not Path("out").exists()


def test_programs_get_a_json_object_for_each_picture(restore: Restore) -> None:
    make_picture(20, 10).save("a.png")
    Path("b.png").write_text("no picture")
    code, output, errors = restore("a.png", "b.png", "-o", "out", "--json")
    rows = {row["source"]: row for row in map(json.loads, output.splitlines())}
    assert code == 1 and errors == ""
    assert rows["a.png"]["status"] == "restored" and rows["a.png"]["target"] == "out/a.png"
    assert rows["b.png"]["status"] == "failed" and "not a picture" in rows["b.png"]["error"]


def test_quiet_prints_errors_alone(restore: Restore) -> None:
    make_picture(20, 10).save("a.png")
    assert restore("a.png", "-o", "out", "--quiet") == (0, "", "")
    Path("b.png").write_text("no picture")
    _, output, errors = restore("b.png", "-o", "out", "--quiet")
    assert output == "" and "b.png" in errors


def test_compare_puts_before_and_after_side_by_side(restore: Restore) -> None:
    make_picture(20, 10).save("a.png")
    assert restore("a.png", "-o", "out", "--compare", "--scale", 3)[0] == 0
    sheet = np.asarray(Image.open("out/a-compare.jpg")).astype(int)
    assert sheet.shape == (30, 2 * 60 + 8, 3)
    enlarged = np.asarray(make_picture(20, 10).resize((60, 30), Image.Resampling.BICUBIC))
    assert np.abs(sheet[:, :60] - enlarged).mean() < 6


def test_two_at_a_time_give_the_same_files(restore: Restore) -> None:
    Path("my").mkdir()
    for i in range(5):
        make_picture(60, 40, seed=i).save(f"my/{i}.png")
    for out, jobs in (("one", 1), ("two", 2)):
        assert restore("my", "-o", out, "--jobs", jobs, "--no-note")[0] == 0
    for name in files("one"):
        assert Path("one", name).read_bytes() == Path("two", name).read_bytes()


def test_what_was_restored_before_is_left_and_told(restore: Restore) -> None:
    make_picture(20, 10).save("a.png")
    assert restore("a.png", "-o", "out")[0] == 0
    code, output, _ = restore("out/a.png", "-o", "twice")
    assert code == 0 and "left: out/a.png" in output and "--again" in output
    assert files("twice") == set()
    assert restore("out/a.png", "-o", "twice", "--again")[0] == 0
    assert files("twice") == {"a.png"}


def test_what_a_folder_holds_beside_pictures_is_told(restore: Restore) -> None:
    Path("my").mkdir()
    make_picture(20, 10).save("my/a.png")
    for name in ("b.mov", "c.MOV", "d.cr2", "notes.txt", ".hidden"):
        Path("my", name).write_text("no picture")
    code, output, _ = restore("my", "-o", "out")
    assert code == 0 and "left aside: 2 .mov, 1 .cr2\n" in output


def test_heic_becomes_jpeg(restore: Restore) -> None:
    import pillow_heif

    pillow_heif.from_pillow(make_picture(64, 48)).save("a.heic")
    assert restore("a.heic", "-o", "out")[0] == 0
    assert files("out") == {"a.heic.jpg"}
    assert Image.open("out/a.heic.jpg").size == (64, 48)
