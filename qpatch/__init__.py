"""Trainability of patch-wise quantum neural networks: arXiv 2504.19239 replicated, a fast simulator, a laboratory."""

import os

import lazy_loader

# PyTorch's idle threads would spin, which on a busy machine can slow small models by a factor of ten and more. This
# must be set before PyTorch is loaded, and holds for every notebook that this process starts.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Notebooks run in the project's folder; a relative path is meant from where Python was started.
for _name in ("QPATCH_RESULTS", "QPATCH_DATA"):
    if os.environ.get(_name):
        os.environ[_name] = os.path.abspath(os.environ[_name])

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "config": ["ConfigError", "RunConfig"],
        "data": ["DataError", "Dataset", "Split", "load_dataset", "stratified_batches"],
        "model": ["PatchQNN", "Trainer", "cut_patches", "evaluate"],
        "runs": [
            "PROFILES",
            "Landscape",
            "ResultError",
            "RunFolder",
            "profile_runs",
            "reference_table",
            "stored_runs",
            "summary",
            "train",
        ],
    },
)
