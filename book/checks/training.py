"""What the answers about training, accuracies, claims and rounding are held against."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from scipy.optimize import brentq
from scipy.stats import binom, norm, t, ttest_ind_from_stats

from book.checks.classroom import small_config, trained
from book.checks.compare import call, fail_unless, same, same_function, same_set, to_values
from qpatch.config import PAPER_LEARNING_RATES, RunConfig
from qpatch.runs.published import reference_table


def _rates() -> np.ndarray:
    """The learning rate of each of the 50 epochs, from PyTorch's own schedule, in units of the first."""
    config = RunConfig()
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=config.cosine_period)
    rates = []
    for _ in range(config.epochs):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return np.array(rates)


def _zero_rate(still):
    same_set(still, np.flatnonzero(np.isclose(_rates(), 0, atol=1e-12)), "the list of epochs")


def _steps(steps, moving):
    config = RunConfig()
    same(steps, config.n_batches * config.epochs, what="the number of steps")
    same(moving, config.n_batches * int((_rates() > 1e-12).sum()), what="the number of steps that move the weights")


def _adam(adam):
    def expected(gradients, rates):
        parameter = torch.zeros(1, dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.Adam([parameter])
        path = []
        for gradient, rate in zip(gradients, rates, strict=True):
            optimizer.param_groups[0]["lr"] = rate
            parameter.grad = torch.tensor([gradient], dtype=torch.float64)
            optimizer.step()
            path.append(parameter.item())
        return np.array(path)

    def inside(gradients, rates):
        """With epsilon under the root instead of beside it."""
        mean = square = place = 0.0
        path = []
        for step, (gradient, rate) in enumerate(zip(gradients, rates, strict=True), start=1):
            mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
            place -= rate * mean / (1 - 0.9**step) / (square / (1 - 0.999**step) + 1e-8) ** 0.5
            path.append(place)
        return np.array(path)

    generator = np.random.default_rng(7)
    for _ in range(2):
        gradients, rates = generator.normal(size=12), generator.uniform(0, 0.1, size=12)
        rates[4:7] = 0
        found = to_values(call(adam, gradients, rates), "the array of positions")
        wanted, question = expected(gradients, rates), "is epsilon added outside the root?"
        slip = inside(gradients, rates)
        if found.size == len(gradients):
            # The first two steps tell most: the bias correction is strongest there.
            same(found.ravel()[:1], wanted[:1], 1e-5, "the first position", {question: slip[:1]})
        same(found, wanted, 1e-5, "the array of positions", {question: slip})


def _published(column: str):
    return reference_table("runs").pivot(index="n_patches", columns="depth", values=column)


def _same_size(factor):
    table = _published("lambda_max")
    same(factor, table.loc[4, 200] / table.loc[16, 50], 1e-3, "the factor")


def _gap(gaps):
    same(gaps, (_published("test_loss") - _published("train_loss")).mean(axis=1), 1e-3, "the array of mean gaps")


def _error_bar(z_4_16, z_9_16):
    accuracy = _published("test_accuracy")[200]
    variance = accuracy * (1 - accuracy) / RunConfig().n_test
    for fewer, z in ((4, z_4_16), (9, z_9_16)):
        wanted = (accuracy[16] - accuracy[fewer]) / np.hypot(variance[16] ** 0.5, variance[fewer] ** 0.5)
        same(z, wanted, 1e-2, f"the number of standard errors between {fewer} and 16 patches")


def _chance(chance):
    def expected(agree, total):
        return binom.sf(agree - 1, total, 0.5)

    same_function(chance, expected, [(8, 8), (0, 5), (6, 8), (9, 11)])


def _confounded(correlation):
    def cosine(rates, depths):
        rates, depths = rates - rates.mean(), depths - depths.mean()  # each of the four pairs as often as any other
        return rates @ depths / np.linalg.norm(rates) / np.linalg.norm(depths)

    rates, depths = np.array(list(PAPER_LEARNING_RATES.values())), np.array(list(PAPER_LEARNING_RATES))
    slips = {"are the logarithms missing?": cosine(rates, depths)}
    same(correlation, cosine(np.log(rates), np.log(depths)), 1e-4, "the correlation", slips)


def _power_law(a, b):
    logarithms = np.log(_published("lambda_max"))
    # In a full table each exponent is the slope of the means along its own axis.
    for exponent, axis, name in ((a, 1, "patches"), (b, 0, "depth")):
        means = logarithms.mean(axis=axis)
        wanted = np.polyfit(np.log(means.index), means, 1)[0]
        same(exponent, wanted, 1e-3, f"the exponent of {name}")


def _order(a, b, c):
    for number in (a, b, c):
        fail_unless(isinstance(number, np.float32), f"give numbers of type np.float32, not {type(number).__name__}")
    fail_unless(bool(np.isfinite([a, b, c]).all()), "one of the numbers is not finite")
    with np.errstate(over="ignore", invalid="ignore"):
        left, right = (a + b) + c, a + (b + c)
    fail_unless(bool(np.isfinite([left, right]).all()), "a sum overflows; take smaller numbers")
    fail_unless(left != right, "both orders give the same sum; let one addition lose digits that the other keeps")


def _parting(differences):
    config = small_config(epochs=12)
    values = to_values(differences, "the array of differences")
    fail_unless(
        values.shape == (config.epochs + 1,), f"give {config.epochs + 1} differences, that at the start included"
    )
    fail_unless(bool((values >= 0).all()), "a difference is negative; take magnitudes")
    fail_unless(values.max() > 0, "the two runs do not differ at all; was `change=1e-6` given to one of them?")
    ratio = values.max() / np.abs(trained(config, change=1e-6).losses - trained(config).losses).max()
    fail_unless(
        0.01 < ratio < 100,  # rounding has its part in differences so small
        f"the differences are too {'large' if ratio > 1 else 'small'} for this change; are both runs of `config`, and"
        " is the change 1e-6?",
    )


def _parting_rate(epochs_to_part):
    def expected(error, factor, bar):
        epochs = 0
        while error <= bar:
            error, epochs = error * factor, epochs + 1
        return epochs

    def real(error, factor, bar):
        return np.log(bar / error) / np.log(factor)

    slips = {
        "give a whole number of epochs": real,
        "an error that is above the bar already needs no epoch": lambda *given: np.ceil(real(*given)),
    }
    arguments = [(1e-7, 3.0, 1e-4), (2e-6, 12.0, 1e-3), (3e-3, 5.0, 1e-4)]
    same_function(epochs_to_part, expected, arguments, slips=slips)


def _luck(replicas_needed):
    def expected(a):
        return next(n for n in itertools.count(1) if a >= 2 * (2 / n) ** 0.5)

    slips = {"give a whole number of replicas": lambda a: 8 / a**2, "is n large enough?": lambda a: 8 // a**2}
    same_function(replicas_needed, expected, [(0.7,), (1.3,), (3.0,), (0.11,)], slips=slips)


def _four_seeds(least_ratio):
    def expected(n, s, p):
        def surplus(logarithm):
            return ttest_ind_from_stats(logarithm, s, n, 0, s, n, equal_var=False).pvalue - p

        return np.exp(brentq(surplus, 1e-9, 100 * s, xtol=1e-12))

    def ratio(quantile, n, s):
        return np.exp(quantile * s * np.sqrt(2 / n))

    slips = {
        "is this the difference of the logarithms? The ratio is asked for": lambda *given: np.log(expected(*given)),
        "how many degrees of freedom have the two variances together?": lambda n, s, p: ratio(
            t.ppf(1 - p / 2, n - 1), n, s
        ),
        "is it a quantile of the normal law? With few seeds use Student's": lambda n, s, p: ratio(
            norm.ppf(1 - p / 2), n, s
        ),
        "p is two-sided: half of it lies at either end": lambda n, s, p: ratio(t.ppf(1 - p, 2 * n - 2), n, s),
        "is it the standard error of one mean, not of a difference?": lambda n, s, p: expected(n, s / 2**0.5, p),
    }
    same_function(least_ratio, expected, [(4, 0.1, 0.0025), (4, 0.3, 0.05), (10, 0.2, 0.01)], 1e-5, slips=slips)


CHECKS = {
    "ex-zero-rate": _zero_rate,
    "ex-steps": _steps,
    "ex-adam": _adam,
    "ex-same-size": _same_size,
    "ex-gap": _gap,
    "ex-error-bar": _error_bar,
    "ex-chance": _chance,
    "ex-confounded": _confounded,
    "ex-power-law": _power_law,
    "ex-order": _order,
    "ex-parting": _parting,
    "ex-parting-rate": _parting_rate,
    "ex-luck": _luck,
    "ex-four-seeds": _four_seeds,
}
