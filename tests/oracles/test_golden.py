"""Both backends, in single precision, against the author's own model: `tests/golden` holds its inputs and outputs.

Every file is covered in full: logits, loss, gradients and Hessian-vector products, for 4, 9 and 16 patches of depth 2
and for 4 patches of depth 50.
"""

import pytest
import torch
from oracles import GOLDEN_FILES, relative_error

from book.oracles.golden import compare_with_golden, golden_model, load_golden
from book.oracles.reference import ReferenceQNN
from qpatch.curvature.loss import LossCurvature
from qpatch.data import Split
from qpatch.engine import compiled
from qpatch.model.qnn import PatchQNN

# A float32 gate rounds the state by about 6e-8. Over the 3,900 gates of depth 50 these errors add up at random to
# sqrt(3900) * 6e-8 = 4e-6 in an expectation value, and the mean of 4 QNNs times 100 makes 2e-4 of it in a logit. The
# loss is a mean over images, in which most of that cancels, and a derivative adds many such terms to as many times
# the size, so its relative error stays near that of an expectation value. A single gate out of place changes logits
# by more than 1, see the test below.
LOGITS_ATOL, LOSS_ATOL, DERIVATIVE_RTOL = 2e-4, 1e-5, 1e-4

every_file = pytest.mark.parametrize("path", GOLDEN_FILES, ids=lambda path: path.stem)
both_backends = pytest.mark.parametrize("backend", [PatchQNN, ReferenceQNN])


def test_there_are_golden_files_of_every_number_of_patches_and_one_of_the_papers_depth():
    configs = [load_golden(path)[0] for path in GOLDEN_FILES]
    assert {config.n_patches for config in configs} == {4, 9, 16}
    assert 50 in {config.depth for config in configs}


@both_backends
@every_file
def test_agrees_with_the_authors_model(path, backend):
    assert_agrees_with_the_authors_model(path, backend)


@every_file
def test_plain_pytorch_which_a_gpu_runs_agrees_with_the_authors_model(path):
    with compiled.switched_off():
        assert_agrees_with_the_authors_model(path, PatchQNN)


def assert_agrees_with_the_authors_model(path, backend):
    found = compare_with_golden(path, backend)
    assert found.pop("File") == path.stem
    bars = {"Logits": LOGITS_ATOL, "Loss": LOSS_ATOL}
    bars |= {"Gradient": DERIVATIVE_RTOL, "Hessian-vector product": DERIVATIVE_RTOL}
    assert found.keys() == bars.keys()
    assert {name: value for name, value in found.items() if not value < bars[name]} == {}


@every_file
def test_chunked_curvature_agrees_with_the_authors_model(path):
    model, golden = golden_model(PatchQNN, path)
    curvature = LossCurvature(model, Split(golden["pixels"], golden["labels"]), chunk=3)
    direction = torch.cat([golden["v_angles"].flatten(), golden["v_bias"].flatten()])
    sizes, shapes = [model.angles.numel(), model.bias.numel()], [model.angles.shape, model.bias.shape]
    for prefix, flat in (("grad", curvature.gradient()), ("hv", curvature.hessian @ direction)):
        values = [part.reshape(shape) for part, shape in zip(flat.split(sizes), shapes, strict=True)]
        for parameter, value in zip(("angles", "bias"), values, strict=True):
            assert relative_error(value, golden[f"{prefix}_{parameter}"]) < DERIVATIVE_RTOL, f"{prefix}_{parameter}"


@both_backends
def test_comparison_notices_a_swapped_angle(backend):
    model, golden = golden_model(backend, GOLDEN_FILES[0])
    with torch.no_grad():
        model.angles[:, [0, 8]] = model.angles[:, [8, 0]]  # RX and RY of the first qubit in the first block
        assert (model(golden["pixels"]) - golden["logits"]).abs().max() > 1
