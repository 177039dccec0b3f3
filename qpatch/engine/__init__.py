"""Statevectors of many QNNs on many images (appendix A), exactly and fast."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["compiled"],
    submod_attrs={"circuit": ["Prepared", "encoding_gates", "expectations", "prepare", "statevectors"]},
)
