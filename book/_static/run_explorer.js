/* The run explorer: choose a run; see its curves, landscape, spectrum, confusion matrix and hardest digits. */
"use strict";

qpatch.register("runs", (box, data) => {
  const { make, bytes, picture, choice, panel, summary } = qpatch;
  const runs = data.sets.flatMap(set => set.runs);
  const state = { run: null, view: "contour", turn: 0 };

  // -- controls -------------------------------------------------------------------------------------------------

  const setChoice = choice("Runs", value => show(data.sets[value].runs[0]));
  const strideChoice = choice("Stride", value => show(nearest(Number(value))));
  const depthChoice = choice("Depth", value => show(runs.find(run => run.id === value)));
  const viewChoice = choice("Show as", value => { state.view = value; drawLandscape(); });
  viewChoice.fill([["contour", "map"], ["surface", "surface"]], "contour");
  const about = summary(), numbers = make("dl", { class: "qx-numbers" });
  const link = make("a", { class: "qx-link" });
  const card = () => make("div", { class: "qx-card qx-plot", role: "img" });
  const curves = card(), landscape = card(), spectrum = card();
  const confusion = make("div", { class: "qx-card qx-scroll", tabindex: 0, role: "group", "aria-label": "Confusion matrix" });
  const hardest = make("ul", { class: "qx-card qx-digits" });
  const turn = (arrow, name, degrees) =>
    make("button", { type: "button", "aria-label": name, title: name, click: () => { state.turn += degrees; drawLandscape(); } }, arrow);
  const turns = make("div", { class: "qx-turns" }, turn("←", "Turn left", -15), turn("→", "Turn right", 15));

  const answers = panel("Hardest test images", hardest);
  answers.classList.add("qx-wide");
  box.append(
    make("div", { class: "qx-controls" }, setChoice.element, strideChoice.element, depthChoice.element),
    about, numbers, make("p", {}, link),
    make("div", { class: "qx-panels" },
      panel("Training", curves),
      panel("Landscape", landscape, make("div", { class: "qx-tools" }, turns, viewChoice.element)),
      panel("Spectrum of the Hessian", spectrum),
      panel("Confusion matrix, test images", confusion),
      answers));

  const setOf = run => data.sets.findIndex(set => set.runs.includes(run));

  /* The run of this stride and the present depth in the same set, or else of the next depth. */
  const nearest = stride => data.sets[setOf(state.run)].runs.filter(run => run.stride === stride)
    .reduce((a, b) => Math.abs(b.depth - state.run.depth) < Math.abs(a.depth - state.run.depth) ? b : a);

  function fillChoices(run) {
    const set = data.sets[setOf(run)].runs;
    const strides = [...new Map(set.map(r => [r.stride, `${r.stride} (${r.patches} patches)`]))];
    const alike = set.filter(r => r.stride === run.stride);
    const twice = depth => alike.filter(r => r.depth === depth).length > 1;
    setChoice.fill(data.sets.map((s, i) => [i, s.label]), setOf(run));
    strideChoice.fill(strides, run.stride);
    depthChoice.fill(alike.map(r => [r.id, twice(r.depth) ? `${r.depth}, rate ${r.rate}` : `${r.depth}`]), run.id);
  }

  // -- figures --------------------------------------------------------------------------------------------------

  const axis = title => ({ title: { text: title }, gridcolor: data.colors.grid, zeroline: false, automargin: true });

  /* On a white card, like every figure of the book. */
  function plot(card, description, traces, layout) {
    card.setAttribute("aria-label", description);
    if (card.classList.contains("qx-missing")) card.replaceChildren();
    card.classList.remove("qx-missing");
    const common = {
      height: 320, margin: { l: 55, r: 12, t: 14, b: 48 }, paper_bgcolor: "white", plot_bgcolor: "white", dragmode: false,
      font: { color: data.colors.ink, size: 12 }, legend: { orientation: "h", x: 0, y: 1, yanchor: "bottom" },
    };
    Plotly.react(card, traces, { ...common, ...layout }, { displayModeBar: false, responsive: true });
  }

  function absent(card, stage) {
    Plotly.purge(card);
    const text = `This run has no ${stage} yet.`;
    card.setAttribute("aria-label", text);
    card.classList.add("qx-missing");
    card.replaceChildren(text);
  }

  const lossTicks = [-4, -3, -2, -1, 0, 1, 2].flatMap(power => [1, 2, 5].map(digit => Number(`${digit}e${power}`)));

  function drawCurves() {
    const { color, curves: history } = state.run;
    const line = (name, column, dash, yaxis, showlegend) =>
      ({ name, x: history.epoch, y: history[column], yaxis, showlegend, mode: "lines", line: { color, dash, width: 2 } });
    plot(curves, `Loss and accuracy against the epoch; the best epoch is ${history.best}`, [
      line("training", "train_loss", "solid", "y2", true), line("test", "test_loss", "dash", "y2", true),
      line("training", "train_accuracy", "solid", "y", false), line("test", "test_accuracy", "dash", "y", false),
    ], {
      xaxis: axis("epoch"), yaxis: { ...axis("accuracy"), domain: [0, 0.44] }, hovermode: "x",
      yaxis2: { ...axis("loss"), domain: [0.56, 1], type: "log", tickvals: lossTicks },
      shapes: [{ type: "line", x0: history.best, x1: history.best, y0: 0, y1: 1, yref: "paper", line: { color: data.colors.best, width: 1.5 } }],
    });
  }

  function drawLandscape() {
    const field = state.run.landscape, solid = state.view === "surface";
    turns.hidden = !solid || !field;
    if (!field) return absent(landscape, "landscape");
    const { start, path: middle, end, best, grid, ink } = data.colors;
    const [x, y, z] = field.path, [first, last, step] = field.levels;
    const epochs = x.map((_, row) => row - 1);
    const marker = {
      size: solid ? x.map((_, row) => row === field.best ? 8 : 4) : x.map((_, row) => row === field.best ? 13 : 6),
      color: epochs, colorscale: [[0, start], [0.5, middle], [1, end]], line: { width: 0 },
    };
    const star = row => ({ x: [x[row]], y: [y[row]], z: [z[row]], mode: "markers", hoverinfo: "skip" });
    const names = field.ratios.map((share, i) => `PC ${i + 1} (${(100 * share).toFixed(1)} %)`);
    const path = { x, y, z, customdata: epochs, mode: "lines+markers", marker, line: { color: middle, width: solid ? 4 : 1 } };
    const hover = "epoch %{customdata}<extra></extra>", loss = "loss %{z:.3f}<extra></extra>";
    const common = { x: field.x, y: field.y, z: field.loss, showscale: false, hovertemplate: loss };
    const traces = solid ? [
      { ...common, type: "surface", colorscale: [[0, "#FFFFFF"], [1, "#8C8C8C"]],
        contours: { z: { show: true, start: first, end: last, size: step, color: "#777777", width: 1 } } },
      { ...path, type: "scatter3d", hovertemplate: hover },
      { ...star(field.best), type: "scatter3d", marker: { size: 8, color: best } },
    ] : [
      { ...common, type: "contour", colorscale: [[0, "#FAFAFA"], [1, "#ABABAB"]], autocontour: false,
        contours: { start: first, end: last, size: step, showlabels: true, labelfont: { size: 9, color: ink } },
        line: { color: "#777777", width: 0.7 } },
      { ...path, type: "scatter", hovertemplate: hover },
      { ...star(field.best), type: "scatter", marker: { size: 14, color: best, symbol: "star", line: { color: ink, width: 1 } } },
    ];
    const radians = state.turn * Math.PI / 180, solidAxis = title => ({ title: { text: title }, gridcolor: grid, showbackground: false });
    plot(landscape, `Loss on the principal plane of the path, which holds ${names.join(" and ")} of its variance`, traces, solid ? {
      showlegend: false, margin: { l: 0, r: 0, t: 0, b: 0 }, dragmode: "orbit",
      scene: { xaxis: solidAxis("PC 1"), yaxis: solidAxis("PC 2"), zaxis: solidAxis("loss"), aspectmode: "cube",
        camera: { eye: { x: 1.9 * Math.cos(radians), y: 1.9 * Math.sin(radians), z: 1.9 }, center: { x: 0, y: 0, z: -0.2 } } },
    } : { showlegend: false, xaxis: axis(names[0]), yaxis: axis(names[1]) });
  }

  /* Eigenvalues on an axis that is linear up to what the density resolves, and logarithmic beyond. */
  function drawSpectrum() {
    const found = state.run.spectrum;
    if (!found) return absent(spectrum, "spectrum");
    const { edges, counts, linear, outliers } = found, { ink, best } = data.colors;
    const place = v => Math.abs(v) <= linear ? v / linear : Math.sign(v) * (1 + Math.log10(Math.abs(v) / linear));
    const low = edges.map(place), text = v => v.toPrecision(3);
    const ends = [...found.largest.map((v, i) => [v, i < outliers]), ...found.smallest.map(v => [v, false])];
    const points = (name, kept, fill) => ({
      name, type: "scatter", mode: "markers", x: kept.map(([v]) => place(v)), y: kept.map(() => 0.6),
      text: kept.map(([v]) => text(v)), hovertemplate: "eigenvalue %{text}<extra></extra>",
      marker: { size: 9, color: fill, line: { color: ink, width: 1 } },
    });
    const powers = Array.from({ length: 9 }, (_, i) => 10 ** (Math.ceil(Math.log10(linear)) + i)).filter(v => v <= edges.at(-1) * 1.01);
    const ticks = [...powers.filter(v => v <= -edges[0] * 1.01).map(v => -v), 0, ...powers];
    plot(spectrum, `Numbers of eigenvalues from ${text(edges[0])} to ${text(edges.at(-1))}; the largest is ${text(found.largest[0])}`, [
      { name: "density", type: "bar", x: counts.map((_, i) => (low[i] + low[i + 1]) / 2), y: counts, showlegend: false,
        width: counts.map((_, i) => low[i + 1] - low[i]), marker: { color: state.run.color, opacity: 0.5 },
        text: counts.map((_, i) => `${text(edges[i])} to ${text(edges[i + 1])}`), textposition: "none",
        hovertemplate: "%{text}: %{y:.3g} eigenvalues<extra></extra>" },
      points("outliers", ends.filter(([, out]) => out), best), points("other extreme eigenvalues", ends.filter(([, out]) => !out), "white"),
    ], {
      xaxis: { ...axis("eigenvalue"), tickvals: ticks.map(place), ticktext: ticks.map(v => `${Number(v.toPrecision(1))}`) },
      yaxis: { ...axis("eigenvalues per bin"), type: "log", range: [-0.5, Math.log10(Math.max(...counts)) + 0.3], dtick: 1 },
    });
  }

  // -- answers to the test images ---------------------------------------------------------------------------------

  function drawConfusion() {
    const { confusion: matrix, testImages } = state.run, heads = matrix.map((_, i) => make("th", { scope: "col" }, String(i)));
    const worst = Math.max(1, ...matrix.flatMap((row, i) => row.filter((_, j) => i !== j)));
    const cell = (count, right) => make("td", {
      class: right ? "qx-right" : count ? "" : "qx-none",
      style: right || !count ? null : `--share: ${Math.round(55 * count / worst)}%`,
    }, String(count));
    confusion.replaceChildren(make("table", { class: "qx-confusion" },
      make("caption", {}, `Rows: label. Columns: prediction. ${testImages.toLocaleString("en")} images.`),
      make("thead", {}, make("tr", {}, make("td", {}), ...heads)),
      make("tbody", {}, ...matrix.map((row, i) =>
        make("tr", {}, make("th", { scope: "row" }, String(i)), ...row.map((count, j) => cell(count, i === j)))))));
  }

  function drawHardest() {
    const { hardest: found, imageSize } = state.run;
    hardest.replaceChildren(...found.map(image => make("li", {},
      picture(bytes(image.pixels), imageSize, `Test image ${image.number}`),
      make("span", {}, `${image.label}, said ${image.said}`), make("span", { class: "qx-small" }, `loss ${image.loss.toFixed(1)}`))));
  }

  function describe() {
    const { run } = state;
    const wrong = run.testImages - run.confusion.reduce((sum, row, i) => sum + row[i], 0);
    about.textContent = `${run.title}. Of ${run.testImages.toLocaleString("en")} test images, ${wrong.toLocaleString("en")} are answered wrongly.`;
    numbers.replaceChildren(...run.numbers.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))));
    link.href = run.href;
    link.textContent = "Report of this run, with its configuration and cost";
  }

  function show(run) {
    if (state.run) history.replaceState(null, "", `#${run.id}`);
    state.run = run;
    state.turn = run.landscape?.azimuth ?? 0;
    box.style.setProperty("--qx-color", run.color);
    for (const step of [fillChoices, describe, drawCurves, drawLandscape, drawSpectrum, drawConfusion, drawHardest]) step(run);
  }

  /* A page's address may name the run: explore.html#mnist-s6-d050-seed1001. Without a script it leads to the table's row. */
  function showNamed() {
    const run = runs.find(run => `#${run.id}` === location.hash);
    if (run) show(run), box.scrollIntoView();
    return run;
  }
  addEventListener("hashchange", showNamed);
  showNamed() ?? show(runs.find(run => run.id === data.first));
});
