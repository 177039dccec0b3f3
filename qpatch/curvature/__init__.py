"""Spectra of any symmetric product; only `loss` and `bound` know the QNN."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "products": ["KeptProducts", "Product"],
        "loss": ["LossCurvature"],
        "spectrum": ["extreme_eigenpairs", "trace"],
        "density": ["Ritz", "SpectralDensity", "lanczos", "spectral_density"],
        "power": ["dense_hessian", "hessian_vector_product", "power_iteration"],
        "convergence": ["near_eigenvector", "settled"],
        "outliers": ["count_outliers"],
        "structure": ["explained", "interactions", "largest_of_blocks", "participation", "subspace_overlap"],
        "bound": ["factors"],
    },
)
