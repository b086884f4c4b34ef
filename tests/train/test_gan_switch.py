"""The switch decides whose turn is next, generator's or critic's."""

import pytest

from lessonpipe.train.gan_switch import AdaptiveSwitch, FixedSwitch


def turns(switch, losses):
    """The first letters of the turns taken while the steps have these losses."""
    taken = []
    for loss in losses:
        taken.append(switch.turn[0])
        switch.after_step(loss)
    return "".join(taken)


def test_the_critic_trains_until_its_loss_is_below_the_threshold():
    losses = [0.9, 0.7, 0.6, 5.0, 0.64, 5.0, 0.65, 0.1, 5.0]
    assert turns(AdaptiveSwitch(0.65), losses) == "cccgcgccg"


def test_the_generator_has_its_turn_when_the_critics_patience_ends():
    assert turns(AdaptiveSwitch(0.65, patience=2), [0.9] * 7) == "ccgccgc"


def test_fixed_turns_are_five_to_one_by_default():
    assert turns(FixedSwitch(), [0.0] * 13) == "cccccgcccccgc"
    assert turns(FixedSwitch(1, 2), [0.0] * 6) == "cggcgg"


@pytest.mark.parametrize("make", [lambda: AdaptiveSwitch(0.65, 3), lambda: FixedSwitch(3, 2)])
def test_a_resumed_switch_takes_the_turns_of_an_uninterrupted_one(make):
    uninterrupted, first, second = make(), make(), make()
    losses = [0.9, 0.9, 0.6, 0.9, 0.9, 0.9, 0.9, 0.1]
    start = turns(first, losses[:4])
    second.load_state_dict(first.state_dict())
    assert turns(uninterrupted, losses) == start + turns(second, losses[4:])
