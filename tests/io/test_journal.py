"""A journal survives the kill of whoever was writing it."""

from pathlib import Path

from lessonpipe.io.journal import Journal


def test_rows_are_read_in_the_order_that_they_were_appended(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "done.jsonl")
    assert journal.read() == []
    rows = [{"name": "ä\n", "error": None}, {"name": "b", "pairs": [1, {"c": 2}]}]
    for row in rows:
        journal.append(row)
    assert journal.read() == rows
    assert len(journal.path.read_bytes().splitlines()) == 2


def test_an_unfinished_line_is_skipped_and_damages_no_other(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "done.jsonl")
    journal.append({"name": "a"})
    for unfinished in (b'{"name": "b', b'{"name": "\xc3', b"5"):
        with journal.path.open("ab") as stream:
            stream.write(unfinished)
        journal.append({"name": "c"})
    assert journal.read() == [{"name": "a"}, *[{"name": "c"}] * 3]


def test_what_a_power_cut_or_a_stranger_leaves_in_it_damages_no_row(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "done.jsonl")
    damage = [
        bytes(5_000),
        b"\xff\xfe{}",
        b"[" * 100_000,
        b'{"n": ' + b"9" * 10_000 + b"}",
        b'"text"\n[{"name": "b"}]\nnull',
        b'\x00\x00{"name": "b"}',
        b" ",
    ]
    for bad in damage:
        with journal.path.open("ab") as stream:
            stream.write(bad)
        journal.append({"name": "a"}, fsync=True)
    with journal.path.open("ab") as stream:  # a hole of zeros, as large as a lost file may be
        stream.truncate(journal.path.stat().st_size + 40_000_000)
    journal.extend([{"name": "c"}, {"name": "d"}], fsync=True)
    assert journal.read() == [{"name": "a"}] * len(damage) + [{"name": "c"}, {"name": "d"}]
