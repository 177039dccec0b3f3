"""Planes, grids and lines of any loss, a function of a flat vector of parameters: nothing here knows the QNN."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "planes": ["Plane", "pca_plane", "random_plane", "spanned_plane"],
        "grid": ["count_basins", "evaluate_grid", "forecast", "grid_axes"],
        "lines": ["Line", "Profile", "evaluate_line", "line_positions"],
        "plane_curvature": ["plane_curvature"],
    },
)
