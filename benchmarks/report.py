"""What the benchmarks stored, as tables for the book; nothing is measured here. `benchmarks` writes the files.

A file may hold some parts only: a table or text of a missing part says that it was not measured.
"""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
from IPython.display import Markdown
from pandas.io.formats.style import Styler

from book.show import tables
from qpatch.files import PROJECT

SCHEMA = 1
BUSY = 0.1  # processors that other work takes; less is the system's own
NOT_MEASURED = "Not measured for this copy."
OPERATIONS = {"step": "Loss and gradient", "evaluation": "Logits", "hvp": "Hessian-vector product"}


def results_file(device: str) -> Path:
    """Where the benchmarks leave what they measured on a kind of device, 'cpu' or 'cuda'."""
    return PROJECT / "data" / "benchmarks" / f"{device}.json"


def read_results(file: Path) -> dict:
    """A benchmark file, or an empty one where there is none.

    Raises:
        ValueError: the file was written by another version of the benchmarks.
    """
    if not file.is_file():
        return {"schema": SCHEMA, "size": "none", "machine": {}, "parts": {}, "bars": []}
    results = json.loads(file.read_text())
    if results.get("schema") != SCHEMA:
        raise ValueError(f"{file} has schema {results.get('schema')}, {SCHEMA} is needed; `make bench` writes it anew")
    return results


# -- words ----------------------------------------------------------------------------------------------------


def seconds_text(seconds: float) -> str:
    """A time with three digits and a unit that fits."""
    for unit, factor in (("s", 1), ("ms", 1e3)):
        if seconds * factor >= 1:
            return f"{_three_digits(seconds * factor)} {unit}"
    return f"{_three_digits(seconds * 1e6)} µs"


def _three_digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def quantity(bar: dict, key: str) -> str:
    """The measured value, the limit or the aim of a bar, with its unit."""
    value = bar[key]
    if value is None:
        return tables.MISSING
    if bar["unit"] == "times":
        return f"{_three_digits(value)} {tables.TIMES}"
    if bar["unit"] == "seconds":
        return seconds_text(value)
    return f"{value:.2g} {bar['unit']}" if bar["unit"] == "GiB" else f"{value:.1e}"


def verdict(bar: dict) -> str:
    """Whether a bar is met, or by which factor it is missed."""
    if bar["met"] is None:
        return "not measured"
    return "met" if bar["met"] else f"missed by a factor of {bar['missed_by']:.2f}"


def others_text(cores: float) -> str:
    """What other work took of the machine while a part was measured."""
    if cores < BUSY:
        return "the machine was quiet"
    return f"other work took {cores:.1f} processors meanwhile: the times are longer than they need be"


def machine_text(results: dict) -> Markdown:
    """The machine of a benchmark file and how long it was measured."""
    machine = results["machine"]
    if not machine:
        return Markdown(NOT_MEASURED)
    device = f" and one {machine['name']}" if machine["device"] == "cuda" else ""
    minutes = sum(part["seconds"] for part in results["parts"].values()) / 60
    others = [part["others"] for part in results["parts"].values() if "others" in part]
    meanwhile = f"; {others_text(max(others))}" if others else ""
    return Markdown(
        f"Measured on {machine['processor']} ({machine['cores']} cores, {machine['memory_gib']} GiB){device},"
        f" {_counted(machine['threads'], 'thread')}, Python {machine['python']},"
        f" PyTorch {machine['torch']} with {machine['blas']}, Numba {machine['numba']}, in {minutes:.0f} minutes"
        f"{meanwhile}."
    )


def verdicts_text(results: dict) -> Markdown:
    """How many of the bars are met."""
    known = [bar for bar in results["bars"] if bar["met"] is not None]
    if not known:
        return Markdown(NOT_MEASURED)
    met = sum(bar["met"] for bar in known)
    return Markdown(f"**{met} of {len(known)}** bars are met.")


def case_text(results: dict, case: int = 0) -> Markdown:
    """The size of a comparison."""
    if not _simulators(results, case):
        return Markdown(NOT_MEASURED)
    size = results["parts"]["comparison"]["cases"][case]
    return Markdown(
        f"One QNN of {size['n_qubits']} qubits, depth {size['depth']}, {size['n_classes']} classes,"
        f" {size['batch']:,} images:"
    )


def processes_text(results: dict) -> Markdown:
    """What was shared out among processes, and where."""
    part = results["parts"].get("processes")
    if part is None:
        return Markdown(NOT_MEASURED)
    return Markdown(
        f"{part['n_patches']} QNNs of {part['n_qubits']} qubits, depth {part['depth']}, {part['batch']:,} images, on"
        f" {part['processor']} ({part['cores']} cores):"
    )


# -- tables ---------------------------------------------------------------------------------------------------


def bars_table(results: dict) -> Styler | Markdown:
    """One row a bar: what is asked for, what was measured, and whether that is enough."""
    rows = []
    for bar in results["bars"]:
        sign = "≥" if bar["better"] == "higher" else "≤"
        wanted = {name: f"{sign} {quantity(bar, key)}" if bar[key] is not None else tables.MISSING
                  for name, key in (("Bar", "limit"), ("Aim", "aim"))}  # fmt: skip
        name = bar["name"][0].upper() + bar["name"][1:]
        rows.append({"What": name} | wanted | {"Measured": quantity(bar, "measured"), "Verdict": verdict(bar)})
    return _table(rows)


def comparison_table(results: dict, case: int = 0) -> Styler | Markdown:
    """The times of every simulator on one QNN, for the whole batch, and how many times faster the engine is."""
    simulators, rows = _simulators(results, case), []
    for simulator in simulators:
        row = {"Simulator": _name_with_version(simulator)}
        for operation, heading in OPERATIONS.items():
            row[heading] = tables.MISSING
            if operation in simulator:
                row[heading] = seconds_text(batch_seconds(results, case, simulator, operation))
                row[heading] += _ratio_text(simulator.get("ratios", {}).get(operation))
            if operation == "step":
                row["Quartiles"] = _step_quartiles(results, case, simulator)
        rows.append(row | {"Measured with": _measured_with(simulator)})
    return _table(rows)


def differences_table(results: dict, case: int = 0) -> Styler | Markdown:
    """How far each simulator's outputs are from the engine's, on the same images in the same run."""
    headings = {"logits": "Logits", "loss": "Loss", "gradient": "Gradient", "hvp": "Hessian-vector product"}
    rows = []
    for simulator in _simulators(results, case):
        if "differences" in simulator:
            found = simulator["differences"]
            values = {name: f"{found[key]:.1e}" if key in found else tables.MISSING for key, name in headings.items()}
            rows.append({"Simulator": simulator["name"], "Precision": simulator["precision"]} | values)
    return _table(rows)


def batch_seconds(results: dict, case: int, simulator: dict, operation: str) -> float:
    """Median seconds for the case's whole batch, carried over from fewer images where fewer were measured."""
    batch = results["parts"]["comparison"]["cases"][case]["batch"]
    return simulator[operation]["median"] * batch / simulator["images"]


def steps_table(results: dict) -> Styler | Markdown:
    """A training step of many QNNs beside its irreducible products and beside the yardstick."""
    rows = []
    for case in results["parts"].get("steps", {"cases": []})["cases"]:
        step, products, sweep = (case[name]["median"] for name in ("step", "products", "sweep"))
        rows.append({
            "QNNs": case["n_patches"], "Depth": case["depth"], "Images": f"{case['batch']:,}",
            "Step": _spread(case["step"]), "Products": seconds_text(products), "One sweep": seconds_text(sweep),
            "Yardstick": seconds_text(case["yardstick"]), "Step in products": _three_digits(step / products),
            "Step in yardsticks": f"{step / case['yardstick']:.2f}",
        })  # fmt: skip
    return _table(rows)


def images_table(results: dict) -> Styler | Markdown:
    """Evaluation, gradient and Hessian-vector product over one batch and over a whole training set."""
    part = results["parts"].get("images", {"cases": []})
    rows = []
    for case in part["cases"]:
        row = {"QNNs": part["n_patches"], "Depth": part["depth"], "Images": f"{case['images']:,}"}
        names = {"evaluation": "Evaluation", "products": "Its products", "gradient": "Gradient"} | {
            "hvp": "Hessian-vector product"
        }
        rows.append(row | {heading: _spread(case[name]) for name, heading in names.items()})
    return _table(rows)


def errors_table(results: dict) -> Styler | Markdown:
    """Single against double precision."""
    part = results["parts"].get("errors")
    if part is None:
        return _table([])
    row = {"QNNs": part["n_patches"], "Depth": part["depth"], "Images": f"{part['batch']:,}"}
    names = {"logits": f"Logits (scale {part['scale']:g})", "gradient": "Gradient", "hvp": "Hessian-vector product"}
    return _table([row | {heading: f"{part[name]:.1e}" for name, heading in names.items()}])


def _simulators(results, case):
    cases = results["parts"].get("comparison", {"cases": []})["cases"]
    return cases[case]["simulators"] if case < len(cases) else []


def _name_with_version(simulator):
    return f"{simulator['name']} {simulator.get('version', '')}".strip()


def _measured_with(simulator):
    if "images" not in simulator:
        return simulator["status"]
    times = simulator.get("step") or simulator["evaluation"]
    note = f"{simulator['images']:,} images, {_counted(times['runs'], 'run')}, {simulator['precision']}"
    if simulator.get("parts", 1) > 1:  # for want of memory
        note += f", in {simulator['parts']} parts"
    if times.get("first", 0) > 20 * times["median"]:  # another thing altogether: compilation
        note += f", first run {seconds_text(times['first'])}"
    if simulator["status"] != "measured":
        note += f", {simulator['status']}"
    return note


def _ratio_text(ratio):
    """How many times longer than the engine: the median of turns side by side, and the least and the most."""
    if ratio is None:
        return ""
    spread = f", {_three_digits(ratio['min'])} to {_three_digits(ratio['max'])}" if ratio["runs"] > 1 else ""
    return f" ({_three_digits(ratio['median'])} {tables.TIMES}{spread})"


def _counted(count, noun):
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _spread(times):
    return f"{seconds_text(times['median'])} ({_quartiles(times)})"


def _step_quartiles(results, case, simulator):
    if "step" not in simulator:
        return tables.MISSING
    scale = batch_seconds(results, case, simulator, "step") / simulator["step"]["median"]
    return _quartiles(simulator["step"], scale)


def _quartiles(times, scale=1.0):
    if times["runs"] == 1:
        return "one run"
    return f"{seconds_text(times['q1'] * scale)} to {seconds_text(times['q3'] * scale)}"


def _table(rows):
    return tables.plain(pd.DataFrame(rows), text=True) if rows else Markdown(NOT_MEASURED)
