"""Human numbers: the text, its streams, the networks, and counting on."""

import shutil
from collections import Counter
from copy import deepcopy
from pathlib import Path

import pytest
import torch
import yaml
from torch import nn

from lessonpipe.device import Worker
from lessonpipe.errors import MissingError, UserError
from lessonpipe.nets.io import write_model
from lessonpipe.report.result import Result
from lessonpipe.train.schedule import AdamWConfig
from lessons.numbers import classify, data, learn, nets, words
from lessons.numbers.build import build
from lessons.numbers.generate import generate, load, next_number_accuracy
from lessons.numbers.pointer_gru import PointerGRU
from lessons.numbers.streams import SequencePhase, StreamBatches, StreamData, cut
from tests.conftest import ROOT

PLACE = Worker(torch.device("cpu"), torch.float32)
V = len(words.WORDS)


@pytest.fixture(scope="module")
def corpus():
    return data.Corpus(*(data.as_ids(side) for side in data.made(8000).values()))


def parsed(said):
    """A number from its words, by another rule than the one that made them."""
    plain = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
    value = {word: n for n, word in enumerate(plain.split(), 1)}
    for stem, n in zip("fif six seven eigh nine".split(), range(5, 10), strict=True):  # noqa: SIM905
        value |= {f"{stem}teen": 10 + n, f"{stem}ty": 10 * n}
    value |= {"twenty": 20, "thirty": 30, "forty": 40}
    total = 0
    for word in said:
        if word == "thousand":
            total *= 1000
        elif word == "hundred":
            total += total % 10 * 99
        else:
            total += value[word]
    return total


def test_every_number_can_be_read_back_from_its_words():
    assert words.spell(8023) == ["eight", "thousand", "twenty", "three"]
    assert [parsed(words.spell(n)) for n in range(1, 10_000)] == list(range(1, 10_000))


def test_the_text_has_the_lessons_words_in_the_lessons_numbers(corpus):
    assert len(corpus.valid) == 13_017 and V == 38
    assert len(set(words.WORDS)) == 38
    sides = data.made(8000)
    assert sides["train"][:6] == ["xxbos", "one", ",", "two", ",", "three"]
    assert " ".join(sides["valid"][-6:]) == "nine thousand nine hundred ninety nine"
    assert len({*sides["train"], *sides["valid"]}) == 31
    # as the lesson shows them: xxbos eight thousand one , eight thousand two
    assert corpus.valid[:8].tolist() == [2, 18, 10, 11, 8, 18, 10, 12]


def test_each_word_is_there_as_often_as_counting_says():
    counts = Counter(word for side in data.made(8000).values() for word in side)
    assert counts["xxbos"] == 2 and counts[","] == 9999 - 2
    assert counts["thousand"] == 9000
    assert counts["hundred"] == 9 * 100 * 10
    assert all(counts[ten] == 10 * 100 for ten in words.TENS)
    assert all(counts[teen] == 100 for teen in words.TEENS)
    # thousands, hundreds, and units not behind ten
    assert all(counts[digit] == 1000 + 100 * 10 + 9 * 100 for digit in words.DIGITS)


def test_streams_go_on_from_batch_to_batch_and_the_target_is_the_next_word(corpus):
    streams = cut(corpus.train, 64)
    batches = StreamBatches(streams, 20, PLACE)
    items = list(batches.epoch(0))
    assert len(items) == batches.steps == (len(corpus.train) // 64 - 1) // 20
    x, y = (torch.cat([item[i] for item in items], 1) for i in (0, 1))
    assert x.equal(streams[:, : x.shape[1]]) and y.equal(streams[:, 1 : y.shape[1] + 1])
    assert x[1:, 0].equal(
        corpus.train.view(-1)[len(corpus.train) // 64 :: len(corpus.train) // 64][:63]
    )
    assert all(share == 1 for _, _, share in items)


def test_workers_share_the_streams(corpus):
    whole = StreamBatches(cut(corpus.valid, 64), 20, PLACE)
    shares = [
        StreamBatches(whole.streams, 20, Worker(PLACE.device, PLACE.dtype, rank, 3))
        for rank in range(3)
    ]
    for x_and_all in zip(whole.epoch(0), *(one.epoch(0) for one in shares), strict=True):
        (x, _, _), *parts = x_and_all
        assert sum(share for _, _, share in parts) == pytest.approx(1)
        assert torch.cat([part for part, _, _ in parts])[:64].equal(x)


def test_three_steps_written_out_and_the_loop_are_the_same_thing():
    torch.manual_seed(0)
    written, loop = nets.UnrolledRNN(V), nets.LoopedRNN(V)
    loop.load_state_dict(written.state_dict())
    x = torch.randint(0, V, (8, 3))
    torch.testing.assert_close(loop(x), written(x))
    assert loop(x).shape == (8, V)


def test_the_loop_and_the_frameworks_rnn_are_the_same_thing():
    torch.manual_seed(0)
    loop = nets.StatefulRNN(V)
    theirs = nets.TorchRNN(V, nn.RNN(64, 64, batch_first=True, nonlinearity="relu"))
    for name in ("embed", "norm", "output"):
        getattr(theirs, name).load_state_dict(getattr(loop, name).state_dict())
    with torch.no_grad():
        theirs.cell.weight_ih_l0.copy_(loop.step.weight)
        theirs.cell.weight_hh_l0.copy_(loop.step.weight)
        theirs.cell.bias_ih_l0.copy_(loop.step.bias)
        theirs.cell.bias_hh_l0.zero_()
    x = torch.randint(0, V, (4, 60))
    for mode in (True, False):
        loop.train(mode), theirs.train(mode)
        for part in x.split(20, 1):  # the second batch starts where the first ended
            torch.testing.assert_close(loop(part), theirs(part), rtol=1e-4, atol=1e-4)


def test_the_lessons_model_0_has_no_hidden_step_for_its_first_word():
    torch.manual_seed(0)
    net = build("unrolled without first step").eval()
    x = torch.randint(0, V, (8, 3))
    first, second, third = (net.embed(x[:, i]) for i in range(3))
    h = net.norm(first.relu())
    for word in (second, third):
        h = net.norm(net.step(h + word).relu())
    torch.testing.assert_close(net(x), net.output(h))
    assert not torch.allclose(net(x), load_into(nets.UnrolledRNN(V), net)(x), atol=1e-3)


def load_into(net, other):
    net.load_state_dict(other.state_dict())
    return net.eval()


def test_lengths_are_drawn_around_the_asked_for_one_and_the_text_is_read_in_order(corpus):
    phase = SequencePhase(batch=64, seq_len=20, epochs=1, max_lr=1.0, vary_seq_len=True)
    batches = StreamData(corpus.train, corpus.valid, PLACE, seed=3).train_batches(phase)
    epochs = [list(batches.epoch(epoch)) for epoch in range(40)]
    assert all(len(items) <= batches.steps for items in epochs)
    x, y = (torch.cat([item[i] for item in epochs[0]], 1) for i in (0, 1))
    assert x.equal(batches.streams[:, : x.shape[1]])
    assert y.equal(batches.streams[:, 1 : y.shape[1] + 1])
    lengths = torch.tensor([x.shape[1] for items in epochs for x, _, _ in items[:-1]]).float()
    # 95 % around 20 and 5 % around 10, with a deviation of 5, rounded down
    assert float(lengths.mean()) == pytest.approx(0.95 * 20 + 0.05 * 10 - 0.5, abs=0.4)
    assert lengths.min() >= 5 and float(lengths.std()) == pytest.approx(5.4, abs=0.5)
    again = [x.shape[1] for x, _, _ in batches.epoch(7)]
    assert again == [x.shape[1] for x, _, _ in epochs[7]] != [x.shape[1] for x, _, _ in epochs[8]]


STATEFUL = ["stateful", "rnn", "gru", "lstm", "pointer gru"]


@pytest.mark.parametrize("kind", STATEFUL)
def test_the_state_is_carried_from_batch_to_batch_and_forgotten_in_between(kind):
    torch.manual_seed(0)
    net = build(kind).eval()
    x = torch.randint(0, V, (3, 24))
    whole = net(x)
    net.eval()
    parts = [net(part) for part in x.split(8, 1)]
    torch.testing.assert_close(torch.cat(parts, 1), whole, rtol=1e-4, atol=1e-5)
    going_on = net(x[:, :8])
    assert not torch.allclose(going_on, parts[0], atol=1e-3)
    torch.testing.assert_close(net.eval()(x[:, :8]), parts[0])


@pytest.mark.parametrize("kind", STATEFUL)
def test_no_gradient_goes_back_into_the_batch_before(kind):
    net = build(kind)
    x = torch.randint(0, V, (3, 8))
    net(x)
    kept = net.past if kind == "pointer gru" else net.state
    kept = [kept] if isinstance(kept, torch.Tensor) else kept
    assert not any(part.requires_grad for part in kept)
    net(x).sum().backward()
    net(x).sum().backward()


def test_a_network_that_looks_back_sees_no_word_before_its_time_and_none_too_long_ago():
    torch.manual_seed(0)
    net = PointerGRU(V, memory=5).eval()
    x = torch.randint(0, V, (2, 12))
    later = x.clone()
    later[:, 8] = (x[:, 8] + 1) % V
    torch.testing.assert_close(net.eval()(later)[:, :8], net.eval()(x)[:, :8])
    after, before = torch.randn(2, 4, 64), torch.randn(2, 12, 64)
    looks = net.attention_weights(after, before)
    torch.testing.assert_close(looks.sum(2), torch.ones(2, 4))
    seen = [[i for i in range(12) if looks[0, t, i] > 0] for t in range(4)]
    assert seen == [list(range(8 + t - 5, 8 + t + 1)) for t in range(4)]
    torch.testing.assert_close(net.eval()(x).exp().sum(2), torch.ones(2, 12))


def test_a_word_is_told_by_what_it_does_in_its_number():
    told = words.kinds("xxbos one thousand two hundred thirty four , eleven".split())  # noqa: SIM905
    assert told == [
        "start", "thousands", '"thousand"', "hundreds", '"hundred"', "tens", "units", "comma",
        "ten to nineteen",
    ]  # fmt: skip


def test_accuracy_by_kind_adds_up_to_the_accuracy(corpus):
    torch.manual_seed(0)
    net = build("gru")
    small = data.Corpus(corpus.train[:6401], corpus.valid)
    phase = SequencePhase(batch=64, seq_len=20, epochs=1, max_lr=1e-2)
    history, _ = learn.train_network(net, small, phase, AdamWConfig(), seed=1)
    right = learn.correct_words(net, small, phase)
    accuracy = pytest.approx(history[-1]["valid_accuracy"], abs=1e-5)
    assert right.shape == (64, 202) and float(right.float().mean()) == accuracy
    by = learn.accuracy_by_kind(right, small)
    kinds = words.kinds([words.WORDS[i] for i in corpus.valid[: 64 * 203].tolist()])
    weights = Counter(kind for place, kind in enumerate(kinds) if place % 203)
    assert sum(by[kind] * count for kind, count in weights.items()) / 12_928 == accuracy


@pytest.mark.slow
def test_the_stage_cut_short_learns_and_goes_on_counting(tmp_path, door):
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    kept = params["numbers"]["runs"][-1]
    first = params["numbers"]["runs"][0]
    params["numbers"] |= {"seeds": [1, 2], "runs": [first | {"epochs": 1}, kept | {"epochs": 8}]}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    for stage in ("numbers_data", "numbers"):
        done = door("tasks", stage)
        assert done.returncode == 0, done.stderr
    out = Path(tmp_path, "models/numbers")
    _, best, settled, following = Result.read(out).scores
    assert best.measure == "accuracy" and min(best.values) > 0.85
    assert min(settled.values) > max(best.values)  # the first words of a stream cannot be known
    assert min(following.values) > 0.5
    said = " ".join(generate(load(out), ["two", "hundred", "ninety"], numbers=2))
    assert said == "two hundred ninety one , two hundred ninety two"
    again = door("lessons.numbers", "two hundred ninety", "--numbers", 2)
    assert (again.returncode, again.stdout.strip()) == (0, said.replace(" ,", ","))


class Counts(nn.Module):
    """Knows how to count, but not beyond ninety."""

    def forward(self, x):
        if x.shape[1] > 1:
            self.said = [self.after(row.tolist()) for row in x]
        scores = torch.zeros(len(x), 1, V)
        for row, coming in zip(scores, self.said, strict=True):
            row[0, coming.pop(0) if coming else 0] = 1
        return scores

    def after(self, ids):
        number = parsed([words.WORDS[i] for i in ids if words.WORDS[i] != ","])
        return data.as_ids([*words.spell(min(number + 1, 90)), ","]).tolist()


def test_a_number_is_right_when_all_of_its_words_are():
    assert next_number_accuracy(Counts(), range(1, 90)) == 1
    assert next_number_accuracy(Counts(), range(80, 100)) == pytest.approx(10 / 20)


@pytest.fixture
def untaught(tmp_path):
    how = {"kind": "pointer gru"}
    write_model(tmp_path / "models/numbers", build(**how), "numbers", how, {})
    return tmp_path / "models/numbers"


def test_counting_on_gives_as_many_words_as_asked_for(untaught, door):
    done = door("lessons.numbers", "two hundred ninety", "--words", 7)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.replace(",", " ,").split()) == 7


def test_the_command_counts_on_and_says_how_to_train_a_model_that_is_not_there(untaught, door):
    words = ("two hundred", "ninety", "--words", 7)
    done = door("lessonpipe.app.cli", "count", *words)
    assert done.returncode == 0, done.stderr
    meant = generate(load(untaught), ["two", "hundred", "ninety"], at_most=7)
    assert done.stdout.strip() == " ".join(meant).replace(" ,", ",")
    shutil.rmtree(untaught)
    untrained = door("lessonpipe.app.cli", "count", *words)
    assert (untrained.returncode, untrained.stdout) == (2, "")
    assert untrained.stderr == (
        "lessonpipe: models/numbers is not a model folder (it has no model.json); "
        "run `dvc repro lessons/dvc.yaml:numbers` first, or name another with --model\n"
    )


@pytest.mark.parametrize("prompt", ["two hundred and ninety", "zwei", "xxpad one"])
def test_a_word_that_is_none_of_numbers_is_refused_with_the_known_ones(prompt):
    with pytest.raises(UserError, match=r"no word here is '(and|zwei|xxpad)'.*: .*hundred.*ninety"):
        generate(build("pointer gru"), prompt.split())


def test_a_refusal_is_a_sentence_and_exit_code_two(untaught, door):
    wrong = door("lessons.numbers", "two hundred and ninety")
    assert wrong.returncode == 2 and "no word here is 'and'" in wrong.stderr
    empty = door("lessons.numbers", "one", "--model", "nowhere")
    assert empty.returncode == 2 and "nowhere is not a model folder" in empty.stderr


def test_without_the_text_the_error_names_the_missing_file(tmp_path):
    with pytest.raises(MissingError, match=f"{tmp_path}/train.txt is not there"):
        data.load(tmp_path)


def test_validation_counts_every_word_alike(corpus):
    phase = SequencePhase(batch=64, seq_len=20, epochs=1, max_lr=1.0)
    items = list(StreamData(corpus.train, corpus.valid, PLACE).valid_batches(phase))
    assert sum(count for _, _, count in items) == sum(y.numel() for _, y, _ in items) == 12_928


def test_a_classifier_reads_a_number_whole_and_not_what_pads_it():
    torch.manual_seed(0)
    net = classify.NumberClassifier(build("gru")).eval()
    x, tens = classify.numbers(torch.tensor([9, 10, 21, 8023, 1121, 400, 9999]))
    assert tens[:, 0].tolist() == [0, 1, 2, 2, 2, 0, 9]
    said = [" ".join(words.WORDS[i] for i in row if i != classify.PAD) for row in x.tolist()]
    assert said[3] == "xxbos eight thousand twenty three"
    together = net(x)
    for row, scores in zip(x, together, strict=True):
        alone = net(row[row != classify.PAD][None])[0]
        torch.testing.assert_close(alone, scores, rtol=1e-4, atol=1e-5)
    assert together.shape == (7, 10)


def test_a_head_teaches_the_body_with_it_and_the_seed_chooses_the_labels():
    body = build("one gru")
    before = {name: p.clone() for name, p in body.named_parameters()}
    phase = classify.Classify(batch=4, epochs=1, max_lr=0.01, labelled=8)
    values = [
        classify.tens_accuracy(deepcopy(body), phase, AdamWConfig(), seen=9980, seed=seed)
        for seed in (1, 1)
    ]
    assert values[0] == values[1] and round(values[0] * 19, 4) % 1 == 0  # of 9981...9999
    frozen = phase.model_copy(update={"frozen": True})
    classify.tens_accuracy(body, frozen, AdamWConfig(), seen=9980, seed=1)
    assert all(p.equal(before[name]) for name, p in body.named_parameters())
    classify.tens_accuracy(body, phase, AdamWConfig(), seen=9980, seed=1)
    changed = {name for name, p in body.named_parameters() if not p.equal(before[name])}
    assert changed == {name for name in before if name.startswith(("embed", "cell"))}
