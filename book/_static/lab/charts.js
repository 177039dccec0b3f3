/* The laboratory's pictures, as SVG on white cards: curves, the Bloch disc, a path, a map of the loss. Data in,
   elements out; `colors` are those of the book's figures. */
"use strict";

qpatch.charts = colors => {
  const { make, draw } = qpatch;
  const isPlain = value => value === 0 || (Math.abs(value) >= 1e-3 && Math.abs(value) < 1e4);
  const short = value => isPlain(value) ? `${Number(value.toPrecision(2))}` : value.toExponential(0);

  /* About five round numbers of an interval; of a logarithmic one powers of ten, or more where these are too few. */
  function ticks([low, high], isLog) {
    if (isLog) {
      const first = Math.floor(Math.log10(low)), powers = Array.from({ length: 9 }, (_, i) => 10 ** (first + i));
      const inside = factors => powers.flatMap(power => factors.map(factor => factor * power))
        .filter(value => value >= low && value <= high);
      return inside([1]).length > 1 ? inside([1]) : inside([1, 2, 5]);
    }
    const rough = (high - low) / 5, power = 10 ** Math.floor(Math.log10(rough));
    const step = power * [1, 2, 5, 10].find(factor => factor * power >= rough);
    const first = Math.ceil(low / step - 1e-9);
    const count = Math.floor(high / step + 1e-9) - first + 1;
    return Array.from({ length: count }, (_, i) => Number(((first + i) * step).toPrecision(12)));
  }

  /* A frame of axes with places for values; `x` and `y` are { range, label, isLog }. */
  function frame(x, y, { width = 340, height = 220, label }) {
    const left = 46, right = 10, top = 10, bottom = 36;
    const share = ({ range: [low, high], isLog }, value) =>
      isLog ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low);
    const atX = value => left + share(x, value) * (width - left - right);
    const atY = value => height - bottom - share(y, value) * (height - top - bottom);
    const svg = draw("svg", { class: "ql-chart", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
    for (const value of ticks(x.range, x.isLog))
      svg.append(draw("text", { x: atX(value), y: height - bottom + 14, "text-anchor": "middle" }, short(value)));
    for (const value of ticks(y.range, y.isLog)) svg.append(
      draw("line", { x1: left, x2: width - right, y1: atY(value), y2: atY(value), stroke: colors.grid }),
      draw("text", { x: left - 5, y: atY(value) + 4, "text-anchor": "end" }, short(value)));
    svg.append(
      draw("text", { x: (left + width - right) / 2, y: height - 4, "text-anchor": "middle" }, x.label),
      draw("text", {
        transform: `translate(11 ${(top + height - bottom) / 2}) rotate(-90)`, "text-anchor": "middle",
      }, y.label));
    return { svg, atX, atY };
  }

  const line = places => places.map(([a, b], i) => `${i ? "L" : "M"}${a.toFixed(1)} ${b.toFixed(1)}`).join("");
  const dashes = dashed => dashed ? "5 4" : null;

  /* Curves { points: [[x, y], ...], color, dashed, name } over each other. */
  function curves(series, { x, y, label }) {
    const { svg, atX, atY } = frame(x, y, { label });
    const inside = value => Math.min(Math.max(value, y.range[0]), y.range[1]);
    for (const { points, color, dashed } of series) {
      const d = line(points.map(([a, b]) => [atX(a), atY(inside(b))]));
      const style = { fill: "none", stroke: color, "stroke-width": 2, "stroke-dasharray": dashes(dashed) };
      svg.append(draw("path", { d, ...style }));
      if (points.length) {
        const [a, b] = points.at(-1);
        svg.append(draw("circle", { cx: atX(a), cy: atY(inside(b)), r: 3, fill: color }));
      }
    }
    return svg;
  }

  /* What the lines mean: a list of { color, dashed, name } under a chart. */
  const legend = series => make("ul", { class: "ql-legend" }, ...series.map(({ color, dashed, name }) => make("li", {},
    draw("svg", { viewBox: "0 0 24 8", width: 24, height: 8, "aria-hidden": "true" },
      draw("path", { d: "M0 4H24", stroke: color, "stroke-width": 3, "stroke-dasharray": dashes(dashed) })), name)));

  /* Expectation values of one qubit in the disc of <X> and <Z>: a dot a QNN, a ring for their mean. */
  function disc({ dots, mean, color, right, up, label }) {
    const svg = draw("svg", { class: "ql-disc", viewBox: "-1.5 -1.45 3 2.9", role: "img", "aria-label": label },
      draw("circle", { r: 1, fill: "#f6f7f9", stroke: "#8a929b", "stroke-width": 0.02 }),
      draw("path", { d: "M-1 0H1M0 -1V1", stroke: colors.grid, "stroke-width": 0.02 }),
      draw("text", { x: 1.06, y: 0.08 }, right), draw("text", { x: 0, y: -1.1, "text-anchor": "middle" }, up ?? ""));
    for (const [a, b] of dots)
      svg.append(draw("circle", { cx: a, cy: -b, r: 0.07, fill: color, "fill-opacity": 0.75 }));
    const ring = { cx: mean[0], cy: -mean[1], r: 0.13, fill: "none", stroke: colors.ink, "stroke-width": 0.05 };
    svg.append(draw("circle", ring));
    return svg;
  }

  const spread = (values, share = 0.08) => {
    const low = Math.min(...values), high = Math.max(...values), margin = share * (high - low) || 0.5;
    return [low - margin, high + margin];
  };

  /* A path from red to dark blue on two axes, the present point a star. */
  function drawPath(svg, atX, atY, path) {
    const share = i => Math.round(100 * i / Math.max(1, path.length - 1));
    const mix = i => `color-mix(in srgb, ${colors.end} ${share(i)}%, ${colors.start})`;
    svg.append(draw("path", { d: line(path.map(([a, b]) => [atX(a), atY(b)])), fill: "none", stroke: colors.path }));
    path.forEach(([a, b], i) => svg.append(draw("circle", { cx: atX(a), cy: atY(b), r: 3, style: `fill: ${mix(i)}` })));
    const here = `translate(${atX(0)} ${atY(0)})`;
    svg.append(draw("path", { transform: here, d: star(7), fill: colors.best, stroke: colors.ink }));
  }
  const star = radius => `M${Array.from({ length: 10 }, (_, i) => {
    const r = i % 2 ? radius / 2.4 : radius, angle = Math.PI * (i / 5 - 0.5);
    return `${(r * Math.cos(angle)).toFixed(2)} ${(r * Math.sin(angle)).toFixed(2)}`;
  }).join("L")}Z`;

  function pathChart(path, label) {
    const axis = (i, name) => ({ range: spread([0, ...path.map(point => point[i])]), label: name });
    const { svg, atX, atY } = frame(axis(0, "PC 1"), axis(1, "PC 2"), { label });
    drawPath(svg, atX, atY, path);
    return svg;
  }

  /* The loss on a grid (rows from below, the later ones perhaps still to come): grey levels, a line wherever the
     loss has doubled, the path. */
  function map({ x, y, rows, path, plane }, label) {
    const names = plane === "top" ? ["top eigenvector", "second eigenvector"] : ["PC 1", "PC 2"];
    const half = (x[1] - x[0]) / 2, high = (y[1] - y[0]) / 2;
    const [left, right, below, above] = [x[0] - half, x.at(-1) + half, y[0] - high, y.at(-1) + high];
    const { svg, atX, atY } = frame(
      { range: [left, right], label: names[0] }, { range: [below, above], label: names[1] }, { label, height: 300 });
    const all = rows.flat(), low = Math.min(...all), top = Math.max(...all), whole = Math.log(top / low) || 1;
    rows.forEach((row, j) => row.forEach((loss, i) => svg.append(draw("rect", {
      x: atX(x[i] - half), width: atX(half) - atX(-half) + 0.3,
      y: atY(y[j] + high), height: atY(-high) - atY(high) + 0.3,
      fill: `rgb(${Array(3).fill(Math.round(255 - 115 * Math.log(loss / low) / whole))})`,
    }))));
    for (let level = 2 ** Math.ceil(Math.log2(low)); level < top; level *= 2)
      svg.append(draw("path", { d: contour(x, y, rows, level, atX, atY), fill: "none", stroke: "#555" }));
    drawPath(svg, atX, atY, path.filter(([a, b]) => a >= left && a <= right && b >= below && b <= above));
    return { svg, low, top };
  }

  /* The pieces of a line of equal loss: in each half of a square of the grid, where its sides cross the level. */
  function contour(x, y, rows, level, atX, atY) {
    let d = "";
    const point = (i, j) => [x[i], y[j], rows[j][i]];
    for (let j = 0; j + 1 < rows.length; j++)
      for (let i = 0; i + 1 < x.length; i++) {
        const [a, b, c, e] = [point(i, j), point(i + 1, j), point(i + 1, j + 1), point(i, j + 1)];
        for (const corners of [[a, b, c], [a, c, e]]) {
          const cuts = corners.map((from, k) => [from, corners[(k + 1) % 3]])
            .filter(([from, to]) => from[2] < level !== to[2] < level)
            .map(([from, to]) => [0, 1].map(k => from[k] + (to[k] - from[k]) * (level - from[2]) / (to[2] - from[2])));
          if (cuts.length === 2) d += `M${cuts.map(([p, q]) => `${atX(p).toFixed(1)} ${atY(q).toFixed(1)}`).join("L")}`;
        }
      }
    return d;
  }

  return { curves, legend, disc, pathChart, map, short };
};
