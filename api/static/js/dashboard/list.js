/** The list of sessions: sorted by risk, filtered, a page of rows at a time. */

import { byId, h, reconcile, setAttributes, setText } from "../dom.js";
import { clock, score, span } from "../format.js";
import { isOver, level, rule, status } from "../words.js";

const PAGE = 50;
const MAX_ROWS = 400;
const REDRAW_MS = 400;
const NONE = {
  open: "No session is open.",
  review: "No session asks for a review.",
  over: "No session is over yet.",
  all: "No sessions.",
};

export class SessionList {
  #store;
  #selected = "";
  #filter = "open";
  #text = "";
  #rows = PAGE;
  #timer = null;
  #note = "";
  #list = byId("sessions");

  constructor(store) {
    this.#store = store;
    byId("search").addEventListener("input", (event) => {
      this.#text = event.target.value;
      this.#again();
    });
    for (const button of document.querySelectorAll("[data-filter]")) {
      button.addEventListener("click", () => this.show(button.dataset.filter));
    }
    byId("show-more").addEventListener("click", () => {
      this.#rows = Math.min(MAX_ROWS, this.#rows + PAGE);
      this.draw();
    });
    this.#list.addEventListener("keydown", (event) => this.#arrow(event));
  }

  show(filter) {
    this.#filter = filter;
    for (const button of document.querySelectorAll("[data-filter]")) {
      button.setAttribute("aria-pressed", String(button.dataset.filter === filter));
    }
    this.#again();
  }

  select(session) {
    this.#selected = session;
    this.draw();
  }

  /** What an empty list says instead of "no sessions yet": loading, or why it could not be loaded. */
  explain(note) {
    this.#note = note;
    this.draw();
  }

  /** Redraw soon: changes arrive many times a second, and a list that jumps cannot be clicked. */
  changed() {
    this.#timer ??= setTimeout(() => this.draw(), REDRAW_MS);
  }

  draw() {
    clearTimeout(this.#timer);
    this.#timer = null;
    const found = this.#store.select(this.#filter, this.#text);
    reconcile(
      this.#list,
      found.slice(0, this.#rows),
      (item) => item.session,
      createRow,
      (row, item) => updateRow(row, item, this.#selected),
    );
    const tally = this.#store.tally();
    for (const button of document.querySelectorAll("[data-filter]"))
      setText(button.lastElementChild, String(tally[button.dataset.filter]));
    byId("show-more").hidden = found.length <= this.#rows || this.#rows >= MAX_ROWS;
    this.#explainEmpty(found.length);
  }

  #explainEmpty(found) {
    const box = byId("list-empty");
    box.hidden = found > 0;
    setText(box, this.#note || this.#none());
  }

  #none() {
    if (this.#store.size === 0) return "No sessions yet. Create one, and send its link to a candidate.";
    return this.#text.trim() ? "No session matches." : NONE[this.#filter];
  }

  #again() {
    this.#rows = PAGE;
    this.draw();
  }

  #arrow(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const row = event.target.closest("li");
    if (!step || !row) return;
    const next = step > 0 ? row.nextElementSibling : row.previousElementSibling;
    event.preventDefault();
    next?.querySelector("a").focus();
  }
}

function createRow(item) {
  return h(
    "li",
    {},
    h(
      "a",
      { class: "item", href: `#/sessions/${encodeURIComponent(item.session)}` },
      h(
        "span",
        { class: "item-score" },
        h("span", { class: "sr" }, "Score "),
        h("b", {}),
        h("span", { class: "gauge", "aria-hidden": "true" }, h("i", {})),
      ),
      h("span", { class: "item-label" }),
      h("span", { class: "item-meta" }, h("i", { class: "live-dot", "aria-hidden": "true" }), h("span", {})),
      h("span", { class: "item-badges" }),
    ),
  );
}

function updateRow(row, item, selected) {
  const link = row.firstElementChild;
  const [scoreBox, label, meta, badges] = link.children;
  setAttributes(link, { "aria-current": item.session === selected ? "true" : null });
  link.classList.toggle("over", isOver(item.status));
  setText(scoreBox.querySelector("b"), score(item.score));
  const gauge = scoreBox.lastElementChild;
  setAttributes(gauge, { "data-level": item.level });
  gauge.firstElementChild.style.width = `${Math.min(100, item.score)}%`;
  setText(label, item.label || "Unlabelled session");
  setAttributes(meta.firstElementChild, { "data-status": item.status });
  const long = item.status === "created" ? "" : ` · ${isOver(item.status) ? span(item.clock_s) : clock(item.clock_s)}`;
  setText(meta.lastElementChild, `${status(item.status)}${long} · ${item.session}`);
  reconcile(
    badges,
    badgesOf(item),
    (badge) => badge.key,
    (badge) => h("span", {}, badge.text),
    (node, badge) => {
      node.className = `badge ${badge.look}`;
      setText(node, badge.text);
    },
  );
}

function badgesOf(item) {
  const badges = [{ key: "level", look: `level-${item.level}`, text: level(item.level) }];
  if (item.review_recommended) badges.push({ key: "review", look: "badge-review", text: "Review recommended" });
  if (item.could_not_tell) badges.push({ key: "unsure", look: "badge-unsure", text: "Could not tell" });
  const now = item.active.filter((kind) => kind !== "COULD_NOT_TELL").slice(0, 2);
  for (const kind of now) badges.push({ key: `now-${kind}`, look: "", text: rule(kind) });
  return badges;
}
