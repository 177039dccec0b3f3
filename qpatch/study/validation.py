"""Validation of stored results: records against the schema, files against checksums, headline numbers, tables."""

from __future__ import annotations

import json
from pathlib import Path

from qpatch.config import RunConfig
from qpatch.runs.records import run_problems
from qpatch.runs.stages import STAGES
from qpatch.runs.store import REPLICAS, RunFolder, recorded_config, results_folder
from qpatch.study.result_tables import table_problems


def check_results(root: Path | None = None) -> tuple[int, list[str]]:
    """Check every folder that holds a record, replicas included, and the tables made from them.

    Returns how many runs there are, and what is wrong; the tables are looked at where nothing is wrong with the runs.
    """
    root = root or results_folder()
    places = [f"{where}/{stage}.json" for where in ("*", f"{REPLICAS}/*/*") for stage in STAGES]
    folders = sorted({path.parent for place in places for path in root.glob(place)})
    found = [problem for folder in folders for problem in _folder_problems(folder)]
    found += [problem for folder in folders if folder.parent != root for problem in _replica_problems(folder)]
    return len(folders), found or table_problems(root)


def _folder_problems(folder: Path) -> list[str]:
    config = _recorded_config(folder)
    if config is None:
        return [f"{folder.name}: none of its records can be read; delete the folder, or run the sweep again"]
    if config.run_id != folder.name:
        return [f"{folder.name}: its records are those of {config.run_id}; rename the folder"]
    return run_problems(RunFolder(config, folder.parent))


def _replica_problems(folder: Path) -> list[str]:
    """A replica must be what its folder says: a copy of the run itself would pass for one."""
    variant = folder.parent.name
    try:
        stated = json.loads((folder / "train.json").read_text())["parameters"]
    except (OSError, ValueError, KeyError, TypeError):
        stated = None
    if stated == {"variant": variant}:
        return []
    return [f"{REPLICAS}/{variant}/{folder.name}: its training is not of the variant {variant!r} but {stated}"]


def _recorded_config(folder: Path) -> RunConfig | None:
    configs = (recorded_config(folder / f"{stage}.json") for stage in STAGES)
    return next((config for config in configs if config), None)
