"""The machine-readable tables beside the results: built from stored files alone, and checked to be what these give."""

from pathlib import Path

import pandas as pd

from qpatch.files import clear_parts, locked, sha256, write_atomically
from qpatch.runs.stages import STAGES
from qpatch.runs.store import results_folder
from qpatch.runs.stored import paper_runs, stored_runs
from qpatch.runs.variants import STANDARD
from qpatch.study.agreement import agreement_table
from qpatch.study.claims import verdicts_table
from qpatch.study.kinds import Evidence
from qpatch.study.replicas import distinct, ensemble, ensemble_table, ensembles
from qpatch.study.seeds import has_paper_size, images_problems, images_table, seeds_table, subset_problems


def table_file(name: str, root: Path | None = None) -> Path:
    """Where a table is: ``<results>/tables/<name>.csv``."""
    return (root or results_folder()) / "tables" / f"{name}.csv"


def read_table(name: str, root: Path | None = None) -> pd.DataFrame:
    """A table as it was last written; empty where there is none that can be read."""
    try:
        return pd.read_csv(table_file(name, root))
    except (OSError, ValueError):
        return pd.DataFrame()


def table_bytes(table: pd.DataFrame) -> bytes | None:
    """A file's contents, nine digits a number: the same results give the same bytes. An empty table has no file."""
    return table.to_csv(index=False, float_format="%.9g").encode() if len(table) else None


def built_tables(images: pd.DataFrame, root: Path | None = None) -> dict[str, pd.DataFrame]:
    """The tables as the stored results give them, by name, beside images, which takes a model to build.

    A table is empty where the results hold nothing for it.
    """
    runs = stored_runs(root)
    seeds = seeds_table(runs)
    members = [(config, ensemble(config, root)) for config in ensembles(root)]
    parts = [ensemble_table(config, root) for config, _ in members]
    replicas = [
        found[name]
        for config, found in members
        for name in distinct(found)  # a repetition to the last bit says nothing more
        if name != STANDARD and config.is_paper_run
    ]
    return {
        "stages": stages_table(root),
        "agreement": agreement_table(runs),
        "ensemble": pd.concat(parts) if parts else pd.DataFrame(),
        "seeds": seeds,
        "verdicts": verdicts_table(Evidence(seeds, images, paper_runs(runs), replicas)),
    }


def stages_table(root: Path | None = None) -> pd.DataFrame:
    """Where every result of the paper's sizes comes from: a row a stage, with code, machine, wall time and digest.

    The digest is that of the record, which names those of its files: a stage that is taken away or replaced is seen.
    """
    members = [(STANDARD, run) for run in stored_runs(root) if has_paper_size(run.config)]
    replicas = [member for config in ensembles(root) for member in ensemble(config, root).items()]
    members += [(variant, run) for variant, run in replicas if variant != STANDARD]
    rows = []
    for variant, run in members:
        for stage in STAGES:
            if run.state(stage) == "done":
                record = run.record(stage)
                row = {"run_id": run.run_id, "variant": variant, "stage": stage, "code": record["code"]}
                row |= {key: record["machine"][key] for key in ("device", "name", "threads", "torch")}
                rows.append(row | {"seconds": record["seconds"], "record": sha256(run.record_file(stage))})
    return pd.DataFrame(rows)


def write_tables(root: Path | None = None) -> list[Path]:
    """Build all tables anew; a table that would be empty is taken away. Returns the files that are there.

    One process at a time: the last one to read the results is the last one to write. What is as it should be is left.

    Raises:
        ResultError: the folder cannot be written, or a run cannot be read.
    """
    if not _changed(contents := _contents(root)):
        return [file for file, text in contents.items() if text is not None]
    folder = root or results_folder()
    with locked(folder / "tables.lock"):
        clear_parts(folder / "tables")
        contents = _contents(root)
        for file in _changed(contents):
            if contents[file] is None:
                file.unlink()
            else:
                write_atomically(file, contents[file])
    return [file for file, text in contents.items() if text is not None]


def _contents(root: Path | None) -> dict[Path, bytes | None]:
    images = images_table(stored_runs(root), read_table("images", root))
    tables = {"images": images} | built_tables(images, root)
    return {table_file(name, root): table_bytes(table) for name, table in tables.items()}


def _changed(contents: dict[Path, bytes | None]) -> list[Path]:
    """The files that do not hold what they should."""
    return [file for file, text in contents.items() if (file.read_bytes() if file.is_file() else None) != text]


def table_problems(root: Path | None = None) -> list[str]:
    """Tables that are missing, or that are not what the stored results give."""
    runs, images = stored_runs(root), read_table("images", root)
    found = images_problems(runs, images) + subset_problems(runs)
    built = built_tables(images, root).items()
    for file in _changed({table_file(name, root): table_bytes(table) for name, table in built}):
        state = "is not what the stored results give" if file.is_file() else "is missing"
        found.append(f"tables/{file.name} {state}; run 'qpatch tables'")
    return found
