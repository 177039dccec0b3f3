"""What the answers about curvature are held against: eigenvalues, Lanczos, traces, the Gauss-Newton matrix."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from book.checks.classroom import largest_eigenvalue, small_config
from book.checks.compare import AnswerError, call, fail_unless, same, same_function, to_number, to_values
from qpatch.config import RunConfig
from qpatch.curvature.density import lanczos
from qpatch.curvature.loss import LossCurvature
from qpatch.curvature.power import dense_hessian
from qpatch.curvature.spectrum import extreme_eigenpairs
from qpatch.curvature.structure import block_product
from qpatch.data import load_dataset
from qpatch.model.qnn import PatchQNN
from qpatch.runs.published import reference_table

# Relative tolerance for a figure of the same small run trained again: where sums are taken in another order the
# eigenvalue moves by less than 2e-5 of itself, and those that an exercise compares differ by 10 per cent and more.
SAME_RUN = 1e-2


def _symmetric(eigenvalues, seed: int = 0) -> np.ndarray:
    size = len(eigenvalues)
    basis = np.linalg.qr(np.random.default_rng(seed).normal(size=(size, size)))[0]
    return basis @ np.diag(eigenvalues) @ basis.T


def _step(step):
    row = reference_table("runs").query("n_patches == 4 and depth == 200").iloc[0]
    # The largest step at which the error 1 - step * lambda of plain descent does not grow.
    same(step, 2 / row["lambda_max"], 1e-3, "the step")


def _folds(overall):
    def expected(means, sizes):
        return np.average(means, axis=0, weights=sizes)

    sizes = np.array([1, 2, 7])
    gradients = np.array([[1.0, -3.0], [2.0, 0.5], [4.0, 8.0]])
    slips = {
        "do all parts count alike, though they differ in size?": lambda means, sizes: np.mean(means, axis=0),
        "is the sum of all images divided by their number?": lambda means, sizes: sizes @ means,
        "are means added?": lambda means, sizes: np.sum(means, axis=0),
    }
    same_function(overall, expected, [(np.array([1.0, 2.0, 4.0]), sizes), (gradients, sizes)], slips=slips)


def _power(largest):
    for eigenvalues in ([5, 2, 1, 0, -3], [3, 2, 1, 0, -5], [-1, -2, -3, -4, -6]):
        matrix = _symmetric(np.array(eigenvalues, float))
        found = to_number(call(largest, lambda v, matrix=matrix: matrix @ v, len(matrix), what="largest"))
        fail_unless(
            not np.isclose(found, min(eigenvalues), rtol=1e-3),
            "this is the eigenvalue of largest magnitude, but a negative one; the largest is asked for, with its sign",
        )
        off = abs(found / max(eigenvalues) - 1)
        fail_unless(not 1e-3 < off < 0.03, "the largest eigenvalue is nearly right: are these enough products?")
        shifted = max(eigenvalues) - min(eigenvalues)
        slips = {"is it an eigenvalue of a shifted matrix, with the shift not undone?": shifted}
        same(found, max(eigenvalues), 1e-3, "the largest eigenvalue", slips)


def _lanczos(answer):
    matrix = _symmetric(np.concatenate([np.linspace(-0.5, 0.5, 40), [3, 7]]))
    start = np.random.default_rng(1).normal(size=len(matrix))

    def product(vector):
        return matrix @ vector

    found = call(answer, product, start, 15, what="lanczos")
    fail_unless(isinstance(found, (tuple, list)) and len(found) == 2, "lanczos returns two arrays, alpha and beta")
    alpha, beta = to_values(found[0], "alpha"), to_values(found[1], "beta")
    fail_unless(alpha.shape == (15,) and beta.shape == (14,), "for 15 steps alpha has 15 entries and beta 14")
    wanted = lanczos(torch.from_numpy(matrix), 15, start)
    first = start @ product(start)
    slips = {"has q_1 length one?": first}
    same(alpha[0], first / (start @ start), what="the first entry of alpha", slips=slips)
    nodes = np.linalg.eigvalsh(np.diag(alpha) + np.diag(beta, 1) + np.diag(beta, -1))
    try:
        same(nodes, wanted.values, 1e-6, "the spectrum of the tridiagonal matrix")
    except AnswerError as error:
        question = "is each beta the norm of a rest, and do the vectors stay orthogonal to all before them?"
        raise AnswerError(f"{error}; {question}") from None


def _trace(samples):
    matrix = _symmetric(np.linspace(-1, 3, 12), seed=3)
    n_samples = 4000
    found = to_values(call(samples, lambda v: matrix @ v, len(matrix), n_samples, what="samples"), "the samples")
    fail_unless(found.shape == (n_samples,), f"give {n_samples} samples in an array of one axis")
    variance = 2 * (np.sum(matrix**2) - np.sum(np.diag(matrix) ** 2))
    error = (variance / n_samples) ** 0.5
    fail_unless(
        abs(found.mean() - np.trace(matrix)) < 5 * error,
        "the mean is further from the trace than chance explains; are the vectors normalised, all the same, or the"
        " signs not even?",
    )
    spread = found.var() / variance
    fail_unless(spread > 0.8, "the samples vary too little; is each one of a fresh vector, and none of them a mean?")
    fail_unless(spread < 1.2, "the samples vary more than random signs would make them; are they normal deviates?")


def _noise(ratio):
    value = to_number(ratio, "the ratio")
    fail_unless(value > 0, "the loss falls under noise; was the loss at the point itself taken away?")
    pairs = "was every draw taken with both signs?"
    fail_unless(
        value < 1.2, f"the rise is too large; does the prediction have its factor 1/2, and sigma squared, and {pairs}"
    )
    fail_unless(
        value > 0.85,
        f"the rise is too small; is the prediction divided by two, sigma as small as asked for, and {pairs}",
    )


def _alike(copies):
    rows = np.random.default_rng(1).normal(size=(9, 3))
    single = rows.T @ rows
    for n_patches in (1, 4):
        block = single / n_patches**2
        wanted = np.block([[block] * n_patches] * n_patches)
        same(call(copies, single, n_patches, what="copies"), wanted, what=f"the matrix of {n_patches} copies")


def _gauss_newton(answer):
    generator = np.random.default_rng(2)

    def expected(jacobian, logits):
        point = torch.zeros(jacobian.shape[1], dtype=torch.float64)
        jacobian, logits = torch.from_numpy(jacobian), torch.from_numpy(logits)
        label = torch.tensor(1)
        return dense_hessian(lambda theta: cross_entropy(jacobian @ theta + logits, label), point)

    def sandwich(inner):
        def product(jacobian, logits):
            return jacobian.T @ inner(torch.softmax(torch.from_numpy(logits), 0).numpy()) @ jacobian

        return product

    slips = {
        "is the outer product of pi missing?": sandwich(np.diag),
        "is pi the softmax, its sum one?": lambda jacobian, logits: (
            jacobian.T @ (np.diag(np.exp(logits)) - np.outer(np.exp(logits), np.exp(logits))) @ jacobian
        ),
        "is the matrix between the Jacobians missing?": sandwich(lambda pi: np.eye(len(pi))),
    }
    arguments = [(generator.normal(size=(5, 3)), generator.normal(size=5)) for _ in range(2)]
    same_function(answer, expected, arguments, slips=slips)


def _undo(plain_fall, undone_fall):
    four = small_config(stride=4, n_train=200, n_test=100, batch_size=100)
    nine = four.replace(stride=2)
    before = _largest_gauss_newton(four)
    undone = nine.replace(scale=four.scale * (nine.n_patches / four.n_patches) ** 0.5)
    for fall, config, scale in ((plain_fall, nine, "the same scale"), (undone_fall, undone, "the larger scale")):
        wanted = before / _largest_gauss_newton(config)
        slips = {"is it the eigenvalue of 4 patches over that of 9?": 1 / wanted}
        same(fall, wanted, 1e-2, f"the fall at {scale}", slips)


def _largest_gauss_newton(config: RunConfig) -> float:
    """The largest eigenvalue by the angles, by products on dual numbers."""
    curvature = LossCurvature(PatchQNN(config), load_dataset(config).train)
    angles = np.arange(config.n_angles)
    block = block_product(curvature.gauss_newton, angles)
    return float(extreme_eigenpairs(block, k=1, smallest=0, tolerance=1e-4).largest[0])


def _rate(with_own_rate, with_one_rate):
    one_rate, own_rates = 5e-3, {2: 1e-2, 4: 5e-3, 8: 2.5e-3}
    wanted = [
        [largest_eigenvalue(small_config(depth=depth, learning_rate=rate)) for depth, rate in rates.items()]
        for rates in (own_rates, dict.fromkeys(own_rates, one_rate))
    ]
    swapped = "have the two lists changed places?"
    same(with_own_rate, wanted[0], SAME_RUN, "with_own_rate", {swapped: wanted[1]})
    same(with_one_rate, wanted[1], SAME_RUN, "with_one_rate", {swapped: wanted[0]})


def _seeds(logarithms, spread, step):
    values = to_values(logarithms, "logarithms")
    fail_unless(values.shape == (2, 3), "logarithms should have two rows of three: a row for 9 patches, one for 25")
    fail_unless(np.unique(values).size == 6, "two of the logarithms are equal; does every run have its own seed?")
    first = np.array([largest_eigenvalue(small_config(stride=stride, seed=1)) for stride in (2, 1)])
    slips = {"are these the eigenvalues, not their logarithms?": first, "give natural logarithms": np.log10(first)}
    same(values[:, 0], np.log(first), SAME_RUN, "the column of seed 1", slips)
    variances = np.sum((values - values.mean(axis=1, keepdims=True)) ** 2, axis=1) / 2
    pooled = variances.mean()  # its two thirds are the variance with divisor 3
    fail_unless(
        np.isclose(to_number(spread, "the spread") ** 2, [pooled, pooled * 2 / 3], rtol=1e-3).any(),
        "the spread is not the root of the mean of the two rows' variances",
    )
    same(step, values.mean(axis=1)[0] - values.mean(axis=1)[1], 1e-3, "the step")


CHECKS = {
    "ex-step": _step,
    "ex-folds": _folds,
    "ex-power": _power,
    "ex-lanczos": _lanczos,
    "ex-trace": _trace,
    "ex-noise": _noise,
    "ex-alike": _alike,
    "ex-gauss-newton": _gauss_newton,
    "ex-undo": _undo,
    "ex-rate": _rate,
    "ex-seeds": _seeds,
}
