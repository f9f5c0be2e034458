/** The score over session time as a picture, worked out from the ledger alone. */

import { MAX_SCORE, series } from "./decay.js";
import { s } from "./dom.js";
import { clock, points } from "./format.js";
import { linear, timeTicks } from "./scale.js";
import { rule } from "./words.js";

const HEIGHT = 168;
const TOP = 10;
const BOTTOM = 22;
const MAX_MARKS = 150;

/** Draw into `svg`: ledger lines between two session times, on a plot from `left` to `width` pixels. */
export function drawScore(svg, { ledger, from_s, to_s, left, width }) {
  const x = linear(from_s, to_s, left, width);
  const y = linear(0, MAX_SCORE, HEIGHT - BOTTOM, TOP);
  svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
  svg.setAttribute("height", HEIGHT);
  svg.replaceChildren(
    ...grid(x, y, from_s, to_s, left, width),
    ...curve(ledger, from_s, to_s, x, y, width),
    ...marks(ledger, from_s, to_s, x, y),
  );
}

function grid(x, y, from_s, to_s, left, width) {
  const rows = [0, 25, 50, 75, 100].flatMap((value) => [
    s("line", { class: "grid-line", x1: left, x2: width, y1: y(value), y2: y(value) }),
    s("text", { x: left - 8, y: y(value) + 4, "text-anchor": "end" }, String(value)),
  ]);
  const columns = timeTicks(from_s, to_s, Math.max(2, Math.floor((width - left) / 90))).map((t_s) =>
    s(
      "text",
      {
        x: x(t_s),
        y: HEIGHT - 5,
        "text-anchor": x(t_s) > width - 16 ? "end" : x(t_s) < left + 16 ? "start" : "middle",
      },
      clock(t_s),
    ),
  );
  return [...rows, ...columns];
}

function curve(ledger, from_s, to_s, x, y, width) {
  const samples = series(ledger, from_s, to_s, Math.min(240, Math.round(width / 4)));
  const path = samples
    .map(({ t_s, score }, i) => `${i ? "L" : "M"}${x(t_s).toFixed(1)} ${y(score).toFixed(1)}`)
    .join("");
  const ground = y(0).toFixed(1);
  return [
    s("path", {
      class: "area",
      d: `${path}L${x(samples.at(-1).t_s).toFixed(1)} ${ground}L${x(from_s).toFixed(1)} ${ground}Z`,
    }),
    s("path", { class: "curve", d: path }),
  ];
}

function marks(ledger, from_s, to_s, x, y) {
  const inside = ledger.filter((line) => line.t_s >= from_s && line.t_s <= to_s && line.weight > 0).slice(-MAX_MARKS);
  return inside.map((line) => {
    const [before] = series(ledger, line.t_s, line.t_s);
    const mark = s("circle", {
      class: `mark-ring mark-${line.severity}`,
      cx: x(line.t_s),
      cy: y(before.score),
      r: 4.5,
    });
    mark.append(s("title", {}, `${clock(line.t_s)}: ${points(line.weight)} ${rule(line.rule)}. ${line.why}`));
    return mark;
  });
}
