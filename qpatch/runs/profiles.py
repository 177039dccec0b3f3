"""Sets of runs by name, and what of each run they want: its stages, and their parameters."""

from qpatch.config import PAPER_DEPTHS, PAPER_STRIDES, ConfigError, RunConfig
from qpatch.runs import plan
from qpatch.runs.stages import STAGES

PROFILES = ("smoke", "class", "seeds", "paper", "confirm", "causes")
# Of the profile `seeds`: further seeds, on a schedule shortened to the second minimum of the annealing.
FURTHER_SEEDS = (1002, 1003, 1004, 1005)
SEED_EPOCHS = plan.EPOCHS
SEED_SIZES = ((6, 50), (6, 100), (3, 50), (6, 200), (3, 100), (2, 50), (6, 150))  # stride and depth
MINIATURE = {"n_qubits": 4, "image_size": 8}  # of which strides 4, 2 and 1 leave no pixel unseen
CLASS_DEPTHS = (4, 8, 2)  # spectra and slices at the first
# Parameters of the stage notebooks in which a profile departs from their defaults: coarser where minutes count.
PROFILE_PARAMETERS = {
    "smoke": {"n_points": 6, "n_images": 100, "steps": 20, "k": 3, "blocks": 1},
    "class": {"n_points": 10, "tolerance": 1e-2, "n_images": 300, "k": 12, "steps": 20, "residual": 1e-3, "blocks": 1},
    "seeds": {"subset": 6000},
    "paper": {},
    "confirm": {"subset": 6000},
    "causes": {"subset": 6000},
}


def profile_runs(name: str) -> tuple[RunConfig, ...]:
    """The runs of a profile, the costly ones first where their order matters for sharing out the processors.

    ``paper``: the twelve configurations. ``seeds``: four further seeds of seven of them, on a short schedule.
    ``class``: for laptops and courses, a grid of strides and depths in miniature: 4-qubit models on 8 x 8 pixels, whose
    4, 9 and 25 patches all cover the image. ``smoke``: two such runs of seconds, to see that everything works.
    ``confirm`` and ``causes``: those of the analysis plan (`plan`).

    Raises:
        ConfigError: an unknown name.
    """
    if name == "paper":
        return tuple(RunConfig(stride=stride, depth=depth) for stride in PAPER_STRIDES for depth in PAPER_DEPTHS)
    if name == "seeds":
        return tuple(
            RunConfig(stride=stride, depth=depth, seed=seed, epochs=SEED_EPOCHS)
            for seed in FURTHER_SEEDS
            for stride, depth in SEED_SIZES
        )
    if name == "class":
        size = {"n_classes": 8, "n_train": 2000, "n_test": 1000, "batch_size": 100, "epochs": 15}
        return tuple(  # the learning rate is halved as the depth doubles, as the paper does from 50 to 100
            RunConfig(stride=stride, depth=depth, learning_rate=0.04 / depth, **MINIATURE, **size)
            for stride in (1, 2, 4)
            for depth in CLASS_DEPTHS
        )
    if name == "smoke":
        size = {"n_classes": 3, "n_train": 120, "n_test": 60, "batch_size": 30, "epochs": 3}
        return tuple(RunConfig(stride=stride, depth=1, **MINIATURE, **size) for stride in (4, 2))
    if name in ("confirm", "causes"):
        return plan.confirmatory_runs() if name == "confirm" else plan.control_runs()
    raise ConfigError(f"unknown profile {name!r}; the profiles are {', '.join(PROFILES)}")


def profile_stages(name: str, config: RunConfig) -> tuple[str, ...]:
    """The stages that a profile wants of one of its runs: spectrum and slices, of ``class``, at one depth only."""
    if name == "seeds":
        return ("train", "hessian")
    if name in ("confirm", "causes"):
        return ("train", "hessian", "spectrum" if config.n_train == plan.OF_CLASSES["n_train"] else "flatness")
    if name == "class" and config.depth != CLASS_DEPTHS[0]:
        return ("train", "hessian", "landscape")
    return tuple(stage for stage in STAGES if stage != "flatness")
