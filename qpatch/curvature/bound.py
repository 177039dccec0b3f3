"""Why more patches flatten: the largest Gauss-Newton eigenvalue by the angles, as a product of measured factors.

With P outputs averaged and scaled by c, a block of the Gauss-Newton matrix is ``G_pq = (c / P)^2 E[J_p' A J_q]``, J_p
the Jacobian of QNN p's expectation values by its angles, A the covariance of the softmax. So, exactly,

    lambda_max(G) = (c^2 / P) . alignment . confidence . response,

each factor defined in `Flattening`. The first is what averaging does by itself, and what another scale would undo.
"""

from dataclasses import dataclass

import torch
from torch.autograd import forward_ad
from torch.nn.functional import softmax

from qpatch.model.qnn import PatchQNN


@dataclass(frozen=True)
class Flattening:
    """The largest eigenvalue of the Gauss-Newton matrix G by the angles, its bounds, and its factors.

    Attributes:
        n_patches: P.
        whole: the largest eigenvalue of G.
        largest_block: the largest over its diagonal blocks G_pp; never above ``whole``.
        sum_of_blocks: the sum over p of the largest eigenvalues of G_pp; never below ``whole``.
        bound: ``c^2 / P`` times the largest over p of that of ``E[J_p' A J_p]``; never below the sum.
        averaging: ``c^2 / P``.
        alignment: ``whole / sum_of_blocks``: 1 where all QNNs respond alike, 1 / P where they have nothing in common.
        confidence: mean over p of the largest eigenvalue of ``E[J_p' A J_p]``, over the response: small where the model
            is sure of its images.
        response: mean over p of the largest eigenvalue of ``E[J_p' J_p]``: how far a QNN's outputs move.
    """

    n_patches: int
    whole: float
    largest_block: float
    sum_of_blocks: float
    bound: float
    averaging: float
    alignment: float
    confidence: float
    response: float


def factors(model: PatchQNN, images: torch.Tensor) -> Flattening:
    """Evaluate every quantity of the derivation at the model's parameters, on images ``(B, size, size)``."""
    jacobian = angle_jacobian(model, images)  # (P, B, K, m)
    with torch.no_grad():
        roots = _covariance_roots(softmax(model(images), dim=1))  # (B, K, K)
    n_patches, n_images = jacobian.shape[:2]
    plain = jacobian / n_images**0.5
    weighted = roots @ plain  # its squares sum to E[J' A J]
    by_block, unweighted = (torch.stack([_largest(b.flatten(0, 1)) for b in each]) for each in (weighted, plain))
    every = weighted.permute(1, 2, 0, 3).flatten(0, 1).flatten(1)  # (B K, P m)
    averaging = model.config.scale**2 / n_patches
    whole = averaging * _largest(every) / n_patches
    total = averaging * by_block.mean()
    return Flattening(
        n_patches=n_patches,
        whole=whole.item(),
        largest_block=(averaging * by_block.max() / n_patches).item(),
        sum_of_blocks=total.item(),
        bound=(averaging * by_block.max()).item(),
        averaging=averaging,
        alignment=(whole / total).item(),
        confidence=(by_block.mean() / unweighted.mean()).item(),
        response=unweighted.mean().item(),
    )


def angle_jacobian(model: PatchQNN, images: torch.Tensor) -> torch.Tensor:
    """Derivatives of every QNN's expectation values by its own angles: ``(P, B, K, m)``.

    One forward-mode pass an angle: no QNN knows of the others, so all of them move the angle of that number at once.
    """
    angles, columns = model.angles.detach(), []
    for number in range(angles.shape[1]):
        direction = torch.zeros_like(angles)
        direction[:, number] = 1
        with forward_ad.dual_level(), torch.no_grad():
            prepared = model.prepare(forward_ad.make_dual(angles, direction))
            columns.append(forward_ad.unpack_dual(model.expectations(prepared, images)).tangent)
    return torch.stack(columns, dim=-1)


def _covariance_roots(weights: torch.Tensor) -> torch.Tensor:
    """Symmetric roots of ``diag(w) - w w'``, ``(B, K, K)``."""
    covariance = torch.diag_embed(weights) - weights[:, :, None] * weights[:, None, :]
    values, vectors = torch.linalg.eigh(covariance)
    return vectors * values.clamp(min=0).sqrt()[:, None, :] @ vectors.mT


def _largest(matrix: torch.Tensor) -> torch.Tensor:
    """Largest eigenvalue of ``M' M``, from the smaller Gram matrix."""
    gram = matrix @ matrix.mT if matrix.shape[0] < matrix.shape[1] else matrix.mT @ matrix
    return torch.linalg.eigvalsh(gram)[-1]
