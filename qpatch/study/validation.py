"""Validation of stored results: records against the schema, files against checksums, headline numbers, tables."""

from pathlib import Path

from qpatch.runs.problems import run_problems
from qpatch.runs.stages import STAGES
from qpatch.runs.store import results_folder
from qpatch.runs.stored import run_in
from qpatch.runs.variants import REPLICAS
from qpatch.study.result_tables import table_problems


def check_results(root: Path | None = None) -> tuple[int, list[str]]:
    """Check every folder that holds a record, replicas included, and the tables made from them.

    Returns how many runs there are, and what is wrong; the tables are looked at where nothing is wrong with the runs.
    """
    root = root or results_folder()
    places = [f"{where}/{stage}.json" for where in ("*", f"{REPLICAS}/*/*") for stage in STAGES]
    folders = sorted({path.parent for place in places for path in root.glob(place)})
    found = [problem for folder in folders for problem in _folder_problems(folder, root)]
    return len(folders), found or table_problems(root)


def _folder_problems(folder: Path, root: Path) -> list[str]:
    run, variant = run_in(folder), folder.parent.name
    away = f"move {folder} out of the results"
    if run is None:
        return [f"{folder.name}: none of its records is of a run of this name; {away}"]
    stated = (run.record("train") or {}).get("parameters")
    if folder.parent == root or stated in (None, {"variant": variant}):
        return run_problems(run)
    # A copy of the run itself would pass for a replica.
    return [f"{REPLICAS}/{variant}/{folder.name}: its training is not of the variant {variant!r} but {stated}; {away}"]
