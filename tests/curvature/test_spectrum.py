"""Extreme eigenpairs and traces of matrices whose spectrum is known, of a small network, and of the QNN."""

import curvlinops
import numpy as np
import pyhessian
import pytest
import torch
from helpers import TINY
from oracles import FlatLoss, hessian_products, logits
from quadratics import SmallNetwork, symmetric
from torch import nn

from qpatch.config import RunConfig
from qpatch.curvature.loss import LossCurvature
from qpatch.curvature.power import dense_hessian, hessian_vector_product, power_iteration
from qpatch.curvature.products import Product
from qpatch.curvature.spectrum import ConvergenceError, extreme_eigenpairs, trace
from qpatch.data import Split, stratified_subset
from qpatch.files import PROJECT
from qpatch.model.qnn import PatchQNN
from qpatch.model.training import Trainer
from qpatch.runs.store import RunFolder

# More parameters than are ever written out whole, so that all these iterate.
SPECTRA = {
    "positive": np.linspace(1, 3, 120) ** 3,
    "indefinite": np.concatenate([[9.0, 7.0, 6.5], np.linspace(-1, 1, 114), [-4.0, -5.0, -8.0]]),
    "the largest magnitude is negative": np.concatenate([[3.0, 2.0, 1.5], np.linspace(-1, 1, 114), [-5, -6, -20]]),
    "negative": -(np.linspace(1, 3, 120) ** 3),
    "rank 5": np.concatenate([[8.0, 4.0, 2.0, 1.0, -3.0], np.zeros(115)]),
    "fivefold": np.concatenate([np.full(5, 4.0), np.linspace(-1, 1, 115)]),
    "identity": np.ones(120),
    "zero": np.zeros(120),
}


@pytest.fixture(scope="module")
def network():
    return SmallNetwork()


# -- both ends ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("eigenvalues", SPECTRA.values(), ids=SPECTRA)
def test_both_ends_of_known_spectra(eigenvalues):
    """An eigenvalue's error is below the residual, at most 1e-6 of the magnitude, and mostly near its square."""
    matrix = symmetric(eigenvalues)
    pairs = extreme_eigenpairs(matrix, k=4)
    ordered, scale = np.sort(eigenvalues), np.abs(eigenvalues).max() or 1.0
    assert not pairs.dense
    assert np.abs(pairs.largest - ordered[::-1][:4]).max() < 1e-8 * scale
    assert np.abs(pairs.smallest - ordered[:4]).max() < 1e-8 * scale
    for values, vectors, residuals in (
        (pairs.largest, pairs.largest_vectors, pairs.largest_residuals),
        (pairs.smallest, pairs.smallest_vectors, pairs.smallest_residuals),
    ):
        assert np.abs(vectors.T @ vectors - np.eye(4)).max() < 1e-8
        images = matrix.numpy() @ vectors
        assert np.linalg.norm(images - values * vectors, axis=0) / scale == pytest.approx(residuals, abs=1e-12)
        assert residuals.max() < 1e-6


@pytest.mark.parametrize(("k", "smallest"), [(3, 0), (2, 5), (5, 1)])
def test_the_two_ends_may_differ_in_number(k, smallest):
    eigenvalues = SPECTRA["indefinite"]
    pairs = extreme_eigenpairs(symmetric(eigenvalues), k=k, smallest=smallest)
    assert pairs.largest == pytest.approx(np.sort(eigenvalues)[::-1][:k], rel=1e-8)
    assert pairs.smallest == pytest.approx(np.sort(eigenvalues)[:smallest], rel=1e-8)
    assert pairs.smallest_vectors.shape == (120, smallest)


def test_products_are_counted_and_the_upper_end_alone_is_cheap():
    matrix, calls = symmetric(SPECTRA["indefinite"]), []

    def product(vector):
        calls.append(vector)
        return matrix @ vector

    both = extreme_eigenpairs(Product(product, matrix[0]), k=3)
    assert both.products == len(calls)
    upper = extreme_eigenpairs(Product(product, matrix[0]), k=3, smallest=0)
    assert upper.products == len(calls) - both.products < both.products


def test_the_start_follows_its_seed_and_the_global_generators_stay():
    matrix = symmetric(SPECTRA["positive"])
    states = np.random.get_state()[1].copy(), torch.get_rng_state()
    first, again, other = (extreme_eigenpairs(matrix, k=2, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(first.largest_vectors, again.largest_vectors)
    assert not np.array_equal(first.largest_vectors, other.largest_vectors)
    # Signs are fixed, so that another seed moves a vector by its residual over the gap only, some 1e-5 here.
    assert np.abs(first.largest_vectors - other.largest_vectors).max() < 1e-4
    assert np.array_equal(states[0], np.random.get_state()[1])
    assert torch.equal(states[1], torch.get_rng_state())


def test_a_single_precision_product_is_resolved_to_its_rounding():
    """float32 products err by some 1e-7 of the magnitude a component; eigenvalues by less than 1e-5 of it."""
    eigenvalues = SPECTRA["indefinite"]
    pairs = extreme_eigenpairs(symmetric(eigenvalues).to(torch.float32), k=3)
    assert np.abs(pairs.largest - [9.0, 7.0, 6.5]).max() < 1e-5 * 9
    assert np.abs(pairs.smallest - [-8.0, -5.0, -4.0]).max() < 1e-5 * 9
    assert pairs.largest_vectors.dtype == np.float64
    assert pairs.largest_residuals.max() < 1e-5


# -- small problems -----------------------------------------------------------------------------------------------


def test_one_parameter():
    pairs = extreme_eigenpairs(hessian_vector_product(lambda x: -3 * x[0] ** 2, torch.ones(1)), k=1)
    assert pairs.largest == pairs.smallest == [-6.0]
    assert pairs.largest_vectors == [[1.0]]
    assert pairs.products == 1


def test_a_saddle_of_two_parameters():
    """x^2 - 2 y^2."""
    product = hessian_vector_product(lambda x: x[0] ** 2 - 2 * x[1] ** 2, torch.zeros(2))
    pairs = extreme_eigenpairs(product, k=1)
    assert (pairs.largest, pairs.smallest) == ([2.0], [-4.0])
    assert np.array_equal(pairs.smallest_vectors, [[0.0], [1.0]])


@pytest.mark.parametrize("k", [1, 5, 6])
def test_up_to_all_eigenvalues_of_a_small_matrix(k):
    eigenvalues = np.array([5.0, 3.0, 1.0, 0.0, -2.0, -7.0])
    pairs = extreme_eigenpairs(symmetric(eigenvalues), k=k)
    assert pairs.dense
    assert pairs.products == 6
    assert pairs.largest == pytest.approx(eigenvalues[:k], abs=1e-13)
    assert pairs.smallest == pytest.approx(eigenvalues[::-1][:k], abs=1e-13)


# -- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"k": 7}, {"k": 1, "smallest": 7}])
def test_more_eigenvalues_than_parameters_are_refused(options):
    with pytest.raises(ValueError, match="7 eigenvalues of a loss of 6 parameters; ask for at most 6"):
        extreme_eigenpairs(symmetric(range(6)), **options)


@pytest.mark.parametrize("options", [{"k": 0}, {"k": 1, "smallest": -1}])
def test_no_eigenvalue_at_all_is_refused(options):
    with pytest.raises(ValueError, match="ask for one or more"):
        extreme_eigenpairs(symmetric(range(6)), **options)


@pytest.mark.parametrize("size", [6, 120])
def test_a_product_that_is_not_finite_is_named(size):
    calls = iter(range(1000))
    with pytest.raises(FloatingPointError, match="product 4 is not finite"):
        extreme_eigenpairs(Product(lambda v: v * (float("nan") if next(calls) == 4 else 1.0), torch.ones(size)), k=2)


@pytest.mark.parametrize("size", [6, 120])
def test_a_product_that_is_not_symmetric_is_refused(size):
    matrix = torch.triu(torch.ones(size, size, dtype=torch.float64))
    with pytest.raises(ValueError, match="not symmetric, or changes from call to call"):
        extreme_eigenpairs(matrix, k=2)


def test_a_product_with_noise_is_refused():
    """What dropout left on does to Hessian-vector products, past the check of the loss."""
    generator = torch.Generator().manual_seed(0)

    def product(vector):
        return vector * (torch.rand(120, generator=generator) < 0.5)

    with pytest.raises(ValueError, match="changes from call to call"):
        extreme_eigenpairs(Product(product, torch.zeros(120)), k=2)


def test_running_out_of_products_is_an_error_with_the_remedy():
    with pytest.raises(ConvergenceError, match=r"of 10 eigenvalues converged to 1e-12 .*raise max_products \(40\)"):
        extreme_eigenpairs(symmetric(SPECTRA["positive"]), k=5, tolerance=1e-12, max_products=40)


def test_a_product_of_another_shape_is_refused():
    with pytest.raises(ValueError, match="product 0 has shape"):
        extreme_eigenpairs(Product(lambda vector: vector[:-1], torch.ones(6)), k=1)


# -- networks -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["double backward", "curvlinops"])
def test_a_small_networks_ends_are_those_of_its_dense_hessian(network, way):
    ways = {"double backward": hessian_vector_product(network.loss, network.point), "curvlinops": network.operator()}
    pairs = extreme_eigenpairs(ways[way], k=4)
    expected = torch.linalg.eigvalsh(dense_hessian(network.loss, network.point)).numpy()
    assert not pairs.dense
    assert pairs.largest == pytest.approx(expected[::-1][:4], rel=1e-8)
    assert pairs.smallest == pytest.approx(expected[:4], abs=1e-8 * expected[-1])


def test_a_small_networks_largest_eigenvalue_by_pyhessian_and_curvlinops(network):
    """Both stop at 1e-6 or 1e-5 relative; PyHessian's normalisation adds 2e-6 (see test_hessian)."""
    product = hessian_vector_product(network.loss, network.point)
    ours = extreme_eigenpairs(product, k=1, smallest=0).largest[0]
    data = (network.inputs, network.targets)
    published = pyhessian.hessian(network.module, network.criterion, data=data, cuda=False)
    network.module.zero_grad()
    assert published.eigenvalues(maxIter=1000, tol=1e-8)[0][0] == pytest.approx(ours, rel=1e-5)
    iterated = power_iteration(product, tolerance=1e-8, max_iterations=1000)
    assert iterated.eigenvalue == pytest.approx(ours, rel=1e-5)
    theirs = extreme_eigenpairs(network.operator(), k=1, smallest=0)
    assert theirs.largest[0] == pytest.approx(ours, rel=1e-10)


FOUR = RunConfig(
    stride=1, depth=1, n_qubits=4, n_classes=5, image_size=5, n_train=20, n_test=10, batch_size=10
)  # 249 parameters


def test_the_qnns_ends_are_those_of_the_dense_circuit():
    generator = torch.Generator().manual_seed(2)
    split = Split(torch.rand(5, 5, 5, dtype=torch.float64, generator=generator), torch.arange(5) % 5)
    curvature = LossCurvature(PatchQNN(FOUR).double(), split, chunk=2)
    pairs = extreme_eigenpairs(curvature.hessian, k=5)
    units = torch.eye(len(curvature.point), dtype=torch.float64)
    dense = hessian_products(FlatLoss(FOUR, split.images, split.labels), curvature.point, units)
    expected = torch.linalg.eigvalsh(dense).numpy()
    assert not pairs.dense
    assert pairs.largest == pytest.approx(expected[::-1][:5], rel=1e-8)
    assert pairs.smallest == pytest.approx(expected[:5], rel=1e-8)


class DenseCircuit(nn.Module):
    """The dense circuit with its parameters in one vector: plain PyTorch, which function transforms pass through."""

    def __init__(self, point: torch.Tensor, config: RunConfig):
        super().__init__()
        self.point, self.config = nn.Parameter(point), config

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        config = self.config
        angles, bias = self.point.split([config.n_angles, config.image_size**2])
        side = (config.image_size, config.image_size)
        return logits(angles.view(config.n_patches, -1), bias.view(side), images, config)


def check_every_way_to_the_largest_eigenvalue(model: PatchQNN, split: Split) -> None:
    """float32 as trained: `eigsh`'s residual stays below 1e-4, and PyHessian and curvlinops come within 1 % of it.

    curvlinops gets the dense circuit: an oracle of the engine at the same time.
    """
    curvature = LossCurvature(model, split)
    pairs = extreme_eigenpairs(curvature.hessian, k=1, smallest=0, tolerance=1e-5)
    ours = pairs.largest[0]
    assert pairs.largest_residuals[0] < 1e-4
    iterated = power_iteration(curvature.hessian, tolerance=1e-5, max_iterations=500)
    assert iterated.eigenvalue == pytest.approx(ours, rel=0.01)
    data = (split.images, split.labels)
    published = pyhessian.hessian(model, nn.CrossEntropyLoss(), data=data, cuda=False)
    assert published.eigenvalues(maxIter=500, tol=1e-5)[0][0] == pytest.approx(ours, rel=0.01)
    circuit = DenseCircuit(curvature.point.double(), model.config)
    batches = [(split.images.double(), split.labels)]
    operator = curvlinops.HessianLinearOperator(
        circuit, nn.CrossEntropyLoss(), [circuit.point], batches, check_deterministic=False
    )
    top = torch.from_numpy(pairs.largest_vectors[:, 0].copy())
    image = operator @ top  # its Hessian, too, has an eigenvalue within the residual
    assert (top @ image).item() == pytest.approx(ours, rel=1e-4)
    assert (image - ours * top).norm() < 1e-3 * ours


def test_on_a_trained_qnn_every_way_to_the_largest_eigenvalue_agrees(shapes):
    trainer = Trainer(PatchQNN(TINY), shapes)
    for _ in range(TINY.epochs):
        trainer.run_epoch()
    check_every_way_to_the_largest_eigenvalue(trainer.model, shapes.train)


@pytest.mark.slow
def test_on_the_papers_own_model_every_way_to_the_largest_eigenvalue_agrees(mnist):
    """Stride 6, depth 50, as its fifty epochs left it, on ten of its images."""
    model = RunFolder(RunConfig(), PROJECT / "data" / "results").model()
    check_every_way_to_the_largest_eigenvalue(model, stratified_subset(mnist.train, 10))


# -- trace --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("eigenvalues", [SPECTRA["positive"], SPECTRA["indefinite"], SPECTRA["negative"]])
def test_the_trace_lies_within_its_errors_and_these_are_honest(eigenvalues):
    """Over 40 seeds the deviations, in units of their own errors (19 degrees of freedom), have mean square 1.1.

    The mean of 40 such squares scatters by sqrt(2.6 / 40) = 0.25; three times that is allowed.
    """
    matrix = symmetric(eigenvalues)
    results = [trace(matrix, products=60, seed=seed) for seed in range(40)]
    deviations = np.array([(result.value - eigenvalues.sum()) / result.error for result in results])
    assert abs(deviations[0]) < 3
    assert np.mean(deviations**2) == pytest.approx(1.1, abs=0.75)
    assert all(result.products == 60 for result in results)


def test_the_trace_of_a_matrix_of_low_rank_is_exact():
    result = trace(symmetric(SPECTRA["rank 5"]), products=30)
    assert result.value == pytest.approx(12.0, rel=1e-12)
    assert result.error < 1e-12


@pytest.mark.parametrize("products", [120, 1000])
def test_with_as_many_products_as_parameters_the_trace_is_exact(products):
    result = trace(symmetric(SPECTRA["indefinite"]), products=products)
    assert result.value == pytest.approx(SPECTRA["indefinite"].sum(), abs=1e-12)
    assert (result.error, result.products) == (0.0, 120)


def test_curvlinops_estimates_the_same_trace_of_a_small_network(network):
    product, operator = hessian_vector_product(network.loss, network.point), network.operator()
    ours, exact = trace(product, products=60), trace(product, products=92)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        theirs = curvlinops.hutchpp_trace(operator, 60).item()
    assert ours.error > 0
    assert abs(ours.value - exact.value) < 3 * ours.error
    assert abs(theirs - exact.value) < 3 * ours.error  # the same method with the same budget


def test_a_budget_without_error_is_refused():
    with pytest.raises(ValueError, match="products is 5"):
        trace(symmetric(range(10)), products=5)
