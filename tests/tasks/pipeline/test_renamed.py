"""Old names of params.yaml's keys are answered with the new ones."""

import re
from typing import Any

import pytest
import yaml

from lessonpipe.errors import UserError
from tasks import fit_gan, pretrain_generator
from tasks.pipeline import params
from tasks.pipeline.renamed import RENAMED
from tests.conftest import ROOT

PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())


def entry(path: str) -> dict[str, Any]:
    """The section, or the first entry of a list in it."""
    section, _, inner = path.partition(".")
    found = PARAMS[section].get(inner, {}) if inner else PARAMS[section]
    return found[0] if isinstance(found, list) else found


@pytest.mark.parametrize("path", RENAMED)
def test_every_new_name_is_in_params_and_no_old_one_is(path: str) -> None:
    optional = {"pct_start", "samples_per_epoch", "frozen"}  # left out where they are the default
    for old, new in RENAMED[path].items():
        assert old not in entry(path)
        value: Any = PARAMS if new.startswith("/") else entry(path)
        for part in re.findall(r"\w+", new):
            value = value[int(part) if part.isdigit() else part] if part not in optional else None


def test_old_names_end_in_a_sentence_with_the_new_ones(tmp_path: Any) -> None:
    old = {
        **PARAMS,
        "fit_gan": {"critic_times": 5, "momentum": 0},
        "pretrain_generator": {"attention": True, "phases": [{"warmup": 0.3}]},
    }
    file = tmp_path / "params.yaml"
    file.write_text(yaml.safe_dump(old))
    with pytest.raises(UserError) as error:
        params.load(fit_gan.Params, "fit_gan", file)
    assert str(error.value) == (
        f"{file}: fit_gan.critic_times is now fit_gan.gan.critic_lr_mult; "
        "fit_gan.momentum is now fit_gan.gan.optim.beta1"
    )
    with pytest.raises(
        UserError, match=r"phases\.warmup is now pretrain_generator\.phases\.pct_sta"
    ):
        params.load(pretrain_generator.Params, "pretrain_generator", file)
