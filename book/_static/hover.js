// How hover previews behave: they come after a moment, on touch screens while a finger rests, and go with Escape.
(() => {
  if (!window.tippy) return;
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  tippy.setDefaultProps({ delay: [300, 100], duration: still ? 0 : [200, 100], touch: ["hold", 400] });
  addEventListener("keydown", event => {
    if (event.key === "Escape") tippy.hideAll();
  });
})();
