import assert from "node:assert/strict";
import { test } from "node:test";

import { MAX_SCORE, counts, scoreAt, series } from "../static/js/decay.js";

const line = (t_s, weight = 16, half_life_s = 60) => ({ t_s, weight, half_life_s });

test("a line counts nothing before it was written, all of it then, and half a half-life later", () => {
  assert.equal(counts(line(100), 99.9), 0);
  assert.equal(counts(line(100), 100), 16);
  assert.equal(counts(line(100), 160), 8);
  assert.equal(counts(line(100), 220), 4);
});

test("the score is the sum of what every line counts, capped", () => {
  assert.equal(scoreAt([line(0), line(60)], 60), 24);
  assert.equal(scoreAt([line(0, 90), line(0, 90)], 0), MAX_SCORE);
  assert.equal(scoreAt([], 10), 0);
});

test("a series jumps upright and to the exact height at a line", () => {
  const samples = series([line(30.5)], 0, 60, 4);
  const at = samples.filter(({ t_s }) => t_s === 30.5);
  assert.deepEqual(at, [
    { t_s: 30.5, score: 0 },
    { t_s: 30.5, score: 16 },
  ]);
  assert.deepEqual(
    samples.map(({ t_s }) => t_s),
    [0, 15, 30, 30.5, 30.5, 45, 60],
  );
});

test("two lines at one instant rise together", () => {
  const at = series([line(10), line(10)], 0, 20, 1)
    .filter(({ t_s }) => t_s === 10)
    .map(({ score }) => score);
  assert.deepEqual([Math.min(...at), Math.max(...at)], [0, 32]);
});

test("a series starts from what earlier lines still count", () => {
  assert.equal(series([line(0)], 60, 120, 2)[0].score, 8);
});

test("an empty stretch of time has one sample", () => {
  assert.deepEqual(series([line(0)], 60, 60), [{ t_s: 60, score: 8 }]);
});
