"""The machine-readable tables beside the results: built from stored files alone, and checked to be what these give."""

from __future__ import annotations

from pathlib import Path

import filelock
import pandas as pd

from qpatch.files import sha256, write_atomically
from qpatch.runs.stages import STAGES
from qpatch.runs.store import RunFolder, results_folder, writable
from qpatch.runs.stored import paper_runs, stored_runs
from qpatch.runs.variants import STANDARD
from qpatch.study.agreement import agreement_table
from qpatch.study.derived import read_table, table_bytes, table_file
from qpatch.study.replicas import distinct, ensemble, ensemble_table, ensembles
from qpatch.study.seeds import has_paper_size, images_problems, images_table, seeds_table, subset_problems
from qpatch.study.verdicts import verdicts_table

NAMES = ("stages", "agreement", "ensemble", "seeds", "verdicts")  # beside images, which takes a model to build


def full_members(root: Path | None = None) -> list[RunFolder]:
    """Full-size runs of the paper's configurations, then those of their replicas that are no repetitions."""
    runs = paper_runs(stored_runs(root))
    for config in ensembles(root):
        members = ensemble(config, root)
        runs += [members[name] for name in distinct(members) if name != STANDARD and config.is_paper_run]
    return runs


def stages_table(root: Path | None = None) -> pd.DataFrame:
    """Where every result of the paper's sizes comes from: a row a stage, with code, machine, wall time and digest.

    The digest is that of the record, which names those of its files: a stage that is taken away or replaced is seen.
    """
    members = [(STANDARD, run) for run in stored_runs(root) if has_paper_size(run.config)]
    replicas = [member for config in ensembles(root) for member in ensemble(config, root).items()]
    members += [(name, run) for name, run in replicas if name != STANDARD]
    rows = []
    for variant, run in members:
        for stage in STAGES:
            if run.state(stage) == "done":
                record = run.record(stage)
                machine = {key: record["machine"][key] for key in ("device", "name", "threads", "torch")}
                row = {"run_id": run.run_id, "variant": variant, "stage": stage, "code": record["code"], **machine}
                rows.append(row | {"seconds": record["seconds"], "record": sha256(run.path / f"{stage}.json")})
    return pd.DataFrame(rows)


def build_table(name: str, images: pd.DataFrame, root: Path | None = None) -> pd.DataFrame:
    """One of `NAMES` as the stored results give it; empty where they hold nothing for it."""
    runs = stored_runs(root)
    if name == "stages":
        return stages_table(root)
    if name == "agreement":
        return agreement_table(runs)
    if name == "ensemble":
        parts = [ensemble_table(config, root) for config in ensembles(root)]
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    if name == "seeds":
        return seeds_table(runs)
    return verdicts_table(seeds_table(runs), images, full_members(root))


def write_tables(root: Path | None = None) -> list[Path]:
    """Build all tables anew; a table that would be empty is taken away. Returns the files that are there.

    One process at a time: the last one to read the results is the last one to write.

    Raises:
        ResultError: the folder cannot be written, or a run cannot be read.
    """
    folder = root or results_folder()
    with writable(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder / "tables.lock").acquire()
    with lock:
        images = images_table(stored_runs(root), read_table("images", root))
        tables = {"images": images} | {name: build_table(name, images, root) for name in NAMES}
        for name, table in tables.items():
            file = table_file(name, root)
            if len(table):
                write_atomically(file, table_bytes(table))
            else:
                file.unlink(missing_ok=True)
    return [table_file(name, root) for name, table in tables.items() if len(table)]


def table_problems(root: Path | None = None) -> list[str]:
    """Tables that are missing, or that are not what the stored results give."""
    images = read_table("images", root)
    found = images_problems(stored_runs(root), images) + subset_problems(stored_runs(root))
    for name in NAMES:
        file = table_file(name, root)
        if _stored_bytes(file) != _bytes(build_table(name, images, root)):
            state = "is not what the stored results give" if file.is_file() else "is missing"
            found.append(f"tables/{name}.csv {state}; run 'qpatch tables'")
    return found


def _bytes(table: pd.DataFrame) -> bytes | None:
    return table_bytes(table) if len(table) else None


def _stored_bytes(file: Path) -> bytes | None:
    return file.read_bytes() if file.is_file() else None
