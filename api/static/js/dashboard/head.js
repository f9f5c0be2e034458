/** Top of a session: who, how it stands, the score in words, and what could not be told. */

import { h, setAttributes, setText } from "../dom.js";
import { clock, moment, score, span } from "../format.js";
import { isOver, level, reasons, rule, status, statusDetail } from "../words.js";

/** Title, facts and actions. `actions` is {end, erase}, called without arguments. */
export function headCard(session, actions) {
  const title = h("h2", { tabindex: -1, id: "detail-title" }, "…");
  const state = h("span", {});
  const dot = h("i", { class: "live-dot", "aria-hidden": "true" });
  const facts = h("span", {});
  const policy = h("span", {});
  const end = h("button", { type: "button", onclick: actions.end }, "End session");
  const erase = h("button", { type: "button", class: "danger", onclick: actions.erase }, "Delete");
  const element = h(
    "div",
    { class: "head" },
    h("button", { type: "button", id: "back", class: "quiet", onclick: actions.back }, "← All sessions"),
    h(
      "div",
      { class: "head-title" },
      title,
      h("div", { class: "head-meta" }, h("span", {}, dot, state), facts, policy, h("code", {}, session)),
    ),
    h("div", { class: "head-actions" }, end, erase),
  );
  const update = (view) => {
    setText(title, view.label || "Unlabelled session");
    setText(state, status(view.status));
    state.title = statusDetail(view.status);
    setAttributes(dot, { "data-status": view.status });
    setText(facts, `${clock(view.clock_s)} of session time · began ${moment(view.created_unix_s)}`);
    setText(policy, `policy ${view.policy}`);
    policy.title = `Version ${view.policy_hash}`;
    end.hidden = isOver(view.status);
  };
  return { element, update, focus: () => title.focus({ preventScroll: true }) };
}

/** The score, its level, and whether the policy asks for a person. */
export function heroCard() {
  const figure = h("b", {});
  const bar = h("i", {});
  const gauge = h("span", { class: "gauge", "aria-hidden": "true" }, bar);
  const peak = h("p", { class: "hint" });
  const levelBadge = h("span", {});
  const review = h("strong", {});
  const now = h("p", { class: "quietly" });
  const fair = h(
    "p",
    { class: "hint" },
    "The score is the sum of the ledger lines below, each fading with time. It never decides anything: it only says when a person should look.",
  );
  const element = h(
    "section",
    { class: "card hero", "aria-label": "Score" },
    h("div", {}, h("div", { class: "hero-score" }, figure, h("span", {}, "of 100")), gauge, peak),
    h("div", { class: "hero-words" }, h("div", { class: "row" }, levelBadge, review), now, fair),
  );
  const update = (view) => {
    setText(figure, score(view.score));
    setAttributes(gauge, { "data-level": view.level });
    bar.style.width = `${Math.min(100, view.score)}%`;
    levelBadge.className = `badge level-${view.level}`;
    setText(levelBadge, level(view.level));
    setText(review, reviewWords(view));
    setText(now, describe(view));
    setText(peak, peakWords(view));
  };
  return { element, update };
}

function describe(view) {
  if (view.status === "created") return "The candidate has not joined yet.";
  if (isOver(view.status)) return statusDetail(view.status);
  if (view.status === "stalled") return statusDetail("stalled");
  const going = view.active.filter((episode) => episode.kind !== "COULD_NOT_TELL");
  if (going.length > 0) return `At the moment: ${going.map(named).join(" ")}`;
  return view.could_not_tell.active ? "Nothing can be judged at the moment." : "Nothing to note at the moment.";
}

function peakWords({ status: name, score: now, peak_score: peak }) {
  if (peak <= now + 0.5) return "";
  return `${isOver(name) ? "Highest" : "Highest so far"}: ${score(peak)}`;
}

function reviewWords({ review_recommended: asked, review_s: since_s }) {
  if (!asked) return "No review asked for";
  return since_s === null || since_s === undefined
    ? "A human review is recommended"
    : `A human review is recommended since ${clock(since_s)}`;
}

const named = ({ kind, detail }) => (detail || rule(kind)).replace(/\.?$/, ".");

/** "Could not tell": said plainly, and never as a reproach. */
export function unsureCard() {
  const title = h("h3", {});
  const text = h("p", {});
  const element = h("section", { class: "card unsure", hidden: true, "aria-label": "Could not tell" }, title, text);
  const update = ({ could_not_tell: unsure, status: name }) => {
    element.hidden = !unsure.active && unsure.total_s < 0.5;
    const why = reasons(unsure.reasons);
    setText(
      title,
      unsure.active
        ? `Could not tell: ${why || "the picture or sound cannot be judged"}`
        : `Could not tell for ${span(unsure.total_s)}${isOver(name) ? "" : " so far"}`,
    );
    const total = unsure.active && unsure.total_s >= 0.5 ? ` This was so for ${span(unsure.total_s)} altogether.` : "";
    setText(
      text,
      `While picture or sound cannot be judged, nothing is concluded from it and the score does not rise. It says nothing about the candidate.${total}`,
    );
  };
  return { element, update };
}
