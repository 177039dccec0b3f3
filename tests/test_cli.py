"""The command line: bad input, and one small run through Papermill from nothing to checked results."""

import json
import re
import shutil
import signal
import subprocess
import sys

import psutil
import pytest
from helpers import REPOSITORY, TINY, flip_byte, held_by_another_process, store_training, write_idx_set
from typer.testing import CliRunner

from qpatch.cli import app
from qpatch.files import ResultError
from qpatch.runs.profiles import profile_runs, profile_stages
from qpatch.runs.stages import STAGES
from qpatch.runs.store import RunFolder
from qpatch.runs.stored import stored_runs
from qpatch.runs.sweep import BUSY

TINY_PARAMETERS = [
    f"--param={name}={getattr(TINY, name)}"
    for name in ("dataset", "n_qubits", "n_classes", "image_size", "n_train", "n_test", "batch_size", "epochs")
]
TINY_RUN = [
    "run",
    "--stride",
    "4",
    "--depth",
    "1",
    *TINY_PARAMETERS,
    "-p",
    "n_points=4",
    "-p",
    "steps=20",
    "-p",
    "k=3",
]
LOSSES = [2.0, 1.0, 1.0, 1.0, 1.0]


def qpatch(*arguments: str):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def unmeasured(monkeypatch):
    """Whatever is to be done is said to take an hour a stage, without a look at the data or a measurement."""
    monkeypatch.setattr("qpatch.cli.load_dataset", lambda config: None)
    monkeypatch.setattr("qpatch.runs.estimate", lambda pending, *rest: {(c.run_id, s): 3600.0 for c, s in pending})


# -- bad input ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--stride", "5"], "stride 5 does not tile 14 pixels with 8-pixel patches; use 1, 2, 3 or 6"),
        (["run", "--depth", "-1"], "depth is -1; it must be at least 1"),
        (["run", "-p", "n_qubits=5"], "n_qubits is 5; it must be even and at least 2"),
        (["run", "-p", "n_qubits=4", "--stride", "2"], "n_classes is 10; 4 qubits read out 2 to 8 classes"),
        (["run", "-p", "n_qubit=4"], "unknown parameter 'n_qubit'; did you mean 'n_qubits'?"),
        (["run", "-p", "epochs=many"], "parameter epochs is 'many'; it must be a whole number"),
        (["run", "-p", "weight_decay=1e300"], "weight_decay is 1e+300; it must lie between 0 and 1"),
        (["run", "-p", "epochs"], "parameter 'epochs' has no value; write it as name=value"),
        (["run", "--stage", "test"], f"stage is 'test'; it must be one of {', '.join(STAGES)} or all"),
        (["run", "--depth", "deep"], "as an integer"),
        (["sweep", "--profile", "papre"], "unknown profile 'papre'; the profiles are smoke, class, seeds, paper"),
        (
            ["sweep", "--depth", "7"],
            "profile 'paper' has no run of depth 7; it has strides 2, 3, 6; depths 50, 100, 150, 200",
        ),
        (["sweep", "--profile", "smoke", "-p", "device=gpu"], "device 'gpu' is none that this package runs on"),
        (["run", "-p", "device=meta"], "device 'meta' is none that this package runs on; use 'auto', 'cpu' or 'cuda'"),
        (["sweep", "--workers", "0"], "greater than or equal to 1"),
        (["sweep", "-p", "sclae=3"], "unknown parameter 'sclae'; did you mean 'scale'?"),
        (["run", "-p", "n_points=1"], "n_points is 1; it must be at least 2"),
        (["run", "-p", "start_seed=-1"], "start_seed is -1; it must be at least 0"),
        (["run", "-p", "start_seed=4294967296"], "start_seed is 4294967296; it must be below 2^32"),
        (["run", "-p", "epochs=1"], "epochs is 1, 1 of a learning rate above 0: the landscape stage draws a plane"),
        (
            ["run", "-p", "epochs=2", "-p", "cosine_period=1", "--stage", "slices"],
            "epochs is 2, 1 of a learning rate above 0: the slices stage draws a plane through the path",
        ),
        (
            ["run", "-p", "subset=9"],
            "subset of the hessian stage: 9 of 60000 images and the rest cannot both hold all 10 classes",
        ),
        (
            ["sweep", "--profile", "class", "-p", "n_images=1995"],
            "n_images of the spectrum stage: 1995 of 2000 images and the rest cannot both hold all 8 classes; take 0",
        ),
        (["status", "--profile", "big"], "unknown profile 'big'"),
        (["swep"], "No such command 'swep'"),
    ],
)
def test_bad_input_is_refused_before_anything_starts(arguments, message, results_folder):
    result = qpatch(*arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.replace("│", " ").split())
    assert "Traceback" not in result.output
    assert not results_folder.exists()


def test_without_arguments_it_lists_its_commands():
    output = qpatch().output
    assert all(command in output for command in ("run", "sweep", "replicas", "status", "tables", "check"))


@pytest.mark.parametrize(
    "command",
    [TINY_RUN, ["sweep", "--profile", "smoke", "--stride", "4"]],
    ids=["run", "sweep"],
)
def test_a_results_folder_that_cannot_be_made_says_so(command, results_folder, unmeasured):
    results_folder.write_text("a file in the place of the folder")
    result = qpatch(*command)
    assert result.exit_code == 1
    assert "cannot write to" in result.output
    assert "set QPATCH_RESULTS to a folder that you can write to" in result.output


def test_a_run_that_another_process_computes_is_busy(unmeasured):
    with held_by_another_process(TINY, "run.lock"):
        result = qpatch(*TINY_RUN)
    assert result.exit_code == BUSY
    assert f"{TINY.run_id} is being computed by another process" in result.stderr


def test_a_later_stage_without_a_training_says_so(unmeasured):
    result = qpatch(*TINY_RUN, "--stage", "hessian")
    assert result.exit_code == 1
    assert "needs a finished training, which is missing: no record; run 'qpatch run" in result.stderr


def test_sweep_parameters_that_change_the_depth_change_the_learning_rate_with_it(monkeypatch):
    swept = []
    monkeypatch.setattr("qpatch.runs.estimate", lambda pending, *rest: {})
    monkeypatch.setattr("qpatch.cli.execute_sweep", lambda runs, *rest: swept.extend(runs) or [])
    assert qpatch("sweep", "--stride", "6", "--depth", "50", "-p", "depth=200").exit_code == 0
    assert [run.config.learning_rate for run in swept] == [1e-3]


def test_sweep_takes_the_asked_part_of_a_profile(monkeypatch):
    swept = []
    monkeypatch.setattr("qpatch.runs.estimate", lambda pending, *rest: {})
    monkeypatch.setattr("qpatch.cli.execute_sweep", lambda runs, *rest: swept.extend(runs) or [])
    qpatch("sweep", "--stride", "6", "--stride", "2", "--depth", "100", "-p", "seed=4")
    assert [run.run_id for run in swept] == ["mnist-s6-d100-seed4", "mnist-s2-d100-seed4"]


def test_a_sweep_announces_its_time_before_it_starts_and_builds_the_tables_last(monkeypatch, unmeasured):
    done = []
    monkeypatch.setattr("qpatch.cli.execute_sweep", lambda runs, *rest: done.append("swept") or [])
    monkeypatch.setattr("qpatch.study.write_tables", lambda: done.append("tables"))
    result = qpatch("sweep", "--profile", "seeds", "--stride", "6", "--workers", "3")
    assert result.output.splitlines()[:2] == [
        "32 of 32 stages to do; measuring this machine ...",
        "about 10 h 40 min, 3 runs at a time; it can be stopped and goes on where it was",
    ]
    assert done == ["swept", "tables"]


def test_a_field_that_the_profile_varies_makes_no_run_twice(monkeypatch, unmeasured):
    swept = []
    monkeypatch.setattr("qpatch.cli.execute_sweep", lambda runs, *rest: swept.extend(runs) or [])
    assert qpatch("sweep", "--profile", "smoke", "-p", "stride=4").exit_code == 0
    assert [run.config.stride for run in swept] == [4]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
@pytest.mark.parametrize("moment", ["measuring this machine", "1 run at a time"])
def test_a_signal_ends_a_run_with_one_line_and_nothing_of_it_goes_on(number, moment, shapes):
    """While the machine is measured, and while the kernel starts."""
    words = [word.replace("epochs=4", "epochs=2000") for word in TINY_RUN]
    command = [sys.executable, "-u", "-m", "qpatch", *words]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, cwd=REPOSITORY) as process:
        assert any(moment in line for line in process.stdout)
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(number)
        _, errors = process.communicate(timeout=15)
    assert process.returncode == 128 + number
    assert errors == "qpatch: stopped; the same command goes on where it was\n"
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]


def test_a_damaged_neighbour_takes_nothing_from_a_run_that_succeeds(monkeypatch, unmeasured):
    def damaged():
        raise ResultError("another run cannot be read")

    monkeypatch.setattr("qpatch.cli.execute_run", lambda *given: ["train"])
    monkeypatch.setattr("qpatch.study.write_tables", damaged)
    result = qpatch(*TINY_RUN)
    assert result.exit_code == 0
    assert "the tables beside the results are as they were: another run cannot be read" in result.stderr
    assert qpatch("tables").exit_code == 1


@pytest.mark.parametrize("command", ["status", "check", "tables"])
def test_a_results_folder_that_is_not_there_is_not_taken_for_an_empty_one(command, results_folder):
    result = qpatch(command)
    assert (result.exit_code, result.stdout) == (1, "")
    words = f"qpatch: there is no folder {results_folder}; set QPATCH_RESULTS to the one that is meant"
    assert result.stderr == f"{words}\n"
    assert not results_folder.exists()


def test_status_and_check_of_nothing(results_folder):
    results_folder.mkdir()
    assert "no run under" in qpatch("status").output
    assert qpatch("check").output == "0 runs checked, 0 problems\n"
    listed = qpatch("status", "--profile", "smoke").output
    assert all(config.run_id in listed for config in profile_runs("smoke"))
    assert listed.count("missing") == sum(len(profile_stages("smoke", config)) for config in profile_runs("smoke"))


def test_status_shows_every_folder_damaged_and_foreign_ones_as_such(results_folder):
    run = store_training(TINY, LOSSES)
    begun, damaged = (TINY.replace(seed=seed).run_id for seed in (2, 3))
    store_training(TINY.replace(seed=3), LOSSES).file("history.csv").write_text("altered")
    stamp = {"config": TINY.replace(seed=2).to_dict()}
    (results_folder / begun / "cache" / "progress-train").mkdir(parents=True)
    (results_folder / begun / "cache" / "progress-train" / "stamp.json").write_text(json.dumps(stamp))
    shutil.copytree(run.path, results_folder / "backup")
    (results_folder / "notes").mkdir()
    (run.path / "hessian.json").mkdir()
    shown = qpatch("status").output
    assert re.search(f"^{TINY.run_id} +train: done", shown, re.M)
    assert f"  hessian has a record that cannot be read: {run.path / 'hessian.json'}" in shown
    assert re.search(f"^{begun} +train: missing", shown, re.M)
    assert re.search(f"^{damaged} +train: stale", shown, re.M)
    assert "  train is stale: history.csv was altered after it was written" in shown
    assert all(
        re.search(f"^{name} +no run: none of its records is of a run", shown, re.M) for name in ("backup", "notes")
    )


@pytest.mark.parametrize("name", ["train.json", "history.csv", "best.safetensors"])
def test_check_finds_a_training_that_lost_a_file_or_half_its_record(name):
    """Such a run is no finished one, but its remains are a problem."""
    run = store_training(TINY, LOSSES)
    file = run.path / name
    if name == "train.json":
        file.write_bytes(file.read_bytes()[:100])
    else:
        file.unlink()
    result = qpatch("check")
    assert result.exit_code == 1
    assert TINY.run_id in result.stderr


# -- a run from nothing -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder with one run, its command's result, and a data folder."""
    root = tmp_path_factory.mktemp("finished")
    write_idx_set(root / "data" / "shapes")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QPATCH_DATA", str(root / "data"))
        patch.setenv("QPATCH_RESULTS", str(root / "results"))
        patch.setenv("OMP_NUM_THREADS", "1")
        yield root, qpatch(*TINY_RUN)


@pytest.fixture
def run(finished, monkeypatch):
    """The finished run, read in place."""
    monkeypatch.setenv("QPATCH_RESULTS", str(finished[0] / "results"))
    return RunFolder(TINY)


@pytest.fixture
def copied(finished, results_folder):
    """A copy of the finished run, to be damaged."""
    shutil.copytree(finished[0] / "results", results_folder)
    return RunFolder(TINY)


def test_run_executes_all_stages(finished, run):
    _, result = finished
    assert result.exit_code == 0, result.output
    first, second, *lines = result.output.splitlines()
    assert first == f"{len(STAGES)} of {len(STAGES)} stages to do; measuring this machine ..."
    assert re.fullmatch(r"about \d+ (s|min), 1 run at a time; it can be stopped and goes on where it was", second)
    assert [line.split(" done in")[0] for line in lines] == [f"{TINY.run_id}: {stage}" for stage in STAGES]
    assert [run.state(stage) for stage in STAGES] == ["done"] * len(STAGES)


def test_run_stores_complete_results(run):
    assert all(run.file(name).exists() for stage in STAGES.values() for name in stage.leaves)
    assert len(run.history()) == TINY.epochs + 1
    assert run.history()["train_loss"].iloc[-1] < run.history()["train_loss"].iloc[0] / 2
    assert run.landscape().loss.shape == (4, 4)
    assert run.record("hessian")["lambda_max"] == pytest.approx(
        run.table("eigenvalue.csv")["estimate"].iloc[-1], rel=1e-3
    )
    for stage in STAGES:
        record = run.record(stage)
        assert record["config"] == TINY.to_dict()
        assert record["machine"]["threads"] == 1
        assert record["seconds"] > 0


def test_run_keeps_its_executed_notebooks_with_figures(run):
    for stage in STAGES:
        notebook = json.loads((run.cache / "notebooks" / f"{stage}.ipynb").read_text())
        code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
        assert all(cell["execution_count"] for cell in code)
        kinds = {kind for cell in code for output in cell["outputs"] for kind in output.get("data", {})}
        assert "image/png" in kinds
        injected = next(cell for cell in code if "injected-parameters" in cell["metadata"]["tags"])
        assert "stride = 4" in "".join(injected["source"])


def test_second_run_does_nothing(run):
    before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*")}
    result = qpatch(*TINY_RUN)
    assert (result.exit_code, result.output) == (0, f"{TINY.run_id}: nothing to do\n")
    assert {path: path.stat().st_mtime_ns for path in run.path.rglob("*")} == before


def test_a_finished_stage_is_not_replaced_by_one_of_other_parameters_unless_told(run):
    before = (run.path / "landscape.json").read_bytes()
    result = qpatch(*[word.replace("n_points=4", "n_points=5") for word in TINY_RUN])
    assert result.exit_code == 1
    message = f"the landscape stage of {TINY.run_id} is stored with n_points 4, not 5; --force (in Python replace=True)"
    assert message in result.stderr
    assert (run.path / "landscape.json").read_bytes() == before


def test_check_of_a_finished_run_passes(run):
    result = qpatch("check")
    assert (result.exit_code, result.output) == (0, "1 runs checked, 0 problems\n")


def test_status_shows_what_is_done(run):
    (line,) = qpatch("status").output.splitlines()
    assert line.split() == [TINY.run_id, *(word for stage in STAGES for word in (f"{stage}:", "done"))]


def test_the_run_is_listed_among_the_stored(run):
    assert [found.config for found in stored_runs()] == [TINY]


@pytest.mark.parametrize("name", ["best.safetensors", "landscape.csv", "trajectory.safetensors"])
def test_check_finds_a_flipped_byte(copied, name):
    flip_byte(copied.file(name))
    result = qpatch("check")
    assert result.exit_code == 1
    assert f"stage is stale: {name} was altered after it was written" in result.stderr
    assert "1 runs checked, 1 problems" in result.output


def test_images_that_do_not_do_are_refused_before_anything_is_measured(tmp_path, monkeypatch, results_folder):
    monkeypatch.setenv("QPATCH_DATA", str(tmp_path / "empty"))
    result = qpatch(*TINY_RUN)
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"{tmp_path}/empty/shapes/train-images-idx3-ubyte" in result.stderr
    assert not results_folder.exists()


def test_a_failing_cell_exits_with_an_error_names_the_notebook_and_keeps_it(tmp_path, monkeypatch, unmeasured):
    """Images that were there when the run began."""
    monkeypatch.setenv("QPATCH_DATA", str(tmp_path / "empty"))
    result = qpatch(*TINY_RUN)
    notebook = RunFolder(TINY).cache / "notebooks" / "train.ipynb"
    assert result.exit_code == 1
    assert f"of the train notebook failed (DataError: {tmp_path}/empty/shapes/train-images-idx3-ubyte" in result.stderr
    assert f"see {notebook}" in result.stderr
    assert "Traceback" not in result.output
    assert "DataError" in notebook.read_text()
    assert qpatch("check").exit_code == 0  # nothing finished, nothing damaged


def test_the_package_runs_as_a_module(results_folder):
    results_folder.mkdir()
    finished = subprocess.run([sys.executable, "-m", "qpatch", "check"], capture_output=True, text=True, cwd=REPOSITORY)
    assert (finished.returncode, finished.stderr) == (0, "")
    assert finished.stdout == "0 runs checked, 0 problems\n"
