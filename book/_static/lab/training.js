/* How a model of physics.js is trained, by the paper's protocol: where it starts, its mini-batches, Adam, the rate. */
"use strict";

function patchTraining() {
  const DECAY = 5e-5, PERIOD = 5; // weight decay; epochs in which the rate falls from its start to zero

  /* The Mersenne Twister, which PyTorch draws from: a function to the next whole number of 32 bits. */
  function twister(seed) {
    const state = new Uint32Array(624), size = state.length;
    state[0] = seed;
    for (let i = 1; i < size; i++) state[i] = Math.imul(1812433253, state[i - 1] ^ (state[i - 1] >>> 30)) + i;
    let next = size;
    return () => {
      if (next === size) {
        for (let i = 0; i < size; i++) {
          const both = (state[i] & 0x80000000) | (state[(i + 1) % size] & 0x7fffffff);
          state[i] = state[(i + 397) % size] ^ (both >>> 1) ^ (both & 1 ? 0x9908b0df : 0);
        }
        next = 0;
      }
      let y = state[next++];
      y ^= y >>> 11;
      y ^= (y << 7) & 0x9d2c5680;
      y ^= (y << 15) & 0xefc60000;
      return (y ^ (y >>> 18)) >>> 0;
    };
  }

  /* The package's initial parameters of a seed: angles uniform in [0, pi), drawn in single precision; no bias. */
  function initialParameters(model, seed) {
    const draw = twister(seed), theta = new Float64Array(model.size);
    for (let i = 0; i < model.nAngles; i++) theta[i] = Math.fround((draw() % 2 ** 24) / 2 ** 24 * Math.fround(Math.PI));
    return theta;
  }

  /* An epoch's mini-batches: all images in random order, `perClass` of each class in each batch. */
  function makeBatches(labels, classes, perClass, draw) {
    const members = Array.from({ length: classes }, (_, k) =>
      shuffled(labels.flatMap((label, i) => label === k ? [i] : []), draw));
    return Array.from({ length: Math.floor(members[0].length / perClass) }, (_, batch) =>
      members.flatMap(images => images.slice(batch * perClass, (batch + 1) * perClass)));
  }
  function shuffled(list, draw) {
    for (let i = list.length - 1; i > 0; i--) {
      const j = Math.floor(draw() / 2 ** 32 * (i + 1));
      [list[i], list[j]] = [list[j], list[i]];
    }
    return list;
  }

  /* The paper's rate: half a cosine down to zero in five epochs, then up again, and so on. */
  const annealed = (rate, epoch) => rate * (1 + Math.cos(Math.PI * epoch / PERIOD)) / 2;

  /* Adam (Kingma and Ba, 2015) with weight decay as a term of the gradient: a function that moves theta by one step. */
  function makeAdam(size) {
    const mean = new Float64Array(size), square = new Float64Array(size);
    let steps = 0;
    return (theta, gradient, rate) => {
      steps++;
      const stride = rate / (1 - 0.9 ** steps), norm = Math.sqrt(1 - 0.999 ** steps);
      for (let i = 0; i < size; i++) {
        const slope = gradient[i] + DECAY * theta[i];
        mean[i] += (slope - mean[i]) * 0.1;
        square[i] += (slope ** 2 - square[i]) * 0.001;
        theta[i] -= stride * mean[i] / (Math.sqrt(square[i]) / norm + 1e-8);
      }
    };
  }

  return { twister, initialParameters, makeBatches, annealed, makeAdam };
}
