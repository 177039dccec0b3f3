/* One model in training, in a worker of its own: takes orders, reports what the page shows. Its work is cut into short
   turns, between which it listens. */
"use strict";

function labWorker(physics, training, curvature, port) {
  const TURN = 40; // milliseconds of work without listening
  const GRID = 17, PER_CLASS = 20; // points a side of a landscape, and its images of each class
  const PRODUCTS = 24, PROBES = 16, TOLERANCE = 1e-3; // of the curvature

  let own = null; // the model, its images, its state
  let goal = 0; // the step to train to
  let job = null; // a generator that yields messages
  let reported = 0, told = 0, waiting = false; // when and at which step the last report was; whether a turn is due

  /* The first images of each class; all of them are listed class after class. */
  function firstOf({ images, labels }, classes, count) {
    const each = labels.length / classes, chosen = labels.map((_, i) => i).filter(i => i % each < count);
    return gather({ images, labels }, chosen);
  }
  function gather({ images, labels }, chosen) {
    const pixels = new Float64Array(64 * chosen.length);
    chosen.forEach((image, i) => pixels.set(images.subarray(64 * image, 64 * image + 64), 64 * i));
    return { images: pixels, labels: chosen.map(image => labels[image]) };
  }

  // -- training ---------------------------------------------------------------------------------------------------

  function begin({ id, settings, train, test, every }) {
    const model = physics.makeModel(settings), theta = training.initialParameters(model, settings.seed);
    const perEpoch = train.labels.length / model.classes / settings.perClass;
    own = { id, settings, model, theta, train, test, perEpoch, every, step: 0, batches: [], points: [], path: [],
            adam: training.makeAdam(model.size), draw: training.twister(settings.seed), plane: null, watched: null };
    goal = 0, job = null;
    record();
    report();
  }

  function trainStep() {
    const { model, theta, train, settings, perEpoch } = own, epoch = Math.floor(own.step / perEpoch);
    if (!own.batches.length)
      own.batches = training.makeBatches(train.labels, model.classes, settings.perClass, own.draw);
    const batch = gather(train, own.batches.shift());
    own.rate = settings.swing ? training.annealed(settings.rate, epoch) : settings.rate;
    own.adam(theta, physics.differentiate(model, theta, batch.images, batch.labels).gradient, own.rate);
    own.step++;
    if (own.step % perEpoch === 0) record();
  }

  /* Loss and accuracy over all images; after whole epochs the path goes on, too. */
  function record() {
    const { model, theta, step, points, path, perEpoch } = own;
    const measure = ({ images, labels }) => {
      const { loss, right } = physics.evaluate(model, theta, images, labels);
      return [loss, right / labels.length];
    };
    const [trainLoss, trainAccuracy] = measure(own.train), [testLoss, testAccuracy] = measure(own.test);
    points.push({ epoch: step / perEpoch, trainLoss, testLoss, trainAccuracy, testAccuracy });
    if (step % perEpoch) return;
    path.push(theta.slice(0, model.nAngles));
    own.plane = path.length > 2 ? curvature.principalPlane(path) : null;
  }

  /* The path on two axes of the angles, seen from the present point. */
  function project(axes) {
    return own.path.map(point => axes.map(axis =>
      point.reduce((sum, angle, i) => sum + (angle - own.theta[i]) * axis[i], 0)));
  }

  function report() {
    const { id, model, theta, step, points, plane, perEpoch, watched, rate } = own;
    const { qnns, logits } = watched ? physics.answer(model, { v: theta, d: null }, watched) : {};
    port.postMessage({
      kind: "progress", id, step, perEpoch, points, rate,
      path: plane && { points: project(plane.axes), shares: plane.shares },
      answer: qnns && { values: qnns.map(qnn => qnn.values.v), chances: physics.softmax(logits.v).chances },
    });
    reported = Date.now(), told = step;
  }

  // -- on demand --------------------------------------------------------------------------------------------------

  const productOf = ({ model, theta, train }) => vector =>
    physics.differentiate(model, theta, train.images, train.labels, vector).product;

  /* The two largest eigenvalues of the Hessian, then its trace, each product told. */
  function* measureCurvature() {
    const product = productOf(own), { size } = own.model, draw = training.twister(own.settings.seed + 1);
    const message = { kind: "curvature", estimates: [], traces: [], done: false };
    let found;
    for (found of curvature.lanczos(product, curvature.signs(size, draw), PRODUCTS)) {
      message.estimates.push(found.values[0]);
      message.residual = found.residuals[0];
      yield message;
      if (Math.max(found.residuals[0], found.residuals[1]) <= TOLERANCE * found.values[1]) break;
    }
    own.top = { step: own.step, axes: [found.vector(0), found.vector(1)] };
    for (const { value, error } of curvature.hutchinson(product, size, draw, PROBES)) {
      message.traces.push([value, error]);
      yield message;
    }
    message.done = true;
    yield message;
  }

  /* The loss on a plane through the present point, row by row. */
  function* sliceLandscape(kind) {
    if (kind === "top" && own.top?.step !== own.step) yield* measureCurvature();
    const { model, theta } = own, images = firstOf(own.train, model.classes, PER_CLASS);
    const axes = kind === "top" ? own.top.axes : own.plane?.axes;
    if (!axes) { yield { kind: "landscape", missing: true, done: true }; return; }
    const path = project(axes), [x, y] = [0, 1].map(axis => range(path.map(point => point[axis])));
    const message = { kind: "landscape", plane: kind, x, y, path, rows: [], images: images.labels.length, done: false };
    for (const up of y) {
      message.rows.push(x.map(across => {
        const point = theta.slice();
        curvature.add(point, across, axes[0].length === model.size ? axes[0] : padded(axes[0]));
        curvature.add(point, up, axes[1].length === model.size ? axes[1] : padded(axes[1]));
        return physics.evaluate(model, point, images.images, images.labels).loss;
      }));
      message.done = message.rows.length === y.length;
      yield message;
    }
  }
  const padded = axis => { const whole = new Float64Array(own.model.size); whole.set(axis); return whole; };

  /* Coordinates from before the path's least to beyond its largest, the present point, 0, among them. */
  function range(values) {
    const low = Math.min(0, ...values), high = Math.max(0, ...values), margin = Math.max(0.25 * (high - low), 0.4);
    return Array.from({ length: GRID }, (_, i) => low - margin + (high - low + 2 * margin) * i / (GRID - 1));
  }

  // -- turns ------------------------------------------------------------------------------------------------------

  function turn() {
    waiting = false;
    const began = Date.now();
    while (Date.now() - began < TURN && (job || own.step < goal)) {
      if (!job) { trainStep(); continue; }
      const { value, done } = job.next();
      if (value) port.postMessage({ ...value, id: own.id });
      if (done) job = null;
    }
    if (job || own.step < goal) {
      if (!job && Date.now() - reported > own.every) report();
      wake();
    } else if (own.step !== told) {
      if (own.step % own.perEpoch) record();
      report();
    }
  }
  function wake() {
    if (!waiting) waiting = true, setTimeout(turn);
  }

  const orders = {
    begin,
    run({ epochs }) { goal = Math.round(epochs * own.perEpoch), job = null; wake(); },
    step() {
      trainStep();
      if (own.step % own.perEpoch) record();
      report();
    },
    watch({ image }) { own.watched = image; if (own.step >= goal) report(); },
    curvature() { job = measureCurvature(); wake(); },
    landscape({ plane }) { job = sliceLandscape(plane); wake(); },
    rest() { goal = 0, job = null; },
  };
  port.onmessage = ({ data }) => orders[data.kind](data);
}
