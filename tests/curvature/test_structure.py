"""Blocks, participation and overlaps of matrices with known structure, and of a small network."""

import numpy as np
import pytest
import torch
from curvlinops import GGNLinearOperator
from quadratics import SmallNetwork, symmetric

from book.show.tables import participation_ratio
from qpatch.curvature.power import dense_hessian
from qpatch.curvature.products import Product
from qpatch.curvature.spectrum import extreme_eigenpairs
from qpatch.curvature.structure import (
    block_product,
    explained,
    interactions,
    largest_of_blocks,
    participation,
    partition,
    rayleigh,
    subspace_overlap,
)

RTOL = 1e-10
SPECTRUM = np.concatenate([[20.0, 12.0], np.linspace(-2, 3, 98)])
GROUPS = {"first": slice(0, 60), "odd": np.arange(61, 100, 2), "even": range(60, 100, 2)}


@pytest.fixture(scope="module")
def matrix():
    return symmetric(SPECTRUM)


@pytest.fixture(scope="module")
def network():
    return SmallNetwork()


def without_cross_blocks(matrix: torch.Tensor) -> torch.Tensor:
    mask = torch.zeros_like(matrix)
    for chosen in partition(GROUPS, len(matrix)).values():
        mask[np.ix_(chosen, chosen)] = 1
    return matrix * mask


# -- blocks -------------------------------------------------------------------------------------------------------


def test_diagonal_blocks_are_those_of_the_matrix(matrix):
    for chosen in partition(GROUPS, 100).values():
        block = block_product(matrix, chosen)
        columns = torch.stack([block @ unit for unit in torch.eye(len(chosen), dtype=torch.float64)], dim=1)
        assert torch.allclose(columns, matrix[np.ix_(chosen, chosen)], rtol=0, atol=RTOL)


def test_largest_eigenvalues_of_the_blocks(matrix):
    calls = []
    product = Product(lambda v: calls.append(v) or matrix @ v, matrix[0])
    found, spent = largest_of_blocks(product, GROUPS, ("even", "first"))
    parts = partition(GROUPS, 100)
    expected = {name: np.linalg.eigvalsh(matrix[np.ix_(parts[name], parts[name])])[-1] for name in ("even", "first")}
    assert found == pytest.approx(expected, rel=1e-8)
    assert max(found.values()) < 20  # Cauchy's interlacing: never above the whole
    assert spent == len(calls)


def test_a_block_diagonal_matrix_has_nothing_across(matrix):
    blocks = without_cross_blocks(matrix)
    top = np.linalg.eigh(blocks.numpy())[1][:, -1]
    split = interactions(blocks, top, GROUPS)
    assert split.within == pytest.approx(1, abs=1e-10)
    assert participation_ratio(participation(top, GROUPS)) == pytest.approx(1, abs=1e-10)  # in one block alone


def test_two_equal_blocks_that_couple_share_their_top_eigenvector():
    """[[a, b], [b, a]]: top eigenvalue a + b, of which the blocks carry a / (a + b)."""
    matrix = torch.tensor([[3.0, 1.0], [1.0, 3.0]], dtype=torch.float64)
    groups, top = {"x": [0], "y": [1]}, np.full(2, 0.5**0.5)
    split = interactions(matrix, top, groups)
    assert split.total == pytest.approx(4)
    assert split.matrix == pytest.approx(np.array([[1.5, 0.5], [0.5, 1.5]]))
    assert split.within == pytest.approx(3 / 4)
    assert participation(top, groups) == pytest.approx([0.5, 0.5])
    assert participation_ratio(participation(top, groups)) == pytest.approx(2)


def test_interactions_split_the_quadratic_form(matrix):
    vector = np.linspace(-1, 2, 100)
    split = interactions(matrix, vector, GROUPS)
    parts = list(partition(GROUPS, 100).values())
    for row, left in enumerate(parts):
        for column, right in enumerate(parts):
            expected = vector[left] @ matrix.numpy()[np.ix_(left, right)] @ vector[right]
            assert split.matrix[row, column] == pytest.approx(expected, abs=RTOL)
    assert split.total == pytest.approx(vector @ matrix.numpy() @ vector, rel=1e-12)
    assert split.products == 3
    bare = without_cross_blocks(matrix).numpy()
    assert split.within == pytest.approx(vector @ bare @ vector / split.total, rel=1e-12)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"a": [0, 1], "b": [1, 2, 3]}, "1 parameters are not in exactly one group, the first is 1"),
        ({"a": [0, 1], "b": [3]}, "the first is 2"),
        ({"a": slice(0, 4), "b": []}, "'b' is empty"),
        ({"a": [0, 1, 2, 3, 4]}, "leaves the 4 parameters"),
        ({"a": [-1, 0, 1, 2]}, "leaves the 4 parameters"),
        ({}, "4 parameters are not in exactly one group"),
    ],
)
def test_groups_that_are_no_partition_are_refused(groups, message):
    with pytest.raises(ValueError, match=message):
        partition(groups, 4)


# -- vectors and subspaces ----------------------------------------------------------------------------------------


def test_participation_is_the_share_of_the_squared_norm():
    vector = torch.tensor([3.0, 0.0, 4.0, 0.0])
    shares = participation(vector, {"a": [0, 1], "b": [2], "c": [3]})
    assert shares == pytest.approx([9 / 25, 16 / 25, 0])
    assert participation_ratio(shares) == pytest.approx(625 / (81 + 256))
    assert participation_ratio([0.25] * 4) == pytest.approx(4)
    with pytest.raises(ValueError, match="vector of zeros"):
        participation(np.zeros(4), {"a": slice(None)})


def test_overlap_of_known_angles():
    """A line at 30 degrees to the plane, beside a vector within it."""
    basis = np.eye(5)[:, :2]
    tilted = np.array([np.cos(np.pi / 6), 0, np.sin(np.pi / 6), 0, 0])
    inside = np.array([0.0, 2.0, 0.0, 0.0, 0.0])
    result = subspace_overlap(basis, np.stack([tilted, inside, 3 * tilted - inside], axis=1))
    assert result.dimension == 2  # the third vector adds nothing
    assert result.cosines == pytest.approx([1, np.cos(np.pi / 6)])
    assert result.share == pytest.approx((1 + 3 / 4) / 2)
    assert result.expected == 2 / 5


def test_overlap_with_itself_and_with_the_rest():
    basis, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((30, 30)))
    assert subspace_overlap(basis[:, :5], basis[:, :5] @ np.diag([1, 2, 3, 4, 5])).share == pytest.approx(1)
    assert subspace_overlap(basis[:, :5], basis[:, 5:9]).share == pytest.approx(0, abs=1e-12)
    assert subspace_overlap(basis[:, :5], basis[:, :10]).share == pytest.approx(5 / 10)


def test_the_overlap_of_random_subspaces_is_as_expected():
    """Each of 50 draws has mean k / n; its standard deviation is below that of one vector, sqrt(2 k) / n = 0.045."""
    random = np.random.default_rng(1)
    draws = [
        subspace_overlap(np.linalg.qr(random.standard_normal((100, 10)))[0], random.standard_normal((100, 4)))
        for _ in range(50)
    ]
    assert draws[0].expected == 0.1
    assert np.mean([draw.share for draw in draws]) == pytest.approx(0.1, abs=3 * 0.045 / 50**0.5)


def test_what_overlaps_refuse():
    basis = np.eye(5)[:, :2]
    with pytest.raises(ValueError, match="both need n rows"):
        subspace_overlap(basis, np.ones((4, 2)))
    with pytest.raises(ValueError, match="both need n rows"):
        subspace_overlap(basis, np.ones(5))
    with pytest.raises(ValueError, match="not orthonormal"):
        subspace_overlap(2 * basis, np.ones((5, 1)))
    with pytest.raises(ValueError, match="span nothing"):
        subspace_overlap(basis, np.zeros((5, 1)))


# -- parts of a sum -----------------------------------------------------------------------------------------------


def test_gauss_newton_and_remainder_explain_a_networks_largest_eigenvalue(network):
    hessian = dense_hessian(network.loss, network.point)
    part = network.operator(GGNLinearOperator)
    gauss_newton = (part @ torch.eye(92, dtype=torch.float64)).numpy()
    values, vectors = np.linalg.eigh(hessian.numpy())
    top = vectors[:, -1]
    share = explained(part, hessian, top)
    assert rayleigh(hessian, 7 * top) == pytest.approx(values[-1], rel=RTOL)
    assert share == pytest.approx(top @ gauss_newton @ top / values[-1], rel=RTOL)
    assert 0 < share != pytest.approx(1, abs=1e-3)


def test_layers_as_groups_of_a_network(network):
    """The same split for single precision products: errors of some 1e-7 a product."""
    groups = {"hidden": slice(0, 56), "output": slice(56, 92)}
    hessian = network.operator()
    exact, _ = largest_of_blocks(hessian, groups, tuple(groups))
    rounded = Product(lambda v: (hessian @ v.double()).float(), network.point.float())
    single, _ = largest_of_blocks(rounded, groups, tuple(groups))
    assert single == pytest.approx(exact, rel=1e-5)
    whole = extreme_eigenpairs(hessian, 1, smallest=0).largest[0]
    assert max(exact.values()) < whole < sum(exact.values()) + 1e-9
