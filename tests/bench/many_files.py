"""What DVC takes for a folder of very many small files, and for the same pictures in shards.

    python -m tests.bench.many_files                        # 1,000, 10,000 and 100,000: minutes
    python -m tests.bench.many_files --counts 1000 10000    # less
    python -m tests.bench.many_files --rates                # of the parts of a large run: minutes

A project of its own is made in a temporary folder for each count, with a remote that is a folder.
Each figure is one command's: seconds on the wall, processor seconds, peak memory. Pictures are
JPEGs, no two the same; a shard is a tar of `--shard` of them, in order.
"""

import argparse
import hashlib
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import yaml
from PIL import Image

from lessonpipe import cluster
from lessonpipe.crappify.pairs import PhotoPairs
from lessonpipe.data.manifest import Manifest
from lessonpipe.io import transfer
from tasks.crappify import Job
from tests.bench.crappify import PARAMS, make_photos
from tests.cluster.conftest import Workspace, environment
from tests.tasks.test_many import PARAMS as SPOIL

SIDE_PX = 128
SMALL, LARGE = 4000, 1500  # pictures to degrade by so many workers


@dataclass
class Took:
    """What a command took."""

    wall: float
    cpu: float
    memory: int

    def __str__(self) -> str:
        return f"{self.wall:.1f} s ({self.cpu:.1f}), {self.memory / 1e6:.0f} MB"


def make_folder(folder: Path, count: int) -> int:
    """So many JPEGs, a thousand a folder; how many bytes they are."""
    rng = np.random.default_rng(0)
    kinds = []
    for _ in range(50):
        small = Image.fromarray(rng.integers(0, 256, (24, 24, 3), dtype=np.uint8))
        small.resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC).save(folder / "one.jpg")
        kinds.append((folder / "one.jpg").read_bytes())
    (folder / "one.jpg").unlink()
    for i in range(count):
        path = folder / f"{i // 1000:05d}" / f"{i:09d}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(kinds[i % 50] + i.to_bytes(8, "big"))  # a JPEG may have a tail
    return sum(len(kinds[i % 50]) + 8 for i in range(count))


def make_shards(pictures: Path, folder: Path, shard: int) -> None:
    """Tars of `shard` pictures each, in the order of their names."""
    files = sorted(path for path in pictures.rglob("*.jpg"))
    for start in range(0, len(files), shard):
        with tarfile.open(folder / f"{start // shard:06d}.tar", "w") as tar:
            for path in files[start : start + shard]:
                tar.add(path, arcname=path.name)


def read_files(folder: Path) -> int:
    """The bytes of all files, read one by one."""
    return sum(len(path.read_bytes()) for path in folder.rglob("*.jpg"))


def read_shards(folder: Path) -> int:
    """The same out of the shards."""
    total = 0
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as tar:
            total += sum(len(tar.extractfile(each).read()) for each in tar)  # type: ignore[union-attr]
    return total


def dvc(project: Path, *words: str) -> Took:
    """Run `dvc` there. Its memory is that of the largest of its processes."""
    env = {**os.environ, "DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(project / "site")}
    command = [sys.executable, "-m", "dvc", *words, "--quiet"]
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=project, env=env)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1 if words[0] == "status" else 0):
        raise SystemExit(f"dvc {' '.join(words)} ended with {process.returncode}")
    seconds = time.perf_counter() - start
    return Took(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)


def timed(work: Callable[[], object]) -> Took:
    """Seconds of something done here."""
    start, cpu = time.perf_counter(), time.process_time()
    work()
    return Took(time.perf_counter() - start, time.process_time() - cpu, 0)


def steps(project: Path, data: Path) -> Iterator[tuple[str, Took]]:
    """Everything DVC does with a tracked folder in its life."""
    cache = project / ".dvc/cache"
    yield "add", dvc(project, "add", data.name)
    yield "push", dvc(project, "push")
    yield "status, nothing changed", dvc(project, "status")
    one = next(path for path in sorted(data.rglob("*")) if path.is_file())
    one.write_bytes(one.read_bytes() + b"x")
    yield "status, one file changed", dvc(project, "status")
    yield "commit of that", dvc(project, "commit", "--force")
    yield "push of that", dvc(project, "push")
    subprocess.run(["rm", "-r", data], check=True)
    yield "checkout", dvc(project, "checkout")
    subprocess.run(["rm", "-r", data, cache], check=True)
    yield "pull into a new clone", dvc(project, "pull")


def measure(count: int, shard: int) -> dict[str, dict[str, Took]]:
    """By step: of the files as they are, and of shards of them, each in a project of its own."""
    with tempfile.TemporaryDirectory() as here:
        places = {what: Path(here) / what / "pictures" for what in ("files", "shards")}
        for place in places.values():
            place.mkdir(parents=True)
            dvc(place.parent, "init", "--no-scm")
            dvc(place.parent, "remote", "add", "--default", "store", str(place.parent / "remote"))
        size = make_folder(places["files"], count)
        packing = timed(lambda: make_shards(places["files"], places["shards"], shard))
        print(f"{count:,} pictures of {size / count / 1000:.1f} kB, packed in {packing}")
        found = {"read": {"files": timed(lambda: read_files(places["files"]))}}
        found["read"]["shards"] = timed(lambda: read_shards(places["shards"]))
        for what, place in places.items():
            for step, took in steps(place.parent, place):
                found.setdefault(step, {})[what] = took
                print(f"{count:,} {what:6} {step:26} {took}", flush=True)
    return found


def rates() -> None:
    """What docs/scale.md reckons with; processor seconds, as the machine may be busy."""
    with tempfile.TemporaryDirectory() as here:
        folder = Path(here)
        names = make_photos(folder / "photos", 300)
        jobs = [Job(n, (folder / "photos" / n).read_bytes(), "train", PARAMS) for n in names]
        made: list[PhotoPairs] = []
        took = timed(lambda: made.extend(job() for job in jobs))
        print(f"crappify of 480x320: {took.cpu / len(jobs) * 1000:.2f} ms of a core a picture")
        pairs = [pair for each in made for pair in each.pairs]
        Manifest([], PARAMS.quality, PARAMS.seed, pairs).write(folder)
        size = (folder / "manifest.json").stat().st_size / len(pairs)
        print(f"a pair in the manifest: {size:.0f} bytes")
        blob = os.urandom(400_000_000)
        took = timed(lambda: hashlib.md5(blob, usedforsecurity=False).digest())
        print(f"md5: {len(blob) / took.cpu / 1e9:.2f} GB a second of a core")
        (folder / "blob").write_bytes(blob)
        took = timed(lambda: transfer.pack({"blob": folder / "blob"}))
        print(f"packing a parcel: {len(blob) / took.cpu / 1e9:.2f} GB a second of a core")
        several = {"photos": folder / "photos"}
        took = timed(lambda: transfer.pack(several))
        print(f"of small photos: {len(jobs) / took.cpu:,.0f} a second of a core")
    kinds = {"small pictures": partial(make_folder, count=SMALL)}
    kinds["photos of 480x320"] = partial(make_photos, count=LARGE)
    for kind, make in kinds.items():
        for workers in (1, 2):
            rate = crappify_rate(workers, make)
            print(f"crappify of {kind}, {workers} workers: {rate:,} a second")
    with cluster.ray_session(2):
        before = cpu_of_all()
        count = sum(1 for _ in cluster.map_unordered(abs, ([0] for _ in range(3000))))
        print(f"Ray: {(cpu_of_all() - before) / count * 1000:.2f} ms of a core an empty chunk")


def crappify_rate(workers: int, make: Callable[[Path], object]) -> int:
    """Pictures a second, by the stage itself; Ray's start is not counted."""
    with tempfile.TemporaryDirectory() as here:
        workspace = Workspace(Path(here), environment(OMP_NUM_THREADS="1"))
        (workspace.folder / "data/photos").mkdir(parents=True)
        make(workspace.folder / "data/photos")
        (workspace.folder / "params.yaml").write_text(yaml.safe_dump(SPOIL))
        said = workspace.run("crappify", LESSONPIPE_WORKERS=str(workers))
    return int(re.search(r", (\d+) a second on", said)[1])  # type: ignore[index]


def cpu_of_all() -> float:
    """Processor seconds of this process and its children so far."""
    me = psutil.Process()
    times = [each.cpu_times() for each in [me, *me.children(recursive=True)]]
    return sum(each.user + each.system for each in times)


def main() -> None:
    """Measure and print the table of docs/scale.md."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.many_files",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--counts", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--shard", type=int, default=1000, help="pictures a shard")
    parser.add_argument("--rates", action="store_true", help="the rates alone")
    args = parser.parse_args()
    if args.rates:
        rates()
        return
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores at the start")
    found = {count: measure(count, args.shard) for count in args.counts}
    heads = [f"{count:,} {what}" for count in found for what in ("files", "shards")]
    print(f"| dvc | {' | '.join(heads)} |\n|---|{'---|' * len(heads)}")
    for step in next(iter(found.values())):
        cells = [str(took) for each in found.values() for took in each[step].values()]
        print(f"| {step} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
