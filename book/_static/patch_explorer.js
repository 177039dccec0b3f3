/* The patch explorer: choose a stride and a digit; see the patches as frames, one by one, and how many see each pixel. */
"use strict";

qpatch.register("patches", (box, data) => {
  const { make, draw, bytes, picture, radios, panel, summary } = qpatch;
  const size = data.imageSize, side = data.patchSize;
  const state = { stride: data.strides.find(s => s.stride === data.stride), digit: data.digits[0], patch: null };

  const outlines = make("div", { class: "qx-card" });
  const tiles = make("div", { class: "qx-card qx-tiles", role: "group" });
  const counts = make("div", { class: "qx-card" });
  const about = summary();
  box.append(
    make("div", { class: "qx-controls" },
      radios("Stride", "qx-stride", data.strides.map(s => [String(s.stride), String(s.stride)]), String(data.stride),
        value => update({ stride: data.strides.find(s => s.stride === Number(value)), patch: null })),
      radios("Digit", "qx-digit", data.digits.map((d, i) => [String(i), String(d.label)]), "0",
        value => update({ digit: data.digits[Number(value)] }))),
    about,
    make("div", { class: "qx-panels qx-three" },
      panel("Frames on the image", outlines), panel("Patches, one QNN each", tiles), panel("Patches that see a pixel", counts)));

  const place = number => {
    const [row, column] = state.stride.corners[number];
    return `rows ${row + 1} to ${row + side}, columns ${column + 1} to ${column + side}`;
  };
  const frame = ([row, column], attributes) =>
    draw("rect", { x: column, y: row, width: side, height: side, fill: "none", ...attributes });
  const chosen = () => frame([0, 0], {
    class: "qx-here", stroke: state.stride.color, "stroke-width": 0.4, fill: state.stride.color, "fill-opacity": 0.2, visibility: "hidden",
  });
  const square = (label, ...children) =>
    draw("svg", { class: "qx-map", viewBox: `-0.2 -0.2 ${size + 0.4} ${size + 0.4}`, role: "img", "aria-label": label }, ...children);

  /* A square for each pixel, row by row. */
  const cells = paint => Array.from({ length: size * size }, (_, i) => {
    const [column, row] = [i % size, Math.floor(i / size)];
    return draw("rect", { x: column, y: row, width: 1.01, height: 1.01, fill: paint(i) });
  });

  function drawImage() {
    const pixels = bytes(state.digit.pixels), color = state.stride.color;
    const thin = state.stride.corners.length > 16 ? 0.07 : 0.14;
    outlines.replaceChildren(square(`A ${state.digit.label} with the frames of ${state.stride.corners.length} patches`,
      ...cells(i => `rgb(${Array(3).fill(255 - pixels[i])})`),
      ...state.stride.corners.map(corner => frame(corner, { stroke: color, "stroke-width": thin })),
      chosen()));
  }

  function drawCounts() {
    const { coverage, color } = state.stride, most = Math.max(...coverage);
    const numbers = coverage.map((count, i) =>
      draw("text", { x: i % size + 0.5, y: Math.floor(i / size) + 0.52 }, String(count)));
    counts.replaceChildren(square(`A grid of counts, ${Math.min(...coverage)} in the corners, at most ${most}`,
      ...cells(i => `color-mix(in srgb, ${color} ${Math.round(50 * coverage[i] / most)}%, white)`), ...numbers,
      chosen()));
  }

  function drawTiles() {
    const { corners, perSide } = state.stride, pixels = bytes(state.digit.pixels);
    tiles.style.setProperty("--columns", perSide);
    tiles.setAttribute("aria-label", `${corners.length} patches; arrow keys move between them`);
    tiles.replaceChildren(...corners.map((corner, number) => make("button", {
      type: "button", class: "qx-tile", tabindex: number === (state.patch ?? 0) ? 0 : -1,
      "aria-label": `Patch ${number + 1}: ${place(number)}`,
      mouseenter: () => select(number), focus: () => select(number), click: () => select(number),
      keydown: event => move(event, number),
    }, picture(pixels, size, "", [...corner, side]))));
    for (const canvas of tiles.querySelectorAll("canvas")) canvas.setAttribute("aria-hidden", "true");
  }

  /* Arrow keys, Home and End go from patch to patch; Tab leaves the group. */
  function move(event, number) {
    const { perSide, corners } = state.stride, column = number % perSide;
    const target = {
      ArrowRight: column + 1 < perSide ? number + 1 : number, ArrowLeft: column > 0 ? number - 1 : number,
      ArrowDown: Math.min(number + perSide, number % perSide + perSide * (perSide - 1)),
      ArrowUp: Math.max(number - perSide, column), Home: 0, End: corners.length - 1,
    }[event.key];
    if (target === undefined) return;
    event.preventDefault();
    tiles.children[target].focus();
  }

  function select(number) {
    state.patch = number;
    for (const here of box.querySelectorAll(".qx-here")) {
      const [row, column] = state.stride.corners[number];
      here.setAttribute("x", column);
      here.setAttribute("y", row);
      here.setAttribute("visibility", "visible");
    }
    [...tiles.children].forEach((tile, i) => {
      tile.classList.toggle("qx-chosen", i === number);
      tile.tabIndex = i === number ? 0 : -1;
    });
    describe();
  }

  function describe() {
    const { stride, corners, coverage } = state.stride;
    const [least, most] = [Math.min(...coverage), Math.max(...coverage)];
    about.textContent = `Stride ${stride}: ${corners.length} patches of ${side} × ${side} pixels, so ${corners.length} QNNs. `
      + `A pixel is seen by ${least} to ${most} of them. `
      + (state.patch === null ? "Point at a patch, or move to one with the keyboard, to see where it lies."
        : `Patch ${state.patch + 1}: ${place(state.patch)}.`);
  }

  function update(change) {
    Object.assign(state, change);
    box.style.setProperty("--qx-color", state.stride.color);
    drawImage();
    drawCounts();
    drawTiles();
    if (state.patch === null) describe();
    else select(state.patch);
  }
  update({});
});
