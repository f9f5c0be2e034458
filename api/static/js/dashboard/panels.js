/** Transcript, measures and features of the session shown. */

import { h, reconcile, setText } from "../dom.js";
import { NOT_MEASURED, clock, percent, span, trim } from "../format.js";
import { lines } from "../view.js";
import { abstention, feature as featureName, rule, sentence } from "../words.js";
import { textFigure } from "./looks.js";

const MAX_LINES = 200;
const NEAR_END_PX = 60;

/** Words as they are spoken: committed ones solid, those that may still change grey and in italics. */
export function transcriptCard() {
  const list = h("div", {
    class: "transcript",
    role: "log",
    "aria-live": "off",
    tabindex: 0,
    "aria-labelledby": "transcript-title",
  });
  const empty = h("p", { class: "quietly" }, "Nothing was said so far.");
  const element = h(
    "section",
    { class: "card", "aria-labelledby": "transcript-title" },
    h(
      "header",
      {},
      h("h3", { id: "transcript-title" }, "Transcript"),
      h("p", { class: "hint" }, "Words in grey may still change."),
    ),
    empty,
    list,
  );
  const update = (transcript, unavailable) => {
    const items = lines(transcript)
      .slice(-MAX_LINES)
      .map((line) => ({ ...line, key: `u${line.utterance}`, tentative: false }));
    if (transcript.tentative) items.push({ ...transcript.tentative, key: "tentative", tentative: true });
    const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < NEAR_END_PX;
    reconcile(list, items, (item) => item.key, createLine, updateLine);
    list.hidden = items.length === 0;
    empty.hidden = items.length > 0;
    setText(empty, unavailable || "Nothing was said so far.");
    if (atEnd) list.scrollTop = list.scrollHeight;
  };
  return { element, update };
}

const createLine = () => h("p", {}, h("time", {}), h("span", {}));

function updateLine(row, item) {
  row.classList.toggle("tentative", item.tentative);
  setText(row.firstElementChild, clock(item.start_s));
  setText(row.lastElementChild, item.text.trim());
}

const missing = (value) => value === null || value === undefined;

const FIGURES = [
  ["Face in view", (m) => percent(m.face_share)],
  ["Eyes off the screen", (m) => percent(m.eyes_off_share)],
  ["Blinks per minute", (m) => trim(m.blinks_per_min, 0)],
  ["Time spent speaking", (m) => percent(m.speech_share)],
  ["Longest pause", (m) => (m.speech_share === null ? NOT_MEASURED : span(m.longest_pause_s))],
  ["Pauses", (m) => (missing(m.speech_share) ? NOT_MEASURED : (m.pauses ?? 0).toLocaleString("en-GB"))],
  ["Words per minute", (m) => trim(m.words_per_min, 0)],
  ["Words", (m) => (m.words_per_min === null && !m.words ? NOT_MEASURED : m.words.toLocaleString("en-GB"))],
  ["Readable text in view", textFigure],
  ["Frames looked at", (m) => m.frames_seen.toLocaleString("en-GB")],
  ["Frames unreadable", (m) => m.frames_skipped.toLocaleString("en-GB")],
];

/** Figures over the session; what was not measured, and what a signal could not tell, says so. */
export function measuresCard() {
  const shy = h("ul", { class: "abstained hint", role: "list" });
  const values = FIGURES.map(() => h("dd", {}));
  const list = h(
    "dl",
    { class: "measures" },
    FIGURES.map(([name], i) => h("div", {}, h("dt", {}, name), values[i])),
  );
  const element = h(
    "section",
    { class: "card", "aria-labelledby": "measures-title" },
    h(
      "header",
      {},
      h("h3", { id: "measures-title" }, "Measures"),
      h("p", { class: "hint" }, "Over the whole session; they carry no points."),
    ),
    list,
    shy,
  );
  const update = ({ measures }) => {
    FIGURES.forEach(([, format], i) => {
      const text = format(measures);
      setText(values[i], text);
      values[i].classList.toggle("none", text === NOT_MEASURED);
    });
    const abstained = measures.abstained ?? [];
    shy.hidden = abstained.length === 0;
    reconcile(
      shy,
      abstained,
      (item) => item.signal,
      () => h("li", {}),
      (row, item) => setText(row, abstention(item)),
    );
  };
  return { element, update };
}

const WATCH = { watched: "Watched", off: "Off", not_measured: "Not measured" };

/** Every rule of the policy: whether it was watched at all, and what it would add. */
export function rulesCard() {
  const body = h("tbody", {});
  const counts = h("summary", {});
  const head = h(
    "thead",
    {},
    h(
      "tr",
      {},
      ...["Rule", "Points", "Watched?", "Fired"].map((name, i) =>
        h("th", { scope: "col", class: i === 1 || i === 3 ? "num" : null }, name),
      ),
    ),
  );
  const element = h(
    "section",
    { class: "card", "aria-label": "Rules of the policy" },
    h(
      "details",
      {},
      counts,
      h(
        "p",
        { class: "hint" },
        "A rule that was not measured did not fire because nothing looked, not because nothing was there.",
      ),
      h(
        "div",
        { class: "scroll", tabindex: 0, role: "region", "aria-label": "Rules, scrollable" },
        h("table", { id: "rules" }, head, body),
      ),
    ),
  );
  const update = ({ rules = [] }) => {
    element.hidden = rules.length === 0;
    const of = (state) => rules.filter((watch) => watch.state === state).length;
    setText(counts, `${of("watched")} of ${rules.length} rules are watched`);
    reconcile(body, rules, (watch) => watch.rule, createRule, updateRule);
  };
  return { element, update };
}

const createRule = () =>
  h("tr", {}, h("th", { scope: "row" }), h("td", { class: "num" }), h("td", {}), h("td", { class: "num" }));

function updateRule(row, watch) {
  const reason = watch.reason ? `: ${watch.reason}` : "";
  const texts = [
    rule(watch.rule),
    trim(watch.weight, 0),
    `${WATCH[watch.state] ?? sentence(watch.state)}${reason}`,
    String(watch.fired),
  ];
  texts.forEach((text, i) => setText(row.children[i], text));
}

/** Features that do not work for this session, why, and what an operator runs to have them. */
export function featuresCard() {
  const list = h("ul", { class: "features", role: "list" });
  const element = h(
    "section",
    { class: "card", "aria-labelledby": "features-title" },
    h(
      "header",
      {},
      h("h3", { id: "features-title" }, "Not available here"),
      h("p", { class: "hint" }, "Nothing is concluded from what is missing."),
    ),
    list,
  );
  const update = ({ features }) => {
    const missing = features.filter((feature) => !feature.available);
    element.hidden = missing.length === 0;
    reconcile(list, missing, (feature) => feature.name, createFeature, updateFeature);
  };
  return { element, update };
}

const createFeature = () => h("li", {}, h("strong", {}), h("p", {}), h("code", {}));

function updateFeature(row, feature) {
  const [name, reason, command] = row.children;
  setText(name, featureName(feature.name));
  setText(reason, feature.reason);
  setText(command, feature.command);
  command.hidden = !feature.command;
}
