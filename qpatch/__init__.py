"""Trainability of patch-wise quantum neural networks: arXiv 2504.19239 replicated, a fast simulator, a laboratory."""

import os

# PyTorch's idle threads would spin, which on a busy machine can slow small models by a factor of ten and more. This
# must be set before PyTorch is loaded, and holds for every notebook that this process starts.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Notebooks run in the project's folder; a relative path is meant from where Python was started.
for _name in ("QPATCH_RESULTS", "QPATCH_DATA"):
    if os.environ.get(_name):
        os.environ[_name] = os.path.abspath(os.environ[_name])

from qpatch.config import ConfigError, RunConfig
from qpatch.data import DataError, Dataset, Split, load_dataset, stratified_batches
from qpatch.model import PatchQNN, cut_patches
from qpatch.profiles import PROFILES, profile_runs
from qpatch.results import Landscape, ResultError, RunFolder, reference_table, stored_runs, summary
from qpatch.stages import train
from qpatch.training import Trainer, evaluate

__all__ = [
    "PROFILES",
    "ConfigError",
    "DataError",
    "Dataset",
    "Landscape",
    "PatchQNN",
    "ResultError",
    "RunConfig",
    "RunFolder",
    "Split",
    "Trainer",
    "cut_patches",
    "evaluate",
    "load_dataset",
    "profile_runs",
    "reference_table",
    "stored_runs",
    "stratified_batches",
    "summary",
    "train",
]
