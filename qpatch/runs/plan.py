"""The runs of the analysis plan (`book/replication/plan.md`): fresh seeds that judge the claims, controls for causes.

All are trained on the shortened schedule of the profile ``seeds``, over all 60,000 images where nothing else is said.
"""

from dataclasses import dataclass

from qpatch.config import PAPER_DEPTHS, PAPER_LEARNING_RATES, PAPER_STRIDES, RunConfig

EPOCHS = 16  # through the second minimum of the annealing
# Of the confirmatory tests: seeds that no earlier analysis has seen.
SEEDS = tuple(range(1006, 1014))
MORE_SEEDS = tuple(range(1006, 1018))  # for 4 patches, where the turn and "deeper" are at stake
SIZES = ((6, 50), (6, 100), (6, 150), (6, 200), (3, 50), (3, 100), (2, 50))  # stride and depth
CONTROL_SEEDS = SEEDS[:3]
CLASSES = (2, 4, 6, 8, 10)
PERMUTATION = 1
# As many images as the two smallest classes have, in as many batches an epoch as 60,000 have.
OF_CLASSES = {"n_train": 12_000, "n_test": 2000, "batch_size": 200}


@dataclass(frozen=True)
class Control:
    """Runs that differ from the paper's protocol in one thing, for a question about causes.

    Attributes:
        name: of the control.
        change: in words, what differs.
        runs: the fields of each that differ from the confirmatory run of seed, stride and depth, which is compared.
    """

    name: str
    change: str
    runs: tuple[dict, ...]


def _at_strides(**changes) -> tuple[dict, ...]:
    """The same changes at every stride of the paper."""
    return tuple({"stride": stride, **changes} for stride in PAPER_STRIDES)


_PATCHES = {stride: RunConfig(stride=stride).n_patches for stride in PAPER_STRIDES}
_FEWEST, *_MORE = PAPER_STRIDES
_SCALE, _DECAY, _SLOW = RunConfig.scale, RunConfig.weight_decay, max(PAPER_DEPTHS)
_RATIO = {stride: n_patches / _PATCHES[_FEWEST] for stride, n_patches in _PATCHES.items()}
CONTROLS = (
    Control("averaging", "c² / P as with 4 patches", tuple(
        {"stride": s, "scale": _SCALE * _RATIO[s] ** 0.5} for s in _MORE
    )),
    Control("gain", "c / P as with 4 patches", tuple({"stride": s, "scale": _SCALE * _RATIO[s]} for s in _MORE)),
    Control("rate", "each depth at the other's learning rate", (
        {"stride": _FEWEST, "depth": 50, "learning_rate": PAPER_LEARNING_RATES[_SLOW]},
        {"stride": _FEWEST, "depth": _SLOW, "learning_rate": PAPER_LEARNING_RATES[50]},
    )),
    Control("locality", "pixels permuted, the same way in all images", _at_strides(permutation=PERMUTATION)),
    Control("classical", "a perceptron for each QNN", _at_strides(network="perceptron")),
    Control("classes", "fewer classes, of 12,000 images", tuple(
        {"stride": _FEWEST, "n_classes": n_classes, **OF_CLASSES} for n_classes in CLASSES
    )),
    Control("no-decay", "no weight decay", _at_strides(weight_decay=0.0)),
    Control("decay", "weight decay in proportion to 1 / P", tuple(
        {"stride": s, "weight_decay": _DECAY / _RATIO[s]} for s in _MORE
    )),
)  # fmt: skip


def confirmatory_runs() -> tuple[RunConfig, ...]:
    """Seed after seed, all sizes of each: what is there at any time is balanced."""
    return tuple(
        RunConfig(stride=stride, depth=depth, seed=seed, epochs=EPOCHS)
        for seed in MORE_SEEDS
        for stride, depth in SIZES
        if seed in SEEDS or stride == _FEWEST
    )


def control_runs(control: Control | None = None) -> tuple[RunConfig, ...]:
    """Of one control or of all, seed after seed."""
    chosen = CONTROLS if control is None else (control,)
    return tuple(
        RunConfig(**{"seed": seed, "epochs": EPOCHS, **changes})
        for seed in CONTROL_SEEDS
        for each in chosen
        for changes in each.runs
    )
