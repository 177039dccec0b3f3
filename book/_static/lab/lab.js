/* "Train one here": the laboratory's page. Settings go into the address, models into workers, reports onto cards. */
"use strict";

qpatch.register("lab", (box, data) => {
  const { make, draw, picture, choice, panel, summary, charts, address, story } = qpatch;
  const OTHER = "#555555"; // the second model's, where it has as many patches as the first
  const DIGITS = decodeDigits(window.qpatchDigits);
  const isSmall = data.form === "small";
  let state = address.parse(isSmall ? "" : location.hash);
  if (isSmall) Object.assign(state, data.state);

  function decodeDigits({ radians, perDigit, ...texts }) {
    const decode = text => Float64Array.from(new Uint16Array(qpatch.bytes(text).buffer), value => value * radians);
    return { radians, perDigit, train: decode(texts.train), test: decode(texts.test) };
  }
  /* All images of some digits in a split, digit after digit. */
  function imagesOf(split, digits) {
    const size = 64 * DIGITS.perDigit[split], images = new Float64Array(size * digits.length);
    digits.forEach((digit, k) => images.set(DIGITS[split].subarray(size * digit, size * (digit + 1)), size * k));
    return { images, labels: digits.flatMap((_, k) => Array(DIGITS.perDigit[split]).fill(k)) };
  }

  // -- models -----------------------------------------------------------------------------------------------------

  const source = `"use strict"; (${labWorker})((${patchPhysics})(), (${patchTraining})(), (${patchCurvature})(), self)`;
  const script = URL.createObjectURL(new Blob([source], { type: "text/javascript" })); // works from a local disk, too
  const physics = patchPhysics();
  const every = matchMedia("(prefers-reduced-motion: reduce)").matches ? 1500 : 120; // milliseconds between pictures
  let begun = 0; // reports of models before are dropped

  const models = ["A", "B"].map((name, i) => {
    const worker = new Worker(script), view = qpatch.modelView(name, corner => showFrame(corner));
    const model = { name, worker, view, isSecond: i === 1, progress: null };
    worker.onmessage = ({ data }) => { if (data.id === begun) receive[data.kind](model, data); };
    return model;
  });
  const active = () => models.filter(model => !model.isSecond || state.change);
  const tell = order => active().forEach(model => model.worker.postMessage(order));

  const receive = {
    progress(model, report) {
      model.progress = report;
      if (report.answer) model.view.showAnswer(report.answer, digit.greys);
      model.view.showPath(report.path);
      drawCurves();
      keepPace();
      showState();
    },
    curvature(model, found) {
      const text = model.view.showCurvature(found);
      if (found.done) announce(`Model ${model.name} at step ${model.progress.step}: ${text}`);
    },
    landscape(model, found) {
      model.view.showLandscape(found);
      if (found.done && !found.missing) announce(`Model ${model.name}: the landscape is drawn.`);
    },
  };

  /* Models train side by side: none begins an epoch before all have ended the one before. `target`: epochs to train to. */
  let target = 0, wanted = null; // an order that waits until all stand still
  const epochOf = ({ progress }) => progress ? progress.step / progress.perEpoch : 0;
  const isRunning = () => active().some(model => epochOf(model) < target);
  function keepPace() {
    const next = Math.min(target, Math.floor(Math.min(...active().map(epochOf)) + 1e-9) + 1);
    for (const model of active())
      if (epochOf(model) < next && model.sent !== next) model.worker.postMessage({ kind: "run", epochs: model.sent = next });
  }
  function runTo(epochs) {
    target = Math.min(epochs, address.EPOCHS);
    active().forEach(model => { model.sent = 0; });
    keepPace();
    showState();
  }
  /* All stop at the end of the epoch that the first of them is in. */
  const pause = () => { target = Math.min(target, Math.ceil(Math.max(...active().map(epochOf)) - 1e-9)); showState(); };

  function begin() {
    begun++;
    target = 0, wanted = null;
    const [train, test] = ["train", "test"].map(split => imagesOf(split, state.digits));
    for (const model of models) {
      model.progress = null;
      if (!active().includes(model)) { model.worker.postMessage({ kind: "rest" }); continue; }
      const settings = address.settingsOf(state, model.isSecond), { corners, perSide } = physics.makeModel(settings);
      model.color = model.isSecond && settings.patches === state.patches ? OTHER : data.colors[settings.patches];
      model.view.begin({ corners, perSide, nX: Math.ceil(state.digits.length / 2), digits: state.digits, color: model.color });
      model.worker.postMessage({ kind: "begin", id: begun, settings, train, test, every });
    }
    box.classList.toggle("ql-pair", Boolean(state.change));
    digit.count = DIGITS.perDigit.test * state.digits.length;
    digit.number %= digit.count;
    watch();
    if (state.step) runTo(state.step * state.batch / DIGITS.perDigit.train);
  }

  // -- the image looked at ----------------------------------------------------------------------------------------

  const digit = { number: 1, count: 0, isDrawn: false, greys: null };
  const drawn = isSmall ? null : qpatch.drawingPad(ink => { if (ink.some(value => value > 0)) digit.isDrawn = true, watch(); });
  const frameSquare = draw("rect", { width: 4, height: 4, class: "ql-frame", visibility: "hidden" });

  function watched() {
    const full = 255 * 16 * DIGITS.radians; // radians of full ink
    if (digit.isDrawn) return { image: drawn.ink.map(value => value * full), greys: drawn.ink.map(value => 255 * value), label: null };
    const { images, labels } = imagesOf("test", state.digits), image = images.slice(64 * digit.number, 64 * digit.number + 64);
    return { image, greys: image.map(value => 255 * value / full), label: state.digits[labels[digit.number]] };
  }
  function watch() {
    const { image, greys, label } = watched();
    digit.greys = greys;
    const name = label === null ? "Your drawing" : `Test image of a ${label}`;
    shown.replaceChildren(make("div", { class: "ql-shown" }, picture(greys, 8, name),
      draw("svg", { viewBox: "0 0 8 8", "aria-hidden": "true" }, frameSquare)), make("p", {}, name));
    tell({ kind: "watch", image });
  }
  function showFrame(corner) {
    frameSquare.setAttribute("visibility", corner ? "visible" : "hidden");
    if (corner) frameSquare.setAttribute("x", corner[1]), frameSquare.setAttribute("y", corner[0]);
  }
  const nextDigit = step => () => {
    digit.isDrawn = false;
    digit.number = (digit.number + step + digit.count) % digit.count;
    watch();
  };

  // -- curves and words -------------------------------------------------------------------------------------------

  const card = (...classes) => make("div", { class: ["qx-card", ...classes].join(" ") });
  const lossCard = card(), accuracyCard = card(), shown = card("ql-digit"), about = summary(), aim = make("p", { class: "ql-look" });

  function drawCurves() {
    const known = active().filter(model => model.progress);
    const last = Math.max(10, ...known.map(({ progress }) => progress.points.at(-1).epoch));
    for (const [target, kind, isLog] of [[lossCard, "Loss", true], [accuracyCard, "Accuracy", false]]) {
      const series = known.flatMap(({ name, color, progress: { points } }) => ["train", "test"].map(split => ({
        name: `${name}, ${split === "train" ? "training" : "test"}`, color, dashed: split === "test",
        points: points.map(point => [point.epoch, point[split + kind]]),
      })));
      const values = series.flatMap(({ points }) => points.map(point => point[1]));
      const range = isLog ? [Math.max(1e-4, 0.7 * Math.min(...values)), 1.3 * Math.max(...values)] : [Math.min(0.5, ...values), 1];
      const ends = series.map(({ name, points }) => `${name} ${points.at(-1)[1].toFixed(3)}`);
      target.replaceChildren(charts.curves(series, {
        x: { range: [0, last], label: "epoch" }, y: { range, isLog, label: kind.toLowerCase() }, label: `${kind}: ${ends.join("; ")}`,
      }), charts.legend(series));
    }
  }

  function showState() {
    const running = isRunning();
    runButton.textContent = running ? "Pause" : "Run";
    box.dataset.running = running;
    numbers.replaceChildren(...active().filter(model => model.progress).map(({ name, progress }) => {
      const { trainLoss, testLoss, testAccuracy } = progress.points.at(-1);
      return make("p", {}, `${name}: step ${progress.step}, epoch ${Math.floor(progress.step / progress.perEpoch)}`
        + `${progress.rate === undefined ? "" : `, rate ${charts.short(progress.rate)}`}; training loss ${trainLoss.toFixed(3)},`
        + ` test loss ${testLoss.toFixed(3)}, test accuracy ${(100 * testAccuracy).toFixed(0)} %`);
    }));
    if (wasRunning && !running) stopped();
    wasRunning = running;
  }
  let wasRunning = false;
  function stopped() {
    state.step = models[0].progress.step;
    writeAddress();
    announce(active().map(({ name, progress }) => `${name} stands at step ${progress.step}, test accuracy `
      + `${(100 * progress.points.at(-1).testAccuracy).toFixed(0)} %.`).join(" "));
    if (wanted) tell(wanted), announce("Measuring …");
    wanted = null;
  }
  const announce = text => { about.textContent = text; };
  const numbers = make("div", { class: "ql-numbers" });

  function writeAddress() {
    if (!isSmall) history.replaceState(null, "", address.format(state));
  }

  // -- controls ---------------------------------------------------------------------------------------------------

  const button = (text, click) => make("button", { type: "button", click }, text);
  const runButton = button("Run", () => {
    if (isRunning()) return pause();
    leave();
    runTo(epochOf(models[0]) < state.stop ? state.stop : address.EPOCHS);
    announce(isRunning() ? "Training runs." : `All ${address.EPOCHS} epochs are trained; Reset begins anew.`);
  });
  const stepButton = button("Step", () => {
    if (isRunning() || epochOf(models[0]) >= address.EPOCHS) return;
    leave();
    state.step = models[0].progress.step + 1;
    tell({ kind: "step" });
    writeAddress();
  });
  const steps = [runButton, stepButton, button("Reset", () => update({ step: 0 }))];
  const leave = () => { tell({ kind: "rest" }); active().forEach(model => model.view.forget()); };

  /* A change of the settings begins anew. */
  function update(change) {
    Object.assign(state, change);
    if (state.change && state.to === state[state.change]) Object.assign(state, { change: "", to: "" });
    fill();
    writeAddress();
    begin();
    announce(`${describe()} Nothing is trained yet.`);
  }
  const describe = () => `${state.patches} patches, depth ${state.depth}, digits ${state.digits.join(" ")}.`
    + (state.change ? ` Beside it one with ${address.FIELDS[state.change].name.toLowerCase()} ${state.to}.` : "");

  const selects = Object.fromEntries(Object.entries(address.FIELDS).map(([key, { name }]) =>
    [key, choice(name, text => update({ [key]: address.read(key, text), step: 0 }))]));
  const changeChoice = choice("Second model: what differs", key => {
    const other = address.FIELDS[key]?.values.find(value => value !== state[key]);
    update({ change: key, to: other ?? "", step: 0 });
  });
  const toChoice = choice("Its value", text => update({ to: address.read(state.change, text), step: 0 }));
  const stopChoice = choice("Stop at epoch", text => { state.stop = Number(text); writeAddress(); });
  const boxes = Array.from({ length: 10 }, (_, d) => make("input", { type: "checkbox", value: d, change: () => {
    const digits = boxes.filter(input => input.checked).map(input => Number(input.value));
    if (digits.length >= 2 && digits.length <= 8) update({ digits, step: 0 });
    else { fill(); announce("Choose two to eight digits."); }
  } }));

  function fill() {
    boxes.forEach((input, d) => { input.checked = state.digits.includes(d); });
    for (const [key, { values }] of Object.entries(address.FIELDS)) {
      const all = values.includes(state[key]) ? values : [...values, state[key]];
      selects[key].fill(all.map(value => [value, String(value)]), state[key]);
    }
    stopChoice.fill(address.STOPS.map(epoch => [epoch, String(epoch)]), state.stop);
    changeChoice.fill([["", "none"], ...Object.entries(address.FIELDS).map(([key, { name }]) => [key, name])], state.change);
    const others = state.change ? address.FIELDS[state.change].values.filter(value => value !== state[state.change]) : [];
    const all = state.change && !others.includes(state.to) ? [...others, state.to] : others;
    toChoice.fill(all.map(value => [value, String(value)]), state.to);
    toChoice.element.hidden = !state.change;
  }

  const storyButtons = story.map(({ title, state: chosen, look }) => button(title, () => {
    aim.textContent = look;
    update({ ...address.initial(), ...chosen });
    storyButtons.forEach(each => each.setAttribute("aria-pressed", each.textContent === title));
  }));
  const copyButton = button("Copy link", async () => {
    writeAddress();
    try { await navigator.clipboard.writeText(location.href); announce("The link is copied."); }
    catch { announce("The page's address is the link."); }
  });

  const onDemand = order => () => {
    if (isRunning()) wanted = order, pause();
    else tell(order), announce("Measuring …");
  };
  const pairOf = (title, key, ...tools) => panel(title, make("div", { class: "ql-two" },
    ...models.map(({ name, view }) => make("div", { class: `ql-of-${name}` }, make("p", { class: "ql-name" }, `Model ${name}`), view.cards[key]))), ...tools);
  const tools = (...children) => make("div", { class: "ql-tools" }, ...children);

  const wholeForm = () => [
    make("div", { class: "ql-story", role: "group", "aria-label": "The paper's story in five clicks" }, ...storyButtons), aim,
    make("fieldset", { class: "ql-digits" }, make("legend", {}, "Digits, two to eight"),
      ...boxes.map((input, d) => make("label", {}, input, String(d)))),
    make("div", { class: "qx-controls" }, ...Object.values(selects).map(select => select.element), stopChoice.element,
      changeChoice.element, toChoice.element),
    make("div", { class: "ql-run ql-tools" }, ...steps, copyButton), about, numbers,
    make("div", { class: "qx-panels" }, panel("Loss", lossCard), panel("Accuracy", accuracyCard),
      panel("The digit", shown, tools(button("Previous", nextDigit(-1)), button("Next", nextDigit(1)))),
      panel("Or draw one, large and in the middle", drawn.element)),
    pairOf("Which patches vote for what", "votes"), ...models.map(({ view }) => view.said),
    pairOf("What the model makes of it", "chances"), pairOf("Expectation values on the Bloch disc", "discs"),
    pairOf("The path on its principal plane", "path"),
    pairOf("Curvature where it is", "curvature", tools(button("Measure", onDemand({ kind: "curvature" })))),
    pairOf("Landscape around it", "landscape", tools(
      button("Principal plane", onDemand({ kind: "landscape", plane: "principal" })),
      button("Two top eigenvectors", onDemand({ kind: "landscape", plane: "top" })))),
  ];
  const smallForm = () => [
    make("div", { class: "ql-run ql-tools" }, ...steps.filter((_, i) => i !== 1)), about, numbers,
    make("div", { class: "qx-panels" }, panel("Loss", lossCard), panel("Accuracy", accuracyCard)),
  ];

  box.append(...(isSmall ? smallForm() : wholeForm()));
  fill();
  begin();
  announce(describe());
  if (!isSmall) addEventListener("hashchange", () => { state = address.parse(location.hash); fill(); begin(); announce(describe()); });
});
