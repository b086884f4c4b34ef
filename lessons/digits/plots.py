"""What there is to see of digits: mistakes, confusion, the loss as a landscape."""

from collections.abc import Mapping

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lessonpipe.data.pictures import grid
from lessonpipe.report.curves import as_svg, pyplot


def confusion(told: Tensor, meant: Tensor) -> Tensor:
    """How often each digit was taken for which: `10 10`, a row what was meant."""
    return torch.bincount(meant * 10 + told, minlength=100).view(10, 10)


def confusion_picture(counts: Tensor) -> str:
    """An SVG of the matrix; what is right is left white, so that mistakes can be seen."""
    figure, panel = pyplot().subplots(figsize=(4.2, 4))
    wrong = counts.clone().fill_diagonal_(0)
    panel.imshow(wrong, cmap="Reds")
    for meant in range(10):
        for told in range(10):
            if count := int(counts[meant, told]):
                ink = "white" if wrong[meant, told] > wrong.max() / 2 else "black"
                panel.text(told, meant, count, ha="center", va="center", fontsize=7, color=ink)
    panel.set_xticks(range(10))
    panel.set_yticks(range(10))
    panel.set_xlabel("taken for")
    panel.set_ylabel("meant")
    return as_svg(figure)


def worst(x: Tensor, told: Tensor, meant: Tensor, count: int = 12) -> Image.Image:
    """The mistakes that the network was surest of: digits `N 28 28`, probabilities `N 10`."""
    wrong = (told.argmax(1) != meant).nonzero().flatten()
    sure = told.max(1).values[wrong]
    chosen = wrong[sure.argsort(descending=True)[:count]].tolist()
    titles = [f"{meant[i]} as {told[i].argmax()} ({told[i].max():.0%})" for i in chosen]
    pictures = [Image.fromarray(x[i].numpy()).resize((112, 112)).convert("RGB") for i in chosen]
    return grid([pictures], titles) if chosen else Image.new("RGB", (112, 112), "white")


def landscapes(surfaces: Mapping[str, Tensor], reach: float) -> str:
    """An SVG: each surface in relief, on one scale, its logarithm so that both can be seen."""
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
