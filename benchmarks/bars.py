"""The bars that the engine is held to: what was measured, and whether it is enough. Pure functions of the results."""

from __future__ import annotations

from benchmarks.timing import rounded

GIB = 1024  # MiB
GPU_STEP_SECONDS = 0.012


def judge(parts: dict, device: str) -> list[dict]:
    """One row a bar: ``measured`` is None where the part is missing; ``missed_by`` is a factor, None where met.

    A row's ``limit`` must be reached where ``better`` is 'higher' and kept where it is 'lower'; ``aim`` is beyond it.
    """
    rows = []
    if "comparison" in parts:
        rows += _comparison(parts["comparison"])
    if "steps" in parts:
        rows += _steps(parts["steps"], device)
    if "memory" in parts:
        rows += _memory(parts["memory"])
    if "images" in parts:
        rows += _images(parts["images"])
    if "errors" in parts:
        rows += _errors(parts["errors"])
    return rows


def _bar(name, unit, measured, limit, better, aim=None):
    missed_by = None
    if measured is not None:
        factor = limit / measured if better == "higher" else measured / limit
        missed_by = rounded(factor) if factor > 1 else None
        measured = rounded(measured)
    met = None if measured is None else missed_by is None
    return {
        "name": name,
        "unit": unit,
        "better": better,
        "limit": limit,
        "aim": aim,
        "measured": measured,
        "met": met,
        "missed_by": missed_by,
    }


def _comparison(part):
    shallow, deep = part["cases"]
    wanted = [
        (shallow, "TorchQuantum", 200, 400),
        (shallow, "TensorCircuit-NG", 30, 60),
        (deep, "TorchQuantum", 250, 700),
    ]
    rows = []
    for case, other, limit, aim in wanted:
        name = f"one QNN, depth {case['depth']}, {case['batch']} images, loss and gradient: faster than {other}"
        rows.append(_bar(name, "times", speedup(case, other, "step"), limit, "higher", aim))
    return rows


def speedup(case: dict, other: str, operation: str) -> float | None:
    """How many times faster the engine is for an image, the median of turns; None where that was not measured."""
    row = next((row for row in case["simulators"] if row["name"] == other), {})
    ratio = row.get("ratios", {}).get(operation)
    return None if ratio is None else ratio["median"]


def _steps(part, device):
    def name(case):
        return f"{case['n_patches']} QNNs, depth {case['depth']}, {case['batch']} images: a step"

    rows = [
        _bar(f"{name(case)}, in yardsticks", "times", case["step"]["median"] / case["yardstick"], 1.25, "lower", 0.6)
        for case in part["cases"]
    ]
    if device == "cuda":
        largest = part["cases"][-1]
        rows.append(_bar(name(largest), "seconds", largest["step"]["median"], GPU_STEP_SECONDS, "lower"))
    return rows


def _memory(part):
    ours = [case for case in part["cases"] if case["simulator"] == "qpatch" and case["n_patches"] > 1]
    case = next((case for case in ours if case["depth"] == part["bar_depth"]), None)
    if case is None:
        return []
    name = (
        f"{case['n_patches']} QNNs, depth {case['depth']}, {case['batch']} images: peak memory above the idle process"
    )
    return [_bar(name, "GiB", case["step_mib"] / GIB, 2, "lower")]


def _images(part):
    batch, whole = part["cases"]
    where = f"{part['n_patches']} QNNs, depth {part['depth']}"
    seconds = {name: whole[name]["median"] for name in ("evaluation", "products", "gradient", "hvp")}
    all_images, few_images = (f"{where}, {case['images']:,} images" for case in (whole, batch))
    return [
        _bar(f"{all_images}: evaluation, in its products", "times", seconds["evaluation"] / seconds["products"], 2,
             "lower", 1.3),
        _bar(f"{all_images}: Hessian-vector product, in gradients", "times", seconds["hvp"] / seconds["gradient"], 4,
             "lower"),
        _bar(f"{few_images}: Hessian-vector product, in gradients", "times",
             batch["hvp"]["median"] / batch["gradient"]["median"], 4, "lower"),
        _bar(f"{all_images}: Hessian-vector product, in evaluations", "times", seconds["hvp"] / seconds["evaluation"],
             8, "lower"),
    ]  # fmt: skip


def _errors(part):
    where = f"{part['n_patches']} QNNs, depth {part['depth']}, single against double precision"
    wanted = [
        (f"logits (scale {part['scale']:g})", "logits", "difference", 2e-4),
        ("gradient", "gradient", "relative norm", 2e-5),
        ("Hessian-vector product", "hvp", "relative norm", 2e-4),
    ]
    return [_bar(f"{where}: {name}", unit, part[key], limit, "lower") for name, key, unit, limit in wanted]
