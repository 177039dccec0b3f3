"""Several processes on one machine for the tests, forked so that nothing is loaded anew."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import socket
from collections.abc import Callable

import torch
from helpers import TINY

from qpatch.model.world import LostError, World, joined
from qpatch.runs import together


def in_world(size: int, lead: Callable[[World], object], follow: Callable | None = None) -> object:
    """What ``lead`` returns in the first of ``size`` processes that share the QNNs of `TINY`; the others follow it,
    or do what ``follow`` says."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "GLOO_SOCKET_IFNAME": "lo"}
    forked = multiprocessing.get_context("fork")
    results, answer = forked.Pipe(duplex=False)

    def take_part(rank: int) -> None:
        os.environ |= address
        torch.set_num_threads(1)
        with joined(rank, size, TINY.n_patches, "gloo") as world:
            if world.leads:
                answer.send(lead(world))
                with contextlib.suppress(LostError):
                    world.lead("end")
            elif follow is not None:
                follow(world)
                world.follow()
            else:
                together.follow(world, TINY, "cpu")

    members = [forked.Process(target=take_part, args=(rank,)) for rank in range(size)]
    for member in members:
        member.start()
    answer.close()
    try:
        return results.recv()
    finally:
        for member in members:
            member.join(10)
            member.kill()
