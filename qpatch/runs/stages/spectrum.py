"""The spectrum stage: both ends of the Hessian's spectrum at the best epoch, its density, and its structure.

On a stratified subset of the training images, or on all of them. In its record ``lambda_max`` and ``lambda_min`` are
the algebraically largest and smallest eigenvalue; the Hessian stage's ``lambda_max`` is the one of larger magnitude.
The analyses know nothing of the QNN (`qpatch.curvature`); this module hands them the products of one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import lazy_loader

from qpatch import curvature, model
from qpatch.config import RunConfig
from qpatch.runs.stage import CLOSE, COUNT, NOT_NEGATIVE, NUMBER, SHARE, Outcome, Parameter, Stage, images_used, map_of

if TYPE_CHECKING:
    from qpatch.curvature.loss import LossCurvature
    from qpatch.runs.compute import Work
    from qpatch.runs.store import RunFolder

np, pd = (lazy_loader.load(name) for name in ("numpy", "pandas"))

TRACE_PRODUCTS = 30
BLOCK_RESIDUAL = 1e-2  # of the blocks' eigenvalues, relative: they are many, and compared only
BLOCK_PRODUCTS = 30  # what one takes (measured: 28)
POWER_ITERATION = 0.8  # of the largest magnitude: it stops early where eigenvalues are close, some per cent too low
OPPOSITES = 0.95  # smaller magnitude over the larger: where the two extremes are that close, it may end anywhere
SAMPLING = 30  # over the root of their number: how far other images may move an eigenvalue (stored runs: 19)
SIGMAS = 6  # standard errors between two estimates of one trace
# Gauss-Newton may explain a little more than all of an eigenvalue, where the remainder is negative along it.
PART = NUMBER | {"minimum": 0, "maximum": 1.1}


def compute(
    work: Work, n_images: int, k: int, steps: int, probes: int, residual: float, blocks: int, start_seed: int
) -> Outcome:
    """Spectrum of the Hessian of the mean loss, by angles and bias."""
    loss = curvature.LossCurvature(work.model(), work.images(n_images))
    _announce(loss, expected_products(work.run.config, k, steps, probes, blocks))
    products = {"hessian": loss.hessian, "gauss-newton": loss.gauss_newton}
    kept = [work.kept(product, name) for name, product in products.items()]
    outcome = _analyse(loss, *kept, k, steps, probes, residual, blocks, start_seed)
    return Outcome(outcome.files, outcome.values | {"images_used": len(loss.split)})


def expected_products(config: RunConfig, k: int, steps: int, probes: int, blocks: int, **others) -> int:
    """About how many Hessian-vector products a spectrum takes: for density, trace, both ends and structure."""
    n_blocks = 1 + min(blocks or config.n_patches, config.n_patches)
    return steps * probes + TRACE_PRODUCTS + 6 * k + config.n_patches + BLOCK_PRODUCTS * n_blocks


def _announce(loss: LossCurvature, products: int) -> None:
    """Say what is coming, from one product."""
    loss.hessian @ loss.point  # compiles
    began = time.perf_counter()
    loss.hessian @ loss.point
    seconds = time.perf_counter() - began
    print(
        f"{len(loss.split):,} images: some {products} Hessian-vector products of {seconds:.2f} s, about"
        f" {products * seconds / 60:.0f} minutes"
    )


def _analyse(loss, product, gauss_newton_part, k, steps, probes, residual, blocks, seed) -> Outcome:
    groups, k = model.qnn_groups(loss.model.config), min(k, product.shape[0] - 1)
    pairs = curvature.extreme_eigenpairs(product, k, smallest=1, tolerance=residual, seed=seed)
    density = curvature.spectral_density(product, steps, probes, seed)
    total = curvature.trace(product, TRACE_PRODUCTS, seed)
    power = curvature.power_iteration(product, seed)
    top = pairs.largest_vectors[:, 0]
    options = {"k": 1, "smallest": 0, "tolerance": residual, "seed": seed}
    gauss_newton = curvature.extreme_eigenpairs(gauss_newton_part, **options)
    split = curvature.interactions(product, top, groups)
    shares = dict(zip(groups, curvature.participation(top, groups), strict=True))
    of_blocks, spent = curvature.largest_of_blocks(product, groups, _leading(shares, blocks), BLOCK_RESIDUAL, seed)
    overlap = curvature.subspace_overlap(pairs.largest_vectors, loss.label_gradients().double().cpu().numpy().T)
    scale = np.abs([*pairs.largest, *pairs.smallest]).max()
    outliers = curvature.count_outliers(pairs.largest, pairs.largest_residuals * scale, scale=scale)
    values = {
        "lambda_max": float(pairs.largest[0]),
        "lambda_min": float(pairs.smallest[0]),
        "power_iteration": power.eigenvalue,
        "trace": total.value,
        "trace_error": total.error,
        "outliers": outliers.count,
        "gauss_newton_share": curvature.explained(gauss_newton_part, product, top),
        "gauss_newton_lambda_max": float(gauss_newton.largest[0]),
        "participation": {name: float(share) for name, share in shares.items()},
        "within_blocks": split.within,
        "block_lambda_max": of_blocks,
        "logit_overlap": overlap.share,
        "logit_overlap_random": overlap.expected,
        "products": {
            "eigenpairs": pairs.products,
            "density": density.products,
            "trace": total.products,
            "power iteration": len(power.estimates),
            "Gauss-Newton": gauss_newton.products,
            "blocks": split.products + spent,
        },
    }
    return Outcome({"eigenvalues.csv": _eigenvalues(pairs), "density.csv": _nodes(density)}, values)


def _leading(shares: dict[str, float], blocks: int) -> list[str]:
    """The bias, and the QNNs with most of an eigenvector."""
    ordered = sorted((name for name in shares if name != "bias"), key=shares.get, reverse=True)
    return [*ordered[: blocks or None], "bias"]


def _eigenvalues(pairs) -> pd.DataFrame:
    ends = {"largest": (pairs.largest, pairs.largest_residuals), "smallest": (pairs.smallest, pairs.smallest_residuals)}
    frames = [
        pd.DataFrame({"end": end, "rank": np.arange(len(found)) + 1, "eigenvalue": found, "residual": residuals})
        for end, (found, residuals) in ends.items()
    ]
    return pd.concat(frames)


def _nodes(density) -> pd.DataFrame:
    frames = [
        pd.DataFrame({"probe": number, "node": probe.values, "weight": probe.weights, "residual": probe.residuals})
        for number, probe in enumerate(density.probes)
    ]
    return pd.concat(frames, ignore_index=True)


def _problems(run: RunFolder) -> Iterator[str]:
    eigenvalues, density, record = run.eigenvalues(), run.density(), run.record("spectrum")
    ends = eigenvalues.groupby("end")["eigenvalue"]
    for end, name, extreme in (("largest", "lambda_max", "max"), ("smallest", "lambda_min", "min")):
        found = getattr(ends, extreme)().get(end)
        if found is None or not math.isclose(found, record[name], rel_tol=CLOSE):
            yield f"{name} is {record[name]}, but eigenvalues.csv says {found}"
    parameters = record["parameters"]
    if (worst := eigenvalues["residual"].max()) > parameters.get("residual", np.inf):
        yield f"an eigenvalue in eigenvalues.csv has the residual {worst:.3g}, more than {parameters['residual']:g}"
    yield from _counts(run, eigenvalues.query("end == 'largest'"))
    yield from _power_iterations(run, worst)
    weights = density.groupby("probe")["weight"].sum()
    if not np.allclose(weights, 1, atol=1e-4):
        worst = weights.iloc[(weights - 1).abs().argmax()]
        yield f"the weights of a probe in density.csv sum to {worst:.6g}, not to one"
        return
    yield from _trace(run, density)


def _power_iterations(run: RunFolder, residual: float) -> Iterator[str]:
    """What power iterations found, here and in the Hessian stage, and what cannot be by the two ends of the spectrum.

    A Rayleigh quotient lies between the extremes, and that of a power iteration tends to the one of larger magnitude.
    On other images an eigenvalue is another one, the more, the fewer they are.
    """
    record, hessian = run.record("spectrum"), run.record("hessian")
    low, high = record["lambda_min"], record["lambda_max"]
    smaller, scale = sorted((abs(low), abs(high)))
    stated = [(f"power_iteration is {record['power_iteration']}", record["power_iteration"], True, CLOSE)]
    # What is not finite is that stage's own problem.
    if hessian and run.state("hessian") == "done" and np.isfinite(hessian["lambda_max"]):
        images = images_used(run.config, hessian["parameters"].get("subset", 0)), record["images_used"]
        room = residual + CLOSE + (SAMPLING / min(images) ** 0.5 if images[0] != images[1] else 0)
        words = f"lambda_max, of largest magnitude, is {hessian['lambda_max']} in hessian.json"
        stated.append((words, hessian["lambda_max"], hessian["converged"], room))
    for words, value, converged, room in stated:
        tends = converged and (low > 0 or high < 0 or smaller < OPPOSITES * scale)
        share = POWER_ITERATION / (1 + room) if tends else 0
        if not low - room * scale <= value <= high + room * scale or abs(value) < share * scale:
            yield f"{words}, which cannot be with eigenvalues from {low} to {high}"


def _counts(run: RunFolder, largest: pd.DataFrame) -> Iterator[str]:
    """The images, the order of the eigenvalues, and the outliers among them."""
    record, values = run.record("spectrum"), largest["eigenvalue"].to_numpy()
    wanted = min(record["parameters"].get("n_images") or run.config.n_train, run.config.n_train)
    if record["images_used"] != wanted:
        yield f"images_used is {record['images_used']}, not {wanted}"
    if (np.diff(values) > 0).any():
        yield "the largest eigenvalues in eigenvalues.csv are not in descending order"
    scale = max(abs(record["lambda_max"]), abs(record["lambda_min"]))
    found = curvature.count_outliers(values, largest["residual"].to_numpy() * scale, scale=scale).count
    if record["outliers"] != found:
        yield f"outliers is {record['outliers']}, but eigenvalues.csv has {found} by the rule"


def _trace(run: RunFolder, density: pd.DataFrame) -> Iterator[str]:
    """The density's own estimate of the trace, N times the mean node, must be near the one that is stated.

    With probes of independent normal numbers, N times a probe's mean node has the variance ``2 |H|^2`` (Hutchinson),
    and ``|H|^2`` is about N times the mean squared node.
    """
    record, size = run.record("spectrum"), run.config.n_trainable
    probes = density["probe"].nunique()
    moments = [size * float((density["weight"] * density["node"] ** power).sum()) / probes for power in (1, 2)]
    error = math.hypot(math.sqrt(2 * moments[1] / probes), record["trace_error"])
    if abs(record["trace"] - moments[0]) > SIGMAS * error:
        yield f"trace is {record['trace']:.6g}, but density.csv says {moments[0]:.6g}, give or take {error:.2g}"


STAGE = Stage(
    name="spectrum",
    compute=compute,
    leaves=("eigenvalues.csv", "density.csv"),
    needs=("best.safetensors",),
    parameters={
        "n_images": Parameter(6000, "training images, the classes in proportion; 0 takes all", least=0),
        "k": Parameter(
            20, "eigenvalues at the upper end, more than there are classes; the smallest comes too", least=1
        ),
        "steps": Parameter(80, "Lanczos steps of the spectral density", least=1),
        "probes": Parameter(2, "its random start vectors", least=1),
        "residual": Parameter(1e-4, "of an eigenpair, relative to the largest eigenvalue", above=0),
        "blocks": Parameter(
            4,
            "QNNs whose diagonal blocks are looked at besides the bias's, those with most of the top eigenvector;"
            " 0 takes all",
            least=0,
        ),
        "start_seed": Parameter(0, "of all random vectors", least=0),
    },
    record={
        **dict.fromkeys(("lambda_max", "lambda_min", "power_iteration", "trace", "gauss_newton_lambda_max"), NUMBER),
        **{"trace_error": NOT_NEGATIVE, "outliers": COUNT, "gauss_newton_share": PART, "within_blocks": NUMBER},
        **{"participation": map_of(SHARE), "block_lambda_max": map_of(NUMBER), "products": map_of(COUNT)},
        **{"logit_overlap": SHARE, "logit_overlap_random": SHARE, "images_used": COUNT},
    },
    cost=lambda config, values, seconds: (
        expected_products(config, **values) * seconds("product", images_used(config, values["n_images"]))
    ),
    problems=_problems,
)
