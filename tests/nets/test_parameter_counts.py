"""The lesson's networks, built from the profiles, have the lesson's numbers of parameters."""

import pytest
import torch
from torch import nn

from lessonpipe.nets import Critic, CriticConfig, Generator, UnetConfig
from lessons.streets.nets import Segmenter
from tests.tasks.pipeline.test_profiles import PARAMS, PROFILES, merged


def section(profile: str, stage: str) -> dict:
    """A stage's params as the profile has them."""
    return merged(PARAMS, PROFILES[profile])[stage]


def count(net: nn.Module, *, trained: bool = False) -> int:
    return sum(p.numel() for p in net.parameters() if p.requires_grad or not trained)


@pytest.mark.parametrize(("attention", "expected"), [(True, 41_413_534), (False, 41_229_213)])
def test_the_lessons_generator(attention: bool, expected: int) -> None:
    config = UnetConfig(**section("lesson", "pretrain_generator")["net"])
    assert config.attention
    with torch.device("meta"):
        net = Generator(config.model_copy(update={"attention": attention}), pretrained=False)
        assert count(net) == expected
        assert net(torch.empty(1, 3, 64, 96)).shape == (1, 3, 64, 96)


def test_the_lessons_camvid_network_with_its_frozen_encoder_whose_batch_norms_train() -> None:
    params = section("camvid", "streets")
    with torch.device("meta"):
        net = Segmenter(UnetConfig(**params["net"]), pretrained=False)
        assert net(torch.empty(1, 3, 360, 480)).shape == (1, 12, 360, 480)
    net.unet.encoder.freeze(params["phases"][0]["frozen"], train_bn=params["train_bn"])
    assert count(net) == 41_133_018
    assert count(net, trained=True) == 19_865_370


def test_the_lessons_critic_with_its_grid_of_logits() -> None:
    config = CriticConfig(**section("lesson", "pretrain_critic")["net"])
    with torch.device("meta"):
        net = Critic(config, pretrained=False)
        assert net(torch.empty(1, 3, 128, 128)).shape == (1, 1, 5, 5)
    assert count(net) == 44_705_665
