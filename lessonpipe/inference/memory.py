"""How much memory is really free: the machine's, and the limit of the container it runs in."""

import re
from pathlib import Path

import psutil

from lessonpipe.errors import UserError

CGROUP = Path("/sys/fs/cgroup")
UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def parse_size(text: str) -> int:
    """Bytes of a size such as `2GB`, `1.5G` or `800 MiB`. Raises `UserError` for other text."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:I?B)?", text.strip().upper(), re.ASCII)
    if match is None or float(match[1]) == 0:
        raise UserError(f"{text!r} is not a size of memory such as 2GB")
    return int(float(match[1]) * UNITS[match[2]])


def free_memory() -> int:
    """Bytes that this process may still take without swapping or being killed."""
    return min([psutil.virtual_memory().available, *_cgroup_free()])


def resident_memory() -> int:
    """Bytes of memory that this process has now."""
    return int(psutil.Process().memory_info().rss)


def _cgroup_free() -> list[int]:
    """What the limits of this process's control groups leave: of version 2, or of 1."""
    found = []
    for folder, limit, used, cache in _cgroup_files():
        try:
            most = int((folder / limit).read_text())  # "max" is no number: no limit
            now = int((folder / used).read_text())
            stats = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        except (OSError, ValueError):
            continue
        found.append(max(0, most - now + int(stats.get(cache, 0))))  # page cache is given back
    return found


def _cgroup_files() -> list[tuple[Path, str, str, str]]:
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []  # no Linux
    files = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            root, names = CGROUP, ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            root = CGROUP / "memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        inner = root / path.lstrip("/")
        # a limit above binds, too; within a container the path may not be there, but the root is
        files += [
            (folder, *names) for folder in (inner, *inner.parents) if folder.is_relative_to(root)
        ]
    return files
