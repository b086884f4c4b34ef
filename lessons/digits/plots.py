"""Plots of digits: the confusion matrix, the worst mistakes, loss surfaces."""

from collections.abc import Mapping

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lessonpipe.data.pictures import grid, stacked
from lessonpipe.report.curves import as_svg, pyplot


def confusion(predicted: Tensor, labels: Tensor) -> Tensor:
    """Returns the confusion matrix, `10 10`: rows are labels, columns predictions."""
    return torch.bincount(labels * 10 + predicted, minlength=100).view(10, 10)


def confusion_picture(counts: Tensor) -> str:
    """Returns an SVG of a confusion matrix; its diagonal is white, so that mistakes stand out."""
    figure, panel = pyplot().subplots(figsize=(4.2, 4))
    wrong = counts.clone().fill_diagonal_(0)
    panel.imshow(wrong, cmap="Reds")
    for label in range(10):
        for predicted in range(10):
            if count := int(counts[label, predicted]):
                ink = "white" if wrong[label, predicted] > wrong.max() / 2 else "black"
                panel.text(predicted, label, count, ha="center", va="center", fontsize=7, color=ink)
    panel.set_xticks(range(10))
    panel.set_yticks(range(10))
    panel.set_xlabel("taken for")
    panel.set_ylabel("meant")
    return as_svg(figure)


def worst(x: Tensor, probabilities: Tensor, labels: Tensor, count: int = 12) -> Image.Image:
    """Returns the mistakes with the highest probability: `N 28 28`, `N 10`, `N`."""
    top, predicted = probabilities.max(1)
    wrong = (predicted != labels).nonzero().flatten()
    chosen = wrong[top[wrong].argsort(descending=True)[:count]].tolist()
    titles = [f"{labels[i]} as {predicted[i]} ({top[i]:.0%})" for i in chosen]
    pictures = [Image.fromarray(x[i].numpy()).resize((112, 112)).convert("RGB") for i in chosen]
    return grid([pictures], titles) if chosen else Image.new("RGB", (112, 112), "white")


def batch(x: Tensor, y: Tensor, columns: int = 8, most: int = 64) -> Image.Image:
    """Returns digits `B 28 28`, bytes, with their labels `B` above them, in full rows."""
    count = min(len(x), most) // columns * columns or len(x)
    pictures = [
        Image.fromarray(one.cpu().numpy()).resize((84, 84)).convert("RGB") for one in x[:count]
    ]
    titles = [str(label) for label in y.tolist()]
    return stacked(
        [
            grid([pictures[i : i + columns]], titles[i : i + columns])
            for i in range(0, count, columns)
        ]
    )


def landscapes(surfaces: Mapping[str, Tensor], reach: float) -> str:
    """Returns an SVG of loss surfaces `P P` in 3d; `reach` is half their side, in filter lengths.

    All have one logarithmic scale: the losses differ by orders of magnitude.
    """
    plt = pyplot()
    figure = plt.figure(figsize=(4.2 * len(surfaces), 3.6))
    top = max(float(s.max()) for s in surfaces.values())
    for number, (name, losses) in enumerate(surfaces.items(), 1):
        panel = figure.add_subplot(1, len(surfaces), number, projection="3d")
        line = np.linspace(-reach, reach, len(losses))
        heights = np.log10(losses.numpy().clip(1e-3))
        panel.plot_surface(*np.meshgrid(line, line), heights, cmap="viridis", linewidth=0)
        panel.set_zlim(-2, max(0.5, np.log10(top)))
        panel.set_title(name, fontsize=10)
        panel.set_zlabel("log10 loss", fontsize=8)
    return as_svg(figure)
