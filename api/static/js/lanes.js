/** The timeline as a picture: a lane for each kind of episode, the gravest first. */

import { s } from "./dom.js";
import { clock } from "./format.js";
import { linear } from "./scale.js";
import { rank, rule } from "./words.js";

const BAR = 14;
const MAX_LANES = 12;

/** Episodes by kind, the gravest kind first: [{kind, episodes}], at most `limit` kinds. */
export function byLane(timeline, limit = MAX_LANES) {
  const lanes = new Map();
  for (const episode of timeline) {
    if (!lanes.has(episode.kind)) lanes.set(episode.kind, []);
    lanes.get(episode.kind).push(episode);
  }
  const gravity = (episodes) => Math.max(...episodes.map((episode) => rank(episode.severity)));
  return [...lanes]
    .map(([kind, episodes]) => ({ kind, episodes }))
    .sort((a, b) => gravity(b.episodes) - gravity(a.episodes) || a.episodes[0].start_s - b.episodes[0].start_s)
    .slice(0, limit);
}

/** Draw into `svg`. Names stand left of the lanes, or above them where `left` leaves no room (a phone). */
export function drawLanes(svg, { timeline, from_s, to_s, now_s, left, width }) {
  const above = left < 120;
  const pitch = above ? BAR + 24 : BAR + 10;
  const lanes = byLane(timeline);
  const x = linear(from_s, to_s, left, width);
  const height = Math.max(1, lanes.length) * pitch + 4;
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("height", height);
  svg.replaceChildren(
    hatch(),
    ...lanes.flatMap((lane, i) => drawLane(lane, { i, pitch, above, x, from_s, to_s, now_s, left, width })),
  );
}

function drawLane({ kind, episodes }, { i, pitch, above, x, from_s, to_s, now_s, left, width }) {
  const top = i * pitch + (above ? 18 : 4);
  const name = s(
    "text",
    {
      class: "lane-name",
      x: above ? left : left - 10,
      y: above ? top - 5 : top + BAR - 3,
      "text-anchor": above ? "start" : "end",
    },
    rule(kind),
  );
  const ground = s("rect", {
    class: "lane-ground",
    x: left,
    y: top,
    width: Math.max(0, width - left),
    height: BAR,
    rx: 3,
  });
  const bars = episodes
    .filter((episode) => (episode.end_s ?? now_s) >= from_s && episode.start_s <= to_s)
    .map((episode) => bar(episode, { kind, top, x, from_s, to_s, now_s }));
  return [name, ground, ...bars];
}

function bar(episode, { kind, top, x, from_s, to_s, now_s }) {
  const start = x(Math.max(from_s, episode.start_s));
  const end = x(Math.min(to_s, episode.end_s ?? now_s));
  const unsure = kind === "COULD_NOT_TELL";
  const rect = s("rect", {
    class: unsure ? "unsure-bar" : `mark-${episode.severity}`,
    fill: unsure ? "url(#hatch)" : null,
    x: start,
    y: top,
    width: Math.max(3, end - start),
    height: BAR,
    rx: 3,
  });
  const until = episode.end_s === null ? "still going on" : `until ${clock(episode.end_s)}`;
  rect.append(s("title", {}, `${rule(kind)}, ${clock(episode.start_s)} ${until}. ${episode.detail ?? ""}`));
  return rect;
}

function hatch() {
  const pattern = s("pattern", {
    id: "hatch",
    width: 6,
    height: 6,
    patternUnits: "userSpaceOnUse",
    patternTransform: "rotate(45)",
  });
  pattern.append(
    s("rect", { class: "hatch-ground", width: 6, height: 6 }),
    s("line", { class: "hatch-line", x1: 0, y1: 0, x2: 0, y2: 6 }),
  );
  return s("defs", {}, pattern);
}
