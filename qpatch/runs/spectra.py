"""The spectrum stage of a run: both ends of the Hessian's spectrum at the best epoch, its density, and its structure.

On a stratified subset of the training images, or on all of them. The analyses know nothing of the QNN (`spectrum`,
`density`, `outliers`, `structure`, `subspaces`); this module hands them the products of one and stores what they find.
"""

from __future__ import annotations

import shutil
import time

import numpy as np
import pandas as pd

from qpatch.config import RunConfig
from qpatch.curvature.density import Ritz, SpectralDensity, spectral_density
from qpatch.curvature.loss import LossCurvature
from qpatch.curvature.outliers import count_outliers
from qpatch.curvature.power import power_iteration
from qpatch.curvature.products import KeptProducts
from qpatch.curvature.spectrum import extreme_eigenpairs, trace
from qpatch.curvature.structure import explained, interactions, largest_of_blocks, participation
from qpatch.curvature.subspaces import subspace_overlap
from qpatch.data import Dataset, load_dataset, stratified_subset
from qpatch.model.flat import qnn_groups
from qpatch.runs.device import choose_device
from qpatch.runs.provenance import machine
from qpatch.runs.stages import load_best
from qpatch.runs.store import RunFolder

TRACE_PRODUCTS = 30
BLOCK_RESIDUAL = 1e-2  # of the blocks' eigenvalues, relative: they are many, and compared only
BLOCK_PRODUCTS = 30  # what one takes (measured: 28)


def spectrum(
    config: RunConfig,
    device: str = "auto",
    n_images: int = 6000,
    k: int = 20,
    steps: int = 80,
    probes: int = 2,
    residual: float = 1e-4,
    blocks: int = 4,
    start_seed: int = 0,
    data: Dataset | None = None,
) -> RunFolder:
    """Spectrum of the Hessian of the mean loss at the best epoch, by angles and bias.

    Args:
        config: the run; its training must be done.
        device: as `stages.choose_device`.
        n_images: training images, the classes in proportion; 0 takes all.
        k: eigenvalues at the upper end, more than there are classes, so that outliers can be counted; the smallest one
            comes with them.
        steps, probes: of the spectral density.
        residual: of an eigenpair, relative to the largest eigenvalue.
        blocks: QNNs whose diagonal blocks are looked at besides the bias's, those with most of the top eigenvector; 0
            takes all.
        start_seed: of all random vectors.
        data: instead of `load_dataset` of the configuration.
    """
    run, target, began = RunFolder(config), choose_device(device), time.perf_counter()
    with run.locked():
        split = stratified_subset((data or load_dataset(config)).train, n_images)
        curvature = LossCurvature(load_best(run, target), split)
        products = {"hessian": curvature.hessian, "gauss-newton": curvature.gauss_newton}
        folder = run.products_folder("spectrum", len(split))
        _announce(curvature, expected_products(config, k, steps, probes, blocks))
        kept = [KeptProducts(product, folder / name) for name, product in products.items()]
        frames, values = _analyse(curvature, *kept, k, steps, probes, residual, blocks, start_seed)
        run.reopen("spectrum")
        for name, frame in frames.items():
            run.write_csv(name, frame)
        parameters = {"n_images": n_images, "k": k, "steps": steps, "probes": probes}
        parameters |= {"residual": residual, "blocks": blocks, "start_seed": start_seed}
        values |= {"images_used": len(split)}
        seconds = time.perf_counter() - began + sum(products.earlier for products in kept)
        run.write_record("spectrum", parameters, seconds, machine(target), **values)
        shutil.rmtree(folder, ignore_errors=True)
    return run


def expected_products(config: RunConfig, k: int, steps: int, probes: int, blocks: int) -> int:
    """About how many Hessian-vector products a spectrum takes: for density, trace, both ends and structure."""
    n_blocks = 1 + min(blocks or config.n_patches, config.n_patches)
    return steps * probes + TRACE_PRODUCTS + 6 * k + config.n_patches + BLOCK_PRODUCTS * n_blocks


def _announce(curvature: LossCurvature, products: int) -> None:
    """Say what is coming, from one product."""
    curvature.hessian @ curvature.point  # compiles
    began = time.perf_counter()
    curvature.hessian @ curvature.point
    seconds = time.perf_counter() - began
    print(
        f"{len(curvature.split):,} images: some {products} Hessian-vector products of {seconds:.2f} s, about"
        f" {products * seconds / 60:.0f} minutes"
    )


def _analyse(curvature, product, gauss_newton_part, k, steps, probes, residual, blocks, seed):
    """Tables by file name, and the values of the record."""
    config = curvature.model.config
    groups, k = qnn_groups(config), min(k, config.n_trainable - 1)
    pairs = extreme_eigenpairs(product, k, smallest=1, tolerance=residual, seed=seed)
    density = spectral_density(product, steps, probes, seed)
    total = trace(product, TRACE_PRODUCTS, seed)
    power = power_iteration(product, seed)
    top = pairs.largest_vectors[:, 0]
    options = {"k": 1, "smallest": 0, "tolerance": residual, "seed": seed}
    gauss_newton = extreme_eigenpairs(gauss_newton_part, **options)
    split, shares = interactions(product, top, groups), dict(zip(groups, participation(top, groups), strict=True))
    of_blocks, spent = largest_of_blocks(product, groups, _leading(shares, blocks), BLOCK_RESIDUAL, seed)
    overlap = subspace_overlap(pairs.largest_vectors, curvature.label_gradients().double().cpu().numpy().T)
    scale = np.abs([*pairs.largest, *pairs.smallest]).max()
    outliers = count_outliers(pairs.largest, pairs.largest_residuals * scale, scale=scale)
    values = {
        "lambda_max": float(pairs.largest[0]),
        "lambda_min": float(pairs.smallest[0]),
        "power_iteration": power.eigenvalue,
        "trace": total.value,
        "trace_error": total.error,
        "outliers": outliers.count,
        "gauss_newton_share": explained(gauss_newton_part, product, top),
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
    return {"eigenvalues.csv": _eigenvalues(pairs), "density.csv": _nodes(density)}, values


def _leading(shares: dict[str, float], blocks: int) -> list[str]:
    """The bias, and the QNNs with most of an eigenvector."""
    ordered = sorted((name for name in shares if name != "bias"), key=shares.get, reverse=True)
    return [*ordered[: blocks or None], "bias"]


def _eigenvalues(pairs) -> pd.DataFrame:
    ends = {"largest": (pairs.largest, pairs.largest_residuals), "smallest": (pairs.smallest, pairs.smallest_residuals)}
    rows = [
        {"end": end, "rank": rank + 1, "eigenvalue": value, "residual": residual}
        for end, columns in ends.items()
        for rank, (value, residual) in enumerate(zip(*columns, strict=True))
    ]
    return pd.DataFrame(rows)


def _nodes(density) -> pd.DataFrame:
    frames = [
        pd.DataFrame({"probe": number, "node": probe.values, "weight": probe.weights, "residual": probe.residuals})
        for number, probe in enumerate(density.probes)
    ]
    return pd.concat(frames, ignore_index=True)


def stored_density(run: RunFolder) -> SpectralDensity:
    """The spectral density that the stage stored."""
    groups = [frame for _, frame in run.density().groupby("probe")]
    size = run.config.n_trainable
    probes = tuple(
        Ritz(*(frame[name].to_numpy() for name in ("node", "weight", "residual")), len(frame) == size, len(frame))
        for frame in groups
    )
    return SpectralDensity(probes, size, sum(probe.products for probe in probes))
