"""The same model gate by gate in TorchQuantum, the paper's simulator: slow, and independent of `qpatch.engine`.

It shares with the fast backend nothing but the configuration and the gate list of `qpatch.ansatz`; patches,
statevector, rotations and expectation values are its own or TorchQuantum's.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from sphinx.ext.autodoc.mock import mock
from torch import nn

from qpatch import ansatz
from qpatch.config import RunConfig

# What `import torchquantum` (0.1.8) pulls in and a simulation never calls: access to quantum hardware, pulse
# control, data sets and a training framework. requirements-nodeps.txt says why they are not installed.
UNUSED_BY_SIMULATION = ["pathos", "qiskit", "qiskit_ibm_runtime", "torchdiffeq", "torchpack", "torchvision"]


@contextmanager
def stand_ins() -> Iterator[None]:
    """Within the block, the modules `UNUSED_BY_SIMULATION` import as empty mocks, installed or not.

    Afterwards all is as before: no mock remains in ``sys.modules``, and what had really been imported is back.
    """
    loaded = [name for name in sys.modules if name.partition(".")[0] in UNUSED_BY_SIMULATION]
    real = {name: sys.modules.pop(name) for name in loaded}  # perhaps of a version that TorchQuantum cannot use
    try:
        with mock(UNUSED_BY_SIMULATION):
            yield
    finally:
        sys.modules.update(real)


try:
    with stand_ins():
        import torchquantum as tq
        import torchquantum.functional as tqf
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"TorchQuantum cannot be imported, for want of {error.name!r}; `make setup` installs what it needs",
        name=error.name,
    ) from error


class ReferenceQNN(nn.Module):
    """Patch-wise QNNs simulated gate by gate (section 2.1, appendix A), with the parameters of `qpatch.PatchQNN`.

    They start at zero; ``reference.load_state_dict(model.state_dict())`` copies those of a model. TorchQuantum computes
    in complex64 only, so images and parameters are float32.
    """

    def __init__(self, config: RunConfig):
        super().__init__()
        self.config = config
        self.angles = nn.Parameter(torch.zeros(config.n_patches, config.n_angles_per_qnn))
        self.bias = nn.Parameter(torch.zeros(config.image_size, config.image_size))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits ``(batch, n_classes)`` of images ``(batch, image_size, image_size)``; TypeError if not float32."""
        for name, tensor in (("images", images), ("angles", self.angles), ("bias", self.bias)):
            if tensor.dtype != torch.float32:
                raise TypeError(f"{name} are {tensor.dtype}; TorchQuantum computes in complex64, pass torch.float32")
        config = self.config
        # TorchQuantum takes other angles for each member of a batch, so the QNNs form one batch with the images:
        # n_qubits**2 features and n_angles_per_qnn angles, each (n_patches * batch,).
        features = self._patches(images + self.bias).flatten(0, 1).unbind(dim=1)
        angles = self.angles.repeat_interleave(len(images), dim=0).unbind(dim=1)
        device = tq.QuantumDevice(n_wires=config.n_qubits, bsz=len(features[0]), device=images.device)
        for gate in ansatz.gates(config.n_qubits, config.depth):
            if gate.kind == "cz":
                tqf.cz(device, wires=list(gate.qubits))
            else:
                angle = features[gate.feature] if gate.angle is None else angles[gate.angle]
                rotate = {"rx": tqf.rx, "ry": tqf.ry}[gate.kind]
                rotate(device, wires=gate.qubits[0], params=angle[:, None])  # one column for a gate's one angle

        values = [self._expectation(device, *place) for place in ansatz.readout(config.n_qubits, config.n_classes)]
        values = torch.stack(values, dim=-1).unflatten(0, (config.n_patches, -1))  # (n_patches, batch, n_classes)
        return config.scale * values.mean(dim=0)

    def _patches(self, images: torch.Tensor) -> torch.Tensor:
        """Patches in row-major order, each flattened row-major: ``(n_patches, batch, patch_size**2)``."""
        columns = nn.functional.unfold(images[:, None], self.config.patch_size, stride=self.config.stride)
        return columns.permute(2, 0, 1)  # unfold gives (batch, patch_size**2, n_patches)

    def _expectation(self, device: tq.QuantumDevice, pauli: str, qubit: int) -> torch.Tensor:
        observable = "".join(pauli.upper() if wire == qubit else "I" for wire in range(self.config.n_qubits))
        return tq.measurement.expval_joint_analytical(device, observable)  # (n_patches * batch,)
