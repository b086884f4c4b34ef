"""glibc's allocator, told to keep what a training step frees for the next one."""

import ctypes
import sys

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4  # of mallopt(3)


def keep_freed_memory() -> bool:
    """Keep freed memory in this process from now on; returns whether the allocator can.

    By default blocks of more than some megabytes, which activations are, go back to the system when
    they are freed, and every step fetches them anew, page by page. The process then holds its peak.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # another C library than glibc
        return False
    settings = {M_MMAP_MAX: 0, M_TRIM_THRESHOLD: 2**31 - 1, M_TOP_PAD: 2**26}
    done = [mallopt(name, value) for name, value in settings.items()]
    return all(done)
