"""One function on every device: compiled, plain PyTorch, CUDA where there is a GPU; single against double precision."""

import contextlib

import pytest
import torch
from torch.nn.functional import cross_entropy

from qpatch.config import RunConfig
from qpatch.curvature.loss import LossCurvature
from qpatch.data import Split
from qpatch.engine import compiled
from qpatch.model.qnn import PatchQNN

GPU = pytest.param(
    "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no CUDA device")
)


def computed(config: RunConfig, dtype: torch.dtype, path: str) -> dict[str, torch.Tensor]:
    """Logits, loss and its derivatives at random angles and a random bias, on five images.

    The paths 'compiled' and 'plain' are the CPU, the latter with everything that another device would compute with.
    """
    with compiled.switched_off() if path == "plain" else contextlib.nullcontext():
        return _computed(config, dtype, torch.device("cuda" if path == "cuda" else "cpu"))


def _computed(config: RunConfig, dtype: torch.dtype, device: torch.device) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    model = PatchQNN(config)
    with torch.no_grad():
        model.bias += torch.rand(model.bias.shape, generator=generator)
    images = torch.rand(5, *model.bias.shape, generator=generator)
    split = Split(images, torch.arange(5) % config.n_classes)
    vector = torch.randn(model.angles.numel() + model.bias.numel(), generator=generator)
    model, split = model.to(device, dtype), split.to(torch.empty(0, device=device, dtype=dtype))
    curvature, vector = LossCurvature(model, split, chunk=2), vector.to(device, dtype)
    with torch.no_grad():
        logits = model(split.images)
    values = {
        "logits": logits,
        "loss": cross_entropy(logits, split.labels),
        "gradient": curvature.gradient(),
        "product": curvature.hessian @ vector,
        "Gauss-Newton": curvature.gauss_newton @ vector,
    }
    return {name: value.double().cpu() for name, value in values.items()}


def relative_norm(value: torch.Tensor, expected: torch.Tensor) -> float:
    return ((value - expected).norm() / expected.norm()).item()


@pytest.mark.parametrize("path", ["plain", GPU])
@pytest.mark.parametrize("n_qubits", [4, 8])
def test_every_path_computes_the_same_in_double_precision(n_qubits, path):
    """Some thousand roundings of 1e-16 each, at random."""
    shape = {"stride": {4: 4, 8: 6}[n_qubits], "image_size": {4: 8, 8: 14}[n_qubits], "n_qubits": n_qubits}
    config = RunConfig(depth=3, n_classes=8, batch_size=10, n_train=20, n_test=10, **shape)
    values = computed(config, torch.float64, path)
    expected = computed(config, torch.float64, "compiled")
    assert {name: relative_norm(value, expected[name]) < 1e-11 for name, value in values.items()} == dict.fromkeys(
        values, True
    )


@pytest.mark.parametrize("path", ["compiled", GPU])
def test_single_precision_keeps_the_promised_digits_at_depth_200(path):
    """The project's bars. TensorFloat-32 on a GPU, 10 bits instead of 23, would miss all of them by far."""
    config = RunConfig(stride=6, depth=200)  # 4 QNNs
    single, exact = (computed(config, dtype, path) for dtype in (torch.float32, torch.float64))
    assert (single["logits"] - exact["logits"]).abs().max() < 2e-4  # of scale 100
    assert relative_norm(single["gradient"], exact["gradient"]) < 2e-5
    assert relative_norm(single["product"], exact["product"]) < 2e-4
    assert relative_norm(single["Gauss-Newton"], exact["Gauss-Newton"]) < 2e-4
