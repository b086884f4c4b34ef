"""Each profile that is one of the lesson's notebooks has the notebook's numbers, one by one.

The numbers here are those of the course, written down apart from the profiles.
"""

import importlib
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import nn

from lessonpipe.config import Slice
from lessonpipe.losses import FeatureLossConfig
from lessonpipe.nets import Critic, Generator
from lessonpipe.train.schedule import AdamWConfig
from lessons.digits.nets import DigitNet, DigitNetConfig
from lessons.numbers.build import build
from lessons.streets.nets import Segmenter
from tasks.pipeline.params import load_stage
from tests.conftest import ROOT
from tests.tasks.pipeline.test_profiles import PARAMS, PROFILES, merged

STAGES = {  # that each notebook runs
    "lesson-gan": "download crappify pretrain_generator save_preds pretrain_critic fit_gan compare",
    "lesson-superres": "download crappify pretrain_generator fit_feature compare",
    "camvid": "streets_data streets",
    "lesson-mnist": "digits_data digits",
    "lesson-numbers": "numbers_data numbers",
    "lsun": "bedrooms_data bedrooms",
}
ADAM = AdamWConfig(weight_decay=0.01, eps=1e-8, beta1=0.95, beta2=0.99)
WD3 = ADAM.model_copy(update={"weight_decay": 1e-3})
VIEWS = {"flip": True, "rotate": 10, "zoom": 2, "warp": 0.2, "light": 0.2}
PHASE = ("image_px", "batch", "epochs", "max_lr", "pct_start", "frozen")


@pytest.fixture(scope="module")
def notebooks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The params of every notebook's stages, read as strictly as a stage reads them."""
    folder, found = tmp_path_factory.mktemp("notebooks"), {}
    for name, stages in STAGES.items():
        path = Path(folder, f"{name}.yaml")
        path.write_text(yaml.safe_dump(merged(PARAMS, PROFILES[name])))
        for stage in stages.split():
            found[f"{name}.{stage}"] = load_stage(
                importlib.import_module(f"tasks.{stage}"), stage, path
            )
    return found


def value(notebooks: dict[str, Any], key: str) -> Any:
    """`PROFILE.STAGE.field.field...`; a list's phases or runs are tuples of what is compared."""
    profile, stage, *fields = key.split(".")
    found = notebooks[f"{profile}.{stage}"]
    for field in fields:
        found = getattr(found, field)
    return found


def phases(found: list[Any], names: tuple[str, ...]) -> list[tuple[Any, ...]]:
    return [tuple(getattr(one, name, None) for name in names) for one in found]


TABLE = {
    # superres-gan
    "lesson-gan.download.source": "pets",
    "lesson-gan.crappify.seed": 42,
    "lesson-gan.crappify.valid_share": 0.1,
    "lesson-gan.crappify.quality": (10, 70),
    "lesson-gan.crappify.recipe": [{"resize": {"shorter": 96}}, {"text": {}}, {"jpeg": {}}],
    "lesson-gan.crappify.undamaged_share": 0,
    "lesson-gan.crappify.color_jitter": 0,
    "lesson-gan.crappify.tiles.tile_px": None,
    "lesson-gan.pretrain_generator.loss": "mse",
    "lesson-gan.pretrain_generator.optim": WD3,
    "lesson-gan.pretrain_generator.pretrained": True,
    "lesson-gan.pretrain_generator.train_bn": True,
    "lesson-gan.pretrain_generator.net.encoder": "resnet34",
    "lesson-gan.pretrain_generator.net.attention": True,
    "lesson-gan.pretrain_generator.net.blur": True,
    "lesson-gan.pretrain_generator.net.norm": "weight",
    "lesson-gan.pretrain_generator.net.output": "range",
    "lesson-gan.pretrain_generator.net.y_range": (-3, 3),
    "lesson-gan.pretrain_critic.optim": WD3,
    "lesson-gan.pretrain_critic.net.kind": "lesson",
    "lesson-gan.fit_gan.pixel": "mse",
    "lesson-gan.fit_gan.pixel_weight": 50,
    "lesson-gan.fit_gan.critic_weight": 1,
    "lesson-gan.fit_gan.feature": None,
    "lesson-gan.fit_gan.train_bn": True,
    "lesson-gan.fit_gan.gan.optim": WD3.model_copy(update={"beta1": 0}),
    "lesson-gan.fit_gan.gan.critic_lr_mult": 5,
    "lesson-gan.fit_gan.gan.switch.threshold": 0.65,
    "lesson-gan.fit_gan.gan.switch.patience": None,
    "lesson-gan.fit_gan.gan.switch_eval": True,
    "lesson-gan.fit_gan.gan.ema": 0,
    # superres
    "lesson-superres.download.source": "pets",
    "lesson-superres.crappify.seed": 42,
    "lesson-superres.crappify.valid_share": 0.1,
    "lesson-superres.crappify.recipe": [{"resize": {"shorter": 96}}, {"jpeg": {"quality": 60}}],
    "lesson-superres.crappify.undamaged_share": 0,
    "lesson-superres.crappify.color_jitter": 0,
    "lesson-superres.crappify.tiles.tile_px": None,
    "lesson-superres.pretrain_generator.pretrained": True,
    "lesson-superres.pretrain_generator.net.encoder": "resnet34",
    "lesson-superres.pretrain_generator.net.attention": False,
    "lesson-superres.pretrain_generator.net.blur": True,
    "lesson-superres.pretrain_generator.net.norm": "weight",
    "lesson-superres.pretrain_generator.net.output": "plain",  # no y_range
    "lesson-superres.fit_feature.pixel": "l1",
    "lesson-superres.fit_feature.pixel_weight": 1,
    "lesson-superres.fit_feature.feature": FeatureLossConfig(
        encoder="vgg16_bn", layers=[2, 3, 4], weights=[5, 15, 2], gram_weight=5000
    ),
    "lesson-superres.fit_feature.optim": WD3,
    "lesson-superres.fit_feature.train_bn": True,
    # camvid
    "camvid.streets_data.source": "camvid",
    "camvid.streets.net.encoder": "resnet34",
    "camvid.streets.net.bottleneck": True,
    "camvid.streets.net.blur": False,
    "camvid.streets.net.attention": False,
    "camvid.streets.net.output": "plain",
    "camvid.streets.optim": ADAM,
    "camvid.streets.train_bn": True,
    # resnet-mnist
    "lesson-mnist.digits.optim": ADAM,
    # human-numbers
    "lesson-numbers.numbers_data.train_until": 8000,
    "lesson-numbers.numbers.optim": ADAM,
    # wgan
    "lsun.bedrooms_data.source": "lsun",
    "lsun.bedrooms_data.px": 64,
    "lsun.bedrooms.net.noise": 100,
    "lsun.bedrooms.net.features": 64,
    "lsun.bedrooms.net.extra_layers": 1,
    "lsun.bedrooms.clip": 0.01,
    "lsun.bedrooms.gp_weight": None,
    "lsun.bedrooms.flip": False,
    "lsun.bedrooms.gan.optim": ADAM.model_copy(update={"weight_decay": 0, "beta1": 0}),
    "lsun.bedrooms.gan.critic_lr_mult": 1,
    "lsun.bedrooms.gan.switch.critic": 5,
    "lsun.bedrooms.gan.switch.generator": 1,
    "lsun.bedrooms.gan.switch_eval": False,
    "lsun.bedrooms.gan.ema": 0,
}


@pytest.mark.parametrize(("key", "expected"), TABLE.items(), ids=TABLE)
def test_a_number_of_a_notebook_is_the_lessons(
    key: str, expected: Any, notebooks: dict[str, Any]
) -> None:
    assert value(notebooks, key) == expected


SCHEDULES: dict[str, list[tuple[Any, ...]]] = {  # size, batch, epochs, rate, warm-up, frozen
    "lesson-gan.pretrain_generator": [
        (128, 32, 2, Slice(slice=3e-3), 0.8, True),
        (128, 32, 3, (1e-6, 1e-3), 0.3, False),
    ],
    "lesson-gan.pretrain_critic": [(128, 32, 6, 1e-3, 0.3, False)],
    "lesson-gan.fit_gan": [(128, 32, 40, 1e-4, 0.3, False)],
    "lesson-superres.fit_feature": [
        (128, 32, 10, Slice(slice=1e-2), 0.9, True),
        (128, 32, 10, (1e-5, 1e-3), 0.9, False),
        (256, 12, 10, Slice(slice=1e-3), 0.9, True),
        (256, 12, 10, (1e-6, 1e-4), 0.3, False),
    ],
    "camvid.streets": [
        ((180, 240), 8, 10, Slice(slice=2e-3), 0.8, True),
        ((180, 240), 8, 12, (2e-5, 2e-3), 0.8, False),
        ((360, 480), 8, 10, Slice(slice=1e-3), 0.8, True),
        ((360, 480), 8, 10, (1e-6, 1e-4), 0.3, False),
    ],
    "lsun.bedrooms": [(None, 128, 30, 2e-4, 0.3, False)],
}


@pytest.mark.parametrize("stage", SCHEDULES)
def test_a_notebooks_schedule_is_the_lessons(stage: str, notebooks: dict[str, Any]) -> None:
    found = notebooks[stage].phases
    assert phases(found, PHASE) == SCHEDULES[stage]
    assert {phase.samples_per_epoch for phase in found} == {None}


def test_every_view_of_a_photo_is_the_lessons(notebooks: dict[str, Any]) -> None:
    for stage in ("pretrain_generator", "pretrain_critic", "fit_gan"):
        assert merged(PARAMS, PROFILES["lesson-gan"])[stage]["augment"] == VIEWS
    assert merged(PARAMS, PROFILES["lesson-superres"])["fit_pixel"]["augment"] == VIEWS
    streets = merged(PARAMS, PROFILES["camvid"])["streets"]["augment"]
    assert streets == VIEWS | {"zoom": 1.1}


def test_the_digits_have_the_lessons_networks_batch_and_rates(notebooks: dict[str, Any]) -> None:
    runs = notebooks["lesson-mnist.digits"].runs
    names = ("net", "width", "batch", "epochs", "max_lr", "pct_start", "ema", "lesson")
    assert phases(runs, names) == [
        ("plain", 1, 128, 3, 0.1, 0.3, 0, 0.9864),
        ("plain", 1, 128, 10, 0.1, 0.3, 0, 0.9911),
        ("residual", 1, 128, 12, 0.05, 0.3, 0, 0.9954),
    ]
    net = DigitNet(DigitNetConfig(kind="plain"))
    assert sum(p.numel() for p in net.parameters()) == 12_126
    grids: list[int] = []
    for layer in net.layers:
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(lambda _, __, output: grids.append(output.shape[-1]))
    net(torch.zeros(2, 28, 28))
    assert grids == [14, 7, 4, 2, 1]


def test_the_numbers_have_the_lessons_networks_lengths_and_rates(
    notebooks: dict[str, Any],
) -> None:
    runs = notebooks["lesson-numbers.numbers"].runs
    names = ("net", "seq_len", "vary_seq_len", "epochs", "max_lr", "pct_start", "lesson")
    assert phases(runs, names) == [
        ("unrolled without first step", 3, False, 6, 1e-4, 0.3, 0.462),
        ("loop", 3, False, 6, 1e-4, 0.3, 0.461),
        ("seq2seq", 20, True, 10, 1e-4, 0.1, 0.408),
        ("stateful", 20, True, 20, 3e-3, 0.3, 0.542),
        ("rnn", 20, True, 20, 3e-3, 0.3, 0.577),
        ("lstm", 20, True, 10, 1e-2, 0.3, None),
        ("gru", 20, True, 10, 1e-2, 0.3, 0.755),
    ]
    assert {(run.batch, run.dropout) for run in runs} == {(64, 0)}
    for run in runs:  # embedding 38 x 64, output back, batch norm, and the cell
        cell = {"rnn": 1, "gru": 2 * 3, "lstm": 2 * 4}.get(run.net)
        step = 64 * 64 + 64 if cell is None else cell * (2 * 64 * 64 + 2 * 64)
        wanted = 38 * 64 + (64 * 38 + 38) + 2 * 64 + step
        assert sum(p.numel() for p in build(run.net).parameters()) == wanted


def count(net: nn.Module, *, trained: bool = False) -> int:
    return sum(p.numel() for p in net.parameters() if p.requires_grad or not trained)


@pytest.mark.parametrize(
    ("profile", "expected"), [("lesson-gan", 41_413_534), ("lesson-superres", 41_229_213)]
)
def test_a_notebooks_generator(profile: str, expected: int, notebooks: dict[str, Any]) -> None:
    with torch.device("meta"):
        net = Generator(notebooks[f"{profile}.pretrain_generator"].net, pretrained=False)
        assert count(net) == expected
        assert net(torch.empty(1, 3, 64, 96)).shape == (1, 3, 64, 96)


def test_the_lessons_camvid_network_with_its_frozen_encoder_whose_batch_norms_train(
    notebooks: dict[str, Any],
) -> None:
    p = notebooks["camvid.streets"]
    with torch.device("meta"):
        net = Segmenter(p.net, pretrained=False)
        assert net(torch.empty(1, 3, 360, 480)).shape == (1, 12, 360, 480)
    net.unet.encoder.freeze(p.phases[0].frozen, train_bn=p.train_bn)
    assert count(net) == 41_133_018
    assert count(net, trained=True) == 19_865_370


def test_the_lessons_critic_with_its_grid_of_logits(notebooks: dict[str, Any]) -> None:
    with torch.device("meta"):
        net = Critic(notebooks["lesson-gan.pretrain_critic"].net, pretrained=False)
        assert net(torch.empty(1, 3, 128, 128)).shape == (1, 1, 5, 5)
    assert count(net) == 44_705_665


def test_the_superres_network_is_new_and_only_feature_loss_trains_it(
    notebooks: dict[str, Any],
) -> None:
    assert [p.epochs for p in notebooks["lesson-superres.pretrain_generator"].phases] == [0]
    params = merged(PARAMS, PROFILES["lesson-superres"])
    for stage in ("pretrain_critic", "fit_gan", "fit_pixel"):
        assert [phase["epochs"] for phase in params[stage]["phases"]] == [0]


@pytest.mark.parametrize("name", STAGES)
def test_a_notebooks_file_has_its_command_and_says_whose_the_figures_are(name: str) -> None:
    head = (ROOT / f"profiles/{name}.yaml").read_text().partition("\n\n")[0]
    command = "run" if name in ("lesson-gan", "lesson-superres") else "lessons"
    assert "The lesson's notebook" in head and f"make {command} PROFILE={name}\n" in head
    assert "Nobody has run it here" in head or "docs/lessons.md" in head
