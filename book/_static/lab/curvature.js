/* Spectra of symmetric matrices that are known by their products with vectors, such as a loss's Hessian, and the plane
   that holds most of a path. Nothing here knows of circuits. What takes many products yields after each of them. */
"use strict";

function patchCurvature() {
  const dot = (a, b) => { let sum = 0; for (let i = 0; i < a.length; i++) sum += a[i] * b[i]; return sum; };
  const norm = a => Math.sqrt(dot(a, a));
  const scaled = (a, factor) => a.map(value => factor * value);
  function add(a, factor, b) { for (let i = 0; i < a.length; i++) a[i] += factor * b[i]; }
  /* The combination of vectors with these weights. */
  function combined(weights, vectors) {
    const sum = new Float64Array(vectors[0].length);
    weights.forEach((weight, i) => add(sum, weight, vectors[i]));
    return sum;
  }

  /* A random vector of signs, from a generator of whole numbers of 32 bits (training.js). */
  const signs = (size, draw) => Float64Array.from({ length: size }, () => draw() & 1 ? 1 : -1);

  /* Eigenvalues of a small symmetric matrix (rows), the largest first, with eigenvectors: Jacobi's rotations. */
  function eigen(matrix) {
    const n = matrix.length, a = matrix.map(row => Float64Array.from(row));
    const vectors = a.map((_, i) => Float64Array.from({ length: n }, (_, j) => Number(i === j)));
    const whole = a.reduce((sum, row) => sum + dot(row, row), 0);
    for (let sweep = 0; sweep < 40; sweep++) {
      let off = 0;
      for (let i = 0; i < n; i++) for (let j = 0; j < i; j++) off += a[i][j] ** 2;
      if (off <= 1e-32 * whole) break;
      for (let p = 0; p < n; p++) for (let q = p + 1; q < n; q++) rotate(a, vectors, p, q);
    }
    const order = [...a.keys()].sort((i, j) => a[j][j] - a[i][i]);
    return { values: order.map(i => a[i][i]), vectors: order.map(i => vectors[i]) };
  }
  function rotate(a, vectors, p, q) {
    if (a[p][q] === 0) return;
    const ratio = (a[q][q] - a[p][p]) / (2 * a[p][q]);
    const t = (ratio < 0 ? -1 : 1) / (Math.abs(ratio) + Math.sqrt(ratio ** 2 + 1));
    const c = 1 / Math.sqrt(t ** 2 + 1), s = t * c;
    const turn = (x, y) => [c * x - s * y, s * x + c * y];
    for (const row of a) [row[p], row[q]] = turn(row[p], row[q]);
    for (let i = 0; i < a.length; i++) {
      [a[p][i], a[q][i]] = turn(a[p][i], a[q][i]);
      [vectors[p][i], vectors[q][i]] = turn(vectors[p][i], vectors[q][i]);
    }
  }

  /* Lanczos' method, each direction cleared of all before it. Yields after each product the largest eigenvalues so far,
     how far each is from one at most, and their vectors as a function. It ends where the space is exhausted. */
  function* lanczos(product, start, most) {
    const basis = [scaled(start, 1 / norm(start))], diagonal = [], beside = [];
    while (diagonal.length < most) {
      const next = product(basis.at(-1));
      diagonal.push(dot(basis.at(-1), next));
      for (let twice = 0; twice < 2; twice++) for (const known of basis) add(next, -dot(known, next), known);
      const rest = norm(next), n = diagonal.length;
      const small = diagonal.map((value, i) => diagonal.map((_, j) =>
        i === j ? value : Math.abs(i - j) === 1 ? beside[Math.min(i, j)] : 0));
      const { values, vectors } = eigen(small), spanned = basis.slice();
      yield { products: n, values, residuals: vectors.map(vector => rest * Math.abs(vector[n - 1])),
              vector: i => combined(vectors[i], spanned) };
      if (rest <= 1e-12 * Math.max(...values.map(Math.abs)) || n === start.length) return;
      beside.push(rest);
      basis.push(scaled(next, 1 / rest));
    }
  }

  /* Hutchinson's estimate of the trace, the mean of s'Hs over random signs s: yields it and its standard error. */
  function* hutchinson(product, size, draw, most) {
    const found = [];
    while (found.length < most) {
      const probe = signs(size, draw);
      found.push(dot(probe, product(probe)));
      const n = found.length, mean = found.reduce((a, b) => a + b) / n;
      const spread = found.reduce((sum, value) => sum + (value - mean) ** 2, 0);
      yield { products: n, value: mean, error: n > 1 ? Math.sqrt(spread / (n - 1) / n) : NaN };
    }
  }

  /* The first two principal axes of some points, through their mean, with the share of the variance on each; null while
     the points span no plane. The points are few, so the matrix of their products decides. */
  function principalPlane(points) {
    const mean = combined(points.map(() => 1 / points.length), points);
    const centred = points.map(point => { const off = point.slice(); add(off, -1, mean); return off; });
    const { values, vectors } = eigen(centred.map(a => centred.map(b => dot(a, b))));
    if (points.length < 3 || !(values[1] > 1e-14 * values[0])) return null;
    const axes = [0, 1].map(i => scaled(combined(vectors[i], centred), 1 / Math.sqrt(values[i])));
    const total = values.reduce((a, b) => a + Math.max(b, 0), 0);
    return { mean, axes, shares: [values[0] / total, values[1] / total] };
  }

  return { dot, norm, add, signs, eigen, lanczos, hutchinson, principalPlane };
}
