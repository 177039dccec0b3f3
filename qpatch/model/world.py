"""The processes that compute one run together: who has which QNNs and images, and what they exchange.

Each holds all parameters and computes with its own QNNs; where there are more processes than QNNs, several have one QNN
and share the images out. Outputs are added up over all processes, and each goes on alike from there. So the gradient by
a QNN's angles lives where the QNN does, and only that by the shared bias is added up. The first process leads: it alone
decides, reads and writes, and tells the others what is next.
"""

import contextlib
from collections.abc import Iterator
from datetime import timedelta

import torch
from torch import distributed
from torch.nn.functional import pad

from qpatch.data import Split
from qpatch.files import ResultError

PATIENCE = timedelta(hours=2)  # with one that is there and silent; one that is lost is noticed at once


class LostError(ResultError):
    """Another process of the run is gone."""


class World:
    """A process's place among those that compute the ``n_patches`` QNNs of a run; by default it is alone.

    Of N processes and no more than P QNNs process r has the QNNs from ``r P / N`` on, rounded down. Where there are
    more, it has QNN ``r mod P``, and one of as many parts of the images as there are processes with that QNN.
    """

    def __init__(self, rank: int = 0, size: int = 1, n_patches: int = 1):
        self.rank, self.size, self.n_patches = rank, size, n_patches
        self.own = slice(rank * n_patches // size, (rank + 1) * n_patches // size) if size > 1 else slice(None)
        self.part, self.parts, self.sharers = 0, 1, None
        self.sent: list[Split] = []  # images that the others have
        if size > n_patches:
            groups = [distributed.new_group(range(first, size, n_patches)) for first in range(n_patches)]
            (self.part, number), self.sharers = divmod(rank, n_patches), groups[rank % n_patches]
            self.own, self.parts = slice(number, number + 1), distributed.get_world_size(self.sharers)

    def __deepcopy__(self, memo: dict) -> "World":
        """A copied model is one of the same processes."""
        return self

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def images(self, count: int) -> slice:
        """Those of so many images that this process takes."""
        return slice(self.part * count // self.parts, (self.part + 1) * count // self.parts)

    def mean(self, outputs: torch.Tensor, count: int) -> torch.Tensor:
        """Mean over all QNNs, ``(count, k)``, of this process's outputs: ``(own QNNs, own images, k)``."""
        if self.size == 1:
            return outputs.mean(0)
        own = self.images(count)
        return _Total.apply(pad(outputs.sum(0) / self.n_patches, (0, 0, own.start, count - own.stop)), self)

    def total(self, tensor: torch.Tensor, of_sharers: bool = False) -> torch.Tensor:
        """The sum of all processes' tensors, or of those that have this one's QNN, in place."""
        with _noticing():
            if (self.parts if of_sharers else self.size) > 1:
                distributed.all_reduce(tensor, group=self.sharers if of_sharers else None)
        return tensor

    def gathered(self, own: torch.Tensor) -> torch.Tensor:
        """Rows of all QNNs ``(n_patches, ...)``, of each process's own."""
        if self.size == 1:
            return own
        whole = own.new_zeros(self.n_patches, *own.shape[1:])
        whole[self.own] = own if self.part == 0 else 0
        return self.total(whole)

    def lead(self, what: str, *splits: Split, **values) -> None:
        """Where this process leads others, tell them what all compute next: from which images, with which values."""
        if self.size > 1 and self.leads:
            self.sent += (new := [split for split in splits if not any(split is sent for sent in self.sent)])
            known = [id(split) for split in self.sent]
            on_cpu = [split.to(split.images.new_empty(0, device="cpu")) for split in new]
            self.shared((what, on_cpu, [known.index(id(split)) for split in splits], values))

    def follow(self) -> tuple[str, list[Split], dict]:
        """What the leader says next, as it said it to `lead`."""
        what, new, numbers, values = self.shared(None)
        self.sent += new
        return what, [self.sent[number] for number in numbers], values

    def shared(self, value):
        """The leader's value, for all; its tensors are on a CPU."""
        box = [value]
        with _noticing():
            if self.size > 1:
                distributed.broadcast_object_list(box, 0)
        return box[0]


ALONE = World()


@contextlib.contextmanager
def joined(rank: int, size: int, n_patches: int, backend: str) -> Iterator[World]:
    """Within it this process is one of ``size``, as `torchrun` has started them; LostError where one does not come."""
    with _noticing():
        distributed.init_process_group(backend, rank=rank, world_size=size, timeout=PATIENCE)
        world = World(rank, size, n_patches)
    yield world
    distributed.destroy_process_group()


class _Total(torch.autograd.Function):
    """The sum over a world's processes. Its transpose, in `ALONE`, is what all have alike, as each one's own."""

    @staticmethod
    def forward(ctx, tensor, world, transpose=ALONE):
        ctx.worlds = world, transpose
        return world.total(tensor.clone())

    @staticmethod
    def jvp(ctx, tangent, *_):
        return ctx.worlds[0].total(tangent.clone())

    @staticmethod
    def backward(ctx, cotangent):
        return _Total.apply(cotangent, *reversed(ctx.worlds)), None, None


@contextlib.contextmanager
def _noticing() -> Iterator[None]:
    """Within it a failed exchange means that another process is gone."""
    try:
        yield
    except RuntimeError as error:
        raise LostError(
            "another process of this run is gone, and this one cannot go on without it; nothing that is kept is lost:"
            " the same command goes on where it was"
        ) from error
