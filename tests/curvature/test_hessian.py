"""Power iteration and dense Hessians on functions whose Hessian is known, and against PyHessian as it is published."""

import itertools

import pyhessian
import pytest
import torch
from helpers import TINY
from quadratics import symmetric
from torch.nn.functional import cross_entropy

from qpatch.curvature.loss import LossCurvature
from qpatch.curvature.power import dense_hessian, hessian_vector_product, power_iteration
from qpatch.curvature.products import Product
from qpatch.model.qnn import PatchQNN
from qpatch.model.training import Trainer


def iterate(matrix: torch.Tensor, **options):
    return power_iteration(matrix, **options)


@pytest.mark.parametrize(
    ("eigenvalues", "expected"),
    [
        ([5.0, 1.0, 0.5, 0.0], 5.0),
        ([5.0, 2.0, -3.0, 0.1], 5.0),  # indefinite, the largest is also the largest in magnitude
        ([-7.0, 4.0, 1.0, 0.5], -7.0),  # of largest magnitude, which is what PyHessian's iteration finds
    ],
)
def test_power_iteration_finds_the_eigenvalue_of_largest_magnitude(eigenvalues, expected):
    matrix = symmetric(eigenvalues)
    result = iterate(matrix, tolerance=1e-12, max_iterations=1000)
    # PyHessian normalises by the norm plus 1e-6, so its unit vectors are that much too short and Rayleigh quotients
    # 2e-6 too small. The iteration's own error is below its last change.
    assert result.eigenvalue == pytest.approx(expected, rel=2.5e-6)
    assert result.converged
    # The eigenvector's error is the root of the estimate's.
    assert (matrix @ result.eigenvector - expected * result.eigenvector).norm() < 1e-4


def test_the_papers_tolerance_is_the_default():
    """It stops at the first change below 0.001 of the estimate before; the value is the last but one estimate."""
    estimates = iterate(symmetric([5.0, 4.0, 3.0, 0.1])).estimates
    changes = [abs(new - old) / abs(old) for old, new in itertools.pairwise(estimates)]
    assert [change < 1e-3 for change in changes] == [False] * (len(changes) - 1) + [True]
    result = iterate(symmetric([5.0, 4.0, 3.0, 0.1]))
    assert result.converged
    assert result.eigenvalue == result.estimates[-2]


@pytest.mark.parametrize("max_iterations", [1, 2, 5])
def test_running_out_of_iterations_is_not_convergence(max_iterations):
    result = iterate(symmetric([5.0, 4.9, 4.8, 0.1]), tolerance=1e-9, max_iterations=max_iterations)
    assert len(result.estimates) == max_iterations
    assert not result.converged


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("opposite", [-2.4978, -2.49, -2.4])
def test_where_the_extremes_are_of_nearly_one_magnitude_it_has_not_converged_unless_it_is_there(opposite, seed):
    """At such a saddle estimates change little while the iterate holds both eigenvectors, and no residual is small."""
    matrix = symmetric([2.4978, opposite, *[0.0] * 38])
    result = iterate(matrix, seed=seed)
    there = min(abs(result.eigenvalue - extreme) for extreme in (2.4978, opposite))
    assert there < 0.05 or not result.converged
    # So near a true eigenvalue lies; PyHessian's vectors are 2e-6 too short.
    assert min(abs(result.estimates[-1] - value) for value in (2.4978, opposite, 0)) < result.residuals[-1] + 1e-5


def test_a_residual_stands_beside_every_estimate():
    """By the vectors that were asked for, which are of length one but for 2e-6."""
    matrix, vectors = symmetric([5.0, -4.0, 3.0, 0.1]), []
    result = iterate(Product(lambda vector: vectors.append(vector) or matrix @ vector, matrix[0]), seed=3)
    for vector, estimate, residual in zip(vectors, result.estimates, result.residuals, strict=True):
        assert estimate == pytest.approx((vector @ matrix @ vector).item(), rel=1e-12)
        assert residual == pytest.approx((matrix @ vector - estimate * vector).norm().item(), rel=1e-9)


@pytest.mark.parametrize("eigenvalues", [[5.0, 4.9, 4.5, 0.1], [5.0, *[4.0] * 30], [-5.0, 4.0, 1.0], [5.0, -4.4, 0.0]])
def test_the_residual_of_an_ordinary_spectrum_confirms_the_estimate(eigenvalues):
    """Close eigenvalues of one sign make it stop early, as PyHessian does, but where it has converged to its bounds."""
    result = iterate(symmetric(eigenvalues))
    assert result.converged
    assert result.residuals[-1] < 0.1 * abs(result.estimates[-1])


def test_at_most_a_hundred_products_by_default():
    result = iterate(symmetric([5.0, -5.0, 0.1, 0.2]))  # the two largest cancel: estimates wander and may not settle
    assert len(result.estimates) <= 100


def test_the_start_vector_follows_its_seed_and_leaves_the_global_generator_alone():
    matrix = symmetric([5.0, 4.0, 3.0, 0.1])
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    assert iterate(matrix, seed=1).estimates == iterate(matrix, seed=1).estimates
    assert torch.equal(torch.rand(2), expected)
    assert iterate(matrix, seed=1).estimates != iterate(matrix, seed=2).estimates


def test_a_product_that_is_not_finite_is_an_error():
    with pytest.raises(FloatingPointError, match="Hessian-vector product 0 is not finite"):
        power_iteration(torch.eye(3) * float("nan"))


# -- Hessians of functions ----------------------------------------------------------------------------------------


def cubic(point: torch.Tensor) -> torch.Tensor:
    """x^2 y + y^3 + 4 x z."""
    x, y, z = point
    return x**2 * y + y**3 + 4 * x * z


def test_dense_hessian_is_the_analytic_one():
    x, y = 2.0, 3.0
    expected = torch.tensor([[2 * y, 2 * x, 4], [2 * x, 6 * y, 0], [4, 0, 0]], dtype=torch.float64)
    hessian = dense_hessian(cubic, torch.tensor([x, y, -1.0], dtype=torch.float64))
    assert torch.equal(hessian, expected)


def test_dense_hessian_of_a_quadratic_is_its_symmetric_matrix():
    matrix = symmetric([5.0, -3.0, 2.0, 0.0])
    hessian = dense_hessian(lambda point: point @ matrix @ point / 2, torch.ones(4, dtype=torch.float64))
    assert torch.allclose(hessian, matrix, rtol=0, atol=1e-14)
    assert torch.allclose(hessian, hessian.T, rtol=0, atol=1e-14)


def test_products_are_the_dense_hessian_times_the_vector():
    point = torch.tensor([0.3, -1.2, 2.0], dtype=torch.float64)
    product = hessian_vector_product(cubic, point)
    for vector in torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2)):
        assert torch.allclose(product @ vector, dense_hessian(cubic, point) @ vector, rtol=0, atol=1e-13)
    assert not point.requires_grad


@pytest.mark.parametrize("kind", ["class weights", "batch norm"])
def test_a_loss_that_is_no_mean_over_images_is_taken_as_it_is(kind):
    """Of sorted images, the first ones alike; against finite differences of the gradient: h^2 = 1e-10 and rounding."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(30, 4, dtype=torch.float64, generator=generator).sort(0).values
    images[:8], labels = images[0], torch.arange(30) // 10
    norm = (
        torch.nn.BatchNorm1d(4, affine=False, track_running_stats=False).double()
        if kind == "batch norm"
        else torch.nn.Identity()
    )
    weight = torch.tensor([1.0, 5.0, 0.2], dtype=torch.float64) if kind == "class weights" else None

    def loss(flat):
        return cross_entropy(norm(images * flat[:4]) @ flat[4:].reshape(4, 3), labels, weight=weight)

    point = torch.randn(16, dtype=torch.float64, generator=generator)
    product = hessian_vector_product(loss, point.numpy())
    along = torch.randn(16, dtype=torch.float64, generator=generator)
    sides = [torch.func.grad(loss)(point + step * along) for step in (1e-5, -1e-5)]
    assert torch.allclose(product @ along, (sides[0] - sides[1]) / 2e-5, rtol=0, atol=1e-7)


# -- PyHessian as published ---------------------------------------------------------------------------------------


def test_agrees_with_pyhessian_by_its_own_double_backward(shapes):
    """PyHessian unmodified on the module itself, float32, against our products over chunks.

    Both stop at relative changes of 1e-6; the start vectors differ (PyHessian draws one a parameter). The errors left
    are those of the estimates, a few 1e-6, and of float32 derivatives, some 1e-5.
    """
    trainer = Trainer(PatchQNN(TINY), shapes)
    trainer.run_epoch()  # at the initial point the two largest eigenvalues lie too close
    model = trainer.model
    curvature = LossCurvature(model, shapes.train, chunk=25)
    ours = power_iteration(curvature.hessian, tolerance=1e-6, max_iterations=500)
    data = (shapes.train.images, shapes.train.labels)
    published = pyhessian.hessian(model, cross_entropy, data=data, cuda=False)
    eigenvalues, _ = published.eigenvalues(maxIter=500, tol=1e-6)
    assert ours.converged
    assert ours.eigenvalue == pytest.approx(eigenvalues[0], rel=1e-4)


@pytest.mark.parametrize(("tolerance", "max_iterations"), [(0.0, 10), (float("nan"), 10), (1e-3, 0)])
def test_an_iteration_that_could_not_run_is_refused(tolerance, max_iterations):
    with pytest.raises(ValueError, match=f"max_iterations is {max_iterations} and tolerance {tolerance}"):
        power_iteration(torch.eye(2), tolerance=tolerance, max_iterations=max_iterations)
