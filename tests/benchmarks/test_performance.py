"""Tables and figures of the performance page, on complete, partial and missing benchmark files."""

import json

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import pytest
from IPython.display import Markdown

from benchmarks import report
from benchmarks.figures import (
    draw_comparison,
    draw_memory,
    draw_prediction,
    draw_processes,
    draw_scaling,
    exponent,
    growth,
    predicted,
)
from benchmarks.processes import Model, model_here, product_sums, step_sums
from book.show import tables

TABLES = [
    report.bars_table,
    report.comparison_table,
    report.differences_table,
    report.steps_table,
    report.images_table,
    report.errors_table,
]
TEXTS = [report.machine_text, report.verdicts_text, report.case_text, report.processes_text]


def times(median, runs=3):
    return {"median": median, "q1": 0.9 * median, "q3": 1.1 * median, "min": median, "max": median, "runs": runs}


def comparison_part():
    differences = {"logits": 1e-4, "loss": 1e-6, "gradient": 2e-6}
    common = {"status": "measured", "precision": "complex64"}
    engine = common | {"name": "qpatch", "images": 100, "step": times(0.02), "evaluation": times(0.005)}
    slow = common | {"name": "Slow", "version": "2.0", "images": 10, "step": times(0.8, 1), "differences": differences}
    slow |= {"ratios": {"step": {"median": 400.0, "min": 390.0, "max": 420.0, "runs": 3}}}
    simulators = [engine, slow, {"name": "Absent", "status": "not installed"}]
    return {
        "seconds": 60.0,
        "cases": [{"n_qubits": 8, "depth": 50, "n_classes": 10, "batch": 100} | {"simulators": simulators}],
    }


def scaling_part():
    points = [
        {"depth": depth, "step": times(depth**2), "evaluation": times(1.0), "hvp": times(depth)}
        for depth in (1, 2, 4, 8)
    ]
    return {"seconds": 1.0, "axes": {"depth": points}}


def bar(**changes):
    bar = {"name": "a step", "unit": "times", "better": "higher", "limit": 200, "aim": 400}
    return bar | {"measured": 160.0, "met": False, "missed_by": 1.25} | changes


@pytest.fixture
def partial():
    machine = {"device": "cpu", "processor": "Test CPU", "cores": 2, "memory_gib": 16, "threads": 2, "python": "3.11"}
    machine |= {"torch": "2", "blas": "MKL", "numba": "0.1"}
    parts = {"comparison": comparison_part(), "scaling": scaling_part()}
    return {
        "schema": 1,
        "size": "full",
        "machine": machine,
        "parts": parts,
        "bars": [bar(), bar(measured=None, met=None)],
    }


def test_a_missing_file_reads_as_empty(tmp_path):
    results = report.read_results(tmp_path / "cpu.json")
    for show in TABLES + TEXTS:
        shown = show(results)
        assert isinstance(shown, Markdown)
        assert "Not measured" in shown.data


def test_another_schema_is_refused(tmp_path):
    file = tmp_path / "cpu.json"
    file.write_text(json.dumps({"schema": 0}))
    with pytest.raises(ValueError, match="make bench"):
        report.read_results(file)


def test_comparison_is_carried_over_to_the_whole_batch(partial):
    table = report.comparison_table(partial).data
    assert table["Loss and gradient"].tolist() == ["20 ms", f"8 s (400 {tables.TIMES}, 390 to 420)", "—"]
    assert table["Quartiles"].tolist() == ["18 ms to 22 ms", "one run", "—"]
    assert table["Measured with"].tolist()[1:] == ["10 images, 1 run, complex64", "not installed"]
    assert report.differences_table(partial).data["Logits"].tolist() == ["1.0e-04"]
    assert isinstance(report.comparison_table(partial, case=1), Markdown)


def test_bars_say_what_is_missing(partial):
    table = report.bars_table(partial).data
    assert table["Bar"].tolist() == [f"≥ 200 {tables.TIMES}"] * 2
    assert table["Verdict"].tolist() == ["missed by a factor of 1.25", "not measured"]
    assert report.verdicts_text(partial).data == "**0 of 1** bars are met."


@pytest.mark.parametrize(("seconds", "text"), [(123.4, "123 s"), (1.5, "1.5 s"), (0.0204, "20.4 ms"), (5e-5, "50 µs")])
def test_times_have_a_unit_that_fits(seconds, text):
    assert report.seconds_text(seconds) == text


def test_exponents_are_those_of_the_largest_sizes():
    sizes = [1, 10, 100, 1000]
    assert exponent(sizes, [50.0, *(size**1.5 for size in sizes[1:])]) == pytest.approx(1.5)
    assert growth([2, 4, 6, 8], [7.0, 3**4, 3**6, 3**8]) == pytest.approx(3)


def test_figures_of_a_partial_file(partial):
    fig = draw_scaling(partial)
    labels = fig.axes[0].get_legend_handles_labels()[1]
    assert labels[0] == "training step: exponent 2.00"
    assert [ax.texts[0].get_text() for ax in fig.axes[1:]] == ["not measured yet"] * 3
    fig.canvas.draw()
    plt.close(fig)

    fig, axes = plt.subplots(1, 2)
    draw_comparison(axes[0], partial)
    draw_memory(axes[1], partial)
    assert [label.get_text() for label in axes[0].get_yticklabels()] == ["qpatch", "Slow"]
    assert axes[1].texts[0].get_text() == "not measured yet"
    fig.canvas.draw()
    plt.close(fig)


# -- several processes --------------------------------------------------------------------------------------------


def processes_part():
    """Four QNNs of a second each on two cores; a sum costs 2 ms and 4 s a gigabyte."""
    cases = [
        {"processes": size, "sums": {"1": 0.002, "1000": 0.002, "1000000": 0.018}}
        | {name: times(seconds) | {"exchange": 0.1} for name, seconds in (("step", 4 / size), ("hvp", 8 / size))}
        for size in (1, 2, 4)
    ]
    sizes = {"n_qubits": 8, "depth": 50, "batch": 1000, "n_patches": 4, "n_trainable": 10_308, "n_classes": 10}
    return sizes | {"processor": "Test CPU", "cores": 2, "seconds": 1.0, "cases": cases}


def test_the_model_adds_computing_and_exchange():
    model = Model(qnn=1.0, sums=(1000, 3000), latency=1e-3, bandwidth=1e6)
    assert [model.compute(9, devices) for devices in (1, 2, 4, 9, 12)] == [9, 5, 3, 1, 1]
    assert model.exchange(1) == 0
    assert model.exchange(4) == pytest.approx(2 * 2 * 1e-3 * 2 + 2 * 3 / 4 * 4e-3)
    assert model.seconds(9, 4) == model.compute(9, 4) + model.exchange(4)


def test_a_step_exchanges_logits_and_the_bias_and_nothing_that_grows_with_depth():
    assert step_sums(1000, 10) == (40_000, 784)
    assert product_sums(1000, 10, 10_308) == (40_000, 40_000, 41_232, 41_232)


def test_the_model_here_is_of_what_was_measured_here():
    model = model_here(processes_part(), "step")
    assert (model.qnn, model.latency) == (1.0, 0.001)
    assert model.bandwidth == pytest.approx(4e6 / 0.016)


def test_figures_of_processes(partial):
    steps = {"cases": [{"n_qubits": 8, "depth": 200, "n_patches": 16, "batch": 1000, "step": times(1.6)}]}
    wide = {"n_qubits": 10, "depth": 50, "n_patches": 4, "batch": 1000, "step": times(4.0)}
    partial["parts"] |= {"steps": steps, "scaling": {"axes": {"n_qubits": [wide]}}, "processes": processes_part()}
    fig, axes = plt.subplots(1, 2)
    draw_processes(axes[0], partial)
    draw_prediction(axes[1], partial)
    fig.canvas.draw()
    plt.close(fig)
    (devices, seconds, compute), *_ = predicted(partial).values()
    assert devices[0] == 1
    assert devices[-1] == 16
    assert seconds[0] == compute[0] == pytest.approx(1.6)
    assert compute[-1] == pytest.approx(0.1)
    assert (seconds[1:] > compute[1:]).all()
    assert predicted({"parts": {}}) == {}
