/** Numbers and times in words. Pure; `null` and `undefined` are "not measured" everywhere. */

export const NOT_MEASURED = "not measured";

const missing = (value) => value === null || value === undefined || Number.isNaN(value);

/** Session seconds as `m:ss` or `h:mm:ss`; never negative. */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds || 0));
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (n) => String(n).padStart(2, "0");
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** A length of time for reading: `4.2 s`, `3 min 20 s`, `1 h 5 min`. */
export function span(seconds) {
  if (missing(seconds)) return NOT_MEASURED;
  if (seconds < 10) return `${trim(seconds, 1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  if (h > 0) return m ? `${h} h ${m} min` : `${h} h`;
  return s ? `${m} min ${s} s` : `${m} min`;
}

/** At most `digits` decimals, none that say nothing: 15 -> "15", 7.46 -> "7.5". */
export function trim(value, digits = 1) {
  if (missing(value)) return NOT_MEASURED;
  const text = value.toFixed(digits);
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

/** A score 0-100 as a whole number, cut off: 49.6 has not reached a limit of 50. What is not zero never reads as zero. */
export function score(value) {
  if (missing(value)) return "–";
  if (value > 0 && value < 1) return "<1";
  return String(Math.floor(value));
}

/** Points with their sign: `+15`, `+0`. */
export function points(value) {
  return `${value < 0 ? "−" : "+"}${trim(Math.abs(value), 1)}`;
}

/** A share 0-1 as a percentage. */
export function percent(share) {
  return missing(share) ? NOT_MEASURED : `${trim(share * 100, share < 0.1 ? 1 : 0)} %`;
}

/** A count with thin grouping, and a noun that agrees with it. */
export function count(value, one, many = `${one}s`) {
  return `${value.toLocaleString("en-GB")} ${value === 1 ? one : many}`;
}

/** Wall-clock time of day and date, in the reader's own zone. */
export function moment(unixSeconds, locale) {
  return new Date(unixSeconds * 1000).toLocaleString(locale, { dateStyle: "medium", timeStyle: "short" });
}

/** Bytes as KiB or MiB. */
export function bytes(size) {
  if (missing(size)) return "";
  return size < 1024 * 1024 ? `${trim(size / 1024, 0)} KiB` : `${trim(size / 1024 / 1024, 1)} MiB`;
}
