"""How fast "Train one here" is on this machine: ``python -m book.site.lab_speed`` prints it, from headless Chromium.

A step is loss and gradient of 100 images with depth 4 and Adam's update; a product is the Hessian times a vector for
the same images. One worker's work, so one processor's; another process on it makes it slower.
"""

from __future__ import annotations

from playwright.sync_api import sync_playwright

from book.site.browser import launch_chromium
from qpatch.files import PROJECT

PATCHES_OF_STRIDES = {4: 4, 2: 9, 1: 25}
MEASURE = """stride => {
  const physics = patchPhysics(), training = patchTraining();
  const model = physics.makeModel({ stride, depth: 4, classes: 4, scale: 100 });
  const theta = training.initialParameters(model, 1), adam = training.makeAdam(model.size), draw = training.twister(2);
  const images = Float64Array.from({ length: 6400 }, () => draw() / 2 ** 32);
  const labels = Array.from({ length: 100 }, (_, i) => i % 4);
  const step = () => adam(theta, physics.differentiate(model, theta, images, labels).gradient, 0.01);
  const product = () => physics.differentiate(model, theta, images, labels, theta);
  return [step, product].map(work => {
    for (let i = 0; i < 5; i++) work();  // until the machine code is made
    const began = performance.now();
    let count = 0;
    do { work(); count++; } while (performance.now() - began < 3000);
    return 1000 * count / (performance.now() - began);
  });
}"""


def main() -> None:
    """Print steps and products a second for each number of patches."""
    with sync_playwright() as playwright:
        browser = launch_chromium(playwright)
        page = browser.new_page()
        for name in ("physics", "training"):
            page.add_script_tag(path=PROJECT / "book" / "_static" / "lab" / f"{name}.js")
        for stride, patches in PATCHES_OF_STRIDES.items():
            steps, products = page.evaluate(MEASURE, stride)
            print(f"{patches:2} patches: {steps:6.1f} steps a second, {products:6.1f} Hessian-vector products a second")
        browser.close()


if __name__ == "__main__":
    main()
