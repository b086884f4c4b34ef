"""Generate pictures of rooms: `python -m lessons.bedrooms -o rooms.jpg --seed 3`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from lessonpipe.app.command import missing_model_cure, run_command
from lessonpipe.data.pictures import as_jpeg
from lessonpipe.errors import UserError
from lessonpipe.io.atomic import atomic_write
from lessonpipe.nets.io import load_weights, read_model_json
from lessons.bedrooms.nets import NoiseGenerator
from lessons.bedrooms.plots import sheet
from lessons.bedrooms.wgan import sample_noise, samples

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


def main(args: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    return run_command(app, args, "python -m lessons.bedrooms")


@app.command()
def generate(
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to.")] = Path("rooms.jpg"),
    model: Annotated[Path, typer.Option(help="Model folder.")] = Path("models/bedrooms"),
    seed: Annotated[int, typer.Option(help="Of the noise.")] = 0,
    rows: Annotated[int, typer.Option(min=1, max=64, help="Of eight pictures.")] = 8,
) -> None:
    """Generate rooms that do not exist, as one picture."""
    with missing_model_cure("lessons/dvc.yaml:bedrooms"):
        net = load(model)
    pictures = samples(net, sample_noise(8 * rows, net.noise, seed))
    atomic_write(out, as_jpeg(sheet(pictures)))


def load(folder: Path) -> NoiseGenerator:
    """The generator of a model folder. Raises `UserError` when it is of something else."""
    about = read_model_json(folder)
    if about["kind"] != "bedrooms":
        raise UserError(f"{folder} holds a {about['kind']} model, but one of bedrooms is needed")
    return load_weights(folder, NoiseGenerator(**about["build"]))


if __name__ == "__main__":
    raise SystemExit(main())
