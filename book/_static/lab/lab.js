/* "Train one here": the laboratory's page. Settings go into the address and to the models, their reports onto cards. */
"use strict";

qpatch.register("lab", (box, data) => {
  const { make, draw, picture, choice, panel, summary, address, story } = qpatch, charts = qpatch.charts(data.colors);
  const isSmall = data.form === "small", digits = qpatch.labDigits();
  let state = isSmall ? { ...address.initial(), ...data.state } : address.parse(location.hash);

  const card = (...classes) => make("div", { class: ["qx-card", ...classes].join(" ") });
  const button = (text, click) => make("button", { type: "button", click }, text);
  const tools = (...children) => make("div", { class: "ql-tools" }, ...children);
  const lossCard = card(), accuracyCard = card(), shown = card("ql-digit");
  const about = summary(), numbers = make("div", { class: "ql-numbers" }), aim = make("p", { class: "ql-look" });
  const announce = text => { about.textContent = text; };

  // -- models -----------------------------------------------------------------------------------------------------

  const team = qpatch.labTeam(digits, {
    progress({ name }, { answer, path }) {
      if (answer) views[name].showAnswer(answer, looked.greys);
      views[name].showPath(path);
      drawCurves();
      showState();
    },
    curvature(model, found) {
      model.found = found;
      const known = team.active().filter(each => each.found);
      const valuesOf = ({ found: { estimates, traces } }) => [...estimates, ...traces.map(([value]) => value)];
      const most = Math.max(...known.flatMap(valuesOf));
      for (const each of known) each.text = views[each.name].showCurvature(each.found, most);
      if (found.done) announce(`Model ${model.name} at step ${model.progress.step}: ${model.text}`);
    },
    landscape({ name }, found) {
      views[name].showLandscape(found);
      const text = found.missing ? "the path has no plane yet" : "the landscape is drawn";
      if (found.done) announce(`Model ${name}: ${text}.`);
    },
    still() {
      state.step = team.models[0].progress.step;
      writeAddress();
      announce(team.active().map(({ name, progress: { step, points } }) =>
        `${name} stands at step ${step}, test accuracy ${(100 * points.at(-1).testAccuracy).toFixed(0)} %.`).join(" "));
    },
  });
  const views = Object.fromEntries(team.models.map(({ name }) => [name, qpatch.modelView(name, charts, showFrame)]));

  function begin() {
    team.begin(state);
    for (const model of team.active()) {
      const { settings: { patches }, shape: { corners, perSide }, name, isSecond } = model;
      const isAlike = isSecond && patches === state.patches;
      const color = model.color = isAlike ? data.colors.other : data.colors.patches[patches];
      model.title = state.change ? `${name}, ${differs(model)}, ` : "";
      views[name].begin({ corners, perSide, nX: Math.ceil(state.digits.length / 2), digits: state.digits, color });
    }
    box.classList.toggle("ql-pair", Boolean(state.change));
    watch(0);
    if (state.step) team.run(state.step * state.batch / digits.perDigit.train);
  }
  /* What was measured belongs to the point where it was. */
  function leave() {
    team.tell({ kind: "rest" });
    for (const model of team.active()) model.found = null, views[model.name].forget();
  }

  // -- the image looked at ----------------------------------------------------------------------------------------

  const looked = { number: 1, greys: null };
  const frame = draw("rect", { width: 4, height: 4, class: "ql-frame", visibility: "hidden" });
  function showFrame(corner) {
    frame.setAttribute("visibility", corner ? "visible" : "hidden");
    if (corner) frame.setAttribute("x", corner[1]), frame.setAttribute("y", corner[0]);
  }
  function look(image, name) {
    looked.greys = digits.greys(image);
    shown.replaceChildren(make("div", { class: "ql-shown" }, picture(looked.greys, 8, name),
      draw("svg", { viewBox: "0 0 8 8", "aria-hidden": "true" }, frame)), make("p", {}, name));
    team.tell({ kind: "watch", image });
  }
  function watch(step) {
    const { images, labels } = digits.images("test", state.digits), count = labels.length;
    const number = looked.number = (looked.number + step + count) % count;
    look(images.slice(64 * number, 64 * number + 64), `Test image of a ${state.digits[labels[number]]}`);
  }
  const pad = qpatch.drawingPad(ink => {
    if (ink.some(value => value > 0)) look(ink.map(value => value * digits.full), "Your drawing");
  });

  // -- curves and words -------------------------------------------------------------------------------------------

  function drawCurves() {
    const known = team.active().filter(model => model.progress);
    const last = Math.max(10, ...known.map(({ progress }) => progress.points.at(-1).epoch));
    for (const [target, kind, isLog] of [[lossCard, "Loss", true], [accuracyCard, "Accuracy", false]]) {
      const series = known.flatMap(({ title, color, progress: { points } }) => ["train", "test"].map(split => ({
        name: `${title}${split === "train" ? "training" : "test"}`, color, dashed: split === "test",
        points: points.map(point => [point.epoch, point[split + kind]]),
      })));
      const values = series.flatMap(({ points }) => points.map(point => point[1])), least = Math.min(...values);
      const range = isLog ? [Math.max(1e-4, 0.7 * least), 1.3 * Math.max(...values)] : [Math.min(0.5, least), 1];
      const ends = series.map(({ name, points }) => `${name} ${points.at(-1)[1].toFixed(3)}`);
      const x = { range: [0, last], label: "epoch" }, y = { range, isLog, label: kind.toLowerCase() };
      const chart = charts.curves(series, { x, y, label: `${kind}: ${ends.join("; ")}` });
      target.replaceChildren(chart, charts.legend(series));
    }
  }
  function showState() {
    runButton.textContent = team.isRunning() ? "Pause" : "Run";
    const known = team.active().filter(model => model.progress);
    numbers.replaceChildren(...known.map(({ name, progress: { step, perEpoch, rate, points } }) => {
      const { trainLoss, testLoss, testAccuracy } = points.at(-1);
      return make("p", {}, `${name}: step ${step}, epoch ${Math.floor(step / perEpoch)}`
        + `${rate === undefined ? "" : `, rate ${Number(rate.toPrecision(2))}`}; training loss ${trainLoss.toFixed(3)},`
        + ` test loss ${testLoss.toFixed(3)}, test accuracy ${(100 * testAccuracy).toFixed(0)} %`);
    }));
  }
  const describe = () => `${state.patches} patches, depth ${state.depth}, digits ${state.digits.join(" ")}.`
    + (state.change ? ` Beside it one with ${address.phrase(state.change, state.to)}.` : "");
  const differs = ({ isSecond }) => address.phrase(state.change, isSecond ? state.to : state[state.change]);

  // -- controls ---------------------------------------------------------------------------------------------------

  const runButton = button("Run", () => {
    if (team.isRunning()) { team.pause(); showState(); return; }
    const epoch = team.epochOf(team.models[0]);
    if (epoch >= address.EPOCHS) return announce(`All ${address.EPOCHS} epochs are trained; Reset begins anew.`);
    leave();
    team.run(epoch < state.stop ? state.stop : address.EPOCHS);
    showState();
    announce("Training runs.");
  });
  const stepButton = button("Step", () => {
    if (team.isRunning() || team.epochOf(team.models[0]) >= address.EPOCHS) return;
    leave();
    state.step = (team.models[0].progress?.step ?? 0) + 1;
    team.step();
    writeAddress();
  });
  const resetButton = button("Reset", () => update({ step: 0 }));
  const copyButton = button("Copy link", async () => {
    try { await navigator.clipboard.writeText(location.href); announce("The link is copied."); }
    catch { announce("The page's address is the link."); }
  });
  const measure = order => () => { team.measure(order); announce("Measuring …"); };

  function writeAddress() {
    if (!isSmall) history.replaceState(null, "", address.format(state));
  }
  /* A change of the settings begins anew. */
  function update(change) {
    Object.assign(state, { step: 0 }, change);
    if (state.change && state.to === state[state.change]) Object.assign(state, { change: "", to: "" });
    writeAddress();
    start();
  }
  function start() {
    fill();
    begin();
    announce(describe());
  }

  const selects = Object.fromEntries(Object.entries(address.FIELDS).map(([key, { name }]) =>
    [key, choice(name, text => update({ [key]: address.read(key, text) }))]));
  const stopChoice = choice("Stop at epoch", text => { state.stop = Number(text); writeAddress(); });
  const changeChoice = choice("Second model: what differs", key =>
    update({ change: key, to: address.FIELDS[key]?.values.find(value => value !== state[key]) ?? "" }));
  const toChoice = choice("Its value", text => update({ to: address.read(state.change, text) }));
  const boxes = Array.from({ length: 10 }, (_, d) => make("input", { type: "checkbox", value: d, change: () => {
    const chosen = boxes.filter(input => input.checked).map(input => Number(input.value));
    if (chosen.length >= 2 && chosen.length <= 8) return update({ digits: chosen });
    fill();
    announce("Choose two to eight digits.");
  } }));
  const seedInput = make("input", { type: "number", id: "ql-seed", min: 0, max: 999999999, change: () => {
    const seed = address.read("seed", seedInput.value);
    if (seed === undefined) return fill(), announce("A seed is a whole number of up to nine digits.");
    update({ seed });
  } });
  selects.seed.element = make("div", { class: "qx-choice" }, make("label", { for: "ql-seed" }, "Seed"), seedInput);
  const stateOf = part => ({ ...address.initial(), ...part.state });
  const storyButtons = story.map(part => button(part.title, () => update(stateOf(part))));

  function fill() {
    const options = values => values.map(value => [value, String(value)]);
    boxes.forEach((input, d) => { input.checked = state.digits.includes(d); });
    for (const [key, { values }] of Object.entries(address.FIELDS)) selects[key].fill(options(values), state[key]);
    seedInput.value = state.seed;
    stopChoice.fill(options(address.STOPS), state.stop);
    const fields = Object.entries(address.FIELDS).map(([key, { name }]) => [key, name]);
    changeChoice.fill([["", "nothing"], ...fields], state.change);
    const others = address.FIELDS[state.change]?.values.filter(value => value !== state[state.change]) ?? [];
    toChoice.fill(options(others.includes(state.to) || !state.change ? others : [...others, state.to]), state.to);
    toChoice.element.hidden = !state.change;
    for (const model of team.models)
      for (const label of box.querySelectorAll(`.ql-of-${model.name} .ql-name`))
        label.textContent = `Model ${model.name}${state.change ? `: ${differs(model)}` : ""}`;
    fillStory();
  }
  /* Which part of the story the settings are, whoever made them: a click, a choice, a link. */
  function fillStory() {
    const plain = settings => address.format({ ...settings, step: 0 });
    const part = story.findIndex(each => plain(stateOf(each)) === plain(state));
    storyButtons.forEach((each, i) => each.setAttribute("aria-pressed", i === part));
    aim.textContent = story[part]?.look ?? "";
  }

  // -- the page ---------------------------------------------------------------------------------------------------

  const cardOf = (name, key) =>
    make("div", { class: `ql-of-${name}` }, make("p", { class: "ql-name" }), views[name].cards[key]);
  const pairOf = (title, key, ...others) =>
    panel(title, make("div", { class: "ql-two" }, ...team.models.map(({ name }) => cardOf(name, key))), ...others);
  const curves = () => [panel("Loss", lossCard), panel("Accuracy", accuracyCard)];
  const small = () => [
    make("div", { class: "ql-run ql-tools" }, runButton, resetButton), about,
    make("div", { class: "qx-panels" }, ...curves())];
  const whole = () => [
    make("div", { class: "ql-story", role: "group", "aria-label": "The paper's story in five clicks" },
      ...storyButtons), aim,
    make("fieldset", { class: "ql-digits" }, make("legend", {}, "Digits, two to eight"),
      ...boxes.map((input, d) => make("label", {}, input, String(d)))),
    make("div", { class: "qx-controls" }, ...Object.values(selects).map(select => select.element), stopChoice.element,
      changeChoice.element, toChoice.element),
    make("div", { class: "ql-run ql-tools" }, runButton, stepButton, resetButton, copyButton), about, numbers,
    make("div", { class: "qx-panels" }, ...curves(),
      panel("The digit", shown, tools(button("Previous", () => watch(-1)), button("Next", () => watch(1)))),
      panel("Or draw one, large and in the middle", pad.element)),
    pairOf("Which patches vote for what", "votes"), ...Object.values(views).map(view => view.said),
    pairOf("What the model makes of it", "chances"), pairOf("Expectation values on the Bloch disc", "discs"),
    pairOf("The path on its principal plane", "path"),
    pairOf("Curvature where it is", "curvature", tools(button("Measure", measure({ kind: "curvature" })))),
    pairOf("Landscape around it", "landscape", tools(
      button("Principal plane", measure({ kind: "landscape", plane: "principal" })),
      button("Two top eigenvectors", measure({ kind: "landscape", plane: "top" })))),
  ];
  box.classList.toggle("ql-small", isSmall);
  box.append(...(isSmall ? small() : whole()));
  start();
  if (!isSmall) addEventListener("hashchange", () => { state = address.parse(location.hash); start(); });
});
