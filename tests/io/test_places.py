"""What outputs say of params names no folder of a machine."""

from lessonpipe.io.places import without_places


def test_absolute_folders_are_told_by_their_names_alone() -> None:
    params = {
        "download": {"folder": "/albums/ann/my photos", "pattern": "/a/*", "limit": None},
        "pretrain_generator": {
            "start": "~/models/old",
            "phases": [{"folder": "C:\\Users\\ann\\x"}],
        },
        "near": {"folder": "../photos", "start": "old-photo"},
        "top": {"folder": "/photos/"},
    }
    assert without_places(params) == {
        "download": {"folder": "…/my photos", "pattern": "/a/*", "limit": None},
        "pretrain_generator": {"start": "…/old", "phases": [{"folder": "…/x"}]},
        "near": params["near"],
        "top": {"folder": "…/photos/"},
    }
