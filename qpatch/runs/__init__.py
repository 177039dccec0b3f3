"""One run: its stages, stored, resumed, executed, scheduled."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "compute": ["compute_stage", "train"],
        "device": ["choose_device"],
        "costs": ["Remaining", "duration", "estimate"],
        "jobs": ["list_jobs"],
        "profiles": ["PROFILES", "profile_runs"],
        "published": ["reference_table"],
        "readings": ["Landscape", "line_between", "stored_density", "stored_profiles", "stored_slices"],
        "stages": ["STAGES"],
        "store": ["ResultError", "RunFolder", "results_folder"],
        "stored": ["all_runs", "paper_runs", "small_runs", "stored_runs", "summary"],
    },
)
