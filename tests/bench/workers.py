"""The same short training by 1, 2 and 4 workers: their curves on one plot, and how far apart.

    python -m tests.bench.workers                          # docs/workers.svg, and a line a measure
    python -m tests.bench.workers --workers 1 2 --epochs 3

Small networks and pictures in a temporary folder; fp32, so that what is left is the order of sums.
How much that alone does is told beside it: by one worker on two threads in place of one.
"""

import argparse
import shutil
import tempfile
from pathlib import Path

import yaml

from lessonpipe.io.atomic import atomic_write
from lessonpipe.report.curves import TITLES, as_svg, pyplot
from tests.cluster.conftest import ROOT, Workspace, environment, small

CURVES = {
    "pretrain_generator": ("train_loss", "valid_loss"),
    "fit_gan": ("train_generator_loss", "train_critic_loss", "valid_psnr"),
}
OTHER_ORDER = "1 worker, 2 threads"
LINES = ({"lw": 6, "alpha": 0.3}, {"lw": 3, "alpha": 0.6}, {"lw": 1, "ls": "--", "color": "black"})
Rows = list[dict[str, float]]


def train(folder: Path, workers: list[int], epochs: int) -> dict[str, dict[str, Rows]]:
    """By stage and who did it: the history."""
    who = {f"{n} worker{'s' * (n > 1)}": {"LESSONPIPE_WORKERS": str(n)} for n in workers}
    who[OTHER_ORDER] = {"LESSONPIPE_WORKERS": "1", "OMP_NUM_THREADS": "2"}
    params = small(yaml.safe_load((ROOT / "params.yaml").read_text()))
    params["pretrain_generator"]["phases"][0]["epochs"] = epochs
    params["fit_gan"]["phases"][0]["epochs"] = epochs
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    shutil.copy(ROOT / "dvc.yaml", folder)
    workspace = Workspace(folder, environment(OMP_NUM_THREADS="1"))
    workspace.run("download", "recipe", "crappify")
    found: dict[str, dict[str, Rows]] = {}
    for stage in CURVES:
        for name, facts in who.items():
            workspace.run(stage, **facts)
            found.setdefault(stage, {})[name] = workspace.history(stage)
            print(f"{stage}: {name}", flush=True)
        if stage == "pretrain_generator":
            workspace.run("save_preds", "pretrain_critic")
    return found


def apart(one: Rows, other: Rows, name: str) -> float:
    """The largest difference in a column, as a share of its value."""
    pairs = zip(one, other, strict=True)
    return max(abs(a[name] - b[name]) / max(abs(a[name]), 1e-12) for a, b in pairs)


def draw(found: dict[str, dict[str, Rows]]) -> str:
    """A panel a curve; where they agree the lines lie on one another."""
    plt = pyplot()
    panels = [(stage, name) for stage in found for name in CURVES[stage]]
    figure, places = plt.subplots(1, len(panels), figsize=(2.6 * len(panels), 2.4))
    for place, (stage, name) in zip(places, panels, strict=True):
        for (who, rows), line in zip(found[stage].items(), LINES, strict=False):
            epochs = [row["epoch"] for row in rows]
            place.plot(epochs, [row[name] for row in rows], label=who, **line)
        place.set_title(f"{TITLES[stage]}\n{name.replace('_', ' ')}", fontsize=9)
        place.set_xlabel("epoch")
        place.spines[["top", "right"]].set_visible(False)
    places[0].legend(fontsize=7, frameon=False)
    return as_svg(figure)


def main() -> None:
    """Train, draw, tell."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.workers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("docs/workers.svg"))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = train(Path(folder), args.workers, args.epochs)
    atomic_write(args.out, draw(found))
    for stage, histories in found.items():
        first, *workers, threads = histories.values()
        for name in CURVES[stage]:
            most = max((apart(first, rows, name) for rows in workers), default=0.0)
            same = apart(first, threads, name)
            print(f"{stage:18} {name:20} apart by {most:.0e} of it; on two threads {same:.0e}")


if __name__ == "__main__":
    main()
