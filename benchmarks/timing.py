"""Wall times of tasks that take turns, so that a slow spell of the machine falls on all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import numpy as np
import torch

Task = Callable[[], object]
MOST_RUNS = 50  # of a task in one turn


def measure(
    tasks: Mapping[str, Task], rounds: int, slice_seconds: float = 0.0, cold: frozenset[str] = frozenset()
) -> tuple[dict[str, dict], dict[str, object]]:
    """Time each task in turn, ``rounds`` times over.

    Args:
        tasks: by name.
        rounds: turns of every task.
        slice_seconds: in a turn a task is repeated until it has used this much time.
        cold: tasks that are not run once before; the others' ``first`` run, which may compile, is kept apart.

    Returns:
        By name, the times (`summarise`) with the median of every turn, and what the task returned last.
    """
    seconds, turns, outputs = {name: [] for name in tasks}, {name: [] for name in tasks}, {}
    first = {name: {"first": rounded(timed(task)[0])} for name, task in tasks.items() if name not in cold}
    for _ in range(rounds):
        for name, task in tasks.items():
            turn: list[float] = []
            outputs[name] = _take_turn(task, slice_seconds, turn)
            seconds[name] += turn
            turns[name].append(rounded(float(np.median(turn))))
    times = {name: summarise(seconds[name]) | {"turns": turns[name]} | first.get(name, {}) for name in tasks}
    return times, outputs


def _take_turn(task: Task, slice_seconds: float, seconds: list[float]) -> object:
    used = 0.0
    for _ in range(MOST_RUNS):
        elapsed, output = timed(task)
        seconds.append(elapsed)
        used += elapsed
        if used >= slice_seconds:
            break
    return output


def timed(task: Task) -> tuple[float, object]:
    """Seconds of one call, to the end of what it started on a GPU, and what it returned."""
    _synchronize()
    began = time.perf_counter()
    output = task()
    _synchronize()
    return time.perf_counter() - began, output


def _synchronize() -> None:
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


def summarise(seconds: list[float]) -> dict[str, float | int]:
    """Median, quartiles and extremes in seconds, to four digits, and the number of runs."""
    low, q1, median, q3, high = np.percentile(seconds, [0, 25, 50, 75, 100]).tolist()
    values = {"median": median, "q1": q1, "q3": q3, "min": low, "max": high}
    return {name: rounded(value) for name, value in values.items()} | {"runs": len(seconds)}


def rounded(value: float) -> float:
    """To four significant digits."""
    return float(f"{value:.4g}")
