/* The physics of "Train one here": patch QNNs of four qubits on 8 x 8 pixels, their loss, its exact first and
   second derivatives. Read it beside the chapter on the engine: ideas and numbers are the package's (a test holds them
   together to 1e-9), all in double precision.

   - Depth is shared. The blocks between two encodings do not see the image, so each stretch of them is one 16 x 16
     matrix, built once a step and applied to all images.
   - Derivatives in the Pauli basis. Let psi be the state at some place in the circuit and lambda what the loss makes of
     a change of it, dL = Re<lambda|d psi>. For a rotation exp(-i theta P/2) that ends there, dL/d theta is half of
     Im<lambda|P|psi>. These numbers, one for each product P of Pauli matrices, are all that goes back in a stretch.
   - Second derivatives for nothing. Each step below is linear in each of its arguments. So it can run on dual numbers
     x + eps x', by the product rule, and the gradient at theta + eps v is the gradient + eps (Hessian times v).

   All of it is one function that reaches for nothing outside, so that a page can hand its text to a worker. */
"use strict";

function patchPhysics() {
  const QUBITS = 4, STATES = 16, PIXELS = 8, SIDE = 4; // of a QNN; sides of image and patch
  const WIDTH = 2 * STATES; // numbers of a state: real and imaginary parts in turn
  const X = 0, Y = 1; // axes of rotations
  const bitOf = qubit => 1 << (QUBITS - 1 - qubit); // qubit 0 is the most significant
  const numbers = (length, value) => { // value(0), value(1), ...
    const out = new Float64Array(length);
    for (let i = 0; i < length; i++) out[i] = value(i);
    return out;
  };

  /* A model: stride 4, 2 or 1 for 4, 9 or 25 patches; at most eight classes. Its parameters are one array, as in the
     package: the angles of QNN after QNN, then the bias of each pixel. */
  function makeModel({ stride, depth, classes, scale }) {
    const perSide = (PIXELS - SIDE) / stride + 1, patches = perSide ** 2, stretch = 2 * QUBITS * depth;
    const list = (length, value) => Array.from({ length }, (_, i) => value(i));
    const corners = list(patches, p => [stride * Math.floor(p / perSide), stride * (p % perSide)]);
    const pixels = corners.map(([row, column]) => // of each patch, row by row
      list(SIDE ** 2, i => PIXELS * (row + Math.floor(i / SIDE)) + column + i % SIDE));
    const nX = Math.ceil(classes / 2); // class k reads X of qubit k; when the half is done, Z from qubit 0 on
    const readout = list(classes, k => ({ isX: k < nX, bit: bitOf(k % nX) }));
    const perQnn = 3 * stretch + 32, nAngles = patches * perQnn, size = nAngles + PIXELS ** 2;
    return { depth, classes, scale, perSide, patches, corners, pixels, readout, stretch, perQnn, nAngles, size };
  }

  // -- dual numbers -----------------------------------------------------------------------------------------------

  /* Values v and, where a direction is followed, how fast they change along it: d, else null. */
  const dual = (v, d = null) => ({ v, d });
  const both = (a, change) => dual(change(a.v), a.d && change(a.d)); // of what is linear
  const slice = (a, start, length) => both(a, values => values.subarray(start, start + length));
  const pick = (a, indices) => both(a, values => numbers(indices.length, i => values[indices[i]]));

  /* A kernel adds to `out` what is linear in a and in b. Lifted, it makes a new dual array by the product rule. */
  const lift = kernel => (size, a, b, ...rest) => {
    const v = new Float64Array(size), d = a.d || b.d ? new Float64Array(size) : null;
    kernel(v, a.v, b.v, ...rest);
    if (a.d) kernel(d, a.d, b.v, ...rest);
    if (b.d) kernel(d, a.v, b.d, ...rest);
    return dual(v, d);
  };

  /* (cos, sin, 1) of a multiple of each angle: a rotation mixes what it turns by the first two and keeps the rest. */
  function circle(angles, factor) {
    const v = new Float64Array(3 * angles.v.length), d = angles.d && new Float64Array(v.length);
    for (let i = 0, k = 0; i < angles.v.length; i++, k += 3) {
      const c = Math.cos(factor * angles.v[i]), s = Math.sin(factor * angles.v[i]);
      v[k] = c, v[k + 1] = s, v[k + 2] = 1;
      if (d) d[k] = -factor * s * angles.d[i], d[k + 1] = factor * c * angles.d[i];
    }
    return dual(v, d);
  }

  // -- gates on states --------------------------------------------------------------------------------------------

  /* A one-qubit gate is four numbers (w, x, y, z): the matrix w - i (x X + y Y + z Z). Here rotations about X or Y,
     given by their half angles, follow gates; a shorter list of either repeats. */
  const follow = lift((out, half, gates, axis) => {
    const nHalf = half.length / 3, nGates = gates.length / 4;
    for (let i = 0; i < out.length / 4; i++) {
      const c = half[3 * (i % nHalf)], s = half[3 * (i % nHalf) + 1], g = 4 * (i % nGates), o = 4 * i;
      const w = gates[g], x = gates[g + 1], y = gates[g + 2], z = gates[g + 3];
      out[o] += c * w - s * (axis === X ? x : y);
      out[o + 1] += c * x + s * (axis === X ? w : z);
      out[o + 2] += c * y - s * (axis === X ? z : -w);
      out[o + 3] += c * z + s * (axis === X ? y : -x);
    }
  });
  const inverse = gates => both(gates, values => numbers(values.length, i => i % 4 ? -values[i] : values[i]));
  const NOTHING = dual(numbers(16, i => Number(i % 4 === 0))); // four gates that change nothing

  /* One qubit's gate on each state; gates come in fours, one a qubit, for each state or for all. */
  const applyGate = lift((out, gates, states, qubit) => {
    const bit = 2 * bitOf(qubit), nGates = gates.length / 4;
    for (let state = 0, item = qubit; state < states.length; state += WIDTH, item += QUBITS) {
      const g = 4 * (item % nGates), w = gates[g], x = gates[g + 1], y = gates[g + 2], z = gates[g + 3];
      for (let k = 0; k < WIDTH; k += 2) {
        if (k & bit) continue;
        const i = state + k, j = i + bit, ar = states[i], ai = states[i + 1], br = states[j], bi = states[j + 1];
        out[i] += w * ar + z * ai - y * br + x * bi;
        out[i + 1] += w * ai - z * ar - y * bi - x * br;
        out[j] += y * ar + x * ai + w * br - z * bi;
        out[j + 1] += y * ai - x * ar + w * bi + z * br;
      }
    }
  });
  const applyGates = (gates, states) =>
    [0, 1, 2, 3].reduce((result, qubit) => applyGate(states.v.length, gates, result, qubit), states);

  /* The ring of CZ gates is a sign for each basis state: -1 for each pair of neighbours that are both 1. */
  const RING = numbers(STATES, state => {
    const pairs = [0, 1, 2, 3].filter(q => state & bitOf(q) && state & bitOf((q + 1) % QUBITS));
    return pairs.length % 2 ? -1 : 1;
  });
  const applyRing = states => both(states, values => numbers(values.length, i => RING[(i >> 1) % STATES] * values[i]));

  /* A matrix, kept column by column, and its adjoint on each state. */
  const applyMatrix = lift((out, matrix, states) => {
    for (let state = 0; state < states.length; state += WIDTH)
      for (let j = state, m = 0; j < state + WIDTH; j += 2) {
        const r = states[j], i = states[j + 1];
        for (let k = state; k < state + WIDTH; k += 2, m += 2) {
          out[k] += matrix[m] * r - matrix[m + 1] * i;
          out[k + 1] += matrix[m] * i + matrix[m + 1] * r;
        }
      }
  });
  const applyAdjoint = lift((out, matrix, states) => {
    for (let state = 0; state < states.length; state += WIDTH)
      for (let j = state, m = 0; j < state + WIDTH; j += 2) {
        let r = 0, i = 0;
        for (let k = state; k < state + WIDTH; k += 2, m += 2) {
          r += matrix[m] * states[k] + matrix[m + 1] * states[k + 1];
          i += matrix[m] * states[k + 1] - matrix[m + 1] * states[k];
        }
        out[j] += r, out[j + 1] += i;
      }
  });

  /* Re<left|O|right> of each state and class for the class's observable O; and the sum of 2 weight O over classes. */
  const readOut = lift((out, left, right, readout) => {
    for (let state = 0, o = 0; state < left.length; state += WIDTH)
      for (const { isX, bit } of readout) {
        let sum = 0;
        for (let k = 0; k < STATES; k++) {
          const i = state + 2 * k, j = isX ? state + 2 * (k ^ bit) : i;
          const overlap = left[i] * right[j] + left[i + 1] * right[j + 1];
          sum += !isX && k & bit ? -overlap : overlap;
        }
        out[o++] += sum;
      }
  });
  const weigh = lift((out, weights, states, readout) => {
    for (let state = 0, o = 0; state < states.length; state += WIDTH)
      for (const { isX, bit } of readout) {
        const weight = 2 * weights[o++];
        for (let k = 0; k < STATES; k++) {
          const i = state + 2 * k, j = isX ? state + 2 * (k ^ bit) : i, signed = !isX && k & bit ? -weight : weight;
          out[i] += signed * states[j], out[i + 1] += signed * states[j + 1];
        }
      }
  });

  /* Where a stretch's angles begin; those of an encoding, 16, stand between two stretches. */
  const stretchAt = (model, patch, number) => patch * model.perQnn + number * (model.stretch + 16);

  // -- stretches of entangling blocks -----------------------------------------------------------------------------

  /* Columns through a stretch: in each block RX, then RY on each qubit, then the ring, but for the very last block. */
  function applyStretch(model, angles, columns, isLast) {
    const half = circle(angles, 0.5), layer = number => slice(half, 12 * number, 12);
    for (let block = 0; block < model.depth; block++) {
      const gates = follow(16, layer(2 * block + Y), follow(16, layer(2 * block + X), NOTHING, X), Y);
      columns = applyGates(gates, columns);
      if (!isLast || block < model.depth - 1) columns = applyRing(columns);
    }
    return columns;
  }
  const ZERO = dual(numbers(WIDTH, i => Number(i === 0))); // the state |0000>
  const RING_MATRIX = applyRing(dual(numbers(STATES * WIDTH, i => Number(i % (WIDTH + 2) === 0)))); // after an encoding

  /* The 256 Pauli strings P: letters I, X, Y, Z as digits of base four, the bits that P flips and that give signs. */
  const STRINGS = Array.from({ length: 4 ** QUBITS }, (_, string) => {
    let flip = 0, sign = 0;
    for (let q = 0; q < QUBITS; q++) {
      const letter = (string >> 2 * (QUBITS - 1 - q)) & 3;
      if (letter === 1 || letter === 2) flip |= bitOf(q);
      if (letter >= 2) sign |= bitOf(q);
    }
    return { flip, sign };
  });
  const ones = number => number.toString(2).replaceAll("0", "").length;
  const single = (qubit, axis) => (axis + 1) << 2 * (QUBITS - 1 - qubit); // the string of one letter

  /* Im<lambda|P|psi>, summed over states, for each string: the sum of |psi><lambda|, and from it the 256 numbers. */
  const outer = lift((out, psis, lambdas) => {
    for (let state = 0; state < psis.length; state += WIDTH)
      for (let j = state, m = 0; j < state + WIDTH; j += 2)
        for (let k = state; k < state + WIDTH; k += 2, m += 2) {
          out[m] += psis[j] * lambdas[k] + psis[j + 1] * lambdas[k + 1];
          out[m + 1] += psis[j + 1] * lambdas[k] - psis[j] * lambdas[k + 1];
        }
  });
  const TERMS = STRINGS.map(({ flip, sign }) =>
    numbers(STATES, j => 2 * (STATES * j + (j ^ flip)) + 1 - ones(flip & sign) % 2));
  const SIGNS = STRINGS.map(({ flip, sign }) =>
    numbers(STATES, j => (ones(sign & j) + (ones(flip & sign) >> 1)) % 2 ? -1 : 1));
  const toPaulis = matrix => both(matrix, values =>
    numbers(STRINGS.length, string => {
      let sum = 0;
      for (let j = 0; j < STATES; j++) sum += SIGNS[string][j] * values[TERMS[string][j]];
      return sum;
    }));

  /* The ring takes each string to one other, or to its negative. */
  const RINGS = STRINGS.map(({ flip, sign }) => {
    let factor = 1;
    for (let q = 0; q < QUBITS; q++) {
      const a = bitOf(q), b = bitOf((q + 1) % QUBITS);
      if (flip & a && flip & b && !(sign & a) !== !(sign & b)) factor = -factor;
      sign ^= (flip & a ? b : 0) | (flip & b ? a : 0);
    }
    return { factor, string: STRINGS.findIndex(other => other.flip === flip && other.sign === sign) };
  });
  const passRing = paulis =>
    both(paulis, values => numbers(values.length, i => RINGS[i].factor * values[RINGS[i].string]));

  /* Back through one qubit's rotation: the letters that are not its axis turn into each other. */
  const passRotation = lift((out, [c, s, one], paulis, qubit, axis) => {
    const shift = 2 * (QUBITS - 1 - qubit), second = (axis + 1) % 3 + 1, third = (axis + 2) % 3 + 1;
    const step = (third - second) * 2 ** shift;
    for (let string = 0; string < paulis.length; string++) {
      const letter = (string >> shift) & 3;
      if (letter === second) out[string] += c * paulis[string] + s * paulis[string + step];
      else if (letter === third) out[string] += c * paulis[string] - s * paulis[string - step];
      else out[string] += one * paulis[string];
    }
  });

  /* The gradient by a stretch's angles, from the states and what the loss makes of them at its end. */
  function pullStretch(model, theta, start, psis, lambdas, isLast, gradient) {
    const turns = circle(slice(theta, start, model.stretch), 1);
    let paulis = toPaulis(outer(STATES * WIDTH, psis, lambdas));
    for (let block = model.depth - 1; block >= 0; block--) {
      if (!isLast || block < model.depth - 1) paulis = passRing(paulis);
      for (const axis of [Y, X])
        for (let q = 0; q < QUBITS; q++) {
          const angle = QUBITS * (2 * block + axis) + q;
          collect(gradient, [start + angle], paulis, single(q, axis), STRINGS.length);
          paulis = passRotation(STRINGS.length, slice(turns, 3 * angle, 3), paulis, q, axis);
        }
    }
  }

  /* Add the halves of every `step`-th number from `first` on to the gradient, where the targets say, in turn. */
  function collect(gradient, targets, source, first, step) {
    for (const kind of ["v", "d"])
      for (let i = first, n = 0; gradient[kind] && i < source[kind].length; i += step, n++)
        gradient[kind][targets[n % targets.length]] += source[kind][i] / 2;
  }

  // -- encodings --------------------------------------------------------------------------------------------------

  /* A qubit takes two features in a block: RY RX(x) RY, then RX RY(x) RX; angles are the block's 0 to 3 of a qubit. */
  const ENCODING = [
    [Y, "angle", 0], [X, "feature", 0], [Y, "angle", 1], [X, "angle", 2], [Y, "feature", 1], [X, "angle", 3]];

  /* The six rotations of all qubits, in order, with the places of their angles, and the gates that they come to. */
  function encode(model, theta, patch, block, images) {
    const start = stretchAt(model, patch, block) + model.stretch, count = images.length / PIXELS ** 2;
    const rotations = ENCODING.map(([axis, kind, j]) => {
      if (kind === "angle") {
        const targets = [0, 1, 2, 3].map(q => start + 4 * q + j);
        return { axis, targets, angles: pick(theta, targets) };
      }
      const places = [0, 1, 2, 3].map(q => model.pixels[patch][8 * block + 2 * q + j]);
      const targets = places.map(place => model.nAngles + place), angles = pick(theta, targets);
      return { axis, targets, angles: dual(
        numbers(4 * count, i => images[PIXELS ** 2 * (i >> 2) + places[i & 3]] + angles.v[i & 3]),
        angles.d && numbers(4 * count, i => angles.d[i & 3])) };
    });
    const gates = rotations.reduce((gates, { axis, angles }) =>
      follow(16 * count, circle(angles, 0.5), gates, axis), NOTHING);
    return { rotations, gates };
  }

  /* Im<lambda|P|psi> of each state and qubit for P = X, Y, Z; and these numbers back through a rotation. */
  const toVectors = lift((out, psis, lambdas) => {
    for (let state = 0, o = 0; state < psis.length; state += WIDTH)
      for (let q = 0; q < QUBITS; q++, o += 3)
        for (let k = 0; k < STATES; k++) {
          const i = state + 2 * k, j = state + 2 * (k ^ bitOf(q)), sign = k & bitOf(q) ? -1 : 1;
          const r = lambdas[i], s = lambdas[i + 1];
          out[o] += r * psis[j + 1] - s * psis[j];
          out[o + 1] -= sign * (r * psis[j] + s * psis[j + 1]);
          out[o + 2] += sign * (r * psis[i + 1] - s * psis[i]);
        }
  });
  const turnVectors = lift((out, turns, vectors, axis) => {
    const b = (axis + 1) % 3, c = (axis + 2) % 3;
    for (let i = 0; i < vectors.length; i += 3) {
      const t = i % turns.length;
      out[i + axis] += turns[t + 2] * vectors[i + axis];
      out[i + b] += turns[t] * vectors[i + b] + turns[t + 1] * vectors[i + c];
      out[i + c] += turns[t] * vectors[i + c] - turns[t + 1] * vectors[i + b];
    }
  });
  function pullEncoding(rotations, psis, lambdas, gradient) {
    let vectors = toVectors(psis.v.length / WIDTH * 12, psis, lambdas);
    for (const { axis, targets, angles } of rotations.toReversed()) {
      collect(gradient, targets, vectors, axis, 3);
      vectors = turnVectors(vectors.v.length, circle(angles, 1), vectors, axis);
    }
  }

  // -- a QNN, the model, its loss ---------------------------------------------------------------------------------

  /* All that is known of one QNN on some images; `values` are its expectation values, image by image. */
  function run(model, theta, patch, images) {
    const at = number => slice(theta, stretchAt(model, patch, number), model.stretch);
    const size = images.length / PIXELS ** 2 * WIDTH;
    const [first, second] = [0, 1].map(block => encode(model, theta, patch, block, images));
    const start = applyStretch(model, at(0), ZERO, false);
    const middle = applyStretch(model, at(1), RING_MATRIX, false), last = applyStretch(model, at(2), RING_MATRIX, true);
    const copies = both(start, values => numbers(size, i => values[i % WIDTH]));
    const encoded = applyGates(first.gates, copies), mixed = applyMatrix(size, middle, encoded);
    const again = applyGates(second.gates, mixed), final = applyMatrix(size, last, again);
    const values = readOut(size / WIDTH * model.classes, final, final, model.readout);
    return { first, second, start, middle, last, encoded, mixed, again, final, values };
  }

  /* From the loss's derivatives by a QNN's expectation values back to its angles and the bias. */
  function pull(model, theta, patch, qnn, weights, gradient) {
    const size = qnn.final.v.length, at = number => stretchAt(model, patch, number);
    let lambda = weigh(size, weights, qnn.final, model.readout);
    pullStretch(model, theta, at(2), qnn.final, lambda, true, gradient);
    lambda = applyAdjoint(size, qnn.last, lambda);
    pullEncoding(qnn.second.rotations, qnn.again, lambda, gradient);
    lambda = applyGates(inverse(qnn.second.gates), lambda);
    pullStretch(model, theta, at(1), qnn.mixed, lambda, false, gradient);
    lambda = applyAdjoint(size, qnn.middle, lambda);
    pullEncoding(qnn.first.rotations, qnn.encoded, lambda, gradient);
    lambda = applyGates(inverse(qnn.first.gates), lambda);
    const sum = both(lambda, values => { // all images share the first stretch's state
      const total = new Float64Array(WIDTH);
      for (let i = 0; i < values.length; i++) total[i % WIDTH] += values[i];
      return total;
    });
    pullStretch(model, theta, at(0), qnn.start, sum, false, gradient);
  }

  /* The model's answer: logits, image by image, and each QNN behind them. */
  function answer(model, theta, images) {
    const qnns = model.corners.map((_, patch) => run(model, theta, patch, images));
    const factor = model.scale / model.patches;
    const mean = kind => numbers(qnns[0].values.v.length, i =>
      factor * qnns.reduce((sum, qnn) => sum + qnn.values[kind][i], 0));
    return { qnns, logits: dual(mean("v"), theta.d && mean("d")) };
  }

  /* Probabilities of the classes of one image from logits, and the cross-entropy of its label. */
  function softmax(logits) {
    const top = Math.max(...logits), powers = logits.map(logit => Math.exp(logit - top));
    const sum = powers.reduce((a, b) => a + b);
    return { chances: powers.map(power => power / sum), loss: label => Math.log(sum) + top - logits[label] };
  }

  /* Mean loss, how many answers are right, and the loss's derivatives by the logits, of images in their order. */
  function judge(model, logits, labels) {
    const K = model.classes, weights = both(logits, values => new Float64Array(values.length));
    let loss = 0, right = 0;
    labels.forEach((label, image) => {
      const own = values => values.subarray(K * image, K * image + K);
      const { chances, loss: lossOf } = softmax(own(logits.v));
      loss += lossOf(label) / labels.length;
      right += Number(own(logits.v).indexOf(Math.max(...own(logits.v))) === label);
      chances.forEach((chance, k) => { own(weights.v)[k] = (chance - Number(k === label)) / labels.length; });
      if (!logits.d) return;
      const drift = chances.reduce((sum, chance, k) => sum + chance * own(logits.d)[k], 0);
      chances.forEach((chance, k) => { own(weights.d)[k] = chance * (own(logits.d)[k] - drift) / labels.length; });
    });
    return { loss, right, weights };
  }

  /* Loss and right answers alone; the same with the gradient and, along a direction, Hessian times direction. */
  function evaluate(model, theta, images, labels) {
    const { logits } = answer(model, dual(theta), images);
    return { logits: logits.v, ...judge(model, logits, labels) };
  }
  function differentiate(model, theta, images, labels, direction = null) {
    const point = dual(theta, direction), { qnns, logits } = answer(model, point, images);
    const { loss, right, weights } = judge(model, logits, labels), factor = model.scale / model.patches;
    const byValues = both(weights, values => values.map(value => factor * value));
    const gradient = dual(new Float64Array(model.size), direction && new Float64Array(model.size));
    qnns.forEach((qnn, patch) => pull(model, point, patch, qnn, byValues, gradient));
    return { loss, right, logits: logits.v, gradient: gradient.v, product: gradient.d };
  }

  return { makeModel, answer, evaluate, differentiate, softmax };
}
