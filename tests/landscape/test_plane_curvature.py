"""The Hessian within a plane: of quadratics, where it is known, and of a small QNN, by differentiating in the plane."""

import numpy as np
import pytest
import torch
from helpers import TINY
from quadratics import symmetric
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from qpatch.curvature.loss import LossCurvature
from qpatch.curvature.products import Estimate
from qpatch.landscape.plane_curvature import plane_curvature
from qpatch.landscape.planes import random_plane, spanned_plane
from qpatch.model.flat import flat_parameters, qnn_groups
from qpatch.model.qnn import PatchQNN

SPECTRUM = [9.0, 4.0, 1.0, 0.5, 0.0, -0.25, -6.0]
MATRIX = symmetric(SPECTRUM)
VALUES, VECTORS = np.linalg.eigh(MATRIX.numpy())  # ascending
ORIGIN = np.ones(7)


def test_restricted_hessian_of_a_quadratic():
    """Exact but for rounding: sums of 49 products of numbers up to 9, some 49 * 9 eps = 1e-13."""
    plane = random_plane(ORIGIN, seed=4)
    found = plane_curvature(MATRIX, plane)
    assert np.allclose(found.hessian, plane.axes @ MATRIX.numpy() @ plane.axes.T, rtol=0, atol=1e-10)
    assert np.array_equal(found.hessian, found.hessian.T)
    assert found.products == 2
    assert (found.of_trace, found.of_most) == (None, None)


@pytest.mark.parametrize(
    ("pair", "held"),
    [((9.0, 4.0), 13 / 15), ((9.0, -6.0), 1.0), ((1.0, 0.5), 1.5 / 15), ((0.0, -0.25), 0.25 / 15)],
)
def test_share_of_the_most_that_a_plane_can_hold(pair, held):
    """The two of largest magnitude are 9 and -6: the two algebraically largest hold less."""
    columns = [VECTORS[:, np.abs(VALUES - value).argmin()] for value in pair]
    found = plane_curvature(MATRIX, spanned_plane(ORIGIN, *columns), eigenvalues=np.array(SPECTRUM))
    assert found.of_most == pytest.approx(held, abs=1e-10)
    assert np.allclose(found.eigenvalues, sorted(pair, reverse=True), rtol=0, atol=1e-10)


def test_shares_do_not_depend_on_the_axes_of_the_plane():
    """Along the diagonals of 9 and -6 both second derivatives are 1.5, and the plane holds all it can all the same."""
    upper, lower = VECTORS[:, -1], VECTORS[:, 0]
    plane = spanned_plane(ORIGIN, upper + lower, upper - lower)
    found = plane_curvature(MATRIX, plane, eigenvalues=np.array(SPECTRUM))
    assert np.allclose(np.diag(found.hessian), 1.5, rtol=0, atol=1e-10)
    assert found.of_most == pytest.approx(1, abs=1e-10)


def test_no_plane_holds_more_than_the_most():
    shares = [
        plane_curvature(MATRIX, random_plane(ORIGIN, seed), eigenvalues=np.array(SPECTRUM)).of_most
        for seed in range(20)
    ]
    assert 0 < min(shares) < max(shares) <= 1


def test_share_of_the_trace_and_its_error():
    plane = spanned_plane(ORIGIN, VECTORS[:, -1], VECTORS[:, -2])
    found = plane_curvature(MATRIX, plane, trace=Estimate(8.0, 0.4, 60))
    assert found.of_trace.value == pytest.approx(13 / 8, abs=1e-10)  # above 1: negative curvatures are left out
    assert found.of_trace.error == pytest.approx(13 / 8 * 0.05, abs=1e-10)
    assert found.of_trace.products == 2 + 60
    exact = plane_curvature(MATRIX, plane, trace=sum(SPECTRUM)).of_trace
    assert (exact.value, exact.error) == (pytest.approx(13 / 8.25, abs=1e-10), 0)


def test_shares_over_all_coordinate_planes_add_up():
    """Three planes that are orthogonal to one another and a seventh direction share out the trace."""
    total = sum(SPECTRUM)
    units = np.eye(7)
    planes = [spanned_plane(ORIGIN, units[2 * i], units[2 * i + 1]) for i in range(3)]
    shares = [plane_curvature(MATRIX, plane, trace=total).of_trace.value for plane in planes]
    assert sum(shares) + MATRIX[6, 6].item() / total == pytest.approx(1, abs=1e-10)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trace": 0.0}, "the trace is 0, of which nothing is a share; leave it out"),
        ({"eigenvalues": np.array([9.0])}, "give two or more, not all 0"),
        ({"eigenvalues": np.zeros(3)}, "give two or more, not all 0"),
        ({"eigenvalues": np.array([1.0, 0.5])}, "holds curvatures of 13, more than the 1.5 of the two largest"),
    ],
)
def test_shares_of_nothing_are_refused(options, message):
    plane = spanned_plane(ORIGIN, VECTORS[:, -1], VECTORS[:, -2])
    with pytest.raises(ValueError, match=message):
        plane_curvature(MATRIX, plane, **options)


def test_products_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="the plane has 7 parameters, the Hessian 3; use the same ones"):
        plane_curvature(MATRIX[:3, :3], random_plane(ORIGIN))
    with pytest.raises(ValueError, match="the product is not symmetric"):
        plane_curvature(MATRIX + 5 * torch.ones(7, 7).triu(1).double(), random_plane(ORIGIN))
    with pytest.raises(FloatingPointError, match="product 0 is not finite"):
        plane_curvature(MATRIX * torch.nan, random_plane(ORIGIN))


def test_restricted_hessian_of_a_small_qnn(shapes):
    """Beside the second derivatives of ``loss(origin + x u + y v)`` by x and y, all in complex128.

    Both are exact but for rounding: n eps, with n = 300 or so some 1e-13 of the largest curvature, well below 1e-10.
    """
    model = PatchQNN(TINY).double()
    images, labels = shapes.train.images.double(), shapes.train.labels
    curvature = LossCurvature(model, shapes.train)
    point = flat_parameters(model) + 0.01  # a bias of zeros would get no part
    with torch.no_grad():
        model.angles += 0.01
        model.bias += 0.01
    plane = random_plane(point, 0, qnn_groups(TINY))
    origin, axes = torch.from_numpy(plane.origin), torch.from_numpy(plane.axes)

    def loss(xy):
        angles, bias = (origin + xy @ axes).split([model.angles.numel(), model.bias.numel()])
        moved = {"angles": angles.view_as(model.angles), "bias": bias.view_as(model.bias)}
        return cross_entropy(functional_call(model, moved, images), labels)

    expected = torch.autograd.functional.hessian(loss, torch.zeros(2, dtype=torch.float64)).numpy()
    found = plane_curvature(curvature.hessian, plane).hessian
    assert np.allclose(found, expected, rtol=0, atol=1e-10 * np.abs(expected).max())
