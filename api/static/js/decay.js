/**
 * The score is the decayed sum of the ledger and nothing else, capped at 100: a line of weight w, written at t0 with
 * half-life h, counts w * 2^(-(t - t0) / h) at session time t. The same arithmetic as the aggregator's, for charts. Pure.
 */

export const MAX_SCORE = 100;

/** Points `line` still counts at session time `t_s`; 0 before it was written. */
export function counts(line, t_s) {
  const age = t_s - line.t_s;
  return age < 0 ? 0 : line.weight * 2 ** (-age / line.half_life_s);
}

/** Score of a ledger at session time `t_s`. */
export function scoreAt(lines, t_s) {
  let sum = 0;
  for (const line of lines) sum += counts(line, t_s);
  return Math.min(MAX_SCORE, sum);
}

/**
 * The score between two session times as [{t_s, score}], in order: `steps` even samples, and two at every ledger line
 * inside (just before it and at it), so that its jump is upright and its height exact.
 */
export function series(lines, from_s, to_s, steps = 120) {
  if (!(to_s > from_s)) return [{ t_s: from_s, score: scoreAt(lines, from_s) }];
  const samples = [];
  for (let i = 0; i <= steps; i += 1) {
    const t_s = from_s + ((to_s - from_s) * i) / steps;
    samples.push({ t_s, order: 1, score: scoreAt(lines, t_s) });
  }
  for (const { t_s } of lines) {
    if (t_s <= from_s || t_s > to_s) continue;
    const before = lines.filter((line) => line.t_s < t_s);
    samples.push({ t_s, order: 0, score: scoreAt(before, t_s) }, { t_s, order: 1, score: scoreAt(lines, t_s) });
  }
  samples.sort((a, b) => a.t_s - b.t_s || a.order - b.order);
  return samples.map(({ t_s, score }) => ({ t_s, score }));
}
