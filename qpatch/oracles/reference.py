"""The same model gate by gate in TorchQuantum, the paper's simulator: slow, and independent of `qpatch.engine`.

It shares with the fast backend nothing but the configuration and the gate list of `qpatch.ansatz`; patches,
statevector, rotations and expectation values are its own or TorchQuantum's.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import torch
from torch import nn

from qpatch import ansatz
from qpatch.config import RunConfig

# What `import torchquantum` (0.1.8) pulls in and a simulation never calls: access to quantum hardware, pulse
# control, data sets and a training framework. requirements-nodeps.txt says why they are not installed.
UNUSED_BY_SIMULATION = frozenset({"pathos", "qiskit", "qiskit_ibm_runtime", "torchdiffeq", "torchpack", "torchvision"})


def _empty_class(owner: object, name: str) -> type:
    if name.startswith("__"):
        raise AttributeError(name)
    return _EmptyClass(name, (), {"__init__": lambda self, *args, **kwargs: None})


class _EmptyClass(type):
    """A class to subclass, to instantiate and to take attributes from, as TorchQuantum does while it is imported."""

    __getattr__ = _empty_class


class _StandIn(ModuleType):
    """A module in which every public name is an empty class."""

    __file__ = ""
    __path__ = ()
    __getattr__ = _empty_class


class _StandInFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, fullname, path=None, target=None):
        if _root(fullname) in UNUSED_BY_SIMULATION:
            return importlib.machinery.ModuleSpec(fullname, self, is_package=True)
        return None

    def create_module(self, spec):
        return _StandIn(spec.name)

    def exec_module(self, module):
        pass


def _root(module_name: str) -> str:
    return module_name.partition(".")[0]


def _take_unused_modules() -> dict[str, ModuleType]:
    names = [name for name in sys.modules if _root(name) in UNUSED_BY_SIMULATION]
    return {name: sys.modules.pop(name) for name in names}


@contextmanager
def stand_ins() -> Iterator[None]:
    """Within the block, the modules `UNUSED_BY_SIMULATION` import as empty stand-ins, installed or not.

    Afterwards all is as before: no stand-in remains in ``sys.modules`` and modules that had really been
    imported are back, so that nobody else meets a stand-in by accident.
    """
    imported = _take_unused_modules()  # a real one may be of a version that TorchQuantum cannot use
    finder = _StandInFinder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        _take_unused_modules()
        sys.modules.update(imported)


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

    Both parameters start at zero; ``reference.load_state_dict(model.state_dict())`` copies those of a model.
    TorchQuantum computes in complex64 only, so images and parameters are float32.

    Attributes:
        angles: ``(n_patches, n_angles_per_qnn)``, radians, in the flat order of `qpatch.ansatz.split_angles`.
        bias: ``(image_size, image_size)``, radians, added to every image before its patches are cut.
    """

    def __init__(self, config: RunConfig):
        super().__init__()
        self.config = config
        self.angles = nn.Parameter(torch.zeros(config.n_patches, config.n_angles_per_qnn))
        self.bias = nn.Parameter(torch.zeros(config.image_size, config.image_size))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits ``(batch, n_classes)`` of images ``(batch, image_size, image_size)``, both float32.

        Raises:
            TypeError: images or parameters are not float32.
        """
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
