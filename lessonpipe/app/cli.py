"""The words a person types: `lessonpipe restore PATH... -o DIR`, `crappify ...`, `summary NET`."""

import argparse
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

from lessonpipe import __version__, lineage
from lessonpipe.app.registry import default_model
from lessonpipe.data.photos import open_photo
from lessonpipe.errors import LessonpipeError, PictureError, UserError
from lessonpipe.inference.output import plan_outputs, save_image
from lessonpipe.io.progress import progress_bar


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command. Exit codes: 0 done, 1 some pictures failed, 2 nothing could be done."""
    parser = argparse.ArgumentParser(prog="lessonpipe", description=__doc__)
    parser.add_argument("--version", action="version", version=f"lessonpipe {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    _add_restore(commands)
    _add_crappify(commands)
    _add_summary(commands)
    _add_lr_find(commands)
    _add_count(commands)
    _add_lineage(commands)
    args = parser.parse_args(argv)
    try:
        return int(args.run(args))
    except LessonpipeError as error:
        print(f"lessonpipe: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        out = getattr(args, "out", None)
        disk = f"; look at the disk of {out}" if out else ""
        where = f": {error.filename}" if error.filename else disk
        print(f"lessonpipe: {error.strerror or error}{where}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("lessonpipe: interrupted; pictures that were done are kept", file=sys.stderr)
        return 130


def _add_pictures(one: argparse.ArgumentParser) -> None:
    one.add_argument("paths", nargs="+", metavar="PATH", help="files, folders or globs")
    one.add_argument("-o", "--out", type=Path, required=True, metavar="DIR", help="where to")
    one.add_argument("--overwrite", action="store_true", help="replace files that are there")


def _add_restore(commands: Any) -> None:
    one = commands.add_parser("restore", help="restore pictures with a trained model")
    _add_pictures(one)
    one.add_argument(
        "--model",
        type=Path,
        default=default_model(),
        metavar="FOLDER",
        help="model folder (default: models/in-service if there is one, or models/fit_feature)",
    )
    one.add_argument(
        "--no-note", action="store_true", help="do not write into pictures which model made them"
    )
    how = one.add_mutually_exclusive_group()
    how.add_argument("--scale", type=_scale, default=1.0, help="enlarge by this first (default 1)")
    how.add_argument("--size", type=_size, metavar="WxH", help="or to this size in pixels")
    one.set_defaults(
        run=lambda args: restore_files(
            args.paths,
            args.out,
            args.model,
            args.scale,
            args.size,
            overwrite=args.overwrite,
            noted=not args.no_note,
        )
    )


def _add_lineage(commands: Any) -> None:
    one = commands.add_parser("lineage", help="what a model or a restored picture was made of")
    one.add_argument("place", type=Path, metavar="MODEL_OR_PICTURE")
    one.set_defaults(run=lambda args: tell_lineage(args.place))


def _add_crappify(commands: Any) -> None:
    one = commands.add_parser("crappify", help="spoil pictures by a recipe, to see what it does")
    _add_pictures(one)
    one.add_argument(
        "--recipe",
        metavar="NAME",
        help="a recipe of ./params.yaml, by default the one chosen there; or a YAML file of steps",
    )
    one.set_defaults(
        run=lambda args: crappify_files(args.paths, args.out, args.recipe, overwrite=args.overwrite)
    )


def _add_summary(commands: Any) -> None:
    one = commands.add_parser(
        "summary", help="print a network's layers, their output shapes and parameters"
    )
    one.add_argument("net", choices=["unet", "critic"], help="the lesson's networks")
    one.add_argument(
        "--size",
        type=_size,
        metavar="HxW",
        help="of the picture, height first (default 360x480 for unet, 128x128 for critic)",
    )
    for_unet = one.add_argument_group("for unet; the defaults are the lesson's CamVid network")
    for_unet.add_argument("--encoder", default="resnet34", metavar="NAME", help="any timm knows")
    for_unet.add_argument("--classes", type=_count, default=12, help="output channels (default 12)")
    for_unet.add_argument("--attention", action="store_true", help="self-attention in the decoder")
    for_unet.add_argument(
        "--bottleneck",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="a bottleneck in the last block",
    )
    one.set_defaults(run=_print_summary)


def _add_lr_find(commands: Any) -> None:
    one = commands.add_parser("lr-find", help="try learning rates for a training stage")
    one.add_argument("stage", metavar="STAGE", help="such as pretrain_generator")
    one.add_argument("--phase", type=int, default=1, help="of the stage's phases (default 1)")
    one.set_defaults(run=lambda args: find_rate(args.stage, args.phase))


def _add_count(commands: Any) -> None:
    one = commands.add_parser("count", help="go on counting with the model of lessons/numbers")
    one.add_argument("said", nargs="+", metavar="WORDS", help='such as "two hundred ninety"')
    how = one.add_mutually_exclusive_group()
    how.add_argument("--numbers", type=_count, default=5, help="for so many (default 5)")
    how.add_argument("--words", type=_count, metavar="N", help="or for so many words")
    one.add_argument("--model", type=Path, default=Path("models/numbers"), metavar="FOLDER")
    one.set_defaults(run=lambda args: count_on(args.said, args.numbers, args.words, args.model))


def _print_summary(args: argparse.Namespace) -> int:
    from lessonpipe.nets import summary  # loads torch: not before the words are right

    if args.net == "critic":
        print(summary.table(summary.rows(summary.lesson_critic(), args.size or (128, 128))))
        return 0
    net = summary.lesson_unet(
        args.encoder, classes=args.classes, bottleneck=args.bottleneck, attention=args.attention
    )
    print(summary.table(summary.rows(net, args.size or (360, 480))))
    return 0


def find_rate(stage: str, phase: int) -> int:
    """Knock at the stage's own door: the core does not know the stages."""
    if not Path("tasks", "__main__.py").is_file():
        print("lessonpipe: no stages are here; run it in the project's folder", file=sys.stderr)
        return 2
    words = [sys.executable, "-m", "tasks", stage, "--lr-find", str(phase)]
    return subprocess.run(words, check=False).returncode


def count_on(said: Sequence[str], numbers: int, words: int | None, model: Path) -> int:
    """Knock at the lesson's own door: the core does not know the lessons."""
    if not Path("lessons", "numbers").is_dir():
        print("lessonpipe: no lessons are here; run it in the project's folder", file=sys.stderr)
        return 2
    how = ["--numbers", str(numbers)] if words is None else ["--words", str(words)]
    door = [sys.executable, "-m", "lessons.numbers", *how, "--model", str(model), "--", *said]
    return subprocess.run(door, check=False).returncode


def restore_files(
    paths: Sequence[str],
    out: Path,
    model: Path,
    scale: float,
    size: tuple[int, int] | None,
    *,
    overwrite: bool,
    noted: bool = True,
) -> int:
    """Restore every picture into `out` under its own name, sub-folders kept.

    One that fails is named with its reason at the end, and the others go on. What the camera
    noted and the colour profile are kept; with `noted`, which model made it is added.
    """
    targets = plan_outputs(paths, out)
    if not targets:
        raise UserError(f"no pictures in {', '.join(paths)}")
    _keep(targets.values(), overwrite=overwrite)
    from lessonpipe.inference.restorer import (
        Restorer,  # loads torch: not before the paths are right
    )

    restorer = Restorer(model)
    note = lineage.software_tag(model) if noted else None
    print(f"{len(targets)} pictures on {restorer.worker}")
    failed: list[str] = []
    start = time.perf_counter()
    for source, target in progress_bar(
        targets.items(), "restore", total=len(targets), unit="picture"
    ):
        try:
            restored = restorer(open_photo(source), scale=scale, size=size)
            save_image(
                restored, target, exif=lineage.exif(source, note), icc=lineage.icc_profile(source)
            )
        except PictureError as error:
            failed.append(str(error))
        except UserError as error:
            failed.append(f"{source}: {error}")
    done = len(targets) - len(failed)
    print(f"{done} restored into {out} in {time.perf_counter() - start:.1f} s")
    for reason in failed:
        print(f"not restored: {reason}", file=sys.stderr)
    return 0 if not failed else 1 if done else 2


def crappify_files(paths: Sequence[str], out: Path, recipe: str | None, *, overwrite: bool) -> int:
    """Spoil every picture into `out` under its own name, the same each time."""
    from lessonpipe.app.recipes import named_recipe

    sys.path.insert(0, str(Path.cwd()))  # where steps of one's own are
    spoiler = named_recipe(recipe)
    targets = plan_outputs(paths, out)
    if not targets:
        raise UserError(f"no pictures in {', '.join(paths)}")
    _keep(targets.values(), overwrite=overwrite)
    failed: list[str] = []
    for source, target in progress_bar(
        targets.items(), "crappify", total=len(targets), unit="picture"
    ):
        try:
            name = target.relative_to(out).as_posix()
            save_image(spoiler.degrade(open_photo(source), name), target)
        except PictureError as error:
            failed.append(str(error))
    print(f"{len(targets) - len(failed)} spoilt into {out}")
    for reason in failed:
        print(f"not spoilt: {reason}", file=sys.stderr)
    return 0 if not failed else 1 if len(failed) < len(targets) else 2


def _keep(targets: Iterable[Path], *, overwrite: bool) -> None:
    there = [t for t in targets if t.exists()]
    if there and not overwrite:
        raise UserError(
            f"{there[0]}{f' and {len(there) - 1} more' if len(there) > 1 else ''} would be "
            "replaced; choose another folder with -o, or add --overwrite"
        )


def tell_lineage(place: Path) -> int:
    """Print what a model folder or a restored picture says of its making."""
    found = lineage.of_model(place) if place.is_dir() else lineage.of_picture(place)
    print(yaml.safe_dump(found, sort_keys=False, allow_unicode=True).rstrip())
    return 0


def _scale(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0.05 <= value <= 16:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0.05 to 16")
    return value


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 10_000):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to 10000")
    return int(text)


def _size(text: str) -> tuple[int, int]:
    width, cross, height = text.lower().replace("×", "x").partition("x")
    if not (cross and width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 1280x1600")
    if int(width) * int(height) > 120_000_000:
        raise argparse.ArgumentTypeError(f"{text} is more than 120 million pixels")
    return int(width), int(height)


if __name__ == "__main__":
    raise SystemExit(main())
