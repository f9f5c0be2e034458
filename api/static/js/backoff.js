/** How long to wait before trying again. Pure: chance comes in as an argument. */

/**
 * Milliseconds before attempt `attempt` (0 = the first retry): doubles from `base_ms` to `max_ms`, of which half is
 * jitter, so that a thousand pages that lost one server don't come back in the same instant.
 */
export function backoff(attempt, { base_ms = 500, max_ms = 30_000, random = Math.random } = {}) {
  const ceiling = Math.min(max_ms, base_ms * 2 ** Math.min(attempt, 20));
  return Math.round(ceiling / 2 + (random() * ceiling) / 2);
}

/** Seconds in a `Retry-After` header (a number or an HTTP date), at least 1 and at most `max_s`; `fallback_s` if unreadable. */
export function retryAfter(header, now_ms, { fallback_s = 5, max_s = 120 } = {}) {
  if (!header) return fallback_s;
  const seconds = /^\s*\d+\s*$/.test(header) ? Number(header) : Math.ceil((Date.parse(header) - now_ms) / 1000);
  return Number.isFinite(seconds) ? Math.min(max_s, Math.max(1, seconds)) : fallback_s;
}
