/** What was heard: how it was spoken, whose voices, and what kept the sound from being judged. Carries no points. */

import { h, reconcile, setText } from "../dom.js";
import { NOT_MEASURED, percent, span, trim } from "../format.js";
import { figures, word } from "../speaking.js";
import { soundProblem } from "../words.js";

const missing = (value) => value === null || value === undefined;
const INTERVIEWER = "interviewer";
const SHORTEST_S = 0.05;

const SPOKEN = [
  ["Speaking", "speaking_ratio", percent],
  ["Pace", "speech_rate_wpm", (value) => `${trim(value, 0)} words/min`],
  ["Pauses", "pause_mean_s", (value) => `${span(value)} on average`],
];

const LEVELS = [
  ["Level of the speech", (m) => decibels(m.speech_dbfs)],
  ["Level of the rest", (m) => decibels(m.noise_dbfs)],
  ["Speech with a pitch", (m) => percent(m.voiced_share)],
  ["Nobody's for certain", (m) => (missing(m.voices) ? NOT_MEASURED : span(m.voice_unknown_s))],
  ["Both at once", (m) => span(m.overlap_s)],
  ["Speech, mouth still", (m) => percent(m.mouth_still_share)],
];

const decibels = (value) => (missing(value) ? NOT_MEASURED : `${trim(value, 0)} dBFS`);

/** Voices as bars, the longest first; a voice is a number, never a name. */
export function heardCard() {
  const spoken = pairs(SPOKEN.map(([name]) => name));
  const levels = pairs(LEVELS.map(([name]) => name));
  const told = h("p", { class: "quietly" });
  const voices = h("ul", { class: "bars voices", role: "list" });
  const problems = h("ul", { class: "unheard hint", role: "list" });
  const element = h(
    "section",
    { class: "card", id: "heard", "aria-labelledby": "heard-title" },
    h(
      "header",
      {},
      h("h3", { id: "heard-title" }, "Speech and voices"),
      h("p", { class: "hint" }, "Words for a way of speaking, not for a person. Carries no points."),
    ),
    spoken.list,
    told,
    voices,
    levels.list,
    problems,
  );
  const update = ({ measures }) => {
    const values = figures(measures);
    SPOKEN.forEach(([, name, format], i) => spoken.set(i, missing(values[name]) ? NOT_MEASURED : format(values[name]), word(name, values[name])));
    LEVELS.forEach(([, format], i) => levels.set(i, format(measures)));
    setText(told, voicesTold(measures.voices));
    const items = numbered(measures.voices ?? []);
    voices.hidden = items.length === 0;
    reconcile(voices, items, (item) => String(item.voice), createVoice, updateVoice);
    const lasted = Object.entries(measures.sound_problems ?? {}).filter(([, seconds]) => seconds >= SHORTEST_S);
    lasted.sort(([, a], [, b]) => b - a);
    problems.hidden = lasted.length === 0;
    reconcile(
      problems,
      lasted,
      ([name]) => name,
      () => h("li", {}),
      (row, [name, seconds]) => setText(row, `The sound could not be judged for ${span(seconds)}: ${soundProblem(name)}.`),
    );
  };
  return { element, update };
}

/** How many voices there were, in a sentence. */
export function voicesTold(voices) {
  if (missing(voices)) return "Whose voices were heard was not measured.";
  const own = voices.filter((voice) => voice.role !== INTERVIEWER).length;
  if (!own) return "No voice could be told for certain.";
  const beside = own < voices.length ? " beside the interviewer's" : "";
  return own === 1 ? `One voice was heard${beside}.` : `${own} voices were told apart${beside}.`;
}

function numbered(voices) {
  let number = 0;
  return voices.map((voice) => {
    if (voice.role !== INTERVIEWER) number += 1;
    return { ...voice, name: voice.role === INTERVIEWER ? "Interviewer" : `Voice ${number}` };
  });
}

/** A list of names with a figure and a word each. */
function pairs(names) {
  const values = names.map(() => [h("dd", {}), h("dd", { class: "word" })]);
  const list = h(
    "dl",
    { class: "measures" },
    names.map((name, i) => h("div", {}, h("dt", {}, name), values[i])),
  );
  const set = (i, text, told = "") => {
    const [value, said] = values[i];
    setText(value, text);
    value.classList.toggle("none", text === NOT_MEASURED);
    setText(said, told);
    said.hidden = !told;
  };
  return { list, set };
}

const createVoice = () =>
  h(
    "li",
    {},
    h("span", {}),
    h("span", { class: "gauge", "aria-hidden": "true" }, h("i", {})),
    h("b", {}),
    h("span", { class: "mean" }),
  );

function updateVoice(row, { name, share, speech_s: seconds }) {
  const [label, gauge, value, over] = row.children;
  setText(label, name);
  gauge.firstElementChild.style.width = `${Math.min(100, Math.max(0, 100 * share))}%`;
  setText(value, `${trim(100 * share, 0)} %`);
  setText(over, span(seconds));
}
