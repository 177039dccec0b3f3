"""The rule that counts outliers: m of them on a bulk give m, none give none, whatever the way to the eigenvalues."""

import numpy as np
import pytest
from quadratics import semicircle, symmetric

from qpatch.curvature.outliers import count_outliers
from qpatch.curvature.spectrum import extreme_eigenpairs

SIZE = 300
CASES = {
    "none": [],
    "one": [4.0],
    "one near the edge": [1.3],
    "ten, from far to near": list(np.geomspace(50, 2, 10)),
    "ten alike": list(np.linspace(6, 5, 10)),
    "one far beyond the others": [1000.0, 10.0, 9.0, 8.0],
}


def spectrum(outliers: list[float], lower: list[float] = ()) -> np.ndarray:
    """A semicircle of radius 1 with these outliers."""
    return np.concatenate([outliers, semicircle(SIZE - len(outliers) - len(lower)), lower])


@pytest.mark.parametrize("outliers", CASES.values(), ids=CASES)
def test_m_outliers_on_a_bulk_are_m(outliers):
    eigenvalues = spectrum(outliers)
    result = count_outliers(eigenvalues)
    assert result.count == len(outliers)
    assert result.values == pytest.approx(outliers)
    assert result.edge == pytest.approx(1, abs=0.05)  # the semicircle's outermost quantile
    assert count_outliers(eigenvalues, end="lower").count == 0


@pytest.mark.parametrize("outliers", CASES.values(), ids=CASES)
def test_the_outermost_eigenvalues_alone_give_the_same(outliers):
    pairs = extreme_eigenpairs(symmetric(spectrum(outliers)), k=20, smallest=0)
    scale = np.abs(pairs.largest).max()
    assert count_outliers(pairs.largest, pairs.largest_residuals * scale).count == len(outliers)


def test_both_ends_of_an_indefinite_spectrum():
    eigenvalues = spectrum([5.0, 4.0, 3.0], lower=[-3.0, -7.0])
    assert count_outliers(eigenvalues).values == pytest.approx([5, 4, 3])
    lower = count_outliers(eigenvalues, end="lower")
    assert lower.values == pytest.approx([-7, -3])
    assert lower.edge == pytest.approx(-1, abs=0.05)


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_the_scale_does_not_matter(factor):
    assert count_outliers(factor * spectrum([5.0, 4.0, 3.0])).count == 3


@pytest.mark.parametrize("power", [0.5, 1, 3])
def test_a_power_law_has_no_outliers(power):
    """Its first gap is the widest, log 2 over (log 6) / 10 at any power: 3.9, less than 5."""
    result = count_outliers(np.arange(1.0, 301.0) ** -power)
    assert result.count == 0
    assert result.scores.max() == pytest.approx(10 * np.log(2) / np.log(6), rel=0.1)


@pytest.mark.parametrize(
    "draw",
    [
        lambda random: (lambda a: a + a.T)(random.standard_normal((200, 200))),
        lambda random: (lambda a: a.T @ a)(random.standard_normal((400, 200))),
    ],
    ids=["GOE", "Wishart"],
)
def test_random_matrices_seldom_seem_to_have_outliers(draw):
    """A few in a hundred pass, as the module says; 5 or more of 50 are unlikely (below 10 % at a rate of 5 %)."""
    random = np.random.default_rng(0)
    counts = [count_outliers(np.linalg.eigvalsh(draw(random))).count for _ in range(50)]
    assert np.count_nonzero(counts) < 5


def test_a_matrix_of_low_rank_has_its_rank_of_outliers():
    eigenvalues = np.concatenate([[5.0, 3.0, 2.0], np.zeros(97)])
    assert count_outliers(eigenvalues).count == 3


def test_what_is_not_resolved_is_not_counted():
    """A Ritz value that is off by 1 % may be spectrum or not; the bulk then begins no further in than it might lie."""
    eigenvalues, residuals = spectrum([5.0, 4.0, 3.0]), np.zeros(SIZE)
    residuals[2] = 0.03
    result = count_outliers(eigenvalues, residuals)
    assert result.resolved == 2
    assert result.count == 0  # the gap between 4 and 3 is none
    residuals[2] = 0.003
    assert count_outliers(eigenvalues, residuals).count == 3
    residuals[-1] = 1.5  # the bulk's edge, near 1, may lie at 2.5
    assert count_outliers(eigenvalues, residuals).edge == pytest.approx(2.5, abs=0.05)
    assert count_outliers(np.array([2.0, 1.0]), np.array([1e-4, 0.0])).edge == 2.0001  # where there are none, too


@pytest.mark.parametrize(
    "eigenvalues", [[3.0], [5.0, 1.0], [5.0, 4.0, 1.0, 0.0], np.zeros(50), np.ones(50), -np.linspace(1, 2, 50)]
)
def test_few_equal_or_negative_eigenvalues_have_no_outliers_above(eigenvalues):
    result = count_outliers(np.array(eigenvalues))
    assert result.count == 0
    assert result.edge == max(eigenvalues)


def test_what_is_refused():
    with pytest.raises(ValueError, match="end 'top'"):
        count_outliers(np.ones(3), end="top")
    with pytest.raises(ValueError, match="one or more eigenvalues"):
        count_outliers(np.array([]))
    with pytest.raises(ValueError, match="a residual each"):
        count_outliers(np.ones(3), np.ones(2))
    with pytest.raises(ValueError, match="not finite"):
        count_outliers(np.array([1.0, np.nan]))
