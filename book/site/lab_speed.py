"""How fast "Train one here" is on this machine: ``python -m book.site.lab_speed`` prints it, from headless Chromium.

A step is loss and gradient of 100 images with depth 4 and Adam's update; a product is the Hessian times a vector for
the same images. One worker's work, so one processor's; another process on it makes it slower.
"""

from playwright.sync_api import Browser, sync_playwright

from book.site.browser import launch_chromium
from qpatch.files import PROJECT

STRIDES = {4: 4, 9: 2, 25: 1}  # of each number of patches
MEASURE = """([stride, milliseconds]) => {
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
    do { work(); count++; } while (performance.now() - began < milliseconds);
    return 1000 * count / (performance.now() - began);
  });
}"""


def measure(browser: Browser, milliseconds: float = 3000) -> dict[int, tuple[float, float]]:
    """Steps and products a second by number of patches, each counted for so long or a little longer."""
    page = browser.new_page()
    for name in ("physics", "training"):
        page.add_script_tag(path=PROJECT / "book" / "_static" / "lab" / f"{name}.js")
    found = {patches: tuple(page.evaluate(MEASURE, [stride, milliseconds])) for patches, stride in STRIDES.items()}
    page.close()
    return found


def main() -> None:
    """Measure and print."""
    with sync_playwright() as playwright:
        browser = launch_chromium(playwright)
        for patches, (steps, products) in measure(browser).items():
            print(f"{patches:2} patches: {steps:6.1f} steps a second, {products:6.1f} Hessian-vector products a second")
        browser.close()


if __name__ == "__main__":
    main()
