"""One model: its patches and circuits, how it trains, what it answers."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "qnn": ["PatchQNN", "cut_patches", "initial_angles"],
        "training": ["Epoch", "Iteration", "Trainer", "best_epoch", "evaluate"],
        "perceptron": ["PatchPerceptron", "build_model"],
        "predictions": ["Predictions", "predict"],
        "world": ["ALONE", "World", "joined"],
        "flat": ["flat_parameters", "follow", "loss_at", "move_to", "qnn_groups", "with_bias"],
    },
)
