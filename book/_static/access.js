// What scrolls sideways can be reached and scrolled with the keyboard. The theme sees to code; here is the rest.
(() => {
  const REGIONS = "figure, .cell_output, .cell_output .text_html, .math, mjx-container[display], .qpatch-runs-frame";

  function mark() {
    for (const region of document.querySelectorAll(REGIONS)) {
      const hides = region.scrollWidth > region.clientWidth && getComputedStyle(region).overflowX !== "visible";
      if (hides) region.tabIndex = 0;
      else if (region.tabIndex === 0) region.removeAttribute("tabindex");
    }
  }

  // Images, opened cells and a turned phone change the size of the text; formulas are set after everything else.
  const text = document.querySelector("article");
  if (text) new ResizeObserver(mark).observe(text);
  addEventListener("load", () => Promise.resolve(window.MathJax?.startup?.promise).then(mark));
})();
