/* What is seen of one model of the laboratory: votes of its patches, Bloch discs, path, curvature, landscape. */
"use strict";

/* `name` is "A" or "B"; `highlight` is told which patch is looked at, by its corner, or null. Cards are filled by what
   the worker reports. */
qpatch.modelView = (name, charts, highlight) => {
  const { make, picture } = qpatch;
  const card = (...classes) => make("div", { class: ["qx-card", ...classes].join(" ") });
  const votes = card("ql-votes"), chances = card(), discs = card("ql-discs");
  const path = card(), curvature = card(), landscape = card();
  const said = make("p", { class: "ql-said", role: "status", "aria-live": "polite" });
  let model = null, answer = null, chosen = 0, shown = null; // the last: the image on the tiles

  const signed = value => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(2)}`;
  const valuesOf = patch => Array.from(answer.values[patch]);
  const best = values => values.indexOf(Math.max(...values));

  /* A model begins: { corners, perSide, nX, digits, color }. */
  function begin(next) {
    model = next, answer = null, chosen = 0, shown = null;
    votes.replaceChildren(), chances.replaceChildren(), discs.replaceChildren(), said.textContent = "";
    path.replaceChildren(make("p", { class: "ql-wait" }, "The path has its plane after two epochs."));
    forget();
  }

  /* Curvature and landscape belong to the point where they were asked for. */
  function forget() {
    curvature.replaceChildren(make("p", { class: "ql-wait" }, "Not measured yet."));
    landscape.replaceChildren(make("p", { class: "ql-wait" }, "Not drawn yet."));
  }

  /* The answer to an image of 64 greys: { values of each patch's QNN, chances }. */
  function showAnswer(next, greys) {
    answer = next;
    drawVotes(greys);
    drawChances();
    drawDiscs();
  }

  function drawVotes(greys) {
    if (greys !== shown) makeTiles(shown = greys);
    const said = best(Array.from(answer.chances));
    [...votes.children].forEach((tile, patch) => {
      const vote = best(valuesOf(patch));
      tile.lastChild.textContent = model.digits[vote];
      tile.classList.toggle("ql-agrees", vote === said);
      tile.setAttribute("aria-label", `Patch ${patch + 1} votes for ${model.digits[vote]}`);
    });
  }
  function makeTiles(greys) {
    const hadFocus = votes.contains(document.activeElement);
    votes.style.setProperty("--columns", model.perSide);
    votes.setAttribute("role", "group");
    votes.setAttribute("aria-label", `Model ${name}: ${model.corners.length} votes; arrow keys move between them`);
    votes.replaceChildren(...model.corners.map((corner, patch) => {
      const tile = picture(greys, 8, "", [...corner, 4]);
      tile.setAttribute("aria-hidden", "true");
      return make("button", {
        type: "button", class: "ql-vote", tabindex: patch === chosen ? 0 : -1,
        focus: () => look(patch), mouseenter: () => look(patch), keydown: event => move(event, patch),
        blur: () => highlight(null), mouseleave: () => highlight(null),
      }, tile, make("b", {}));
    }));
    if (hadFocus) votes.children[chosen].focus();
  }
  function move(event, patch) {
    const { perSide, corners } = model, column = patch % perSide, last = corners.length - 1;
    const target = {
      ArrowRight: column + 1 < perSide ? patch + 1 : patch, ArrowLeft: column ? patch - 1 : patch, Home: 0, End: last,
      ArrowDown: patch + perSide <= last ? patch + perSide : patch, ArrowUp: patch < perSide ? patch : patch - perSide,
    }[event.key];
    if (target === undefined) return;
    event.preventDefault();
    votes.children[target].focus();
  }
  function look(patch) {
    chosen = patch;
    [...votes.children].forEach((tile, i) => { tile.tabIndex = i === patch ? 0 : -1; });
    highlight(model.corners[patch]);
    const parts = valuesOf(patch).map((value, k) => `${model.digits[k]}: ${signed(value)}`);
    said.textContent = `QNN ${patch + 1} says ${parts.join(", ")}.`;
  }

  function drawChances() {
    const percent = (chance, digits) => (100 * chance).toFixed(digits);
    chances.replaceChildren(make("ul", { class: "ql-bars", "aria-label": `Model ${name}: probabilities of the digits` },
      ...Array.from(answer.chances, (chance, k) =>
        make("li", { style: `--share: ${percent(chance, 1)}%; --ql-color: ${model.color}` },
          make("b", {}, String(model.digits[k])), make("span", { class: "ql-bar" }),
          make("span", {}, `${percent(chance, 0)} %`)))));
  }

  function drawDiscs() {
    const { nX, digits } = model;
    discs.replaceChildren(...Array.from({ length: nX }, (_, q) => {
      const hasZ = nX + q < digits.length;
      const dots = answer.values.map(values => [values[q], hasZ ? values[nX + q] : 0]);
      const mean = [0, 1].map(k => dots.reduce((sum, dot) => sum + dot[k], 0) / dots.length);
      const right = String(digits[q]), up = hasZ ? String(digits[nX + q]) : null;
      const label = `Qubit ${q + 1}: mean of X, for ${right}, ${signed(mean[0])}`
        + (hasZ ? `; of Z, for ${up}, ${signed(mean[1])}` : "");
      return make("figure", {}, charts.disc({ dots, mean, color: model.color, right, up, label }),
        make("figcaption", {}, `qubit ${q + 1}`));
    }));
  }

  function showPath(found) {
    if (!found) return;
    const shares = found.shares.map(share => `${(100 * share).toFixed(0)} %`);
    path.replaceChildren(charts.pathChart(found.points, `Model ${name}: path of ${found.points.length} points`),
      make("p", {}, `The two axes hold ${shares[0]} and ${shares[1]} of the path's variance.`));
  }

  /* `most`: the end of the axis, the same for both models. */
  function showCurvature({ estimates, residual, traces, done }, most) {
    const top = estimates.at(-1), [trace, error] = traces.at(-1) ?? [];
    const line = (values, color, dashed) => ({ points: values.map((value, i) => [i + 1, value]), color, dashed });
    const least = Math.min(0, ...estimates, ...traces.map(([value]) => value));
    const longest = Math.max(estimates.length, traces.length, 2);
    const series = [{ ...line(estimates, model.color), name: "largest eigenvalue" },
                    { ...line(traces.map(([value]) => value), model.color, true), name: "trace" }];
    const traceText = traces.length > 1 ? `, trace = ${trace.toPrecision(3)} ± ${error.toPrecision(2)}` : "";
    const text = `λ max = ${top.toPrecision(4)} (residual ${residual.toPrecision(2)})${traceText}${done ? "." : " …"}`;
    curvature.replaceChildren(charts.curves(series, {
      x: { range: [1, longest], label: "products with the Hessian" },
      y: { range: [least, 1.05 * most], label: "estimate" }, label: `Model ${name}: ${text}`,
    }), charts.legend(series), make("p", { class: "ql-result" }, text));
    return text;
  }

  function showLandscape(found) {
    if (found.missing) {
      const text = "The path has no plane yet: train for two epochs first.";
      landscape.replaceChildren(make("p", { class: "ql-wait" }, text));
      return;
    }
    const least = charts.short(Math.min(...found.rows.flat()));
    const { svg, low, top } = charts.map(found, `Model ${name}: loss from ${least} up`);
    landscape.replaceChildren(svg, make("p", {}, `Loss of ${found.images} images from ${low.toPrecision(2)} (white) to `
      + `${top.toPrecision(2)} (grey); from line to line it doubles${found.done ? "." : " …"}`));
  }

  const cards = { votes, chances, discs, path, curvature, landscape };
  return { cards, said, begin, showAnswer, showPath, showCurvature, showLandscape, forget };
};
