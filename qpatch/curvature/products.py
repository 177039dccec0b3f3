"""Symmetric matrices that are known by their products with vectors, such as Hessians, and what their analyses share.

The analyses take any `Operator`: a symmetric tensor, a linear operator of curvlinops, a function as a `Product`. All
raise FloatingPointError where a product is not finite, and ValueError where they can tell that it is not symmetric.
"""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from qpatch.files import Kept

KEPT_SECONDS = 0.2  # a faster product is computed again rather than kept


class ConvergenceError(RuntimeError):
    """An iteration ran out of products before it reached its tolerance."""


class Operator(Protocol):
    """A symmetric matrix ``(n, n)`` that multiplies vectors ``(n,)`` of its dtype on its device."""

    shape: tuple[int, int]
    dtype: torch.dtype
    device: torch.device

    def __matmul__(self, vector: torch.Tensor) -> torch.Tensor: ...


class Product:
    """A function ``v -> H v`` as an `Operator`: ``Product(function, like) @ v``.

    ``like`` is a vector ``(n,)`` that gives size, dtype and device, such as the parameters; ValueError if it is none.
    """

    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor], like: torch.Tensor):
        like = torch.as_tensor(like)
        if like.dim() != 1 or not len(like):
            raise ValueError(f"a product acts on vectors (n,) of one or more parameters, not {tuple(like.shape)}")
        self.function, self.shape = function, (len(like), len(like))
        self.dtype, self.device = like.dtype, like.device

    def __matmul__(self, vector: torch.Tensor) -> torch.Tensor:
        return self.function(vector)


@dataclass(frozen=True)
class Estimate:
    """A random estimate of a number, its standard error (0 where it is exact), and its cost in products."""

    value: float
    error: float
    products: int


class CountedProduct:
    """An operator of ``size`` n, any dtype and device, on float64 NumPy vectors, its products counted and checked."""

    def __init__(self, operator: Operator):
        self.size, columns = operator.shape
        if self.size != columns:
            raise ValueError(f"an operator of shape {tuple(operator.shape)}; give a symmetric one, (n, n)")
        self.operator, self.count = operator, 0
        self.precision = torch.finfo(operator.dtype).eps

    def __call__(self, vector: np.ndarray) -> np.ndarray:
        """The matrix times a vector ``(n,)``."""
        given = torch.tensor(vector, dtype=torch.float64).to(self.operator.device, self.operator.dtype)
        image = (self.operator @ given).detach()
        if image.shape != given.shape:
            raise ValueError(f"product {self.count} has shape {tuple(image.shape)}, not {tuple(given.shape)}")
        if not torch.isfinite(image).all():
            raise FloatingPointError(f"product {self.count} is not finite; check the loss and its derivatives there")
        self.count += 1
        return image.to("cpu", torch.float64).numpy()

    def dense(self) -> np.ndarray:
        """The whole matrix ``(n, n)``, from n products, symmetric to the last bit."""
        matrix = np.stack([self(unit) for unit in np.eye(self.size)], axis=1)
        self.check_symmetry(np.abs(matrix - matrix.T).max(), np.abs(matrix).max())
        return (matrix + matrix.T) / 2

    def check_symmetry(self, deviation: float, scale: float) -> None:
        """Refuse a deviation from symmetry, or from one call to the next, that rounding cannot explain.

        Rounding leaves some eps times the scale; ten times its root is far above that and far below a wrong product.
        """
        if deviation > 10 * self.precision**0.5 * scale:
            raise ValueError(
                f"the product is not symmetric, or changes from call to call: a deviation of {deviation:.2g} where"
                f" entries reach {scale:.2g}; for a loss with dropout or other noise, switch that off (module.eval())"
            )


class KeptProducts:
    """An operator whose products are kept under a name, one a vector, so that a killed analysis goes on after them.

    An analysis with seeds of its own asks for the same vectors again, to the last bit; a result that an earlier call
    left for one of them is read. What this call computes is not read again, so that a product that changes from call
    to call is still found out. ``earlier`` is how many seconds the results read so far took to compute.
    """

    def __init__(self, operator: Operator, kept: Kept, name: str, least_seconds: float = KEPT_SECONDS):
        self.operator, self.kept, self.name, self.least_seconds = operator, kept, name, least_seconds
        self.shape, self.dtype, self.device = operator.shape, operator.dtype, operator.device
        self.own: set[str] = set()  # what this call has computed
        self.earlier = 0.0

    def __matmul__(self, vector: torch.Tensor) -> torch.Tensor:
        name = f"{self.name}/{hashlib.sha256(vector.detach().cpu().numpy().tobytes()).hexdigest()}"
        if name not in self.own and (kept := self.kept.read(name)):
            self.earlier += kept["seconds"].item()
            return kept["image"].to(vector)
        self.own.add(name)
        began = time.perf_counter()
        image = self.operator @ vector
        contents = {"image": image.detach().cpu()}
        seconds = time.perf_counter() - began
        if seconds >= self.least_seconds:
            self.kept.write(name, contents | {"seconds": torch.tensor(seconds, dtype=torch.float64)})
        return image


def to_array(values: np.ndarray | torch.Tensor) -> np.ndarray:
    """A tensor of any device, or an array, in float64."""
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
    return np.asarray(values, np.float64)
