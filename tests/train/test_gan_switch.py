"""Whose turn it is."""

from lessonpipe.train.gan_switch import AdaptiveSwitch, FixedSwitch


def turns(switch, losses):
    taken = []
    for loss in losses:
        taken.append(switch.turn[0])
        switch.after(loss)
    return "".join(taken)


def test_the_critic_trains_until_its_loss_is_below_the_threshold():
    losses = [0.9, 0.7, 0.6, 5.0, 0.64, 5.0, 0.65, 0.1, 5.0]
    assert turns(AdaptiveSwitch(0.65), losses) == "cccgcgccg"


def test_a_critic_that_does_not_get_there_lets_the_generator_through_when_patience_ends():
    assert turns(AdaptiveSwitch(0.65, patience=2), [0.9] * 7) == "ccgccgc"


def test_fixed_turns_are_five_to_one_by_default():
    assert turns(FixedSwitch(), [0.0] * 13) == "cccccgcccccgc"
    assert turns(FixedSwitch(1, 2), [0.0] * 6) == "cggcgg"


def test_a_resumed_switch_goes_on_as_if_it_had_not_stopped():
    for make in (lambda: AdaptiveSwitch(0.65, patience=3), lambda: FixedSwitch(3, 2)):
        whole, first, second = make(), make(), make()
        losses = [0.9, 0.9, 0.6, 0.9, 0.9, 0.9, 0.9, 0.1]
        start = turns(first, losses[:4])
        second.resume(first.state())
        assert turns(whole, losses) == start + turns(second, losses[4:])
