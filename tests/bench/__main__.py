"""How fast: ours against fastai 2.8, the same work in turn on this machine.

    python -m tests.bench                   # all but the race: minutes
    python -m tests.bench train restore     # some parts
    python -m tests.bench race --minutes 2  # ours to what fastai reaches in two minutes
    python -m tests.bench --markdown        # reports/bench.json as a table, nothing is run
    python -m tests.bench peers             # the package's models beside others: docs/peers.md

Of their own: `python -m tests.bench.workers` (docs/cluster.md), `.many_files` (docs/scale.md) and
`.limit` (docs/speed.md).

Each line is a peer's median over ours, and the median of the rounds' ratios with their spread; of
`onnx` ours is the exported file, the peer our own network by torch.
Run it where nothing else runs. What was measured replaces those parts in reports/bench.json.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from lessonpipe.io.atomic import read_json, write_json
from tests.bench.rounds import Row, machine

OUT = Path("reports/bench.json")
PARTS = ("train", "critic", "gan", "feature", "crappify", "restore", "onnx", "digits", "race")
ROUNDS = {
    "train": 3,
    "critic": 3,
    "gan": 2,
    "feature": 3,
    "crappify": 5,
    "restore": 2,
    "onnx": 5,
    "digits": 3,
    "race": 1,
}


def main() -> None:
    """Run the parts that are named, tell each result as it comes, and keep them."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--rounds", type=int, help="of each contest")
    parser.add_argument("--minutes", type=float, default=10, help="that fastai has in the race")
    parser.add_argument("--pairs", type=Path, default=Path("data/crappify"), help="of the race")
    parser.add_argument("--tuned", action="store_true", help="race: fastai in bf16, channels last")
    parser.add_argument(
        "--clock",
        choices=("wall", "cpu"),
        default="wall",
        help="training steps by processor seconds, for a machine that is busy otherwise",
    )
    parser.add_argument("--out", type=Path, default=OUT, help="default: %(default)s")
    parser.add_argument("--markdown", action="store_true", help="print the table, run nothing")
    args = parser.parse_args()
    if args.parts == ["peers"]:
        from tests.bench.peers import compare

        compare()
        return
    if unknown := set(args.parts) - set(PARTS):
        parser.error(f"no part is called {', '.join(unknown)}; there are {', '.join(PARTS)}")
    if args.markdown:
        print(markdown(read_json(args.out)))
        return
    for part in args.parts or PARTS[:-1]:
        work = _part(part, args)
        rows = []
        for row in work(args.rounds or ROUNDS[part]):
            rows.append(row.as_json())
            print("\n".join(row.lines()), flush=True)
        kept = read_json(args.out) if args.out.is_file() else {}
        write_json(
            args.out, {**kept, part: {"machine": {**machine(), "clock": args.clock}, "rows": rows}}
        )


def _part(name: str, args: argparse.Namespace) -> Callable[[int], Iterator[Row]]:
    if name == "crappify":
        from tests.bench.crappify import crappify

        return crappify
    if name == "restore":
        from tests.bench.restore import restore

        return restore
    if name == "onnx":
        from tests.bench.onnx import onnx

        return partial(onnx, clock=args.clock)
    if name == "digits":
        from tests.bench.digits import digits

        return partial(digits, clock=args.clock)
    if name == "race":
        from tests.bench.race import race

        return partial(race, minutes=args.minutes, folder=args.pairs, tuned=args.tuned)
    from tests.bench import steps

    return partial(getattr(steps, name), clock=args.clock)


def markdown(kept: dict[str, Any]) -> str:
    """The table of docs/speed.md."""
    lines = [
        "| part | contest | peer | ratio (min…max) | ours |",
        "|---|---|---|---|---|",
    ]
    for part in (part for part in PARTS if part in kept):
        for row in kept[part]["rows"]:
            own = sorted(row["values"]["ours"])[len(row["values"]["ours"]) // 2]
            for peer, ratio in row["ratios"].items():
                spread = f"{ratio['median']:.2f} ({ratio['min']:.2f}…{ratio['max']:.2f})"
                lines.append(
                    f"| {part} | {row['name']} | {peer} | {spread} | {own:.3g} {row['unit']} |"
                )
    facts = {json.dumps(kept[part]["machine"], sort_keys=True) for part in PARTS if part in kept}
    return "\n".join([*lines, "", *(f"Measured on: `{fact}`" for fact in sorted(facts))])


if __name__ == "__main__":
    main()
