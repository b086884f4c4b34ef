"""What the measures of docs/scale.md and docs/cluster.md are made of."""

from tests.bench.many_files import make_folder, make_shards, read_files, read_shards
from tests.bench.workers import apart


def test_shards_hold_what_the_folder_holds_and_no_two_pictures_are_the_same(tmp_path):
    for name in ("pictures", "shards"):
        (tmp_path / name).mkdir()
    size = make_folder(tmp_path / "pictures", 60)
    make_shards(tmp_path / "pictures", tmp_path / "shards", 25)
    assert len(list((tmp_path / "shards").iterdir())) == 3
    assert read_files(tmp_path / "pictures") == read_shards(tmp_path / "shards") == size
    assert len({path.read_bytes() for path in (tmp_path / "pictures").rglob("*.jpg")}) == 60


def test_curves_are_apart_by_the_largest_difference_as_a_share_of_the_value():
    assert apart([{"loss": 2.0}, {"loss": 4.0}], [{"loss": 2.1}, {"loss": 3.0}], "loss") == 0.25
