"""Curvature of any differentiable loss of a flat parameter vector (section 3.2, Table 3).

A loss takes a vector ``(n,)`` and returns a scalar tensor. The largest eigenvalue is from PyHessian's power iteration
(Yao et al., 2020), so that the paper's number comes from the paper's tool.
"""

from collections.abc import Callable
from dataclasses import dataclass

import pyhessian
import torch
from torch import nn

from qpatch.curvature.convergence import near_eigenvector, settled
from qpatch.curvature.products import Operator, Product

Loss = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class PowerIteration:
    """Outcome of a power iteration.

    Attributes:
        eigenvalue: of largest magnitude, perhaps negative, as PyHessian returns it: the last but one estimate.
        estimates: the Rayleigh quotient ``v' H v`` of every iteration.
        residuals: ``||H v - (v' H v) v||`` of each: some eigenvalue lies that near to the estimate.
        eigenvector: the last normalised iterate, ``(n,)``.
        converged: whether the estimates have `settled`, and the last residual is that of a `near_eigenvector`.
    """

    eigenvalue: float
    estimates: list[float]
    residuals: list[float]
    eigenvector: torch.Tensor
    converged: bool


def hessian_vector_product(loss: Loss, point: torch.Tensor) -> Product:
    """The Hessian at a point ``(n,)`` as a product, by double backward; the first backward is done once.

    The loss is taken whole, as it is: weighted by class, or with batch norm over all images, it need be no mean.
    """
    point = torch.as_tensor(point).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(point), point, create_graph=True)
    return Product(lambda vector: torch.autograd.grad(gradient, point, vector, retain_graph=True)[0], point)


def dense_hessian(loss: Loss, point: torch.Tensor) -> torch.Tensor:
    """The whole Hessian ``(n, n)``, column by column: for small models and as an oracle."""
    product = hessian_vector_product(loss, point)
    columns = [product @ unit for unit in torch.eye(len(point), dtype=point.dtype, device=point.device)]
    return torch.stack(columns, dim=1)


def power_iteration(
    product: Operator, seed: int = 0, tolerance: float = 1e-3, max_iterations: int = 100
) -> PowerIteration:
    """PyHessian's power iteration from a random vector; its defaults are the paper's.

    It stops where the relative change of the estimate is below the tolerance, which must be positive (ValueError).
    """
    if max_iterations < 1 or not tolerance > 0:
        raise ValueError(
            f"max_iterations is {max_iterations} and tolerance {tolerance}; take one or more iterations (the paper's"
            f" 100) and a positive tolerance (the paper's 1e-3)"
        )
    wrapped = _OnProduct(product)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        eigenvalues, eigenvectors = wrapped.eigenvalues(maxIter=max_iterations, tol=tolerance, top_n=1)
    estimates = wrapped.estimates
    # PyHessian does not say whether it ran out of iterations, so the estimates must tell.
    converged = settled(estimates, tolerance) and near_eigenvector(estimates[-1], wrapped.residuals[-1], tolerance)
    return PowerIteration(eigenvalues[0], estimates, wrapped.residuals, eigenvectors[0][0], converged)


class _OnProduct(pyhessian.hessian):
    """PyHessian with its product replaced, and nothing else."""

    def __init__(self, product: Operator):
        self.model = nn.Module()  # PyHessian clears its gradients; there are none
        self.params = [torch.empty(product.shape[0], dtype=product.dtype)]  # of which it reads the size
        self.device = product.device
        self.full_dataset = True
        self.product = product
        self.estimates, self.residuals = [], []

    def dataloader_hv_product(self, v):
        vector = v[0].to(self.product.device, self.product.dtype)
        image = self.product @ vector
        estimate = torch.dot(vector, image).item()
        if not torch.isfinite(image).all():
            raise FloatingPointError(
                f"Hessian-vector product {len(self.estimates)} is not finite; check the loss there"
            )
        self.estimates.append(estimate)
        self.residuals.append(torch.linalg.vector_norm(image - estimate * vector).item())
        return estimate, [image]
