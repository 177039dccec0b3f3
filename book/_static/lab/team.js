/* The laboratory's one or two models, each in a worker of its own: they begin, keep pace, are measured. */
"use strict";

/* Digits of the site as the models take them: radians. */
qpatch.labDigits = () => {
  const { radians, perDigit, ...texts } = window.qpatchDigits, full = 255 * 16 * radians; // of full ink
  const decode = text => Float64Array.from(new Uint16Array(qpatch.bytes(text).buffer), value => value * radians);
  const pixels = { train: decode(texts.train), test: decode(texts.test) };

  /* All images of some digits in a split, digit after digit, with their places among the digits as labels. */
  function images(split, digits) {
    const size = 64 * perDigit[split], all = new Float64Array(size * digits.length);
    digits.forEach((digit, k) => all.set(pixels[split].subarray(size * digit, size * (digit + 1)), size * k));
    return { images: all, labels: digits.flatMap((_, k) => Array(perDigit[split]).fill(k)) };
  }
  const greys = image => image.map(value => 255 * value / full); // ink from 0 to 255
  return { perDigit, full, images, greys };
};

/* `on` is told of each report by its kind: progress, curvature, landscape; and `still` when all have come to rest. */
qpatch.labTeam = (digits, on) => {
  const source = `"use strict"; (${labWorker})((${patchPhysics})(), (${patchTraining})(), (${patchCurvature})(), self)`;
  const script = URL.createObjectURL(new Blob([source], { type: "text/javascript" })); // works from a local disk, too
  const every = matchMedia("(prefers-reduced-motion: reduce)").matches ? 1500 : 120; // milliseconds between reports
  const physics = patchPhysics(), { EPOCHS } = qpatch.address;
  const models = ["A", "B"].map((name, number) => ({ name, isSecond: number === 1, worker: new Worker(script) }));
  let active = [], begun = 0; // the models at work; which beginning this is: reports of those before are dropped
  let target = 0, wanted = null, wasRunning = false; // epochs to train to; an order that waits until all stand still

  for (const model of models)
    model.worker.onmessage = ({ data }) => {
      if (data.id !== begun) return;
      if (data.kind === "progress") model.progress = data;
      on[data.kind](model, data);
      if (data.kind === "progress") keepPace();
    };

  const tell = order => active.forEach(model => model.worker.postMessage(order));
  const epochOf = ({ progress }) => progress ? progress.step / progress.perEpoch : 0;
  const isBefore = ({ progress }, epochs) => !progress || progress.step < Math.round(epochs * progress.perEpoch);
  const isRunning = () => target > 0 && active.some(model => isBefore(model, target));

  /* Training goes side by side: none begins an epoch before all have ended the one before. */
  function keepPace() {
    const next = Math.min(target, Math.floor(Math.min(...active.map(epochOf)) + 1e-9) + 1);
    for (const model of active)
      if (target && isBefore(model, next) && model.sent !== next)
        model.worker.postMessage({ kind: "run", epochs: model.sent = next });
    if (wasRunning && !isRunning()) {
      on.still();
      if (wanted) tell(wanted);
      wanted = null;
    }
    wasRunning = isRunning();
  }
  function run(epochs) {
    target = Math.min(epochs, EPOCHS);
    for (const model of active) model.sent = 0;
    keepPace();
  }
  /* All stop where the first of them has been sent to: at the end of an epoch. */
  function pause() {
    target = Math.max(...active.map(model => model.sent));
    keepPace();
  }
  function step() {
    target = 0;
    tell({ kind: "step" });
  }
  /* Curvature or landscape, as soon as nothing trains. */
  function measure(order) {
    if (!isRunning()) return tell(order);
    wanted = order;
    pause();
  }

  function begin(state) {
    begun++, target = 0, wanted = null, wasRunning = false;
    models.forEach(model => { model.progress = model.found = null, model.worker.postMessage({ kind: "rest" }); });
    active = models.filter(model => !model.isSecond || state.change);
    const [train, test] = ["train", "test"].map(split => digits.images(split, state.digits));
    for (const model of active) {
      model.settings = qpatch.address.settingsOf(state, model.isSecond);
      model.shape = physics.makeModel(model.settings);
      model.worker.postMessage({ kind: "begin", id: begun, settings: model.settings, train, test, every });
    }
  }

  return { models, active: () => active, begin, run, pause, step, measure, tell, epochOf, isRunning };
};
