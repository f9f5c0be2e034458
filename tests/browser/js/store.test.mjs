import assert from "node:assert/strict";
import { test } from "node:test";

import { SessionStore } from "../static/js/store.js";

const row = (session, more = {}) => ({
  session,
  seq: 1,
  status: "live",
  label: "",
  score: 0,
  level: "low",
  created_unix_s: 0,
  could_not_tell: { active: false },
  active: [],
  ...more,
});
const ids = (items) => items.map(({ session }) => session);

test("sessions stand by risk; those that are over come last", () => {
  const store = new SessionStore();
  for (const item of [row("calm"), row("risky", { score: 80 }), row("past", { score: 95, status: "ended" })])
    store.put(item);
  assert.deepEqual(ids(store.select()), ["risky", "calm", "past"]);
});

test("a hundredth of a point does not make two rows change places", () => {
  const store = new SessionStore();
  store.put(row("older", { score: 40.1, created_unix_s: 1 }));
  store.put(row("newer", { score: 40.0, created_unix_s: 2 }));
  assert.deepEqual(ids(store.select()), ["newer", "older"]);
});

test("an older state never overwrites a newer one", () => {
  const store = new SessionStore();
  store.put(row("a", { seq: 9, score: 30 }));
  assert.equal(store.put(row("a", { seq: 8, score: 10 })), false);
  assert.equal(store.get("a").score, 30);
});

test("filters and search", () => {
  const store = new SessionStore();
  store.put(row("a1", { label: "Back-end" }));
  store.put(row("b2", { review_recommended: true }));
  store.put(row("c3", { status: "expired" }));
  assert.deepEqual(ids(store.select("open")).sort(), ["a1", "b2"]);
  assert.deepEqual(ids(store.select("review")), ["b2"]);
  assert.deepEqual(ids(store.select("over")), ["c3"]);
  assert.deepEqual(ids(store.select("all", " BACK-")), ["a1"]);
  assert.deepEqual(store.tally(), { all: 3, open: 2, review: 1, over: 1 });
});

test("memory is bounded, and what matters least goes", () => {
  const store = new SessionStore(2);
  for (const item of [row("past", { status: "ended" }), row("calm"), row("risky", { score: 60 })]) store.put(item);
  assert.deepEqual(ids(store.select()), ["risky", "calm"]);
});
