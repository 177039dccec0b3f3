"""Installs torch ahead of the other requirements, for `make setup`: on Linux without CUDA unless that is asked for.

PyPI's build for Linux brings gigabytes of CUDA libraries. PyTorch's own index has one for processors alone, which
does for everything here. Where that index cannot be reached, torch comes with the rest from wherever pip looks.
"""

import subprocess
import sys
import urllib.request
from pathlib import Path

CPU_INDEX = "https://download.pytorch.org/whl/cpu"
REQUIREMENTS = Path(__file__).resolve().parents[1] / "requirements.txt"
WITH_CUDA = "pypi"  # the value of TORCH_INDEX that asks for what pip finds by itself
PATIENCE = 10  # seconds for the index to answer


def choose_index(wanted: str, platform: str = sys.platform) -> tuple[str, str]:
    """The index to install torch from, empty for the one that pip uses anyway; and a line that says so.

    Args:
        wanted: the user's TORCH_INDEX: empty, 'pypi' or an address.
        platform: as `sys.platform`.
    """
    if wanted == WITH_CUDA:
        return "", "torch: as pip finds it, on Linux with CUDA"
    if wanted:
        return wanted, f"torch: from {wanted}"
    if not platform.startswith("linux"):
        return "", "torch: as pip finds it"
    if is_reachable(CPU_INDEX):
        return CPU_INDEX, f"torch: without CUDA, from {CPU_INDEX}; with it: make setup TORCH_INDEX={WITH_CUDA}"
    return "", f"torch: {CPU_INDEX} does not answer; so as pip finds it, perhaps with gigabytes of CUDA libraries"


def is_reachable(index: str) -> bool:
    """Whether an index answers when it is asked for torch."""
    try:
        with urllib.request.urlopen(f"{index}/torch/", timeout=PATIENCE):
            return True
    except (OSError, ValueError):
        return False


def main(wanted: str, options: list[str]) -> int:
    """Install torch where an index is chosen for it; pip's exit status."""
    (torch,) = (line for line in REQUIREMENTS.read_text().splitlines() if line.startswith("torch=="))
    index, line = choose_index(wanted)
    print(line, flush=True)
    if not index and not wanted:
        return 0  # it comes with the other requirements
    command = [sys.executable, "-m", "pip", "install", "--no-deps", *options, torch]
    command += ["--index-url", index] if index else []
    # Another build of the same version is in itself no reason for pip to replace the one that is there.
    command += ["--force-reinstall"] if wanted else []
    return subprocess.run(command).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
