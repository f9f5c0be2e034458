/** The sessions a supervisor's list knows: newest state wins, sorted by risk, bounded. Pure apart from its own map. */

import { isOver } from "./words.js";

export const MAX_SESSIONS = 1000;

/** What the list needs of a view (or of a summary, which is the same with fewer fields). */
export function summary(view) {
  return {
    session: view.session ?? view.id,
    seq: view.seq ?? 0,
    status: view.status,
    label: view.label ?? "",
    policy: view.policy ?? "",
    created_unix_s: view.created_unix_s ?? 0,
    clock_s: view.clock_s ?? 0,
    score: view.score ?? 0,
    level: view.level ?? "low",
    review_recommended: Boolean(view.review_recommended),
    could_not_tell: view.could_not_tell?.active ?? Boolean(view.could_not_tell === true),
    active: (view.active ?? []).map((episode) => episode.kind ?? episode),
  };
}

/** By risk: sessions that run before those that are over, then by score, then the newest first. */
export function byRisk(a, b) {
  return (
    Number(isOver(a.status)) - Number(isOver(b.status)) ||
    Math.round(b.score) - Math.round(a.score) ||
    b.created_unix_s - a.created_unix_s ||
    (a.session < b.session ? -1 : 1)
  );
}

const MATCHES = {
  all: () => true,
  open: (item) => !isOver(item.status),
  review: (item) => item.review_recommended,
  over: (item) => isOver(item.status),
};

export class SessionStore {
  #items = new Map();
  #limit;

  constructor(limit = MAX_SESSIONS) {
    this.#limit = limit;
  }

  get size() {
    return this.#items.size;
  }

  get(session) {
    return this.#items.get(session);
  }

  /** Take a view or summary; false if a newer one is held already. */
  put(view) {
    const item = summary(view);
    if (!item.session) return false;
    const held = this.#items.get(item.session);
    if (held && held.seq > item.seq) return false;
    this.#items.set(item.session, item);
    if (this.#items.size > this.#limit) this.#evict();
    return true;
  }

  delete(session) {
    return this.#items.delete(session);
  }

  /** Sessions of a filter (`all`, `open`, `review`, `over`) whose label, id or policy contains `text`, by risk. */
  select(filter = "all", text = "") {
    const needle = text.trim().toLowerCase();
    const matches = MATCHES[filter] ?? MATCHES.all;
    const found = [...this.#items.values()].filter(
      (item) =>
        matches(item) && (!needle || `${item.label} ${item.session} ${item.policy}`.toLowerCase().includes(needle)),
    );
    return found.sort(byRisk);
  }

  /** How many sessions each filter has. */
  tally() {
    const items = [...this.#items.values()];
    return Object.fromEntries(Object.entries(MATCHES).map(([name, matches]) => [name, items.filter(matches).length]));
  }

  #evict() {
    const last = [...this.#items.values()].sort(byRisk).at(-1);
    this.#items.delete(last.session);
  }
}
