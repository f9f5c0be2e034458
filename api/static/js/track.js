/** Score and timeline over one shared axis of session time, with a way to look up any moment by pointer, touch or key. */

import { h, s, scheduler, setText } from "./dom.js";
import { clock, score } from "./format.js";
import { drawLanes } from "./lanes.js";
import { LOOK_UP } from "./look_up.js";
import { linear } from "./scale.js";
import { drawScore } from "./score_chart.js";
import { scoreAt } from "./decay.js";
import { rule } from "./words.js";

const WIDE_LEFT = 186;
const NARROW_LEFT = 34;
const WINDOWS = [
  ["All", Infinity],
  ["Last 15 min", 900],
  ["Last 2 min", 120],
];

/** `element` is the card; `update(view)` redraws it. One per session shown. */
export class Track {
  #view = null;
  #window_s = Infinity;
  #at_s = null;
  #score = s("svg", { role: "img" });
  #lanes = s("svg", { role: "img" });
  #cursor = h("output", { for: "lookup" });
  #range = h("input", { id: "lookup", type: "range", min: 0, max: 1000, step: 1, value: 1000 });
  #empty = h("p", { class: "quietly" }, "Nothing has been noticed so far.");
  #plot;
  #ask = scheduler(() => this.#draw());
  #observer = new ResizeObserver(() => this.#ask());

  #tools = WINDOWS.map(([name, seconds]) =>
    h("button", { type: "button", "aria-pressed": seconds === Infinity, onclick: () => this.#zoom(seconds) }, name),
  );
  #jump = ({ detail }) => this.#show(detail);

  constructor(table) {
    this.#plot = h("div", { class: "plot" }, this.#score, this.#lanes);
    this.element = h(
      "section",
      { class: "card", "aria-labelledby": "track-title" },
      h(
        "header",
        {},
        h("h3", { id: "track-title" }, "Over session time"),
        h("div", { class: "plot-tools", role: "group", "aria-label": "How much is shown" }, this.#tools),
      ),
      this.#plot,
      this.#empty,
      h("div", { class: "lookup" }, h("label", { for: "lookup" }, "Look up a moment"), this.#range, this.#cursor),
      table,
    );
    this.#range.addEventListener("input", () => this.#lookup());
    this.#plot.addEventListener("pointermove", (event) => this.#point(event));
    this.#observer.observe(this.#plot);
    document.addEventListener(LOOK_UP, this.#jump);
  }

  update(view) {
    this.#view = view;
    this.#ask();
  }

  close() {
    document.removeEventListener(LOOK_UP, this.#jump);
    this.#observer.disconnect();
  }

  #zoom(seconds) {
    this.#window_s = seconds;
    this.#tools.forEach((tool, i) => tool.setAttribute("aria-pressed", String(WINDOWS[i][1] === seconds)));
    this.#ask();
  }

  /** Put the cursor on a session time that was pressed elsewhere on the page. */
  #show(at_s) {
    if (!this.#view) return;
    if (at_s < this.#domain().from_s) this.#zoom(Infinity);
    const { from_s, to_s } = this.#domain();
    this.#at_s = at_s;
    this.#range.value = String(Math.round((1000 * (at_s - from_s)) / (to_s - from_s)));
    this.#plot.scrollIntoView({ block: "nearest" });
    this.#ask();
  }

  #domain() {
    const to_s = Math.max(this.#view.clock_s, 1);
    return { from_s: Math.max(0, to_s - this.#window_s), to_s };
  }

  #geometry() {
    const width = Math.max(240, this.#plot.clientWidth);
    return { width, left: width < 640 ? NARROW_LEFT : WIDE_LEFT };
  }

  #lookup() {
    const { from_s, to_s } = this.#domain();
    const share = Number(this.#range.value) / 1000;
    this.#at_s = share >= 1 ? null : from_s + share * (to_s - from_s);
    this.#ask();
  }

  #point(event) {
    const { width, left } = this.#geometry();
    const { from_s, to_s } = this.#domain();
    const share = (event.clientX - this.#plot.getBoundingClientRect().left - left) / (width - left);
    if (share < 0 || share > 1) return;
    this.#range.value = String(Math.round(share * 1000));
    this.#at_s = from_s + share * (to_s - from_s);
    this.#ask();
  }

  #draw() {
    if (!this.#view || !this.element.isConnected) return;
    const { ledger, timeline, clock_s } = this.#view;
    const shape = { ...this.#geometry(), ...this.#domain() };
    drawScore(this.#score, { ledger, ...shape });
    drawLanes(this.#lanes, { timeline, now_s: clock_s, ...shape });
    this.#lanes.toggleAttribute("hidden", timeline.length === 0);
    this.#empty.hidden = timeline.length > 0;
    this.#describe(shape);
  }

  #describe({ from_s, to_s, left, width }) {
    const { ledger, timeline, clock_s } = this.#view;
    const at_s = this.#at_s === null ? clock_s : Math.min(Math.max(this.#at_s, from_s), to_s);
    const then = timeline.filter((episode) => episode.start_s <= at_s && (episode.end_s ?? Infinity) >= at_s);
    const names = [...new Set(then.map((episode) => rule(episode.kind)))].join(", ");
    const reading = `${clock(at_s)}: score ${score(scoreAt(ledger, at_s))}${names ? ` · ${names}` : ""}`;
    setText(this.#cursor, reading);
    this.#range.setAttribute("aria-valuetext", reading);
    this.#score.setAttribute(
      "aria-label",
      `Score from ${clock(from_s)} to ${clock(to_s)}. Every jump is a line of the ledger below.`,
    );
    this.#lanes.setAttribute("aria-label", `${timeline.length} episodes, listed in the table below.`);
    if (this.#at_s === null) return;
    for (const svg of [this.#score, this.#lanes]) {
      const x = linear(from_s, to_s, left, width)(at_s);
      svg.append(s("line", { class: "cursor", x1: x, x2: x, y1: 0, y2: svg.getAttribute("height") }));
    }
  }
}
