"""Eigenvalues of several copies, which one starting vector cannot see, against dense solvers in double precision."""

import numpy as np
import pytest
import torch
from quadratics import symmetric
from sklearn.datasets import load_digits
from torch.nn.functional import cross_entropy

from qpatch.curvature.missed import End, missed_vectors
from qpatch.curvature.outliers import count_outliers
from qpatch.curvature.power import dense_hessian, hessian_vector_product
from qpatch.curvature.products import CountedProduct, Product
from qpatch.curvature.spectrum import ConvergenceError, extreme_eigenpairs

BULK = np.linspace(-0.03, 0.03, 390)
SPECTRA = {  # with 5 of each end it reaches, more copies than that, or fewer, or within a group
    "five above": np.concatenate([np.ones(5), BULK]),
    "eight above": np.concatenate([np.ones(8), BULK]),
    "five above, a sixth near": np.concatenate([np.ones(5), [0.99], BULK]),
    "two and three": np.concatenate([[2.0, 2.0, 1.0, 1.0, 1.0], BULK]),
    # Not so far that the tolerance, relative to it, reaches the spacing of the bulk.
    "one far above, six near the bulk": np.concatenate([[10.0], np.full(6, 1.0), BULK]),
    "five at either end": np.concatenate([np.ones(5), -np.ones(5), BULK]),
    "five below": np.concatenate([[3.0, 2.0], -np.ones(5), BULK]),
    "a bulk of pairs": np.repeat(np.linspace(1, 3, 200) ** 3, 2),
    "nearly equal": np.concatenate([1 + 1e-5 * np.arange(5), BULK]),
}


def cycle(size: int) -> torch.Tensor:
    """Laplacian of a cycle: eigenvalues 2 - 2 cos(2 pi j / size), all but the outermost in pairs."""
    eye = torch.eye(size, dtype=torch.float64)
    return 2 * eye - eye.roll(1, 0) - eye.roll(-1, 0)


@pytest.fixture(scope="module")
def softmax():
    """The loss of a softmax regression on scikit-learn's digits, bias included, of its 650 weights."""
    digits = load_digits()
    inputs = torch.from_numpy(np.column_stack([digits.data / 16, np.ones(len(digits.data))]))
    targets = torch.from_numpy(digits.target)
    return lambda weights: cross_entropy(inputs @ weights.view(65, 10), targets)


def check_both_ends(matrix: torch.Tensor, k: int, smallest: int, tolerance: float = 1e-6) -> None:
    """Values within the tolerance, at a dense edge by nearly that; true residuals; orthonormal vectors."""
    exact, scale = np.linalg.eigvalsh(matrix.numpy()), torch.linalg.matrix_norm(matrix, 2).item()
    pairs = extreme_eigenpairs(matrix, k, smallest, tolerance)
    assert not pairs.dense
    assert np.abs(pairs.largest - exact[::-1][:k]).max() < tolerance * scale
    assert np.abs(pairs.smallest - exact[:smallest]).max(initial=0) < tolerance * scale
    vectors, values = pairs.largest_vectors, pairs.largest
    assert np.abs(vectors.T @ vectors - np.eye(k)).max() < 1e-8
    assert np.linalg.norm(matrix.numpy() @ vectors - values * vectors, axis=0).max() < tolerance * scale


@pytest.mark.parametrize(("k", "smallest"), [(5, 5), (5, 0), (7, 3), (3, 1)])
@pytest.mark.parametrize("eigenvalues", SPECTRA.values(), ids=SPECTRA)
def test_every_copy_is_found_at_both_ends(eigenvalues, k, smallest):
    check_both_ends(symmetric(eigenvalues), k, smallest)


@pytest.mark.parametrize("seed", range(5))
def test_every_copy_is_found_whatever_the_start(seed):
    pairs = extreme_eigenpairs(symmetric(SPECTRA["five above"], seed=seed + 2), k=5, smallest=0, seed=seed)
    assert pairs.largest == pytest.approx(np.ones(5), rel=1e-8)


@pytest.mark.parametrize(("size", "k", "smallest"), [(100, 6, 6), (200, 9, 1), (200, 4, 7)])
def test_the_pairs_of_a_cycle(size, k, smallest):
    check_both_ends(cycle(size), k, smallest)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_softmax_regression_at_zero_has_each_eigenvalue_nine_times(softmax, dtype):
    """Its Hessian is the inputs' second moments times (1 - 1 1' / 10) / 10. Single precision errs by some 1e-6."""
    exact = torch.linalg.eigvalsh(dense_hessian(softmax, torch.zeros(650, dtype=torch.float64))).flip(0).numpy()
    assert exact[:10] == pytest.approx([1.14435] * 9 + [0.06988], abs=1e-5)
    exactly = hessian_vector_product(softmax, torch.zeros(650, dtype=torch.float64))
    rounded = Product(lambda vector: (exactly @ vector.double()).to(dtype), torch.zeros(650, dtype=dtype))
    for k in (9, 10):
        pairs = extreme_eigenpairs(rounded, k=k, smallest=0)
        assert pairs.largest == pytest.approx(exact[:k], abs=1e-8 if dtype == torch.float64 else 1e-5)


@pytest.mark.parametrize(("eigenvalues", "expected"), [("five above", 5), ("two and three", 5)])
def test_outliers_of_several_copies_are_all_counted(eigenvalues, expected):
    pairs = extreme_eigenpairs(symmetric(SPECTRA[eigenvalues]), k=20, smallest=0)
    scale = pairs.largest[0]
    assert count_outliers(pairs.largest, pairs.largest_residuals * scale).count == expected


def test_a_softmax_regression_has_nine_outliers(softmax):
    product = hessian_vector_product(softmax, torch.zeros(650, dtype=torch.float64))
    pairs = extreme_eigenpairs(product, k=20, smallest=0)
    assert count_outliers(pairs.largest, pairs.largest_residuals * pairs.largest[0]).count == 9


# -- what it costs ------------------------------------------------------------------------------------------------


def like_a_qnns(size: int = 5000) -> torch.Tensor:
    """A power law that reaches from outliers to a bulk around zero, and a little below zero, as trained QNNs have."""
    upper = 4.0 / np.arange(1, 401)
    return torch.from_numpy(np.concatenate([upper, -np.geomspace(1e-6, 0.1, size - 400)]))


@pytest.mark.parametrize(("k", "smallest", "more"), [(20, 1, 1.1), (20, 0, 1.3), (1, 1, 1.0), (1, 0, 1.0)])
def test_the_search_costs_few_products_and_changes_nothing(monkeypatch, k, smallest, more):
    """As the spectrum stage calls it, a tenth more; one eigenvalue at an end needs none."""
    diagonal = like_a_qnns()
    product = Product(lambda vector: diagonal * vector, diagonal)
    searched = extreme_eigenpairs(product, k, smallest, tolerance=1e-4)
    monkeypatch.setattr("qpatch.curvature.spectrum.missed_vectors", lambda *given: np.empty((len(diagonal), 0)))
    alone = extreme_eigenpairs(product, k, smallest, tolerance=1e-4)
    assert alone.products <= searched.products <= more * alone.products
    assert np.array_equal(searched.largest, alone.largest)
    assert np.array_equal(searched.largest_vectors, alone.largest_vectors)


def test_the_same_seed_asks_for_the_same_products():
    """So that a killed spectrum finds those that it kept."""
    matrix = symmetric(SPECTRA["two and three"])

    def asked():
        vectors = []
        extreme_eigenpairs(Product(lambda v: vectors.append(v.clone()) or matrix @ v, matrix[0]), k=5, smallest=1)
        return torch.stack(vectors)

    assert torch.equal(asked(), asked())


def test_a_copy_that_has_not_converged_is_an_error():
    matrix, exact = cycle(100), np.linalg.eigvalsh(cycle(100).numpy())
    known = np.linalg.eigh(matrix.numpy())[1][:, [-5, -1]]
    end, start = End(1.0, exact[[-5, -1]], slack=1e-6), np.random.default_rng(0).standard_normal(100)
    with pytest.raises(ConvergenceError, match=r"several copies near 3.9\d+ had not converged .*raise max_products"):
        missed_vectors(CountedProduct(matrix), known, [end], start, patience=100, most=30, magnitude=4.0)
