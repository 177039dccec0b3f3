/* The paper's story in five clicks: settings, and what to look for. What is said of curvatures holds at epoch 15, where
   Run stops (a test trains them all). */
"use strict";

qpatch.story = [
  {
    title: "1. One model", state: {},
    look: "Four patches, four small circuits, one average. Run: the loss falls fast, then slowly, as the learning "
      + "rate swings down to zero at epoch 15. Then look at some digits: which patches are right, and which are "
      + "outvoted?",
  },
  {
    title: "2. More depth", state: { change: "depth", to: 8 },
    look: "B has four times the blocks. Measure before anything is trained: B is about twice as sharp. Run, and "
      + "measure again: B fits the images better, and little is left of the difference; other seeds say other "
      + "things. Depth is the weaker half of the claim.",
  },
  {
    title: "3. More patches", state: { change: "patches", to: 25 },
    look: "B averages 25 QNNs instead of 4. Run, then measure: the largest eigenvalue of B is several times "
      + "smaller, and its landscape on the principal plane is wider. More patches, flatter minima: the paper's "
      + "main finding.",
  },
  {
    title: "4. Averaging undone", state: { patches: 25, change: "scale", to: 250 },
    look: "Both have 25 patches. B's scale is √(25/4) times as large, which takes back what averaging divides the "
      + "curvature by. Run, then measure: B is about three times as sharp. A good part of the flattening was the "
      + "averaging.",
  },
  {
    title: "5. A smaller rate", state: { depth: 8, change: "rate", to: 0.0025 },
    look: "The paper lowers the learning rate as depth grows. Here both have depth 8, and B's rate is a quarter. "
      + "Run, then measure: B has stayed where the loss is sharper. So part of what depth seems to do is done by "
      + "the rate.",
  },
];
