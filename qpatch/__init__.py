"""Trainability of patch-wise quantum neural networks: arXiv 2504.19239 replicated, a fast simulator, a laboratory."""

from qpatch.config import PROFILES, ConfigError, RunConfig, profile_runs
from qpatch.data import DataError, Dataset, Split, load_dataset, stratified_batches
from qpatch.model import PatchQNN, cut_patches
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
