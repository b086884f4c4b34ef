"""The command line as a person uses it: files in, files out, errors in a sentence."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lessonpipe import __version__
from lessonpipe.app.cli import app, main
from tests.conftest import ROOT, make_picture, until

Restore = Callable[..., tuple[int, str, str]]


@pytest.fixture
def restore(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Restore:
    """Runs `lessonpipe restore ARGS --model MODEL` in `tmp_path`: exit code, output, errors."""
    monkeypatch.chdir(tmp_path)

    def run(*args: object, model: Path = model) -> tuple[int, str, str]:
        code = main(["restore", *map(str, args), "--model", str(model)])
        output, errors = capsys.readouterr()
        assert "Traceback" not in output + errors
        return code, output, errors

    return run


def files(folder: Path | str) -> set[str]:
    """All files but the journal."""
    found = (p for p in Path(folder).rglob("*") if p.is_file() and p.name != ".lessonpipe.jsonl")
    return {p.relative_to(folder).as_posix() for p in found}


def test_outputs_have_the_names_sub_folders_and_sizes_of_the_inputs(restore: Restore) -> None:
    sizes = {"a.jpg": (33, 21), "in/b.PNG": (1, 1), "in/deep/100% ü [1].webp": (40, 64)}
    for name, size in {**sizes, "in/c.tif": (9, 9), "d.jpeg": (9, 9)}.items():
        (Path("my") / name).parent.mkdir(parents=True, exist_ok=True)
        make_picture(*size).save(Path("my") / name)
    Path("my/notes.txt").write_text("no picture")
    code, output, errors = restore("my", "-o", "out")
    assert code == 0 and "5 restored into out" in output and errors == ""
    assert files("out") == files("my") - {"notes.txt"}
    for name, size in sizes.items():
        assert Image.open(Path("out") / name).size == size


def test_formats_that_would_lose_much_become_png(restore: Restore) -> None:
    make_picture(20, 10).save("a.gif")
    make_picture(20, 10).save("b.bmp")
    assert restore("a.gif", "b.bmp", "-o", "out")[0] == 0
    assert files("out") == {"a.gif.png", "b.bmp.png"}


def test_outputs_have_the_scale_or_size_asked_for(restore: Restore) -> None:
    make_picture(20, 10).save("a.png")
    assert restore("a.png", "-o", "twice", "--scale", 2)[0] == 0
    assert restore("a.png", "-o", "sized", "--size", "33x44")[0] == 0
    assert Image.open("twice/a.png").size == (40, 20)
    assert Image.open("sized/a.png").size == (33, 44)


@pytest.mark.parametrize(
    "args",
    [
        ("--scale", "nan"),
        ("--scale", "0"),
        ("--scale", "big"),
        ("--size", "10"),
        ("--size", "0x10"),
        ("--size", "²x3"),
        ("--size", "99999x99999"),
        ("--scale", "2", "--size", "10x10"),
    ],
)
def test_an_impossible_scale_or_size_is_an_error_that_names_the_option(
    args: tuple[str, ...], restore: Restore
) -> None:
    make_picture(20, 10).save("a.png")
    code, _, errors = restore("a.png", "-o", "out", *args)
    assert code == 2 and args[-2] in errors
    assert not Path("out").exists()


def test_pictures_are_turned_as_their_exif_says(restore: Restore) -> None:
    exif = Image.Exif()
    exif[274] = 6
    make_picture(30, 20).save("a.png", exif=exif)
    make_picture(30, 20).rotate(-90, expand=True).save("b.png")
    restore("a.png", "b.png", "-o", "out")
    restored = Image.open("out/a.png")
    assert restored.size == (20, 30) and restored.getexif().get(274, 1) == 1
    assert np.array_equal(restored, Image.open("out/b.png"))


def test_files_are_replaced_with_overwrite_alone(restore: Restore) -> None:
    make_picture(20, 10).save("a.png")
    before = Path("a.png").read_bytes()
    for out in (".", "out"):
        Path(out).mkdir(exist_ok=True)
        Path(out, "a.png").write_bytes(before)
        code, _, errors = restore("a.png", "-o", out)
        assert code == 2 and "a.png" in errors and "--overwrite" in errors
        assert Path(out, "a.png").read_bytes() == before
    assert restore("a.png", "-o", "out", "--overwrite")[0] == 0
    assert Path("out/a.png").read_bytes() != before


def test_a_second_run_does_not_restore_what_the_first_one_made(restore: Restore) -> None:
    Path("my").mkdir()
    make_picture(20, 10).save("my/a.png")
    for _ in range(2):
        assert restore("my", "-o", "my/restored", "--overwrite")[0] == 0
        assert files("my") == {"a.png", "restored/a.png"}


def test_bad_files_are_named_and_the_others_are_restored(restore: Restore) -> None:
    Path("my").mkdir()
    for name in ("a.png", "z.png"):
        make_picture(20, 10).save(f"my/{name}")
    Path("my/empty.png").touch()
    Path("my/half.png").write_bytes(Path("my/a.png").read_bytes()[:99])
    make_picture(1, 1).save("my/tiny.png")  # of 0 pixels at the scale below
    make_picture(4, 4).save("my/tiny2.png")
    code, output, errors = restore("my", "-o", "out", "--scale", "0.4")
    assert code == 1 and "3 restored" in output
    assert files("out") == {"a.png", "z.png", "tiny2.png"}
    lines = errors.strip().splitlines()
    assert len(lines) == 3 and all(line.startswith("not restored: my/") for line in lines)
    for name, line in zip(("empty.png", "half.png", "tiny.png"), lines, strict=True):
        assert name in line


def test_a_picture_too_large_for_its_format_is_named(restore: Restore) -> None:
    for name in ("a.webp", "a.png"):
        make_picture(20, 10).save(name)
    code, _, errors = restore("a.webp", "a.png", "-o", "out", "--size", "16400x2")
    assert code == 1 and "a.webp" in errors and "16400x2" in errors
    assert files("out") == {"a.png"}


def test_only_bad_files_are_a_failure(restore: Restore) -> None:
    Path("a.jpg").write_text("no picture")
    code, output, errors = restore("a.jpg", "-o", "out")
    assert code == 2 and "0 restored" in output and "a.jpg: not a picture" in errors


def test_two_pictures_that_would_become_one_file_are_named(restore: Restore) -> None:
    for folder in ("one", "two"):
        Path(folder).mkdir()
        make_picture(20, 10).save(f"{folder}/a.png")
    code, _, errors = restore("one/a.png", "two/a.png", "-o", "out")
    assert code == 2 and "one/a.png" in errors and "two/a.png" in errors
    assert not Path("out").exists()


def test_one_picture_given_twice_is_restored_once(restore: Restore) -> None:
    make_picture(20, 10).save("a.png")
    code, output, _ = restore("a.png", Path("a.png").resolve(), "*.png", "-o", "out")
    assert code == 0 and "1 restored" in output


@pytest.mark.parametrize(
    ("path", "messages"),
    [
        ("none.jpg", ["none.jpg", "no such file"]),
        ("bare", ["bare", "no pictures"]),
        ("dangling.jpg", ["dangling.jpg", "no such file"]),
    ],
)
def test_paths_without_pictures_are_named(
    path: str, messages: list[str], restore: Restore, tmp_path: Path
) -> None:
    (tmp_path / "bare").mkdir()
    (tmp_path / "dangling.jpg").symlink_to("gone.jpg")
    code, _, errors = restore(path, "-o", "out")
    assert code == 2
    for message in messages:
        assert message in errors


def test_a_missing_or_damaged_model_is_named_with_the_cure(restore: Restore) -> None:
    make_picture(20, 10).save("a.png")
    for model, stage in (("models/fit_gan", "fit_gan"), ("elsewhere", "fit_pixel")):
        code, _, errors = restore("a.png", "-o", "out", model=Path(model))
        assert code == 2 and errors == (
            f"lessonpipe: {model} is not a model folder (it has no model.json); "
            f"run `dvc repro {stage}` first, or name another with --model "
            "(enlarge, lesson, old-photo, old-photo-small)\n"
        )
    Path("broken").mkdir()
    Path("broken/model.json").write_text("{")
    code, _, errors = restore("a.png", "-o", "out", model=Path("broken"))
    assert code == 2 and "broken/model.json is damaged" in errors


def test_an_output_that_is_a_file_is_named(restore: Restore) -> None:
    make_picture(20, 10).save("a.png")
    Path("out").touch()
    code, _, errors = restore("a.png", "-o", "out")
    assert code == 2 and "out" in errors


def test_an_unknown_device_is_named(restore: Restore, monkeypatch: pytest.MonkeyPatch) -> None:
    make_picture(20, 10).save("a.png")
    monkeypatch.setenv("LESSONPIPE_DEVICE", "warp")
    code, _, errors = restore("a.png", "-o", "out")
    assert code == 2 and "LESSONPIPE_DEVICE=warp" in errors


@pytest.mark.slow
def test_the_command_runs_on_its_own(
    door: Callable[..., subprocess.CompletedProcess[str]], model: Path, tmp_path: Path
) -> None:
    make_picture(20, 10).save(tmp_path / "a.png")
    done = door("lessonpipe.app.cli", "restore", "a.png", "-o", "out", "--model", model)
    assert done.returncode == 0 and "1 restored into out" in done.stdout
    assert files(tmp_path / "out") == {"a.png"}
    again = door("lessonpipe.app.cli", "restore", "a.png", "-o", "out", "--model", model)
    assert again.returncode == 0 and "1 were there already" in again.stdout


@pytest.fixture
def crappify(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Restore:
    """Runs `lessonpipe crappify ARGS` in `tmp_path`, which has the project's params.yaml."""
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text((ROOT / "params.yaml").read_text())
    make_picture(200, 120).save("a.png")

    def run(*args: object) -> tuple[int, str, str]:
        code = main(["crappify", *map(str, args)])
        output, errors = capsys.readouterr()
        assert "Traceback" not in output + errors
        return code, output, errors

    return run


def test_a_recipe_can_be_tried_on_pictures(crappify: Restore) -> None:
    assert crappify("a.png", "-o", "one")[0] == 0
    assert Image.open("one/a.png").size == (160, 96)  # the lesson's
    for out in ("two", "three"):
        assert crappify("a.png", "-o", out, "--recipe", "old-photo")[0] == 0
    assert Path("two/a.png").read_bytes() == Path("three/a.png").read_bytes()
    code, _, errors = crappify("a.png", "-o", "one")
    assert code == 2 and "--overwrite" in errors


def test_a_recipe_can_be_a_file_with_custom_steps(crappify: Restore) -> None:
    Path("params.yaml").unlink()
    Path("dimmer.py").write_text("def half(picture, rng): return picture.point(lambda v: v // 2)")
    Path("mine.yaml").write_text("- dimmer.half")
    code, _, errors = crappify("a.png", "-o", "out", "--recipe", "mine.yaml")
    assert code == 2 and "'dimmer.half' is not known" in errors and "--steps" in errors
    args = ("--recipe", "mine.yaml", "--steps", "dimmer.py")
    assert crappify("a.png", "-o", "out", *args)[0] == 0
    assert np.array_equal(Image.open("out/a.png"), np.asarray(Image.open("a.png")) // 2)


@pytest.mark.parametrize(
    ("recipe", "text", "messages"),
    [
        ("color", "", ["'color'", "colour, enlarge, inpaint"]),
        ("none.yaml", "", ["none.yaml is not there"]),
        ("mine.yaml", "lesson: 1", ["mine.yaml", "a list of steps"]),
        ("mine.yaml", "- [", ["mine.yaml is not YAML"]),
        ("mine.yaml", "- gray", ["'gray'", "grey"]),
    ],
)
def test_a_wrong_recipe_is_an_error_that_says_what_is_right(
    recipe: str, text: str, messages: list[str], crappify: Restore
) -> None:
    if text:
        Path("mine.yaml").write_text(text)
    code, _, errors = crappify("a.png", "-o", "out", "--recipe", recipe)
    assert code == 2 and not Path("out").exists()
    for message in messages:
        assert message in errors


def test_a_picture_that_cannot_be_degraded_is_named_and_the_others_are_degraded(
    crappify: Restore,
) -> None:
    Path("b.png").write_text("no picture")
    code, output, errors = crappify("a.png", "b.png", "-o", "out", "--recipe", "jpeg")
    assert code == 1 and "1 degraded into out" in output and "not degraded: b.png" in errors


@pytest.mark.parametrize("args", [[], ["nothing"], ["restore"], ["count", "one", "--words", "0"]])
def test_wrong_use_is_exit_code_two_and_says_how_to_use_it(
    args: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(args) == 2
    assert "Usage: lessonpipe" in "".join(capsys.readouterr())


def test_help_loads_no_torch_and_has_every_command_under_a_title(
    door: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    (tmp_path / "run.py").write_text(
        "import sys, lessonpipe.app.cli as cli\n"
        "code = cli.main(sys.argv[1:])\n"
        "assert not {'torch', 'numpy', 'PIL', 'rich'} & set(sys.modules)\n"
        "raise SystemExit(code)\n"
    )
    usage = door("run", "restore", "--help")
    assert usage.returncode == 0 and "--overwrite" in usage.stdout
    assert (
        "\n  lessonpipe restore old/ -o new --model lesson      with another model" in usage.stdout
    )
    every = door("run", "--help")
    assert usage.stderr == every.stderr == ""
    assert {info.callback.__name__.replace("_", "-") for info in app.registered_commands} == set(
        re.findall(r"^  ([a-z][a-z-]*)  ", every.stdout, re.MULTILINE)
    )
    assert "\nRestore:\n" in every.stdout and "\nCommands:\n" not in every.stdout


def test_the_version_says_torchs_and_what_it_runs_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    kind = r"cpu in (fp32|bf16) \(.+\)"
    expected = rf"lessonpipe {__version__}, torch {re.escape(torch.__version__)} on {kind}\n"
    assert re.fullmatch(expected, capsys.readouterr().out)


def test_a_shell_completes_commands(
    door: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    (tmp_path / "run.py").write_text("import lessonpipe.app.cli as c; raise SystemExit(c.main())")
    asked = {"COMP_WORDS": "lessonpipe re", "COMP_CWORD": "1"}
    done = door("run", _LESSONPIPE_COMPLETE="complete_bash", **asked)
    assert done.stdout.split() == ["restore"]


@pytest.mark.slow
def test_an_interrupted_run_is_exit_code_130_and_keeps_finished_pictures(
    model: Path, tmp_path: Path
) -> None:
    for i in range(100):
        make_picture(200, 150, seed=i).save(tmp_path / f"{i}.png")
    args = ["restore", ".", "-o", "out", "--model", str(model)]
    process = subprocess.Popen(
        [sys.executable, "-m", "lessonpipe.app.cli", *args],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    until(lambda: list(tmp_path.glob("out/*.png")))
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 130 and "Traceback" not in errors
    assert "lessonpipe: interrupted" in errors
    names = files(tmp_path / "out")
    assert 0 < len(names) < 100 and all(Image.open(tmp_path / "out" / n).size for n in names)


@pytest.mark.parametrize(
    ("args", "missing"),
    [
        (["lr-find", "pretrain_generator"], "params.yaml is not there"),
        (["count", "two hundred"], "models/numbers is not a model"),
    ],
)
def test_an_installed_command_finds_its_stages_wherever_it_runs(
    args: list[str], missing: str, tmp_path: Path
) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site/lessonpipe").symlink_to(ROOT / "lessonpipe")
    (tmp_path / "project").mkdir()
    for name in ("tasks", "lessons", "dvc.yaml"):
        (tmp_path / "project" / name).symlink_to(ROOT / name)

    def run(folder: str) -> subprocess.CompletedProcess[str]:
        code = "import sys; from lessonpipe.app.cli import main; raise SystemExit(main())"
        return subprocess.run(
            [sys.executable, "-P", "-c", code, *args],  # -P: as a script, which adds no folder
            cwd=tmp_path / folder,
            env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
            capture_output=True,
            text=True,
        )

    for folder in ("site", "project"):
        done = run(folder)
        assert done.returncode == 2 and missing in done.stderr, done.stderr
