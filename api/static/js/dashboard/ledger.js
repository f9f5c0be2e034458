/** Ledger and timeline as tables: the accessible form of everything the charts show. */

import { counts } from "../decay.js";
import { h, reconcile, setText } from "../dom.js";
import { clock, count, points, score, span, trim } from "../format.js";
import { timeButton } from "../look_up.js";
import { episodeKey, ledgerKey } from "../view.js";
import { rule, severity } from "../words.js";

const MAX_ROWS = 200;

/** Why the score is what it is: every line with its points, its half-life, and what it still counts. */
export function ledgerCard() {
  const body = h("tbody", {});
  const total = h("td", { class: "num" });
  const note = h("p", { class: "hint" });
  const empty = h("p", { class: "quietly" }, "No line so far: the score is zero.");
  const table = h(
    "table",
    { id: "ledger" },
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        ...["Points", "When", "What was noticed"].map((name) => h("th", { scope: "col" }, name)),
        h("th", { scope: "col", class: "num" }, "Counts now"),
      ),
    ),
    body,
    h("tfoot", {}, h("tr", {}, h("th", { scope: "row", colspan: 3 }, "Sum, capped at 100: the score"), total)),
  );
  const scroll = h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Ledger, scrollable" }, table);
  const element = h(
    "section",
    { class: "card", "aria-labelledby": "ledger-title" },
    h(
      "header",
      {},
      h("h3", { id: "ledger-title" }, "Why this score"),
      h("p", { class: "hint" }, "Every line fades; what it still counts is on its right."),
    ),
    scroll,
    empty,
    note,
  );

  const update = ({ ledger, clock_s, score: now, ledger_dropped: dropped }) => {
    const newest = ledger.slice(-MAX_ROWS).reverse();
    scroll.hidden = newest.length === 0;
    empty.hidden = newest.length > 0;
    reconcile(body, newest, ledgerKey, ledgerRow, (row, line) => updateLedgerRow(row, line, clock_s));
    setText(total, score(now));
    const left = (dropped ?? 0) + ledger.length - newest.length;
    setText(note, left > 0 ? `${count(left, "older line")} not shown.` : "");
  };
  return { element, update };
}

function ledgerRow(line) {
  return h(
    "tr",
    {},
    h("td", { class: "points" }, points(line.weight)),
    h("td", {}, timeButton(line.t_s)),
    h(
      "td",
      {},
      h("strong", {}, rule(line.rule)),
      " ",
      h("span", { class: `badge sev-${line.severity}` }, severity(line.severity)),
      h(
        "div",
        { class: "why" },
        line.why,
        " ",
        h("span", { class: "half" }, line.weight > 0 ? `Halves every ${span(line.half_life_s)}.` : ""),
      ),
    ),
    h("td", { class: "num", "data-name": "Counts now" }),
  );
}

function updateLedgerRow(row, line, now_s) {
  const left = counts(line, now_s);
  setText(row.lastElementChild, left > 0 && left < 0.05 ? "<0.1" : trim(left, 1));
  row.classList.toggle("faded", left < 0.5);
}

/** The timeline as a table, folded away under the charts. */
export function episodesTable() {
  const body = h("tbody", {});
  const caption = h("caption", {});
  const head = h(
    "thead",
    {},
    h(
      "tr",
      {},
      ...["From", "Until", "Length", "What", "How grave", "Detail"].map((name) => h("th", { scope: "col" }, name)),
    ),
  );
  const element = h(
    "details",
    {},
    h("summary", {}, "Timeline as a table"),
    h(
      "div",
      { class: "scroll", tabindex: 0, role: "region", "aria-label": "Timeline, scrollable" },
      h("table", { id: "episodes" }, caption, head, body),
    ),
  );
  let latest = null;
  const draw = () => {
    if (!element.open || !latest) return;
    const newest = latest.timeline.slice(-MAX_ROWS).reverse();
    setText(caption, `${count(latest.timeline.length, "episode")}, the newest first.`);
    reconcile(body, newest, episodeKey, episodeRow, (row, episode) => updateEpisodeRow(row, episode, latest.clock_s));
  };
  element.addEventListener("toggle", draw);
  const update = (view) => {
    latest = view;
    draw();
  };
  return { element, update };
}

const EPISODE_COLUMNS = ["", "Until", "Length", "", "", ""];
const episodeRow = () => h("tr", {}, ...EPISODE_COLUMNS.map((name) => h("td", name ? { "data-name": name } : {})));

function updateEpisodeRow(row, episode, now_s) {
  const texts = [
    clock(episode.start_s),
    episode.end_s === null ? "still going on" : clock(episode.end_s),
    span((episode.end_s ?? now_s) - episode.start_s),
    rule(episode.kind),
    severity(episode.severity),
    episode.detail ?? "",
  ];
  texts.forEach((text, i) => setText(row.children[i], text));
}
