"""A training step fetches no memory from the system that the step before had."""

import subprocess
import sys

import pytest

FAULTS = """
import resource, sys, torch
from lessonpipe.train.malloc import keep_freed_memory
warm_up = 1
if sys.argv[1] == "keep":
    assert keep_freed_memory()
    warm_up = 60  # the heap grows by single blocks until its holes fit
def step():
    x = torch.ones(4, 16, 512, 260, requires_grad=True)  # 34 MB: mmap's by default
    (x.exp().sin() * x).sum().backward()
for _ in range(warm_up):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(mode: str) -> int:
    words = [sys.executable, "-c", FAULTS, mode]
    return int(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's")
def test_steps_fetch_far_fewer_pages_when_freed_memory_is_kept() -> None:
    assert page_faults("keep") < page_faults("default") / 10
