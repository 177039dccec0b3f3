/* A field of 8 x 8 pixels to draw a digit in: with a finger or a mouse, or with the arrow keys and the space bar. */
"use strict";

/* `onchange` is given the ink, 64 numbers from 0 to 1, after each change. */
qpatch.drawingPad = onchange => {
  const { make } = qpatch, SIDE = 8, WIDTH = 0.62; // pixels: the stroke's standard deviation
  const ink = new Float64Array(SIDE ** 2);
  let cursor = null, last = null;
  const canvas = make("canvas", {
    width: SIDE, height: SIDE, class: "ql-pad", tabindex: 0, role: "application",
    "aria-label": "Drawing field of 8 by 8 pixels. Arrow keys move, space sets or clears a pixel, Delete clears all.",
  });
  const said = make("p", { class: "ql-said", role: "status", "aria-live": "polite" });
  const mark = make("span", { class: "ql-cursor", hidden: true });
  const field = make("div", { class: "ql-field" }, canvas, mark);

  function show() {
    const context = canvas.getContext("2d"), image = context.createImageData(SIDE, SIDE);
    ink.forEach((value, i) => image.data.set([...Array(3).fill(255 * (1 - value)), 255], 4 * i));
    context.putImageData(image, 0, 0);
    mark.hidden = !cursor;
    if (cursor) mark.style.setProperty("inset", `${12.5 * cursor[0]}% auto auto ${12.5 * cursor[1]}%`);
    onchange(ink);
  }

  /* Ink falls off around the pen's way; what is there stays. */
  function stroke(from, to) {
    const pieces = Math.max(1, Math.ceil(4 * Math.hypot(to[0] - from[0], to[1] - from[1])));
    for (let piece = 0; piece <= pieces; piece++) {
      const [row, column] = [0, 1].map(k => from[k] + (to[k] - from[k]) * piece / pieces);
      for (let i = 0; i < ink.length; i++) {
        const square = (Math.floor(i / SIDE) + 0.5 - row) ** 2 + (i % SIDE + 0.5 - column) ** 2;
        ink[i] = Math.max(ink[i], 0.95 * Math.exp(-square / (2 * WIDTH ** 2)));
      }
    }
    show();
  }
  const place = event => {
    const box = canvas.getBoundingClientRect();
    return [SIDE * (event.clientY - box.top) / box.height, SIDE * (event.clientX - box.left) / box.width];
  };
  canvas.addEventListener("pointerdown", event => {
    canvas.setPointerCapture(event.pointerId);
    cursor = null;
    stroke(place(event), last = place(event));
  });
  canvas.addEventListener("pointermove", event => { if (last) stroke(last, last = place(event)); });
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => { last = null; });

  canvas.addEventListener("keydown", event => {
    const [row, column] = cursor ?? [3, 3], pixel = SIDE * row + column;
    const way = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    const inside = value => Math.min(Math.max(value, 0), SIDE - 1);
    if (way) cursor = cursor ? [inside(row + way[0]), inside(column + way[1])] : [row, column];
    else if (event.key === " ") cursor = [row, column], ink[pixel] = ink[pixel] > 0.5 ? 0 : 0.95;
    else if (event.key === "Delete") ink.fill(0);
    else return;
    event.preventDefault();
    show();
    if (!cursor) return;
    const isInk = ink[SIDE * cursor[0] + cursor[1]] > 0.5;
    said.textContent = `Row ${cursor[0] + 1}, column ${cursor[1] + 1}: ${isInk ? "ink" : "white"}`;
  });
  canvas.addEventListener("blur", () => { cursor = null; mark.hidden = true; });

  const clear = make("button", { type: "button", click: () => { ink.fill(0); show(); } }, "Clear");
  show();
  return { element: make("div", { class: "ql-draw" }, field, clear, said), ink };
};
