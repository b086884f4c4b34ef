"""Work that one node of the cluster does alone, and the upload of its inputs."""

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
from lessonpipe.io.atomic import atomic_file, atomic_folder
from lessonpipe.io.storage import Storage

STORAGE = variable_name("storage")
DOWNLOADS = Path(".lessonpipe/arrived")


def run_on_node(
    function: Callable[[], None], inputs: Iterable[Path], outputs: Iterable[Path]
) -> None:
    """Run `function` on a node of the cluster, in a folder that holds copies of `inputs`.

    The `outputs` that it writes replace those of this machine. Paths are relative to the project's
    folder. The function has all CPUs of the node and a GPU if there is one, and runs on another
    node when its own dies. Raises its `LessonpipeError` as it is.
    """
    import ray

    with ray_session(1, log_to_driver=True):
        files = upload({path.as_posix(): path for path in inputs if path.exists()})
        most_cpus, has_gpu = max(node_cpus()), ray.cluster_resources().get("GPU", 0) > 0
        remote = ray.remote(num_cpus=most_cpus, num_gpus=int(has_gpu), max_retries=3)(_run_in_copy)
        names = [path.as_posix() for path in outputs]
        try:
            content = ray.get(remote.remote(function, files, names))
        except ray.exceptions.RayTaskError as error:
            raise unwrap_error(error) or error from None
        files.forget()
    with atomic_folder(DOWNLOADS) as draft:
        transfer.unpack(content, draft)
        for name in names:
            _replace(draft / name, Path(name))
    shutil.rmtree(DOWNLOADS, ignore_errors=True)


def _run_in_copy(function: Callable[[], None], files: "RemoteFiles", outputs: list[str]) -> bytes:
    """Run `function` in a temporary folder with the files; returns its outputs as a tar file."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(files.open(), folder, copy_function=os.link, dirs_exist_ok=True)
        os.chdir(folder)
        try:
            function()
            return transfer.pack({name: Path(name) for name in outputs if Path(name).exists()})
        finally:
            os.chdir(before)


def _replace(new: Path, old: Path) -> None:
    place = atomic_folder if new.is_dir() else atomic_file
    with place(old, fsync=True) as draft:
        os.replace(new, draft)  # over an empty folder or file


class RemoteFiles:
    """An uploaded tar file, by its key: in the storage, or a `reference` of Ray's object store.

    The key is the SHA-256 of its bytes, which are checked against it wherever they arrive.
    """

    def __init__(self, key: str, reference: Any, storage: Storage | None) -> None:
        self.key, self.reference, self.storage = key, reference, storage

    def open(self) -> Path:
        """Return the folder of this machine into which the files are unpacked, once."""
        return transfer.unpack_once(self.key, self._download)

    def forget(self) -> None:
        """Remove the upload from the storage."""
        if self.storage is not None:
            self.storage.remove(f"{self.key}.tar")

    def _download(self) -> bytes:
        """The bytes, fetched once more if damaged; raises `LessonpipeError` if they stay so."""
        place = "Ray's object store" if self.storage is None else str(self.storage)
        for _ in range(2):
            content = self._fetch()
            if content is None:
                raise LessonpipeError(f"{place} holds no {self.key}.tar")
            if hashlib.sha256(content).hexdigest() == self.key:
                return content
        raise LessonpipeError(
            f"{self.key}.tar in {place} is damaged: its bytes are not those that were uploaded; "
            "remove it, and run again"
        )

    def _fetch(self) -> bytes | None:
        import ray

        if self.storage is None:
            content: bytes = ray.get(self.reference[0])
            return content
        return self.storage.read(f"{self.key}.tar")


def upload(paths: Mapping[str, Path]) -> RemoteFiles:
    """Upload files and folders by the names that they will have on the nodes."""
    import ray

    content = transfer.pack(paths)
    key = hashlib.sha256(content).hexdigest()
    shared = shared_storage()
    if shared is None:
        # in a list: Ray would replace a bare reference among a task's arguments by its content
        return RemoteFiles(key, [ray.put(content)], None)
    parcels = shared / "parcels"
    if parcels.read(f"{key}.tar") != content:  # what is there may be damaged
        parcels.write(f"{key}.tar", content)
    return RemoteFiles(key, None, parcels)


def shared_storage() -> Storage | None:
    """LESSONPIPE_STORAGE, tried out. Raises `UserError` when it cannot be used."""
    address = environment().storage
    if address is None:
        return None
    shared = Storage.at(address)
    shared.check(STORAGE)
    return shared
