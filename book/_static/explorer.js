/* What the book's explorers share. Each explorer is a <section class="qpatch-explorer" data-explorer="...">, hidden, with
   its data as JSON (book/site/explorer_pages.py); a script of its own registers here what brings it to life.
   Plain scripts, no modules, so that pages work from a local disk too. */
"use strict";

window.qpatch = (() => {
  const SVG = "http://www.w3.org/2000/svg";

  /* An element with attributes (functions are listeners) and children (elements or texts). */
  function build(element, attributes, children) {
    for (const [name, value] of Object.entries(attributes)) {
      if (typeof value === "function") element.addEventListener(name, value);
      else if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children);
    return element;
  }
  const make = (tag, attributes = {}, ...children) => build(document.createElement(tag), attributes, children);
  const draw = (tag, attributes = {}, ...children) => build(document.createElementNS(SVG, tag), attributes, children);

  /* Bytes of a base64 text. */
  const bytes = text => Uint8Array.from(atob(text), letter => letter.charCodeAt(0));

  /* A square part of a grey image as a canvas, ink dark on white; pixels stay sharp when it is enlarged. */
  function picture(pixels, size, label, [top, left, side] = [0, 0, size]) {
    const canvas = make("canvas", { width: side, height: side, role: "img", "aria-label": label, class: "qx-pixels" });
    const context = canvas.getContext("2d");
    const image = context.createImageData(side, side);
    for (let row = 0; row < side; row++)
      for (let column = 0; column < side; column++) {
        const grey = 255 - pixels[(top + row) * size + left + column];
        image.data.set([grey, grey, grey, 255], 4 * (row * side + column));
      }
    context.putImageData(image, 0, 0);
    return canvas;
  }

  /* A labelled <select> of [value, text] pairs. */
  let choices = 0;
  function choice(label, onchange) {
    const id = `qx-choice-${++choices}`, select = make("select", { id, change: () => onchange(select.value) });
    const fill = (options, value) => {
      select.replaceChildren(...options.map(([key, text]) => make("option", { value: key }, text)));
      select.value = value;
    };
    return { element: make("div", { class: "qx-choice" }, make("label", { for: id }, label), select), fill };
  }

  /* A named group of radio buttons for [value, text] pairs; arrow keys move within it, as in every such group. */
  function radios(legend, name, options, value, onchange) {
    const buttons = options.map(([key, text]) => make("label", {},
      make("input", { type: "radio", name, value: key, checked: key === value, change: () => onchange(key) }),
      make("span", {}, text)));
    return make("fieldset", { class: "qx-radios" }, make("legend", {}, legend), ...buttons);
  }

  /* A titled part of an explorer, with tools beside the title. */
  const panel = (title, content, ...tools) => make("div", { class: "qx-panel" },
    make("div", { class: "qx-head" }, make("h3", { class: "qx-title" }, title), ...tools), content);

  /* What a screen reader says after each change. */
  const summary = () => make("p", { class: "qx-summary", role: "status", "aria-live": "polite" });

  /* Bring every explorer of a kind to life once the page is there, and put its static twin away. */
  function register(kind, start) {
    const begin = () => {
      for (const box of document.querySelectorAll(`.qpatch-explorer[data-explorer="${kind}"]`)) {
        const data = JSON.parse(box.querySelector("script").textContent);
        box.hidden = false;  // before drawing: figures measure the room they have
        start(box, data);
        document.documentElement.classList.add("qpatch-live");
      }
    };
    if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
    else begin();
  }

  return { make, draw, bytes, picture, choice, radios, panel, summary, register };
})();
