"""Figures of the benchmarks: results in, the figure or axis out. A part that was not measured leaves a note."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from benchmarks import processes, report
from book.show import tables

LINES = {"step": ("#0072B2", "o"), "evaluation": ("#D55E00", "s"), "hvp": ("#009E73", "^")}
NAMES = {"step": "training step", "evaluation": "evaluation", "hvp": "Hessian-vector product"}
AXES = {"depth": "depth", "n_patches": "patches", "batch": "images", "n_qubits": "qubits"}
GPU = 30  # times as fast as the machine that was measured: assumed
NETWORK = {"latency": 20e-6, "bandwidth": 1e9}  # of a cluster, in seconds and bytes a second: assumed
FITTED_POINTS = 3  # the largest sizes, where a power law shows


def exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """Slope of log(seconds) against log(size), by least squares over the largest sizes."""
    order = np.argsort(sizes)[-FITTED_POINTS:]
    return float(np.polyfit(np.log(np.asarray(sizes)[order]), np.log(np.asarray(seconds)[order]), 1)[0])


def growth(n_qubits: Sequence[int], seconds: Sequence[float]) -> float:
    """Factor a qubit, by least squares over the largest numbers of qubits."""
    order = np.argsort(n_qubits)[-FITTED_POINTS:]
    return float(np.exp(np.polyfit(np.asarray(n_qubits)[order], np.log(np.asarray(seconds)[order]), 1)[0]))


def draw_scaling(results: dict) -> Figure:
    """Times against depth, patches, images and qubits, one panel each, with the fitted laws in the legends."""
    fig, panels = plt.subplots(2, 2, figsize=(8.4, 6.4))
    measured = results["parts"].get("scaling", {"axes": {}})["axes"]
    for ax, axis in zip(panels.flat, AXES, strict=True):
        if axis in measured:
            draw_scaling_axis(ax, measured[axis], axis)
        else:
            _leave_note(ax)
    return fig


def draw_scaling_axis(ax: Axes, points: list[dict], axis: str) -> Axes:
    """Median times, quartiles as bars, against one size."""
    sizes = [point[axis] for point in points]
    for quantity, (color, marker) in LINES.items():
        median, low, high = ([point[quantity][key] for point in points] for key in ("median", "q1", "q3"))
        if axis == "n_qubits":
            law = f"{tables.TIMES} {growth(sizes, median):.2g} a qubit"
        else:
            law = f"exponent {exponent(sizes, median):.2f}"
        spread = np.abs(np.array([low, high]) - np.array(median))
        label = f"{NAMES[quantity]}: {law}"
        ax.errorbar(sizes, median, yerr=spread, color=color, marker=marker, capsize=2, label=label)
    if axis != "n_qubits":  # a power of two a qubit is a line already
        ax.set_xscale("log")
        ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_yscale("log")
    ax.set_ylim(top=ax.get_ylim()[1] * 8)  # room for the legend
    ax.set(xlabel=AXES[axis], ylabel="seconds")
    ax.set_xticks(sizes, [f"{size:,}" for size in sizes])
    ax.legend(fontsize=8, loc="upper left")
    return ax


def draw_comparison(ax: Axes, results: dict, case: int = 0) -> Axes:
    """Seconds for the loss and gradient of a batch, one bar a simulator, on a logarithmic axis."""
    cases = results["parts"].get("comparison", {"cases": []})["cases"]
    if case >= len(cases):
        return _leave_note(ax)
    rows = [row for row in cases[case]["simulators"] if "step" in row]
    seconds = [report.batch_seconds(results, case, row, "step") for row in rows]
    colors = ["#0072B2" if row["name"] == "qpatch" else "#BBBBBB" for row in rows]
    bars = ax.barh([row["name"] for row in rows], seconds, color=colors, log=True)
    ax.bar_label(bars, [report.seconds_text(value) for value in seconds], padding=3, fontsize=9)
    ax.set(xlabel=f"seconds for {cases[case]['batch']:,} images", xlim=(min(seconds) / 3, max(seconds) * 8))
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    return ax


def draw_memory(ax: Axes, results: dict) -> Axes:
    """Peak memory of the engine's step against depth, above the idle process; TorchQuantum's as a single point."""
    cases = results["parts"].get("memory", {"cases": []})["cases"]
    if not cases:
        return _leave_note(ax)
    series = {}
    for case in sorted(cases, key=lambda case: case["depth"]):
        qnns = "one QNN" if case["n_patches"] == 1 else f"{case['n_patches']} QNNs"
        name = f"{case['simulator']}, {qnns}, {case['batch']:,} images"
        series.setdefault(name, []).append((case["depth"], case["step_mib"] / 1024))
    styles = [("#0072B2", "o"), ("#009E73", "^"), ("#D55E00", "s")]
    order = sorted(series.items(), key=lambda item: -len(item[1]))
    for (name, points), (color, marker) in zip(order, styles, strict=False):
        ax.plot(*zip(*points, strict=True), color=color, marker=marker, label=name)
    ax.set(xlabel="depth", ylabel="GiB above the idle process", yscale="log")
    ax.yaxis.set_major_formatter("{x:g}")
    ax.legend(fontsize=9)
    return ax


def draw_processes(ax: Axes, results: dict) -> Axes:
    """A step and a product by number of processes: compute and exchange as measured, rings for what the model says."""
    part = results["parts"].get("processes")
    if part is None:
        return _leave_note(ax)
    for place, operation in enumerate(("step", "hvp")):
        color = LINES[operation][0]
        at = [index + 0.4 * place - 0.2 for index in range(len(part["cases"]))]
        exchange = np.array([case[operation]["exchange"] for case in part["cases"]])
        whole = np.array([case[operation]["median"] for case in part["cases"]])
        said = [processes.seconds_here(part, operation, case["processes"]) for case in part["cases"]]
        ax.bar(at, whole - exchange, 0.36, color=color, label=NAMES[operation])
        label = "exchange, waiting included" if place else None
        ax.bar(at, exchange, 0.36, bottom=whole - exchange, color="white", edgecolor=color, hatch="///", label=label)
        ax.plot(at, said, "o", color="black", mfc="none", ms=8, label="the model" if place else None)
    ax.set_xticks(range(len(part["cases"])), [case["processes"] for case in part["cases"]])
    ax.set(xlabel="processes, one thread each", ylabel="seconds")
    ax.legend(fontsize=8, loc="upper right")
    ax.set_ylim(top=ax.get_ylim()[1] * 1.5)  # room for the legend
    return ax


def draw_prediction(ax: Axes, results: dict) -> Axes:
    """What the model says of steps on devices that are not here; dotted where exchange would take no time."""
    series = predicted(results)
    if not series:
        return _leave_note(ax)
    for (name, (devices, seconds, compute)), (color, _) in zip(series.items(), LINES.values(), strict=False):
        ax.loglog(devices, seconds, color=color, label=name)
        ax.loglog(devices, compute, ":", color=color)
    ax.set(xlabel="devices", ylabel="seconds a step, predicted")
    ax.set_ylim(top=ax.get_ylim()[1] * 20)  # room for the legend
    ax.xaxis.set_major_formatter("{x:g}")
    ax.legend(fontsize=8, loc="upper right")
    return ax


def predicted(results: dict) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """By name, numbers of devices, seconds of a step, and of its computing alone; empty where a part is missing.

    What a QNN costs on one device is this machine's time of the deep step, and of ten qubits in the scaling.
    """
    if not {"steps", "scaling"} <= results["parts"].keys():
        return {}
    deep, wide = results["parts"]["steps"]["cases"][-1], results["parts"]["scaling"]["axes"]["n_qubits"][-1]
    series = {}
    for case, n_patches, speed in ((deep, 16, 1), (deep, 16, GPU), (wide, 400, GPU)):
        sums = processes.step_sums(case["batch"], 10)
        model = processes.Model(case["step"]["median"] / case["n_patches"] / speed, sums, **NETWORK)
        devices = np.unique(np.geomspace(1, n_patches, 60).round().astype(int))
        columns = [[task(n_patches, int(each)) for each in devices] for task in (model.seconds, model.compute)]
        kind = "machines like this one" if speed == 1 else f"GPUs {speed} times as fast"
        name = f"{n_patches} QNNs of {case['n_qubits']} qubits, depth {case['depth']}, {kind}"
        series[name] = (devices, *map(np.array, columns))
    return series


def _leave_note(ax):
    ax.text(0.5, 0.5, "not measured yet", ha="center", va="center", transform=ax.transAxes)
    ax.set(xticks=[], yticks=[])
    return ax
