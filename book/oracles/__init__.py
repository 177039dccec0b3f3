"""What the model is held against: the paper's simulator, the author's golden files."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={"golden": ["compare_with_golden", "golden_model", "load_golden"], "reference": ["ReferenceQNN"]},
)
