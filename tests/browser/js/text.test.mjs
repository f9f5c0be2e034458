import assert from "node:assert/strict";
import { test } from "node:test";

import { backoff, retryAfter } from "../static/js/backoff.js";
import { NOT_MEASURED, bytes, clock, count, percent, points, score, span, trim } from "../static/js/format.js";
import { byLane } from "../static/js/lanes.js";
import { linear, timeTicks } from "../static/js/scale.js";
import { reasons, rule, sentence, status } from "../static/js/words.js";

test("times read as clocks and as lengths", () => {
  assert.deepEqual(
    [clock(0), clock(59.9), clock(61), clock(3723), clock(-1)],
    ["0:00", "0:59", "1:01", "1:02:03", "0:00"],
  );
  assert.deepEqual(
    [span(4.23), span(9), span(59.6), span(61), span(120), span(3600), span(5400)],
    ["4.2 s", "9 s", "1 min", "1 min 1 s", "2 min", "1 h", "1 h 30 min"],
  );
});

test("what was not measured is said, and never shown as zero", () => {
  for (const format of [span, trim, percent]) {
    assert.equal(format(null), NOT_MEASURED);
    assert.notEqual(format(0), NOT_MEASURED);
  }
  assert.equal(score(null), "–");
  assert.equal(score(0.2), "<1");
  assert.equal(score(0), "0");
  assert.equal(score(49.6), "49");
});

test("figures are short", () => {
  assert.deepEqual(
    [points(15), points(7.46), points(0), trim(100, 1), trim(20, 0)],
    ["+15", "+7.5", "+0", "100", "20"],
  );
  assert.deepEqual([percent(0.034), percent(0.98), percent(1)], ["3.4 %", "98 %", "100 %"]);
  assert.deepEqual([count(1, "line"), count(2, "line"), bytes(26_000)], ["1 line", "2 lines", "25 KiB"]);
});

test("a rule nobody wrote words for still reads as words", () => {
  assert.equal(rule("NO_FACE"), "No face in view");
  assert.equal(rule("SOME_NEW_RULE"), "Some new rule");
  assert.equal(sentence("speech.text"), "Speech text");
  assert.equal(status("created"), "Waiting");
  assert.equal(
    reasons(["dark", "blurred", "odd_thing"]),
    "the picture is too dark, the picture is blurred and odd thing",
  );
});

test("the gravest kind has the first lane", () => {
  const lanes = byLane([
    { kind: "LOOKING_AWAY", severity: "medium", start_s: 1 },
    { kind: "PHONE_DETECTED", severity: "critical", start_s: 5 },
    { kind: "LOOKING_AWAY", severity: "medium", start_s: 9 },
  ]);
  assert.deepEqual(
    lanes.map(({ kind, episodes }) => [kind, episodes.length]),
    [
      ["PHONE_DETECTED", 1],
      ["LOOKING_AWAY", 2],
    ],
  );
});

test("axes", () => {
  assert.equal(linear(10, 20, 0, 100)(15), 50);
  assert.equal(linear(10, 10, 7, 100)(10), 7);
  assert.deepEqual(timeTicks(0, 60, 6), [0, 10, 20, 30, 40, 50, 60]);
  assert.deepEqual(timeTicks(7, 21, 3), [10, 15, 20]);
});

test("pauses grow, keep their jitter, and stop growing", () => {
  const lengths = (random) =>
    [0, 1, 2, 30].map((attempt) => backoff(attempt, { base_ms: 1000, max_ms: 8000, random: () => random }));
  assert.deepEqual(lengths(0), [500, 1000, 2000, 4000]);
  assert.deepEqual(lengths(1), [1000, 2000, 4000, 8000]);
});

test("Retry-After is seconds or a date, and bounded", () => {
  const now = Date.parse("2030-01-01T00:00:00Z");
  assert.equal(retryAfter("7", now), 7);
  assert.equal(retryAfter("Tue, 01 Jan 2030 00:00:09 GMT", now), 9);
  assert.equal(retryAfter("0", now), 1);
  assert.equal(retryAfter("99999", now), 120);
  assert.equal(retryAfter("soon", now), 5);
  assert.equal(retryAfter(null, now), 5);
});
