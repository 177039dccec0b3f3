"""The workflow on a real Slurm of two nodes: a job killed, a node lost, and all results as of a plain sweep, by bits.

`make cluster-test`; as root, with Debian's slurm-wlm and munge. All that is started ends with the tests.
"""

import contextlib
import json
import os
import random
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import psutil
import pytest
from helpers import REPOSITORY

from qpatch.config import RunConfig
from qpatch.runs.profiles import profile_runs, profile_stages
from qpatch.runs.provenance import processors
from qpatch.runs.store import RunFolder

pytestmark = pytest.mark.slurm

WORKFLOW = REPOSITORY / "workflow"
NODES = Path(__file__).parent / "two-nodes"
QPATCH = [str(REPOSITORY / ".venv" / "bin" / "python"), "-m", "qpatch"]
SNAKEMAKE = str(REPOSITORY / ".venv-cluster" / "bin" / "snakemake")
# The test's Slurm keeps no accounts and ends jobs within seconds.
QUICK = ["--slurm-no-account", "--slurm-status-command", "squeue"]
QUICK += ["--slurm-init-seconds-before-status-checks", "5"]
SMOKE = profile_runs("smoke")
LAST = profile_stages("smoke", SMOKE[0])[-1]
PATIENCE = 1800  # seconds for what takes some two minutes on a free machine


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """The two nodes; jobs are cancelled and daemons end in the end."""
    folder = tmp_path_factory.mktemp("slurm")
    subprocess.run([NODES, "up", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["scancel", "--quiet", "--partition", "main"], check=False)
        until(lambda: not told("squeue", "--noheader"), "the jobs' end")
        subprocess.run([NODES, "down", folder], check=True)


def told(*command: str) -> str:
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def until(there, what: str):
    """What ``there`` returns, once it is true."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if found := there():
            return found
        time.sleep(0.3)
    raise AssertionError(f"waited in vain for {what}")


def workflow(results: Path, *options: str, engine: str = "slurm", before: Sequence[str] = ()) -> subprocess.Popen:
    """A workflow of that results folder as a process, its words in a file beside it."""
    command = [SNAKEMAKE, "--profile", f"profiles/{engine}", "--config", "study=smoke", *options]
    command = [*before, *command, *(QUICK if engine == "slurm" else [])]
    with words_of(results).open("a") as log:
        return subprocess.Popen(
            command, cwd=WORKFLOW, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            env=os.environ | {"QPATCH_RESULTS": str(results)},
        )  # fmt: skip


def words_of(results: Path) -> Path:
    return results.with_suffix(".txt")


def said(results: Path, *options: str, engine: str = "slurm", before: Sequence[str] = ()) -> tuple[int, str]:
    """How a workflow ends, and what it says."""
    with workflow(results, *options, engine=engine, before=before) as process:
        status = process.wait(PATIENCE)
    return status, " ".join(words_of(results).read_text().split())


def job_on(node: str, results: Path, but: str = "") -> psutil.Process | None:
    """A process on a node, of any stage but one, once it has begun to compute: then it has a kernel."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if "--worker" in process.cmdline() and process.cmdline()[-1] != but and process.children():
                environment = process.environ()
                if (environment.get("SLURMD_NODENAME"), environment.get("QPATCH_RESULTS")) == (node, str(results)):
                    return process
    return None


def kill_a_job(node: str, results: Path, chance: random.Random) -> None:
    """The death of a job's process and of all that it has started, at a random moment of its life."""
    while True:
        process = until(lambda: job_on(node, results), f"a job on {node}")
        time.sleep(chance.uniform(0, 3))
        with contextlib.suppress(psutil.NoSuchProcess):
            for each in [*process.children(recursive=True), process]:
                each.kill()
            return


def lose(node: str, results: Path) -> None:
    """A node is down with a job of a later stage on it, until another node has taken that over."""
    process = until(lambda: job_on(node, results, but="train"), f"a later job on {node}")
    time.sleep(1)
    subprocess.run(["scontrol", "update", f"nodename={node}", "state=down", "reason=test"], check=True)
    until(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE, "the end of its job")
    other = "n1" if node == "n2" else "n2"
    until(lambda: job_on(other, results), f"a job on {other}")
    subprocess.run(["scontrol", "update", f"nodename={node}", "state=resume"], check=True)


def outcome(results: Path) -> dict[str, object]:
    """All that is stored under a results folder, but for times, locks and executed notebooks."""
    found = {}
    for file in sorted(file for config in SMOKE for file in RunFolder(config, results).path.rglob("*.*")):
        name = str(file.relative_to(results))
        if "cache" in file.parts and file.suffix != ".safetensors":
            continue
        if file.suffix == ".json":
            found[name] = json.loads(file.read_text())
            found[name].pop("seconds")
            found[name]["outputs"].pop("history.csv", None)  # which has the seconds of every epoch
        elif file.suffix == ".csv":
            found[name] = pd.read_csv(file, dtype=str).drop(columns="seconds", errors="ignore").to_csv()
        else:
            found[name] = file.read_bytes()
    return found


def states(results: Path) -> dict[tuple[RunConfig, str], str]:
    """What `qpatch status` says while others write, told from elsewhere."""
    environment = os.environ | {"QPATCH_RESULTS": str(results)}
    command = [*QPATCH, "status", "--profile", "smoke"]
    shown = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, cwd=REPOSITORY)
    words = {
        line.split()[0]: line.replace(":", " ").split()[1:] for line in shown.stdout.splitlines() if line[0] != " "
    }
    return {
        (config, stage): words[config.run_id][words[config.run_id].index(stage) + 1]
        for config in SMOKE
        for stage in profile_stages("smoke", config)
    }


@pytest.fixture(scope="module")
def finished(slurm, tmp_path_factory):
    """The smoke profile by the workflow, disturbed, and by a plain sweep: the folders of both."""
    root = tmp_path_factory.mktemp("finished")
    results, plain, seed = root / "results", root / "plain", random.randrange(1000)
    print(f"kills of seed {seed}")
    sweep = [*QPATCH, "sweep", "--profile", "smoke", "--workers", str(processors())]  # one thread a run
    environment = os.environ | {"QPATCH_RESULTS": str(plain)}
    seen = []
    with (
        subprocess.Popen(sweep, env=environment, cwd=REPOSITORY) as undisturbed,
        workflow(results) as process,
    ):
        try:
            kill_a_job("n1", results, random.Random(seed))
            seen.append(states(results))
            lose("n2", results)
            seen.append(states(results))
            assert process.wait(PATIENCE) == 0, words_of(results).read_text()
            assert undisturbed.wait(PATIENCE) == 0
        finally:
            process.terminate()
            undisturbed.terminate()
    return results, plain, [*seen, states(results)]


@pytest.fixture
def lacking(finished, tmp_path):
    """A function that makes a copy of the results in which one stage is still to do: ``(name) -> folder``."""

    def copy(name: str) -> Path:
        folder = shutil.copytree(finished[1], tmp_path / name)
        RunFolder(SMOKE[0], folder).record_file(LAST).unlink()
        return folder

    return copy


def test_all_results_are_those_of_a_plain_sweep_bit_for_bit(finished):
    results, plain, _ = finished
    expected, found = outcome(plain), outcome(results)
    assert sorted(found) == sorted(expected)
    assert [name for name in expected if found[name] != expected[name]] == []
    assert words_of(results).read_text().count("Trying to restart job") >= 2


def test_status_tells_the_truth_meanwhile(finished):
    """What it called done stayed done; what it called missing, and nothing else, came to be."""
    first, second, last = finished[2]
    assert set(last.values()) == {"done"}
    assert set(first.values()) <= set(second.values()) == {"done", "missing"}
    assert {key for key, state in first.items() if state == "done"} <= {
        key for key, state in second.items() if state == "done"
    }


def test_what_is_done_is_no_job(finished):
    status, words = said(finished[1], "--dry-run", engine="laptop")
    assert status == 0
    assert "rule tables" in words
    assert "rule stage" not in words
    assert not any((folder / "workflow").exists() for folder in finished[:2])


def test_a_second_workflow_on_the_same_results_is_refused(lacking):
    folder = lacking("twice")
    (folder / "workflow").mkdir()
    (folder / "workflow" / "plan.json").write_text("{}")
    status, words = said(folder, engine="laptop")
    assert status == 1
    assert f"A workflow is at work on {folder}, or was killed: {folder}/workflow/plan.json names its process." in words
    assert (folder / "workflow" / "plan.json").read_text() == "{}"


def test_what_slurm_cannot_do_is_said_and_nothing_is_lost(lacking):
    """Side by side: no such partition, more memory than any node has, results in a folder that the nodes do not see."""
    unseen = [
        "unshare",
        "--mount",
        "sh",
        "-c",
        'mount -t tmpfs none "$QPATCH_RESULTS" && cp -a "$0"/. "$QPATCH_RESULTS" && exec "$@"',
    ]
    cases = {
        "partition": (["--default-resources", "slurm_partition=nowhere"], (), "invalid partition specified: nowhere"),
        "memory": (["--set-resources", "stage:mem_mb=100000000"], (), "Requested node configuration is not available"),
        "unseen": (
            [],
            [*unseen, str(lacking("original"))],
            "A job that left nothing there never ran, or ran where that folder is not shared.",
        ),
    }
    folders = {name: lacking(name) for name in cases}
    before = outcome(folders["partition"])
    started = {
        name: workflow(folders[name], "--retries", "0", *options, before=prefix)
        for name, (options, prefix, _) in cases.items()
    }
    for name, (_, _, message) in cases.items():
        assert started[name].wait(PATIENCE) == 1, name
        assert message in " ".join(words_of(folders[name]).read_text().split())
        assert outcome(folders[name]) == before


def test_the_manifests_for_kubernetes_hold_against_its_own_schemas():
    validate = Path(SNAKEMAKE).with_name("kubernetes-validate")
    manifests = WORKFLOW / "kubernetes.yaml"
    checked = subprocess.run([validate, "--strict", manifests], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert (checked.stdout + checked.stderr).count("passed") == manifests.read_text().count("\nkind: ")
