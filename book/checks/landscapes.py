"""What the answers about planes, paths, pictures and derivatives are held against."""

from __future__ import annotations

import math

import numpy as np
import torch

from book.checks.classroom import small_config
from book.checks.compare import call, fail_unless, same, same_function, to_number, to_values
from qpatch.data import load_dataset
from qpatch.landscape.planes import Plane, pca_plane, random_plane, variance_ratios
from qpatch.model.qnn import PatchQNN
from qpatch.runs.published import reference_table

CENTRED = "is the path's mean taken away?"
SQUARED = "is it the squares that are summed? Variances are squares of lengths, and of singular values"


def _same_picture(normalised):
    path = np.random.default_rng(8).normal(size=(20, 2)).cumsum(axis=0) * [1.0, 30.0]
    lengths = [math.sqrt(sum(value**2 for value in column)) for column in path.T]
    same(call(normalised, path), np.stack([path[:, 0] / lengths[0], path[:, 1] / lengths[1]], axis=1), what="the path")


def _off_plane(distance):
    generator = np.random.default_rng(9)
    plane = random_plane(generator.normal(size=7), seed=9)

    def expected(point, origin, axes):
        return Plane(origin, axes).distances(point[None])[0]

    points = [generator.normal(size=7), plane.point(2.0, -1.0) + 1e-3]
    same_function(distance, expected, [(point, plane.origin, plane.axes) for point in points])


def _random_plane(share):
    generator = np.random.default_rng(10)
    path = generator.normal(size=(12, 30)).cumsum(axis=0) + 5
    axes = random_plane(np.zeros(30), seed=10).axes
    principal = pca_plane(path, origin=0)
    for name, plane in (("a random plane", axes), ("the principal plane", principal.axes)):
        slips = {
            CENTRED: np.sum((path @ plane.T) ** 2) / np.sum(path**2),
            SQUARED: np.linalg.norm((path - path.mean(axis=0)) @ plane.T) / np.linalg.norm(path - path.mean(axis=0)),
        }
        same(call(share, path, plane), variance_ratios(plane, path).sum(), what=f"the share of {name}", slips=slips)


def _random_walk(shares):
    found = to_values(shares, "the pair of shares")
    fail_unless(found.shape == (2,), "give two shares, that of the first component and that of the second")
    walk = np.random.default_rng(11).normal(size=(51, 4000)).cumsum(axis=0)
    slips = {}
    for question, points, power in ((CENTRED, walk, 2), (SQUARED, walk - walk.mean(axis=0), 1)):
        values = np.linalg.svd(points, compute_uv=False) ** power
        slips[question] = values[:2] / values.sum()
    same(found, pca_plane(walk, origin=0).ratios, 0.08, "the pair of shares", slips)


def _highest(falling):
    rows = reference_table("runs").sort_values(["depth", "n_patches"])["landscape_max_loss"].to_numpy().reshape(-1, 3)
    same(falling, np.count_nonzero(rows[:, 1:] < rows[:, :-1]), what="the number of steps in which it falls")


def _ground(areas):
    table = reference_table("runs")

    def product(margin):
        sides = [
            (table[f"trajectory_pc{axis}_max"] + margin) - (table[f"trajectory_pc{axis}_min"] - margin)
            for axis in (1, 2)
        ]
        return (sides[0] * sides[1]).to_numpy()

    slips = {"is the margin missing?": product(0), "is there a margin at both ends?": product(2.5)}
    same(areas, product(5), 1e-4, "the array of areas", slips)


def _copies(nearer):
    generator = np.random.default_rng(12)
    for width in (math.pi, 1.5 * math.pi, 2 * math.pi):
        a, b = generator.uniform(0, width, size=(2, 200_000))
        share = np.mean(nearest_copy(b, a) != b)
        found = to_number(call(nearer, width, what="nearer"), "the probability")
        fail_unless(0 <= found <= 1, "a probability lies between 0 and 1")
        fail_unless(
            abs(found - share) < 0.01,
            f"the probability is too {'large' if found > share else 'small'} for a width of {width / math.pi:g} pi;"
            " if it is simulated, are the draws too few?",
        )


def _shift(by_shift):
    asked = []

    def curve(theta):
        asked.append(theta)
        return 2.5 * math.cos(theta + 0.4) - 0.7

    for theta in (0.3, 2.0):
        asked.clear()
        same_function(by_shift, lambda value, theta: -2.5 * math.sin(theta + 0.4), [(curve, theta)])
        nearest = min((abs(point - theta) for point in asked), default=1.0)
        fail_unless(nearest > 0.1, "is this a finite difference? The rule shifts by a quarter turn, and is exact")
    config = small_config(stride=4, n_classes=8, n_train=100, n_test=100, batch_size=50)
    model, image = PatchQNN(config).double(), load_dataset(config).train.images[:1].double()
    slope = torch.autograd.grad(model(image)[0, 0], model.angles)[0][0, 0]

    def logit(theta):
        with torch.no_grad():
            model.angles[0, 0] = theta
            return model(image)[0, 0].item()

    same(call(by_shift, logit, model.angles[0, 0].item()), slope, what="the derivative of the logit")


def _difference_step(best):
    found, precision = to_number(best, "the best step"), np.finfo(np.float64).eps
    fail_unless(found > 0, "a step is positive")
    fail_unless(
        found < 10 * precision ** (1 / 3), "this step is too large: the error of the chord still falls below it"
    )
    fail_unless(found > precision ** (1 / 3) / 10, "this step is too small: rounding has taken over already")


CHECKS = {
    "ex-same-picture": _same_picture,
    "ex-off-plane": _off_plane,
    "ex-random-plane": _random_plane,
    "ex-random-walk": _random_walk,
    "ex-highest": _highest,
    "ex-ground": _ground,
    "ex-copies": _copies,
    "ex-shift": _shift,
    "ex-difference-step": _difference_step,
}


def nearest_copy(point: np.ndarray, to: np.ndarray, periods: np.ndarray | float = 2 * np.pi) -> np.ndarray:
    """The copy of a point ``(n,)`` of a periodic loss that lies nearest another point.

    Each coordinate is moved by whole periods, which may be one for all or ``(n,)``, ``inf`` where there is none: a
    rotation's angle has the period 2 pi up to a global phase.
    """
    steps = np.round((point - to) / periods)
    return point - steps * np.where(np.isinf(periods), 0.0, periods)
