"""Work that goes to a node as a whole, and the parcels that its inputs and outputs travel in."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from lessonpipe.cluster.session import node_cpus, ray_session, unwrap_error
from lessonpipe.environment import environment, variable_name
from lessonpipe.errors import LessonpipeError
from lessonpipe.io import transfer
from lessonpipe.io.atomic import atomic_folder
from lessonpipe.io.storage import Storage

STORAGE = variable_name("storage")


def run_on_node(
    function: Callable[[], None], inputs: Iterable[Path], outputs: Iterable[Path]
) -> None:
    """Run `function` on a node of the cluster, in a folder that holds copies of `inputs`.

    What it leaves as `outputs` replaces those here, whole. Paths are relative to the project's
    folder. It gets a whole node, a GPU if there is one, and another node when its own dies.
    """
    import ray

    with ray_session(1, log_to_driver=True):
        sent = upload({path.as_posix(): path for path in inputs if path.exists()})
        most, gpu = max(node_cpus()), ray.cluster_resources().get("GPU", 0) > 0
        remote = ray.remote(num_cpus=most, num_gpus=int(gpu), max_retries=3)(_run_here)
        names = [path.as_posix() for path in outputs]
        try:
            made = ray.get(remote.remote(function, sent, names))
        except ray.exceptions.RayTaskError as error:
            raise unwrap_error(error) or error from None
        sent.forget()
    with atomic_folder(Path(".lessonpipe/arrived")) as draft:
        transfer.unpack(made, draft)
        for name in names:
            _replace(draft / name, Path(name))
    shutil.rmtree(".lessonpipe/arrived", ignore_errors=True)


def _run_here(function: Callable[[], None], sent: "RemoteFiles", outputs: list[str]) -> bytes:
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(sent.open(), folder, copy_function=os.link, dirs_exist_ok=True)
        os.chdir(folder)
        try:
            function()
            return transfer.pack({name: Path(name) for name in outputs if Path(name).exists()})
        finally:
            os.chdir(before)


def _replace(new: Path, old: Path) -> None:
    if old.is_dir():
        shutil.rmtree(old)
    old.parent.mkdir(parents=True, exist_ok=True)
    os.replace(new, old)


class RemoteFiles:
    """A parcel on its way: a key, and where a node finds it."""

    def __init__(self, key: str, reference: Any, storage: Storage | None) -> None:
        self.key, self.reference, self.storage = key, reference, storage

    def open(self) -> Path:
        """The folder where it is unpacked on this machine."""
        return transfer.unpack_once(self.key, self._fetch)

    def forget(self) -> None:
        """Nobody needs it any more."""
        if self.storage is not None:
            self.storage.remove(f"{self.key}.tar")

    def _fetch(self) -> bytes:
        import ray

        if self.storage is None:
            content: bytes | None = ray.get(self.reference[0])
        else:
            content = self.storage.read(f"{self.key}.tar")
        if content is None:
            raise LessonpipeError(f"{self.storage} holds no {self.key}.tar")
        return content


def upload(places: Mapping[str, Path]) -> RemoteFiles:
    """Files and folders, by the names they shall have, on their way to the nodes."""
    import ray

    content = transfer.pack(places)
    key = hashlib.sha256(content).hexdigest()[:24]
    shared = shared_storage()
    if shared is None:
        return RemoteFiles(key, [ray.put(content)], None)
    parcels = shared / "parcels"
    if f"{key}.tar" not in parcels.names(""):
        parcels.write(f"{key}.tar", content)
    return RemoteFiles(key, None, parcels)


def shared_storage() -> Storage | None:
    """LESSONPIPE_STORAGE, tried. Raises `UserError` when it cannot be used."""
    place = environment().storage
    if place is None:
        return None
    shared = Storage.at(place)
    shared.check(STORAGE)
    return shared
