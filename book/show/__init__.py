"""Results in, figures and tables out; nothing is computed here."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["plots", "replication_tables", "tables"],
    submod_attrs={
        "epochs": ["draw_beside_author", "draw_by_size", "grid_of_runs"],
        "landscapes": ["draw_plane", "draw_profile", "draw_slices", "draw_surface"],
        "replication": ["draw_distance", "draw_drift", "draw_members", "draw_seeds"],
        "spectra": ["draw_spectra", "draw_spectrum"],
    },
)
