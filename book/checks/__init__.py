"""Self-checks of the exercises."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "registry": ["CHECKS", "check"],
        "compare": ["AnswerError"],
    },
)
