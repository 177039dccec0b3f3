"""What is taken for a matrix that multiplies vectors, and what is kept of its products."""

import time

import numpy as np
import pytest
import torch
from quadratics import SmallNetwork, symmetric

from qpatch.curvature.power import dense_hessian, hessian_vector_product
from qpatch.curvature.products import CountedProduct, KeptProducts, Product
from qpatch.files import Kept


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_tensor_a_function_and_an_operator_of_curvlinops_are_one_matrix(dtype, tmp_path):
    """Their dense matrices, built from products: to the rounding of the dtype, of entries of order one."""
    network = SmallNetwork()
    expected = dense_hessian(network.loss, network.point)
    network.module.to(dtype)
    network.inputs = network.inputs.to(dtype)
    tensor = expected.to(dtype)
    function = hessian_vector_product(network.loss, network.point)
    operators = (tensor, function, network.operator(), KeptProducts(tensor, Kept(tmp_path), "tensor"))
    for operator in operators:
        counted = CountedProduct(operator)
        assert (counted.size, counted.precision) == (92, torch.finfo(dtype).eps)
        assert np.abs(counted.dense() - expected.numpy()).max() < 10 * torch.finfo(dtype).eps
        assert counted.count == 92


def test_a_product_multiplies_as_its_function_does():
    double = Product(lambda vector: 2 * vector, torch.zeros(3, dtype=torch.float64))
    assert (double.shape, double.dtype, double.device) == ((3, 3), torch.float64, torch.device("cpu"))
    assert torch.equal(double @ torch.ones(3), 2 * torch.ones(3))


@pytest.mark.parametrize("like", [torch.zeros(0), torch.zeros(2, 2), torch.tensor(1.0)])
def test_what_is_no_vector_of_parameters_is_refused(like):
    with pytest.raises(ValueError, match=r"vectors \(n,\) of one or more parameters, not"):
        Product(lambda vector: vector, like)


def test_a_matrix_that_is_not_square_is_refused():
    with pytest.raises(ValueError, match=r"shape \(3, 4\); give a symmetric one"):
        CountedProduct(symmetric([1.0, 2.0, 3.0, 4.0])[:3])


def test_kept_products_say_what_they_took(tmp_path):
    vector = torch.arange(3.0)
    kept = KeptProducts(Product(lambda v: time.sleep(0.01) or 2 * v, vector), Kept(tmp_path), "kept", least_seconds=0)
    assert torch.equal(kept @ vector, 2 * vector)
    assert kept.earlier == 0
    again = KeptProducts(Product(lambda v: 3 * v, vector), Kept(tmp_path), "kept")
    assert torch.equal(again @ vector, 2 * vector)
    assert again.earlier >= 0.01
    assert torch.equal(again @ (vector + 1), 3 * (vector + 1))
    assert len(list((tmp_path / "kept").iterdir())) == 1  # the second was too fast to be worth a file
