"""Lanczos and its quadrature: exact where theory says so, within their errors elsewhere."""

import numpy as np
import pytest
import torch
from curvlinops.papyan2020traces.spectrum import fast_lanczos
from quadratics import SmallNetwork, semicircle, symmetric

from book.show.spectra import symlog_edges
from qpatch.curvature.density import histogram, lanczos, spectral_density
from qpatch.curvature.power import dense_hessian
from qpatch.curvature.products import Product

INDEFINITE = np.concatenate([[9.0, 7.0], np.linspace(-1, 1, 95), [-4.0, -5.0, -8.0]])


def start_of(size: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).choice([-1.0, 1.0], size=size)


def measure(matrix: torch.Tensor, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues and the squared overlaps of their eigenvectors with the normalised start vector."""
    values, vectors = np.linalg.eigh(matrix.numpy())
    return values, (start / np.linalg.norm(start) @ vectors) ** 2


# -- Lanczos ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [1, 2, 7, 15])
def test_m_steps_integrate_polynomials_up_to_degree_2m_minus_1_exactly(steps):
    matrix, start = symmetric(INDEFINITE), start_of(100)
    ritz = lanczos(matrix, steps, start)
    values, weights = measure(matrix, start)
    for power in range(2 * steps):
        assert ritz.weights @ (ritz.values / 9) ** power == pytest.approx(weights @ (values / 9) ** power, abs=1e-13)
    assert ritz.weights.sum() == pytest.approx(1, abs=1e-14)
    assert (ritz.products, ritz.complete) == (steps, False)


def test_residuals_tell_which_ritz_values_are_eigenvalues():
    """Within each residual lies an eigenvalue; the outer ones are found, the inner ones are not."""
    ritz = lanczos(symmetric(INDEFINITE), 15, start_of(100))
    distances = np.abs(ritz.values[:, None] - INDEFINITE).min(axis=1)
    assert (distances <= ritz.residuals + 1e-13).all()
    assert (ritz.residuals[[0, 1, 2, -2, -1]] < 1e-3).all()
    assert ritz.residuals[5:10].min() > 1e-2


def test_all_steps_give_all_eigenvalues_without_ghosts():
    """Without reorthogonalisation converged eigenvalues would come up again; 100 steps for 100 of them show none."""
    matrix, start = symmetric(INDEFINITE), start_of(100)
    ritz = lanczos(matrix, 1000, start)
    values, weights = measure(matrix, start)
    assert ritz.complete
    assert ritz.products == 100
    assert ritz.values == pytest.approx(values, abs=1e-12)
    assert ritz.weights == pytest.approx(weights, abs=1e-10)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(
    ("eigenvalues", "distinct"),
    [
        (np.concatenate([[8.0, 4.0, -2.0], np.zeros(97)]), [-2, 0, 4, 8]),
        (np.ones(100), [1]),
        (np.zeros(100), [0]),
        (np.concatenate([np.full(50, 3.0), np.full(50, -1.0)]), [-1, 3]),
    ],
)
def test_it_stops_where_the_start_vector_reaches_no_further(eigenvalues, distinct, dtype):
    """One step for each distinct eigenvalue; what follows would be rounding taken for spectrum."""
    ritz = lanczos(symmetric(eigenvalues).to(dtype), 80, start_of(100))
    assert ritz.complete
    assert len(ritz.values) == len(distinct)
    assert ritz.values == pytest.approx(distinct, abs=1e-5 if dtype == torch.float32 else 1e-12)


def test_agrees_with_curvlinops_before_orthogonality_is_lost():
    """Its Lanczos draws its own start, here made the same by the same seed, and does not reorthogonalise."""
    matrix = symmetric(INDEFINITE)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        start = torch.randn(100, dtype=torch.float64)
        torch.manual_seed(5)
        values, vectors = fast_lanczos(matrix, 10)
    ritz = lanczos(matrix, 10, start.numpy())
    assert ritz.values == pytest.approx(values.numpy(), abs=1e-9)
    assert ritz.weights == pytest.approx(vectors[0].numpy() ** 2, abs=1e-9)


def test_what_lanczos_refuses():
    matrix = symmetric(INDEFINITE)
    for steps, start in ((0, start_of(100)), (5, np.zeros(100)), (5, start_of(99))):
        with pytest.raises(ValueError, match=r"take one or more, from a nonzero \(n,\)"):
            lanczos(matrix, steps, start)
    with pytest.raises(FloatingPointError, match="product 0 is not finite"):
        lanczos(matrix * float("inf"), 5, start_of(100))
    with pytest.raises(ValueError, match="not symmetric"):
        lanczos(torch.triu(symmetric(INDEFINITE)), 5, start_of(100))


# -- density ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("power", [1, 2, 3])
def test_moments_lie_within_three_of_their_errors(power):
    density = spectral_density(symmetric(INDEFINITE), steps=20, probes=10)
    moment = density.moment(power)
    assert 0 < moment.error < np.mean(np.abs(INDEFINITE) ** power)
    assert abs(moment.value - np.mean(INDEFINITE**power)) < 3 * moment.error
    assert moment.products == density.products == 200


def test_a_small_networks_first_moments_are_those_of_its_dense_hessian():
    network = SmallNetwork()
    eigenvalues = torch.linalg.eigvalsh(dense_hessian(network.loss, network.point)).numpy()
    density = spectral_density(network.operator(), steps=20, probes=8)
    for power in (1, 2, 3, 4):
        moment = density.moment(power)
        assert abs(moment.value - np.mean(eigenvalues**power)) < 3 * moment.error


@pytest.mark.parametrize("probes", [2, 10])
def test_moments_errors_are_honest(probes):
    """Over 40 seeds, deviations in units of their errors have mean square 1 (or less: the errors are upper bounds).

    The mean of 40 squares of variance 2 scatters by 0.22; three times that is allowed. Two probes are enough for that.
    """
    matrix = symmetric(INDEFINITE)
    moments = [spectral_density(matrix, steps=5, probes=probes, seed=seed).moment(2) for seed in range(40)]
    squares = [((moment.value - np.mean(INDEFINITE**2)) / moment.error) ** 2 for moment in moments]
    assert np.mean(squares) == pytest.approx(1, abs=0.67)


def test_probes_follow_the_seed_and_differ():
    matrix = symmetric(INDEFINITE)
    first, again, other = (spectral_density(matrix, 5, 2, seed) for seed in (0, 0, 1))
    assert np.array_equal(first.probes[1].weights, again.probes[1].weights)
    assert not np.array_equal(first.probes[0].weights, first.probes[1].weights)
    assert not np.array_equal(first.probes[0].weights, other.probes[0].weights)


def test_never_more_steps_than_parameters_and_one_parameter_is_enough():
    density = spectral_density(Product(lambda vector: -3 * vector, torch.ones(1)), steps=80, probes=2)
    assert density.products == 2
    assert density.moment(1).value == -3
    assert all(probe.complete and probe.weights == [1] for probe in density.probes)


def test_one_probe_has_an_error_too_and_none_is_refused():
    matrix = symmetric(INDEFINITE)
    moment = spectral_density(matrix, 5, 1).moment(1)
    assert abs(moment.value - INDEFINITE.mean()) < 3 * moment.error
    with pytest.raises(ValueError, match="0 probes"):
        spectral_density(matrix, 5, 0)


# -- what to draw -------------------------------------------------------------------------------------------------


def scatter(n_eigenvalues: np.ndarray, n_probes: int) -> np.ndarray:
    """Standard error of the number of eigenvalues in a bin that truly holds m of n = 100.

    The bin's weight is the squared norm of m of n components of a random unit vector: its variance is
    2 m (n - m) / (n^2 (n + 2)), and the estimate puts n for n + 2.
    """
    return np.sqrt(2 * n_eigenvalues * (100 - n_eigenvalues) / 102 / n_probes)


def test_a_histogram_counts_eigenvalues():
    """In the gaps to the probes' scatter; within the bulk, a node's weight more may fall to either side, here 3."""
    density = spectral_density(symmetric(INDEFINITE), steps=40, probes=30)
    edges = np.array([-10.0, -3.0, -0.5, 0.5, 2.0, 10.0])
    result = histogram(density, edges)
    expected, _ = np.histogram(INDEFINITE, edges)
    assert result.counts.sum() == pytest.approx(100, rel=1e-12)
    assert (np.abs(result.counts - expected) <= 3 * scatter(expected, 30) + np.array([0, 3, 3, 3, 0])).all()
    assert result.error == pytest.approx(scatter(expected, 30), rel=0.2)


def test_symlog_bins_hold_every_node_and_none_is_narrower_than_the_resolution():
    density = spectral_density(symmetric(INDEFINITE), steps=40, probes=2)
    edges = symlog_edges(density)
    assert density.resolution == pytest.approx(17 / 40, rel=1e-6)  # eigenvalues from -8 to 9
    assert np.diff(edges).min() > density.resolution
    assert histogram(density, edges).counts.sum() == pytest.approx(100, rel=1e-12)
    fine = symlog_edges(density, linear=0.01, per_decade=10)
    assert fine[(fine > 0)][:2] == pytest.approx([0.01, 0.01 * 10**0.1])
    assert -8 * 10**0.1 <= fine[0] <= -8
    assert 9 <= fine[-1] <= 9 * 10**0.1
    for linear, per_decade in ((0.0, 3), (1.0, 0)):
        with pytest.raises(ValueError, match="both must be positive"):
            symlog_edges(density, linear, per_decade)


@pytest.mark.parametrize("eigenvalue", [0.0, -2.0])
def test_bins_of_a_spectrum_of_one_eigenvalue(eigenvalue):
    density = spectral_density(Product(lambda vector: eigenvalue * vector, torch.ones(7)), probes=2)
    assert histogram(density, symlog_edges(density)).counts.sum() == pytest.approx(7)


def test_a_narrow_bulk_stays_narrow():
    """No smoothing: 199 eigenvalues within 0.01 of zero stay there, beside one at 10, after a few steps."""
    eigenvalues = np.append(semicircle(199, 0.01), 10.0)
    density = spectral_density(symmetric(eigenvalues), steps=10, probes=2)
    result = histogram(density, np.array([-0.0101, 0.0101, 9.999, 10.001]))
    assert result.counts[1] < 1e-9
    assert result.counts[0] == pytest.approx(199, abs=3)  # the outlier's count of 1 scatters by sqrt(2 / 2)
    assert result.counts.sum() == pytest.approx(200, rel=1e-12)
