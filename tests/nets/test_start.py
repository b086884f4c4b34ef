"""A network that starts from the weights of another, where names and shapes fit."""

from pathlib import Path

import pytest
import torch

from lessonpipe.errors import MissingError, UserError
from lessonpipe.nets.io import load_generator, load_matching_weights, save_model
from tests.small import generator

OLD = Path(__file__).parents[1] / "fixtures/model_0_1"


def test_the_same_network_starts_with_every_weight(tmp_path: Path) -> None:
    trained = generator()
    with torch.no_grad():
        for p in trained.parameters():
            p.add_(0.5)
    save_model(tmp_path, trained, {})
    net = generator()
    assert load_matching_weights(tmp_path, net) == []
    for name, value in net.state_dict().items():
        torch.testing.assert_close(value, trained.state_dict()[name], rtol=0, atol=0)


def test_what_has_another_shape_stays_as_it_was_and_is_named(tmp_path: Path) -> None:
    trained = generator(head=16)
    with torch.no_grad():
        for p in trained.parameters():
            p.add_(0.5)
    save_model(tmp_path, trained, {})
    net, untouched = generator(head=8), generator(head=8).state_dict()
    left = set(load_matching_weights(tmp_path, net))
    shapes = {name: value.shape for name, value in trained.state_dict().items()}
    assert left == {name for name, v in untouched.items() if shapes.get(name) != v.shape}
    assert 0 < len(left) < len(shapes) / 2
    for name, value in net.state_dict().items():
        source = untouched if name in left else trained.state_dict()
        torch.testing.assert_close(value, source[name], rtol=0, atol=0)


def test_a_model_of_an_earlier_version_is_a_start_too() -> None:
    net = load_generator(OLD)
    wanted = {name: value.clone() for name, value in net.state_dict().items()}
    with torch.no_grad():
        for p in net.parameters():
            p.zero_()
    assert load_matching_weights(OLD, net) == []
    assert all(torch.equal(value, wanted[name]) for name, value in net.state_dict().items())


def test_a_folder_that_holds_no_generator_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="not a model folder"):
        load_matching_weights(tmp_path, generator())
    with pytest.raises(UserError, match="holds a critic, but a generator"):
        load_matching_weights(OLD / "critic", generator())
