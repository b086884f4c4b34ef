"""The lesson's point: a model undoes what its recipe does, and nothing else."""

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data
from torch import Tensor

from lessonpipe.crappify import Recipe
from lessonpipe.crappify.recipe import Steps
from lessonpipe.data.photos import cut_tiles
from lessonpipe.data.pictures import to_tensor
from lessonpipe.metrics import psnr, squared_errors
from lessonpipe.nets import Generator
from tests.small import unet_config

HOLES: Steps = [{"hole": {"count": [1, 1], "share": [0.2, 0.4]}}]
JPEG: Steps = [{"jpeg": {"quality": 8}}]


def tiles(*photos: np.ndarray, count: int) -> list[Image.Image]:
    return [
        tile.resize((64, 64), Image.Resampling.BICUBIC)
        for number, photo in enumerate(photos)
        for tile in cut_tiles(Image.fromarray(photo), str(number), count=count, tile_px=128, seed=1)
    ]


def batch(images: list[Image.Image]) -> Tensor:
    return torch.stack([to_tensor(image) for image in images]).float() / 255


def degraded(steps: Steps, images: list[Image.Image], key: str) -> Tensor:
    recipe = Recipe(steps)
    return batch([recipe.degrade(image, f"{key}/{i}") for i, image in enumerate(images)])


def trained(steps: Steps, good: list[Image.Image]) -> Generator:
    """A small generator after some seconds of training on this recipe."""
    torch.manual_seed(0)
    config = unet_config(
        encoder="tf_efficientnet_lite0", widths=[24, 16, 16, 8], output="correction"
    )
    net = Generator(config, pretrained=True)
    net.train()
    net.encoder.freeze()
    trainable = [p for p in net.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trainable, lr=2e-3)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 8 * 12)
    for epoch in range(8):
        crappy, sharp = degraded(steps, good, str(epoch)), batch(good)
        for part in torch.randperm(len(good)).split(8):
            optimizer.zero_grad()
            (net(crappy[part]) - sharp[part]).square().mean().backward()
            optimizer.step()
            rate.step()
    return net.eval()


@pytest.mark.slow
@torch.no_grad()
def test_a_model_does_not_repair_damage_that_its_recipe_lacks() -> None:
    with torch.enable_grad():
        good = tiles(data.astronaut(), data.coffee(), count=48)
        fills, smooths = trained(HOLES, good), trained(JPEG, good)
    unseen = tiles(data.chelsea(), count=16)
    sharp = batch(unseen)

    holed = degraded(HOLES, unseen, "unseen")
    where = (holed - sharp).abs().amax(1, keepdim=True) > 16 / 255
    before = squared_errors(holed, sharp, where).sum()
    filled, left = (
        1 - squared_errors(net(holed), sharp, where).sum() / before for net in (fills, smooths)
    )
    assert filled > 0.6  # trained to fill holes
    assert left < 0.15  # not trained on any

    blocky, sharp = degraded(JPEG, good, "again"), batch(good)
    gained = [(psnr(net(blocky), sharp) - psnr(blocky, sharp)).mean() for net in (smooths, fills)]
    assert gained[0] > 0.3  # it did learn, but something else
    assert gained[1] < 0.15
