"""Lanczos' three-term recurrence, a step at a time."""

from collections.abc import Iterator

import numpy as np

from qpatch.curvature.products import CountedProduct


def lanczos_steps(
    counted: CountedProduct, start: np.ndarray, steps: int, outside: np.ndarray | None = None, scale: float = 0.0
) -> Iterator[tuple[np.ndarray, list[float], list[float]]]:
    """Orthonormal vectors that make a symmetric matrix tridiagonal, each orthogonalised twice against all before it.

    Ends after so many steps from a nonzero vector ``(n,)``, or where the vectors span an invariant subspace, which
    makes the last number beside the diagonal 0. Vectors and images are kept orthogonal to the orthonormal columns
    ``outside``, ``(n, c)``; ``scale`` is the magnitude of the whole matrix, where that of their complement is less.

    Yields:
        After each step the vectors so far as rows ``(m, n)``, the diagonal (m numbers) and the numbers beside it (m,
        the last of them the norm of what is left of the newest image).
    """
    outside = np.empty((counted.size, 0)) if outside is None else outside
    room = counted.size - outside.shape[1]
    basis = np.empty((min(steps, room), counted.size))
    diagonal, beside, image = [], [], start
    for step in range(len(basis)):
        for _ in range(2):
            image = image - outside @ (outside.T @ image)
        basis[step] = image / np.linalg.norm(image)
        image = counted(basis[step])
        image = image - outside @ (outside.T @ image)
        if step:  # the entry above the diagonal must be the one below it
            largest = max(scale, np.abs([*diagonal, *beside]).max())
            counted.check_symmetry(abs(basis[step - 1] @ image - beside[-1]), largest)
        diagonal.append(basis[step] @ image)
        for _ in range(2):
            image = image - (basis[: step + 1] @ image) @ basis[: step + 1]
        beside.append(np.linalg.norm(image))
        # Rounding leaves some eps of the matrix in the rest, and the vectors before may have amplified that: below this
        # the rest's direction means little, and its weight, about the square of it, nothing.
        rounding = counted.precision**0.75 * max(scale, np.abs([*diagonal, *beside]).max())
        if beside[-1] <= rounding or step + 1 == room:
            beside[-1] = 0.0
        yield basis[: step + 1], diagonal, beside
        if beside[-1] == 0:
            return
