"""The benchmarks at tiny sizes: same work for every simulator, right counts, a complete file; no time is asserted."""

import json
import subprocess
import sys

import pytest
import torch
from oracles import FlatLoss, gradient, hessian_products, logits
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import bars, comparison, limits, memory, report, timing, work, yardstick
from benchmarks.__main__ import PARTS, main
from benchmarks.machine import installed_version
from benchmarks.simulators import OTHERS, Engine
from qpatch.files import PROJECT

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def quick_file(tmp_path_factory):
    """What a tiny run of all parts writes."""
    file = tmp_path_factory.mktemp("benchmarks") / "quick.json"
    main(["--tiny", "--output", str(file)])
    return file


@pytest.fixture
def results(quick_file):
    return report.read_results(quick_file)


# -- the file -----------------------------------------------------------------------------------------------------


def test_a_run_writes_every_part_in_order(results):
    assert list(results) == ["schema", "size", "machine", "parts", "bars"]
    assert list(results["parts"]) == list(PARTS)
    assert {"processor", "cores", "threads", "torch", "blas", "memory_gib"} <= results["machine"].keys()
    times = {"median", "q1", "q3", "min", "max", "runs", "turns", "first"}
    for case in results["parts"]["steps"]["cases"]:
        assert all(case[name].keys() == times for name in ("step", "products", "sweep"))
    for case in results["parts"]["images"]["cases"]:
        assert all(case[name].keys() == times for name in ("evaluation", "products", "gradient", "hvp"))
    assert list(results["parts"]["scaling"]["axes"]) == ["depth", "n_patches", "batch", "n_qubits"]
    assert [case["simulator"] for case in results["parts"]["memory"]["cases"]] == ["qpatch", "qpatch", "TorchQuantum"]
    assert len(results["bars"]) == 13


def test_every_simulator_is_measured_or_said_to_be_missing(results):
    shallow, deep = results["parts"]["comparison"]["cases"]
    assert [row["name"] for row in shallow["simulators"][:2]] == ["qpatch", "TorchQuantum"]
    statuses = {row["name"]: row["status"] for row in shallow["simulators"]}
    expected = {kind.name: "measured" if installed_version(kind.package) else "not installed" for kind in OTHERS}
    assert statuses == {"qpatch": "measured"} | expected
    assert [row["name"] for row in deep["simulators"]] == ["qpatch", "TorchQuantum"]
    for row in shallow["simulators"][1:]:
        if row["status"] == "measured":
            assert row["differences"]["logits"] < 1e-3  # of a scale of 100
            assert row["differences"].get("gradient", 0) < 1e-4
            assert all(
                row["ratios"][operation]["median"] > 0 for operation in comparison.OPERATIONS if operation in row
            )


def test_a_simulator_that_is_not_installed_is_left_out(monkeypatch):
    monkeypatch.setattr(comparison, "installed_version", lambda package: None)
    case = comparison._case(work.TINY, 1, OTHERS, ("evaluation",), CPU)
    assert [row["name"] for row in case["simulators"]] == ["qpatch", *(kind.name for kind in OTHERS)]
    assert {row["status"] for row in case["simulators"][1:]} == {"not installed"}


@pytest.mark.parametrize(
    ("program", "seconds", "mib", "reason"),
    [
        ("print('done')", 60, 1000, None),
        ("print('begun'); import time; time.sleep(60)", 1, 1000, "ended after 1 s"),
        ("print('begun'); kept = bytearray(2**29); import time; time.sleep(60)", 60, 256, "ended at 0.25 GiB"),
    ],
)
def test_a_rival_is_ended_at_its_limits_and_what_it_printed_is_kept(
    tmp_path, monkeypatch, program, seconds, mib, reason
):
    (tmp_path / "rival.py").write_text(program)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    printed, why = limits.run_limited("rival", "", seconds, mib)
    assert (printed.strip(), why) == (program.split("'")[1], reason)


def test_a_rival_that_fails_is_an_error(tmp_path, monkeypatch):
    (tmp_path / "rival.py").write_text("1 / 0")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        limits.run_limited("rival", "", 60, 1000)


def test_a_part_measured_again_leaves_the_others(quick_file, tmp_path):
    copy = tmp_path / "quick.json"
    stored = json.loads(quick_file.read_text())
    copy.write_text(json.dumps(stored))
    main(["--tiny", "--output", str(copy), "--only", "errors"])
    again = json.loads(copy.read_text())
    assert again["parts"]["comparison"] == stored["parts"]["comparison"]
    assert list(again["parts"]) == list(stored["parts"])

    stored["machine"]["processor"] = "another"
    copy.write_text(json.dumps(stored))
    main(["--tiny", "--output", str(copy), "--only", "errors"])
    assert list(json.loads(copy.read_text())["parts"]) == ["errors"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_missing_gpu_is_an_error():
    with pytest.raises(SystemExit, match="--device cpu"):
        main(["--tiny", "--device", "cuda"])


# -- the same work ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("kind", [Engine, *OTHERS], ids=lambda kind: kind.name)
def test_adapters_agree_with_the_dense_circuit(kind, depth):
    if installed_version(kind.package) is None:
        pytest.skip(f"{kind.name} is not installed")
    config = work.one_qnn(4, depth)
    model, split = work.random_model(config, CPU), work.digits(config, 3, CPU)
    torch.nn.init.uniform_(model.bias, -0.3, 0.3)
    adapter = kind(model)
    exact = [part.detach().double() for part in (model.angles, model.bias, split.images)]
    loss = FlatLoss(config, exact[2], split.labels)
    point = torch.cat([part.flatten() for part in exact[:2]])

    # Single precision: some 1e-6 in an expectation value, times a scale of 100.
    assert torch.allclose(adapter.logits(split.images).double(), logits(*exact, config), rtol=0, atol=5e-4)
    if "step" in kind.operations:
        value, found = adapter.gradient(split.images, split.labels)
        assert value.item() == pytest.approx(loss(point).item(), abs=5e-4)
        expected = gradient(loss, point)
        assert comparison.relative_norm(found.double(), expected) < 1e-4
    if "hvp" in kind.operations:
        vector = torch.linspace(-1, 1, len(point))
        product = adapter.product(split.images, split.labels, vector)
        (expected,) = hessian_products(loss, point, vector.double()[None])
        assert comparison.relative_norm(product.double(), expected) < 1e-3


def test_torchquantum_in_parts_gives_the_same():
    config = work.one_qnn(4, 1)
    model, split = work.random_model(config, CPU), work.digits(config, 5, CPU)
    adapter = OTHERS[0](model)
    loss, whole = adapter.gradient(split.images, split.labels)
    assert adapter.n_parts(5) == 1
    adapter.memory = adapter.saved["step"] * 2 * adapter.image_bytes
    assert adapter.n_parts(5) == 3
    parted_loss, parted = adapter.gradient(split.images, split.labels)
    assert parted_loss.item() == pytest.approx(loss.item(), rel=1e-5)
    assert comparison.relative_norm(parted, whole) < 1e-5


def test_images_of_one_qnn_are_the_middle_of_the_digits():
    whole = work.digits(work.many_qnns(4, 1, 10), 2, CPU).images
    assert torch.equal(work.digits(work.one_qnn(4, 1), 2, CPU).images, whole[:, 5:9, 5:9])
    assert work.one_qnn(8, 50).n_patches == 1


# -- the yardstick ------------------------------------------------------------------------------------------------


def multiply_adds(task) -> int:
    """Complex multiply-adds of all matrix products in a task."""
    with FlopCounterMode(display=False) as counter:
        task()
    return counter.get_total_flops() // 2


def test_yardstick_counts():
    n_qnns, n_qubits, depth, batch = 3, 4, 5, 7
    products = multiply_adds(yardstick.step_products(n_qnns, n_qubits, batch, CPU))
    assert products == 6 * n_qnns * 16 * 16 * batch
    assert 4 * products == 6 * n_qnns * yardstick.product_multiplications(n_qubits, batch)
    assert multiply_adds(yardstick.block_sweeps(n_qnns, n_qubits, depth, CPU)) == depth * n_qnns * 2 * 4 * 16 * 16
    for images, chunk in ((20, 7), (21, 7), (5, 5)):
        evaluation = multiply_adds(yardstick.evaluation_products(n_qnns, n_qubits, images, chunk, CPU))
        assert evaluation == 2 * n_qnns * 16 * 16 * images


def test_a_sweep_applies_kronecker_products():
    """One block on the columns that it starts with, against the Kronecker product written out."""
    generator = torch.Generator().manual_seed(0)
    left, right = torch.randn(2, 1, 1, 4, 4, dtype=torch.complex128, generator=generator)
    start = torch.randn(1, 4, 4, 16, dtype=torch.complex128, generator=generator)
    swept = yardstick.sweep_blocks(left, right, start)
    full = torch.kron(left[0, 0].contiguous(), right[0, 0].contiguous())
    assert torch.allclose(swept.reshape(16, 16), full @ start.reshape(16, 16), atol=1e-12)  # double precision


# -- times, memory, bars ------------------------------------------------------------------------------------------


def test_tasks_take_turns():
    calls = []
    tasks = {name: lambda name=name: calls.append(name) or name for name in "ab"}
    times, outputs = timing.measure(tasks, rounds=2, cold=frozenset("b"))
    assert "".join(calls) == "a" + "ab" * 2
    assert outputs == {"a": "a", "b": "b"}
    assert [times[name]["runs"] for name in "ab"] == [len(times[name]["turns"]) for name in "ab"] == [2, 2]
    assert ["first" in times[name] for name in "ab"] == [True, False]


def test_a_summary_is_of_quartiles():
    summary = timing.summarise([5.0, 1.0, 2.0, 3.0, 4.00004])
    assert summary == {"median": 3.0, "q1": 2.0, "q3": 4.0, "min": 1.0, "max": 5.0, "runs": 5}


def test_memory_counts_what_a_step_allocates():
    """In a process of its own, as the benchmark: here, memory freed by other tests may be given out again."""
    program = (
        "import torch; from benchmarks import memory; device = torch.device('cpu'); idle = memory.idle_bytes(device);"
        "block = torch.ones(2**24); print((memory.peak_bytes(device) - idle) / block.nbytes)"  # 64 MiB
    )
    child = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert float(child.stdout) > 0.9


def test_a_failing_child_is_an_error():
    case = {"simulator": "none", "n_qubits": 4, "batch": 2, "depth": 1, "stride": None, "device": "cpu"}
    with pytest.raises(RuntimeError, match="KeyError: 'none'"):
        memory._in_child(case)


@pytest.mark.parametrize(
    ("better", "measured", "missed_by"), [("higher", 300, None), ("higher", 100, 2), ("lower", 50, None),
                                          ("lower", 500, 2.5)]
)  # fmt: skip
def test_bars_are_missed_by_a_factor(better, measured, missed_by):
    bar = bars._bar("speed", "times", measured, 200, better)
    assert (bar["met"], bar["missed_by"]) == (missed_by is None, missed_by)


def test_bars_of_missing_simulators_and_parts():
    case = {"depth": 1, "batch": 4, "simulators": [{"name": "qpatch", "images": 4, "step": {"median": 1.0}}]}
    rows = bars.judge({"comparison": {"cases": [case, case]}}, "cpu")
    assert [row["met"] for row in rows] == [None] * 3
    assert bars.judge({}, "cpu") == []


def test_speed_is_the_median_of_turns():
    slow = {"name": "slow", "images": 2, "step": {"median": 3.0}, "ratios": {"step": {"median": 30.0}}}
    case = {"simulators": [{"name": "qpatch", "images": 10, "step": {"median": 0.5}}, slow]}
    assert bars.speedup(case, "slow", "step") == 30
    assert bars.speedup(case, "slow", "evaluation") is None


def test_the_gpu_has_a_bar_of_its_own(results):
    names = [row["name"] for row in bars.judge({"steps": results["parts"]["steps"]}, "cuda")]
    assert names[-1].endswith("depth 2, 8 images: a step")
