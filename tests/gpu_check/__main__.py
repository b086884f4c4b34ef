"""What a CUDA GPU does with all of it, in at most eight minutes: one table, one JSON.

    make gpu-check                     # or: python -m tests.gpu_check
    python -m tests.gpu_check rates    # one part of parity, workers, rates, notebooks, compiled
    python -m tests.gpu_check --cpu    # the same code, cut tiny: it measures nothing

Losses and gradients against the CPU's; two workers on one GPU by gloo, and by NCCL; training rates
in fp32, bf16 and compiled; every notebook's profile for a few steps, from which the hours of the
whole are reckoned. Exit codes: 0 all is as it should be, 1 something is not, 2 there is no GPU.
"""

import argparse
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from lessonpipe.io.atomic import write_json
from tests.gpu_check import notebooks, parity, rates, workers
from tests.gpu_check.check import Case, Check, Result

PARTS = {
    "parity": parity.cases,
    "workers": workers.cases,
    "rates": rates.cases,
    "notebooks": notebooks.cases,
    "compiled": rates.compiled_cases,  # last: it may take longest
}
OUT = Path("reports/gpu.json")


class TimeUpError(Exception):
    """The minutes are over."""


def main(argv: list[str] | None = None) -> int:
    """Run the parts that are named, print a line a case as it comes; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.gpu_check",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], metavar="PART")
    parser.add_argument("--cpu", action="store_true", help="cut tiny, on the CPU")
    parser.add_argument("--minutes", type=float, default=8, help="at most (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=OUT, help="default: %(default)s")
    args = parser.parse_args(argv)
    if not args.cpu and not torch.cuda.is_available():
        print(
            "gpu-check: torch finds no CUDA GPU on this machine, so nothing was checked; --cpu "
            "runs the same code cut tiny on the CPU, which measures nothing",
            file=sys.stderr,
        )
        return 2
    device = torch.device("cpu" if args.cpu else "cuda")
    check = Check(device, tiny=args.cpu, end=time.monotonic() + args.minutes * 60)
    facts = {"LESSONPIPE_DEVICE": device.type, "LESSONPIPE_COMPILE": ""}
    with mock.patch.dict(os.environ, facts):
        rows = run(args.parts or list(PARTS), check, args.out)
    wrong = [row for row in rows if not row["ok"]]
    print(f"{len(rows) - len(wrong)} of {len(rows)} are as they should be; see {args.out}")
    if args.cpu:
        print("cut tiny on the CPU: no figure above means anything")
    return 1 if wrong else 0


def run(parts: list[str], check: Check, out: Path) -> list[dict[str, Any]]:
    """The rows of the table; they are in `out` after each, whatever happens next."""
    rows: list[dict[str, Any]] = []
    before = signal.signal(signal.SIGALRM, _end)
    signal.setitimer(signal.ITIMER_REAL, max(0.001, check.left))
    try:
        for part in parts:
            for case in PARTS[part](check):
                row = {"part": part, **_row(case, check)}
                rows.append(row)
                verdict = "ok" if row["ok"] else "NOT OK"
                print(f"{part:10} {row['name']:44} {verdict:6} {row['text']}", flush=True)
                write_json(out, {"machine": machine(check), "rows": rows})
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    return rows


def _row(case: Case, check: Check) -> dict[str, Any]:
    """What a case found; an error is a row, too."""
    name, find = case
    start = time.perf_counter()
    try:
        if check.left <= 0:
            raise TimeUpError("left out: the minutes are over")
        found = find()
    except TimeUpError as error:
        found = Result(str(error), ok=False)
    except Exception as error:
        words = " ".join(str(error).split())[:300]
        found = Result(f"{type(error).__name__}: {words}", ok=False)
    took = round(time.perf_counter() - start, 2)
    return {"name": name, "ok": found.ok, "text": found.text, "took_s": took, **found.values}


def _end(*_: object) -> None:
    raise TimeUpError("stopped: the minutes are over")


def machine(check: Check) -> dict[str, Any]:
    """What the figures depend on."""
    facts: dict[str, Any] = {"date": time.strftime("%Y-%m-%d"), "torch": torch.__version__}
    if check.device.type == "cuda":
        about = torch.cuda.get_device_properties(check.device)
        facts |= {"gpu": about.name, "gpus": torch.cuda.device_count(), "cuda": torch.version.cuda}
        facts["memory_gib"] = round(about.total_memory / 2**30, 1)
    return facts | {"tiny": check.tiny}


if __name__ == "__main__":
    raise SystemExit(main())
