"""One run: its stages, stored, resumed, executed, scheduled."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "profiles": ["PROFILES", "profile_runs"],
        "published": ["reference_table"],
        "stages": ["train"],
        "store": ["Landscape", "ResultError", "RunFolder", "results_folder"],
        "stored": ["paper_runs", "small_runs", "stored_runs", "summary"],
    },
)
