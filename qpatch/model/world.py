"""The processes that compute one run together: who has which QNNs and images, and what they exchange.

Each process holds all parameters and computes with its own QNNs; where there are more processes than QNNs, several have
one QNN and share the images out. Outputs are added up over all processes, and each then goes on alike. So a gradient by
a QNN's angles lives where the QNN does, and only that of the shared bias is added up. The first process leads: it alone
decides, reads and writes, and tells the others what is next. This module alone knows `torch.distributed`.
"""

import contextlib
import json
from collections.abc import Callable, Iterator
from datetime import timedelta

import torch
from safetensors.torch import load, save
from torch import distributed
from torch.nn.functional import pad

from qpatch.data import Split
from qpatch.files import ResultError

Tensors = dict[str, torch.Tensor]
PATIENCE = timedelta(hours=2)  # that one process waits for another which is there; one that is lost is noticed at once


class LostError(ResultError):
    """Another process of the run is gone."""


class World:
    """A process's place among those that compute the ``n_patches`` QNNs of a run; by default it is alone.

    Among N processes with no more than P QNNs, process r has the QNNs from ``r P / N`` on, rounded down; with more, QNN
    ``r mod P`` and one of as many parts of the images as processes have that QNN.
    """

    def __init__(self, rank: int = 0, size: int = 1, n_patches: int = 1):
        self.rank, self.size, self.n_patches = rank, size, n_patches
        self.sent: list[Split] = []  # images that the others have
        self.part, self.parts = 0, 1  # of the images
        if size == 1:
            self.own = slice(None)
        elif size <= n_patches:
            self.own = slice(rank * n_patches // size, (rank + 1) * n_patches // size)
        else:
            number, sharers = rank % n_patches, [range(first, size, n_patches) for first in range(n_patches)]
            self.own = slice(number, number + 1)
            self.part, self.parts = rank // n_patches, len(sharers[number])
            self.sharers = [distributed.new_group(ranks) for ranks in sharers][number]

    def __deepcopy__(self, memo: dict) -> "World":
        """A copied model is one of the same processes."""
        return self

    @property
    def leads(self) -> bool:
        return self.rank == 0

    # -- sums -----------------------------------------------------------------------------------------------------

    def images(self, count: int) -> slice:
        """Those of so many images that this process takes."""
        return slice(self.part * count // self.parts, (self.part + 1) * count // self.parts)

    def mean(self, outputs: torch.Tensor, count: int) -> torch.Tensor:
        """Mean over all QNNs ``(B, k)``, of this process's outputs ``(own QNNs, own images, k)`` for ``count`` images.

        Differentiable in both modes, twice: the same in all processes, of which each goes on alike.
        """
        if self.size == 1:
            return outputs.mean(0)
        own = self.images(count)
        return _Total.apply(pad(outputs.sum(0) / self.n_patches, (0, 0, own.start, count - own.stop)))

    def total(self, tensor: torch.Tensor) -> torch.Tensor:
        """The sum of the processes' tensors, in place."""
        return _summed(tensor) if self.size > 1 else tensor

    def total_of_sharers(self, tensor: torch.Tensor) -> torch.Tensor:
        """The sum over the processes that have this one's QNN, in place."""
        return _summed(tensor, self.sharers) if self.parts > 1 else tensor

    def gathered(self, own: torch.Tensor) -> torch.Tensor:
        """Rows of all QNNs ``(n_patches, ...)``, of each process's own."""
        if self.size == 1:
            return own
        whole = own.new_zeros(self.n_patches, *own.shape[1:])
        if self.part == 0:
            whole[self.own] = own
        return _summed(whole)

    # -- words ----------------------------------------------------------------------------------------------------

    def lead(self, what: str, *splits: Split, tensors: Tensors | None = None, **values) -> None:
        """Tell the others what all compute next: from which images, with which tensors and values; by the leader."""
        if self.size == 1 or not self.leads:
            return
        numbers = [self._number(split) for split in splits]
        self._say({"what": what, "splits": numbers, "values": values}, tensors or {})

    def follow(self) -> tuple[str, list[Split], Tensors, dict]:
        """What the leader says next, as it said it to `lead`."""
        while True:
            tensors = load(_broadcast(b""))
            order = json.loads(tensors.pop("order").numpy().tobytes())
            if order["what"] != "images":
                return order["what"], [self.sent[number] for number in order["splits"]], tensors, order["values"]
            self.sent.append(Split(**tensors))

    def shared(self, tensors: Tensors | None) -> Tensors:
        """The leader's tensors, for all; none of the others' are looked at."""
        return load(_broadcast(save(tensors or {}) if self.leads else b"")) if self.size > 1 else tensors or {}

    def _number(self, split: Split) -> int:
        """Of images that the others have; what is new is sent."""
        for number, sent in enumerate(self.sent):
            if sent.images is split.images and sent.labels is split.labels:
                return number
        self.sent.append(split)
        self._say({"what": "images"}, {"images": split.images, "labels": split.labels})
        return len(self.sent) - 1

    def _say(self, order: dict, tensors: Tensors) -> None:
        text = torch.frombuffer(bytearray(json.dumps(order).encode()), dtype=torch.uint8)
        on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        _broadcast(save(on_cpu | {"order": text}))


ALONE = World()


@contextlib.contextmanager
def joined(rank: int, size: int, n_patches: int, backend: str) -> Iterator[World]:
    """Within it this process is one of ``size``, which `torchrun` has started; LostError where one is not there."""
    with _noticing():
        distributed.init_process_group(backend, rank=rank, world_size=size, timeout=PATIENCE)
        world = World(rank, size, n_patches)
    yield world
    with _noticing():
        distributed.destroy_process_group()


class _Total(torch.autograd.Function):
    """The sum of the processes' tensors. All go on alike from it, so each one's cotangent is the sum's."""

    @staticmethod
    def forward(ctx, tensor):
        return _summed(tensor.clone())

    @staticmethod
    def jvp(ctx, tangent):
        return _summed(tangent.clone())

    @staticmethod
    def backward(ctx, cotangent):
        return _Spread.apply(cotangent)


class _Spread(torch.autograd.Function):
    """What is the same in all processes, each of which goes on with it for itself: the transpose of the sum."""

    @staticmethod
    def forward(ctx, tensor):
        return tensor.clone()

    @staticmethod
    def jvp(ctx, tangent):
        return tangent.clone()

    @staticmethod
    def backward(ctx, cotangent):
        return _Total.apply(cotangent)


def _summed(tensor: torch.Tensor, group=None) -> torch.Tensor:
    with _noticing():
        distributed.all_reduce(tensor, group=group)
    return tensor


def _broadcast(contents: bytes) -> bytes:
    """The leader's bytes, in all processes."""
    size = torch.tensor([len(contents)])
    with _noticing():
        distributed.broadcast(size, 0)
        sent = torch.frombuffer(bytearray(contents), dtype=torch.uint8) if contents else None
        buffer = torch.empty(int(size), dtype=torch.uint8) if sent is None else sent
        distributed.broadcast(buffer, 0)
    return buffer.numpy().tobytes()


@contextlib.contextmanager
def _noticing() -> Iterator[None]:
    """Within it a failed exchange means that another process is gone."""
    try:
        yield
    except RuntimeError as error:
        raise LostError(
            "another process of this run is gone, and this one cannot go on without it; nothing that is kept is lost:"
            f" the same command goes on where it was ({str(error).splitlines()[0]})"
        ) from error
