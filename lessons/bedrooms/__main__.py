"""Draw rooms that are nowhere: `python -m lessons.bedrooms -o rooms.jpg --seed 3`."""

import argparse
import sys
from pathlib import Path

from lessonpipe.data.pictures import as_jpeg
from lessonpipe.errors import LessonpipeError, UserError
from lessonpipe.io.atomic import atomic_write
from lessonpipe.nets.io import load_weights, read_model_json
from lessons.bedrooms.nets import NoiseGenerator
from lessons.bedrooms.plots import sheet
from lessons.bedrooms.wgan import sample_noise, samples


def main(argv: list[str] | None = None) -> int:
    """Write the picture; answers with the exit code."""
    parser = argparse.ArgumentParser(prog="python -m lessons.bedrooms", description=__doc__)
    parser.add_argument("-o", "--out", type=Path, default=Path("rooms.jpg"), help="where to")
    parser.add_argument("--model", type=Path, default=Path("models/bedrooms"), help="model folder")
    parser.add_argument("--seed", type=int, default=0, help="of the noise")
    parser.add_argument("--rows", type=int, choices=range(1, 65), default=8, metavar="1..64")
    args = parser.parse_args(argv)
    try:
        net = load(args.model)
        made = samples(net, sample_noise(8 * args.rows, net.noise, args.seed))
        atomic_write(args.out, as_jpeg(sheet(made)))
    except LessonpipeError as error:
        print(f"bedrooms: {error}", file=sys.stderr)
        return 2
    return 0


def load(folder: Path) -> NoiseGenerator:
    """The generator of a model folder. Raises `UserError` when it is of something else."""
    about = read_model_json(folder)
    if about["kind"] != "bedrooms":
        raise UserError(f"{folder} holds a {about['kind']} model, but one of bedrooms is needed")
    return load_weights(folder, NoiseGenerator(**about["build"]))


if __name__ == "__main__":
    raise SystemExit(main())
