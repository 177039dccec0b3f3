// What scrolls sideways can be reached with the keyboard, and fades where more is hidden; a figure is enlarged by a click.
(() => {
  const REGIONS = "figure, .cell_output, .cell_output .text_html, div.math, mjx-container[display], .qpatch-runs-frame, "
    + ".qpatch-frame > div, .pst-scrollable-table-container";

  // A part of a pixel is no size.
  const hides = region => {
    const { overflowX, overflowY } = getComputedStyle(region);
    return region.scrollWidth > region.clientWidth + 1 && overflowX !== "visible"
      || region.scrollHeight > region.clientHeight + 1 && overflowY === "auto" && region.matches(".text_html");
  };
  const fade = region => region.classList.toggle("qpatch-more",
    region.tabIndex === 0 && region.scrollLeft + region.clientWidth < region.scrollWidth - 1);

  // A formula within a line scrolls where it is wider than the text, and there alone.
  function fit(formula) {
    const room = formula.closest("p, li, td, th, dd, dt, figcaption, div")?.clientWidth;
    const wide = formula.querySelector("mjx-math")?.getBoundingClientRect().width > room + 2;
    formula.classList.toggle("qpatch-wide", wide);
    if (wide) formula.tabIndex = 0;
    else formula.removeAttribute("tabindex");
  }

  function mark() {
    document.querySelectorAll(".bd-content span.math").forEach(fit);
    for (const region of document.querySelectorAll(REGIONS)) {
      if (hides(region)) region.tabIndex = 0;
      else if (region.tabIndex === 0) region.removeAttribute("tabindex");
      if (!region.querySelector("figcaption")) fade(region);  // captions stay where they are
    }
  }

  // A button lies on each figure; the picture itself can be clicked, too.
  function frame(image) {
    const show = () => enlarge(image), button = document.createElement("button"), box = document.createElement("div");
    Object.assign(button, { type: "button", textContent: "⤢", title: "Enlarge", onclick: show });
    button.setAttribute("aria-label", "Enlarge this figure");
    box.className = "qpatch-frame";
    image.replaceWith(box);
    box.append(document.createElement("div"), button);
    box.firstChild.append(image);
    image.onclick = show;
  }

  function enlarge(image) {
    const dialog = document.createElement("dialog"), button = document.createElement("button"), large = new Image();
    dialog.className = "qpatch-large";
    dialog.setAttribute("aria-label", "Enlarged figure");
    Object.assign(button, { type: "button", textContent: "✕", title: "Close" });
    button.setAttribute("aria-label", "Close");
    Object.assign(large, { src: image.src, alt: image.alt });
    dialog.append(button, large);
    dialog.onclick = () => dialog.close();
    dialog.onclose = () => dialog.remove();
    document.body.append(dialog);
    dialog.showModal();
  }

  document.querySelectorAll(".bd-content :is(figure, .cell_output) img").forEach(frame);
  // Images, opened cells and a turned phone change the size of the text; formulas are set after everything else.
  const text = document.querySelector("article");
  if (text) new ResizeObserver(mark).observe(text);
  document.addEventListener("scroll", event => event.target.matches?.(REGIONS) && fade(event.target), true);
  document.fonts.addEventListener("loadingdone", mark);  // letters have another width than those that stood in for them
  addEventListener("load", () => Promise.resolve(window.MathJax?.startup?.promise).then(mark));
})();
