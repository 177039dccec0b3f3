"""Ways to round the same training: the members of an ensemble of one seed, which differ in nothing else."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import lazy_loader

from qpatch import engine

torch = lazy_loader.load("torch")

STANDARD = "standard"
REPLICAS = "replicas"  # among the runs, a folder of folders: a variant each, with runs of its own


@dataclass(frozen=True)
class Variant:
    """How a training rounds."""

    name: str  # of its folder and in records
    text: str  # what differs from the standard, in words
    precision: str = "float32"  # of parameters, images, moments and, doubled, of statevectors; or 'float64'
    piece: int | None = None  # images of a mini-batch whose gradients are computed together; None takes all of them
    plain: bool = False  # plain PyTorch instead of the compiled kernels, also on a CPU
    threads: int | None = None  # that PyTorch and the kernels use; None leaves their number as it is

    @property
    def dtype(self) -> torch.dtype:
        return getattr(torch, self.precision)

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Threads and kernels as the variant has them, put back afterwards."""
        before = torch.get_num_threads()
        with engine.compiled.switched_off() if self.plain else contextlib.nullcontext():
            torch.set_num_threads(self.threads or before)
            try:
                yield
            finally:
                torch.set_num_threads(before)


VARIANTS = {
    variant.name: variant
    for variant in (
        Variant(STANDARD, "single precision, compiled kernels, a whole mini-batch at a time"),
        Variant("repeat", "nothing but the version of the code, where that is another one"),
        Variant("again", "nothing from repeat that should change a bit: trained once more"),
        Variant("pieces-500", "gradients of 500 images at a time", piece=500),
        Variant("pieces-250", "gradients of 250 images at a time", piece=250),
        Variant("pieces-200", "gradients of 200 images at a time", piece=200),
        Variant("threads-2", "two threads", threads=2),
        Variant("plain", "plain PyTorch in place of the compiled kernels", plain=True),
        Variant("double", "double precision throughout (complex128)", precision="float64"),
    )
}
