/* The laboratory's settings, what each may be, and the page's address that holds them: #digits=0123&patches=4&... . */
"use strict";

qpatch.address = (() => {
  const STRIDES = { 4: 4, 9: 2, 25: 1 }; // of each number of patches
  const EPOCHS = 50, STOPS = [5, 15, 25, 35, 45, 50]; // most, and where training stops: the swinging rate is zero there
  // Choices: what they are called, their values, and the value at the beginning.
  const FIELDS = {
    patches: { name: "Patches", values: [4, 9, 25], first: 4 },
    depth: { name: "Depth", values: [1, 2, 4, 8, 12], first: 2 },
    rate: { name: "Learning rate", values: [0.05, 0.02, 0.01, 0.005, 0.0025, 0.001], first: 0.01 },
    scale: { name: "Scale", values: [10, 25, 50, 100, 150, 250, 500], first: 100 },
    seed: { name: "Seed", values: [1, 2, 3, 4, 5, 1001], first: 1 },
    batch: { name: "Images of each digit a step", values: [5, 10, 20, 60], first: 10 },
    schedule: { name: "Rate goes", values: ["swinging", "constant"], first: "swinging" },
  };
  const phrase = (key, value) => key === "patches" ? `${value} patches` : `${FIELDS[key].name.toLowerCase()} ${value}`;
  const initial = () => ({
    digits: [0, 1, 2, 3], ...Object.fromEntries(Object.entries(FIELDS).map(([key, { first }]) => [key, first])),
    change: "", to: "", stop: 15, step: 0,
  });

  /* What one model of the page is trained with: the engine's settings. */
  function settingsOf(state, isSecond) {
    const own = isSecond ? { ...state, [state.change]: state.to } : state;
    const { patches, depth, scale, rate, seed } = own;
    const classes = state.digits.length, swing = own.schedule === "swinging";
    return { stride: STRIDES[patches], patches, depth, classes, scale, rate, seed, perClass: own.batch, swing };
  }

  /* A seed may be any whole number of 32 bits; everything else is one of the choices. */
  function read(key, text) {
    if (key === "seed") return /^\d{1,9}$/.test(text) ? Number(text) : undefined;
    return FIELDS[key].values.find(value => String(value) === text);
  }

  /* The state that an address names; what it leaves out or misnames is as at the beginning. */
  function parse(hash) {
    const given = new URLSearchParams(hash.replace(/^#/, "")), state = initial();
    const digits = [...new Set(given.get("digits")?.match(/\d/g))].map(Number).sort();
    if (digits.length >= 2 && digits.length <= 8) state.digits = digits;
    for (const key of Object.keys(FIELDS)) state[key] = read(key, given.get(key) ?? "") ?? state[key];
    const change = given.get("change");
    if (FIELDS[change]) {
      const to = read(change, given.get("to") ?? "");
      if (to !== undefined && to !== state[change]) Object.assign(state, { change, to });
    }
    state.stop = STOPS.find(epoch => String(epoch) === given.get("stop")) ?? state.stop;
    if (/^\d{1,5}$/.test(given.get("step") ?? "")) state.step = Number(given.get("step"));
    return state;
  }
  function format(state) {
    const given = new URLSearchParams({ digits: state.digits.join("") });
    for (const key of Object.keys(FIELDS)) given.set(key, state[key]);
    if (state.change) given.set("change", state.change), given.set("to", state.to);
    given.set("stop", state.stop);
    if (state.step) given.set("step", state.step);
    return `#${given}`;
  }

  return { EPOCHS, STOPS, FIELDS, phrase, initial, settingsOf, parse, format, read };
})();
