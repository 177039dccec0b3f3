"""A campaign of kills and damages, written down with its seed: nothing lost, nothing silently wrong, no traceback.

Kills: `qpatch run` with its kernels, in a folder with spaces and other letters and in locale C, is killed with all its
processes, or sent a signal, at a random moment; the same command goes on, now and then two at once, until all is done.
Damages: a file of a finished or an interrupted run is broken at random, the remedies that `qpatch check` prints are
followed. In the end every file must be what an undisturbed run left.

    python tests/torture/campaign.py --kills 200 --damages 500 --seed 1
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil
from helpers import TINY, write_idx_set
from remedies import THREE, computed_here, mend, qpatch, three_stages

from qpatch.files import PROJECT, write_atomically
from qpatch.runs import train
from qpatch.runs.provenance import code_version
from qpatch.runs.stages import STAGES
from qpatch.runs.store import CACHED, RunFolder

OUTPUT = PROJECT / "data" / "torture.json"
OPTIONS = [*TINY.command_options.split(), "-p", "tolerance=0.01", "-p", "n_points=3"]
COMMAND = ["run", *OPTIONS, *(word for stage in THREE for word in ("--stage", stage))]
SIGNALS = [signal.SIGKILL] * 3 + [signal.SIGINT, signal.SIGTERM]
LONGEST = 9.0  # seconds to a kill, past the end of most stages
PATIENCE = 300  # seconds for a run to end by itself


def outcome() -> dict[str, bytes]:
    """What a run's files hold but for the seconds that it took; a path that was taken away is as if not published."""
    run, found = RunFolder(TINY), {}
    for name in (name for stage in THREE for name in STAGES[stage].leaves):
        if name.endswith(".csv"):
            found[name] = run.table(name).drop(columns="seconds", errors="ignore").to_csv().encode()
        elif name not in CACHED or run.file(name).is_file():
            found[name] = run.file(name).read_bytes()
    return found


# -- kills --------------------------------------------------------------------------------------------------------


def start() -> subprocess.Popen:
    environment = os.environ | {"LC_ALL": "C", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(PROJECT)}
    pipe, command = subprocess.PIPE, [sys.executable, "-m", "qpatch", *COMMAND]
    return subprocess.Popen(command, env=environment, stdout=pipe, stderr=subprocess.STDOUT, text=True)


def end(process: subprocess.Popen, number: int) -> None:
    """A signal to the command, or the death of it and all that it has started."""
    try:
        tree = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        for each in tree if number == signal.SIGKILL else tree[:1]:
            each.send_signal(number)
    except psutil.NoSuchProcess:  # it was done
        pass


def said(process: subprocess.Popen) -> str:
    text = process.communicate(timeout=PATIENCE)[0]
    assert "Traceback" not in text, text
    return text


def kill(chance: random.Random, count: int, expected: dict, counts: Counter) -> None:
    """So many kills; whenever a run is done, it is compared and begun anew."""
    for _ in range(count):
        processes = [start() for _ in range(1 + (chance.random() < 0.2))]
        time.sleep(chance.uniform(0.5, LONGEST))
        number = chance.choice(SIGNALS)
        for process in processes:
            end(process, number)
            said(process)
        counts[f"kills by {number.name}"] += len(processes)
        if all(RunFolder(TINY).state(stage) == "done" for stage in THREE) or chance.random() < 0.1:
            finish(expected, counts)
    finish(expected, counts)


def finish(expected: dict, counts: Counter) -> None:
    """The same command to its end, the comparison, and a new beginning."""
    process = start()
    text = said(process)
    assert process.returncode == 0, text
    assert qpatch("check").exit_code == 0, qpatch("check").output
    assert outcome() == expected, "a run that was killed and went on has other results"
    counts["runs compared after kills"] += 1
    shutil.rmtree(RunFolder(TINY).path)


# -- damages ------------------------------------------------------------------------------------------------------


def flip(chance: random.Random, file: Path) -> None:
    contents = bytearray(file.read_bytes() or b"0")
    contents[chance.randrange(len(contents))] ^= 0xFF
    file.write_bytes(contents)


def cut(chance: random.Random, file: Path) -> None:
    os.truncate(file, chance.randrange(file.stat().st_size + 1) // 2)


def nonsense(chance: random.Random, file: Path) -> None:
    file.write_bytes(chance.randbytes(chance.randrange(200)))


def remove(chance: random.Random, file: Path) -> None:
    file.unlink()


def make_folder(chance: random.Random, file: Path) -> None:
    file.unlink()
    file.mkdir()


def exchange(chance: random.Random, file: Path) -> None:
    other = chance.choice(sorted(each for each in file.parent.iterdir() if each.is_file()))
    one, two = file.read_bytes(), other.read_bytes()
    file.write_bytes(two)
    other.write_bytes(one)


def reword(chance: random.Random, file: Path) -> None:
    """A value of a JSON object of another type, or none; of any other file a byte flipped."""
    if file.suffix != ".json":
        return flip(chance, file)
    record = json.loads(file.read_text())
    name = chance.choice(sorted(record))
    del record[name]
    if chance.random() < 0.7:
        record[name] = chance.choice([None, [], {"a": [1]}, [[1e400]], "\u00e9"])
    return file.write_text(json.dumps(record))


DAMAGES = (flip, cut, nonsense, remove, make_folder, exchange, reword)


def damage(chance: random.Random, count: int, kept: dict[str, Path], expected: dict, counts: Counter) -> None:
    """So many damages to a copy of a finished or an interrupted run, each mended as the package says."""
    root = kept["finished"].parent
    for number in range(count):
        results, elsewhere = root / f"damaged {number}", root / f"elsewhere {number}"
        elsewhere.mkdir()
        state = chance.choice(sorted(kept))
        shutil.copytree(kept[state], results)
        os.environ["QPATCH_RESULTS"] = str(results)
        file = chance.choice(sorted(path for path in results.rglob("*") if path.is_file()))
        way = chance.choice(DAMAGES)
        what = f"{way.__name__} {file.relative_to(results)} of a run that is {state}"
        way(chance, file)
        try:
            counts["remedies followed"] += mend(elsewhere)
            result = qpatch(*COMMAND)
            if (
                result.exit_code and " is stored with " in result.stderr
            ):  # a record was lost, and its parameters with it
                counts["parameters lost with a record"] += 1
                result = qpatch(*COMMAND, "--force")
            assert result.exit_code == 0, result.output
            assert qpatch("check").exit_code == 0, qpatch("check").output
            assert outcome().items() <= expected.items(), "silently wrong"
        except BaseException as error:
            raise AssertionError(f"damage {number}: {what}: {error!r}") from error
        counts[f"damages: {way.__name__}"] += 1
        shutil.rmtree(results)


def interrupted() -> None:
    """A training with a checkpoint after two of four epochs."""
    train(TINY, "cpu", max_steps=2 * TINY.n_batches)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, value in (("kills", 200), ("damages", 500), ("seed", 1)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    given = parser.parse_args()
    chance, counts, began = random.Random(given.seed), Counter(), time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="qpatch tort\u00fcre ") as folder, computed_here():
        root = Path(folder)
        write_idx_set(root / "data" / "shapes")
        os.environ |= {"QPATCH_DATA": str(root / "data"), "OMP_NUM_THREADS": "1"}
        kept = {}
        for state, compute in (("interrupted", interrupted), ("finished", three_stages)):
            kept[state] = root / state
            os.environ["QPATCH_RESULTS"] = str(kept[state])
            compute()
        expected = outcome()
        damage(chance, given.damages, kept, expected, counts)
        os.environ["QPATCH_RESULTS"] = str(root / "kill\u00e9d")
        kill(chance, given.kills, expected, counts)
    found = {"seed": given.seed, "kills": given.kills, "damages": given.damages, "code": code_version()}
    found |= {"seconds": round(time.perf_counter() - began), "counts": dict(sorted(counts.items()))}
    write_atomically(given.output, (json.dumps(found, indent=2) + "\n").encode())
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
