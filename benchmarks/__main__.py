"""``python -m benchmarks``: measure, judge, print, and write the file that the book's performance page reads."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch

from benchmarks import bars, comparison, machine, memory, parts, processes, report, work
from benchmarks.report import SCHEMA
from benchmarks.timing import rounded
from qpatch.files import write_atomically
from qpatch.runs.provenance import code_version

# In the order of the file and of the page; each is measured by itself, so that it can be measured again alone.
PARTS = {
    "memory": memory.memory,  # first: the process itself grows by what the other simulators keep
    "comparison": comparison.compare,
    "steps": parts.steps,
    "images": parts.images,
    "scaling": parts.scaling,
    "errors": parts.errors,
    "processes": processes.processes,
}


def main(arguments: list[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit("PyTorch finds no CUDA device; use --device cpu")
    sizes = {"full": work.FULL, "quick": work.QUICK, "tiny": work.TINY}[options.size]
    output = options.output or (report.results_file(device.type) if options.size == "full" else None)
    results = _begun(
        output, {"schema": SCHEMA, "size": options.size, "machine": machine.describe(device)}, options.only
    )

    for name in options.only or PARTS:
        print(f"{name} ...", flush=True)
        began, busy, own = time.perf_counter(), *machine.processor_seconds()
        measured = PARTS[name](sizes, device)
        seconds, later = time.perf_counter() - began, machine.processor_seconds()
        others = rounded(max(0.0, (later[0] - busy) - (later[1] - own)) / seconds)
        head = {"code": code_version(), "seconds": round(seconds, 1), "others": others}
        results["parts"][name] = head | measured
        print(f"{name} took {head['seconds']} s; {report.others_text(others)}", flush=True)
        results["parts"] = {key: results["parts"][key] for key in PARTS if key in results["parts"]}
        results["bars"] = bars.judge(results["parts"], device.type)
        if output is not None:  # after each part, so that a long run that is stopped leaves what it has
            write_atomically(output, (json.dumps(results, indent=1, ensure_ascii=False) + "\n").encode())
    _report(results, output)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure the engine on this machine.")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    for size, words in {"quick": "two minutes or so", "tiny": "seconds, for the tests"}.items():
        words += "; written only with --output"
        parser.add_argument(f"--{size}", action="store_const", const=size, dest="size", default="full", help=words)
    parser.add_argument("--output", type=Path, help="file to write (default: data/benchmarks/<device>.json)")
    parser.add_argument("--only", nargs="+", choices=PARTS, metavar="PART", help=f"of {', '.join(PARTS)}")
    return parser


def _begun(output: Path | None, head: dict, only: list[str] | None) -> dict:
    """What the results begin with: with ``--only``, the other parts that the file has from the same machine."""
    results = head | {"parts": {}, "bars": []}
    if only and output is not None and output.is_file():
        stored = json.loads(output.read_text())
        if {key: stored.get(key) for key in head} == head:
            results["parts"] = stored["parts"]
        else:
            print(f"{output} is of another machine, version or size: its other parts are dropped", flush=True)
    return results


def _report(results: dict, output: Path | None) -> None:
    for row in results["bars"]:
        print(f"{report.verdict(row):24} {report.quantity(row, 'measured'):>12}   {row['name']}")
    if output is not None:
        print(f"written to {output}")


if __name__ == "__main__":
    main()
