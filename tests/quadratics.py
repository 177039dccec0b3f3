"""Matrices with known spectra and a small classical network, for the tests of the curvature analyses."""

from __future__ import annotations

import curvlinops
import numpy as np
import torch
from torch import nn
from torch.func import functional_call
from torch.nn.utils import parameters_to_vector


def symmetric(eigenvalues: list[float] | np.ndarray, seed: int = 1) -> torch.Tensor:
    """A dense symmetric matrix with these eigenvalues, float64."""
    size = len(eigenvalues)
    random = torch.randn(size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    basis, _ = torch.linalg.qr(random)
    return basis @ torch.diag(torch.as_tensor(eigenvalues, dtype=torch.float64)) @ basis.T


def semicircle(size: int, radius: float = 1.0) -> np.ndarray:
    """Quantiles of Wigner's semicircle: a bulk around zero with sharp edges and no outliers."""
    grid = np.linspace(-1, 1, 20001)
    share = 0.5 + (grid * np.sqrt(1 - grid**2) + np.arcsin(grid)) / np.pi
    return radius * np.interp((np.arange(size) + 0.5) / size, share, grid)


class SmallNetwork:
    """A tanh network of 92 parameters with four classes and 40 random images, float64, some gradient steps trained."""

    def __init__(self):
        generator = torch.Generator().manual_seed(3)
        self.module = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4)).double()
        self.criterion = nn.CrossEntropyLoss()
        self.inputs = torch.randn(40, 6, dtype=torch.float64, generator=generator)
        self.targets = torch.randint(4, (40,), generator=generator)
        with torch.no_grad():
            for value in self.module.parameters():
                value.copy_(torch.randn(value.shape, dtype=torch.float64, generator=generator) / value.shape[-1] ** 0.5)
        optimizer = torch.optim.SGD(self.module.parameters(), lr=0.5)
        for _ in range(20):
            optimizer.zero_grad()
            self.criterion(self.module(self.inputs), self.targets).backward()
            optimizer.step()
        optimizer.zero_grad()

    @property
    def point(self) -> torch.Tensor:
        """All parameters, each row-major, ``(92,)``."""
        return parameters_to_vector(self.module.parameters()).detach()

    def loss(self, point: torch.Tensor) -> torch.Tensor:
        """The loss as a function of such a vector, for derivatives by PyTorch alone."""
        parameters = dict(self.module.named_parameters())
        pieces = point.split([value.numel() for value in parameters.values()])
        moved = {name: piece.view_as(parameters[name]) for name, piece in zip(parameters, pieces, strict=True)}
        return self.criterion(functional_call(self.module, moved, self.inputs), self.targets)

    def operator(self, kind: type = curvlinops.HessianLinearOperator) -> curvlinops.HessianLinearOperator:
        """The Hessian, or another matrix, by curvlinops, over batches of 15, 15 and 10 images."""
        batches = list(zip(self.inputs.split(15), self.targets.split(15), strict=True))
        return kind(self.module, self.criterion, list(self.module.parameters()), batches)
