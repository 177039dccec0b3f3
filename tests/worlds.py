"""Several processes on one machine for the tests, forked so that nothing is loaded anew."""

from __future__ import annotations

import multiprocessing
import os
import socket
from collections.abc import Callable

import torch

from qpatch.config import RunConfig
from qpatch.model.world import World, joined
from qpatch.runs.together import follow


def in_world(size: int, config: RunConfig, lead: Callable[[World], object]) -> object:
    """What ``lead`` returns, in the first of ``size`` processes, which the others follow."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "GLOO_SOCKET_IFNAME": "lo"}
    forked = multiprocessing.get_context("fork")
    results, answer = forked.Pipe(duplex=False)

    def take_part(rank: int) -> None:
        os.environ |= address
        torch.set_num_threads(1)
        with joined(rank, size, config.n_patches, "gloo") as world:
            if world.leads:
                answer.send(lead(world))
                world.lead("end")
            else:
                follow(world, config, "cpu")

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
