/** Axes. Pure. */

const STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 28_800, 86_400];

/** Map [from, to] onto [start, end] in a straight line; an empty domain maps to `start`. */
export function linear(from, to, start, end) {
  const slope = to > from ? (end - start) / (to - from) : 0;
  return (value) => start + (value - from) * slope;
}

/** Round session seconds between two times, at most about `most` of them. */
export function timeTicks(from_s, to_s, most = 8) {
  const step = STEPS_S.find((candidate) => (to_s - from_s) / candidate <= most) ?? STEPS_S.at(-1);
  const ticks = [];
  for (let t_s = Math.ceil(from_s / step) * step; t_s <= to_s; t_s += step) ticks.push(t_s);
  return ticks;
}
