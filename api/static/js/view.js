/**
 * What a page keeps of a session: the aggregator's view, brought up to date by changes. Pure: every function returns a new
 * object and leaves its arguments alone. Every list is bounded, the oldest entries go first.
 */

export const MAX_LEDGER = 500;
export const MAX_TIMELINE = 500;
export const MAX_ALERTS = 200;
export const MAX_UTTERANCES = 300;

export const ledgerKey = (line) => `${line.seq}:${line.rule}`;
export const episodeKey = (episode) => `${episode.kind}:${episode.start_s}`;
export const alertKey = (alert) => alert.id;
const utteranceKey = (piece) => `${piece.utterance}:${piece.start_s}`;

/** `before` with `fresh` put over entries of the same key, in order of `at`, the oldest above `limit` left out. */
export function mergeList(before, fresh, key, at, limit) {
  const merged = new Map(before.map((item) => [key(item), item]));
  for (const item of fresh) merged.set(key(item), item);
  const sorted = [...merged.values()].sort((a, b) => at(a) - at(b));
  return sorted.length > limit ? sorted.slice(sorted.length - limit) : sorted;
}

/** A whole view from a snapshot, its lists bounded. */
export function fromSnapshot(view) {
  return {
    ...view,
    ledger: mergeList([], view.ledger ?? [], ledgerKey, (line) => line.t_s, MAX_LEDGER),
    timeline: mergeList([], view.timeline ?? [], episodeKey, (episode) => episode.start_s, MAX_TIMELINE),
    alerts: mergeList([], view.alerts ?? [], alertKey, (alert) => alert.t_s, MAX_ALERTS),
  };
}

/** `view` after a `changed` message, whose own view carries only what is new; an old or repeated message changes nothing. */
export function applyChanged(view, changed) {
  if (!view || changed.seq <= view.seq) return view;
  const news = changed.view;
  return {
    ...news,
    seq: changed.seq,
    ledger: mergeList(view.ledger, news.ledger ?? [], ledgerKey, (line) => line.t_s, MAX_LEDGER),
    timeline: mergeList(view.timeline, news.timeline ?? [], episodeKey, (episode) => episode.start_s, MAX_TIMELINE),
    alerts: mergeList(view.alerts, news.alerts ?? [], alertKey, (alert) => alert.t_s, MAX_ALERTS),
  };
}

export const EMPTY_TRANSCRIPT = { pieces: [], tentative: null };

/** Transcript after words were committed; the tentative ones they confirm are withdrawn. */
export function commit(transcript, piece) {
  if (!piece.text?.trim()) return transcript;
  const pieces = mergeList(transcript.pieces, [piece], utteranceKey, (item) => item.start_s, MAX_UTTERANCES);
  const { tentative } = transcript;
  return { pieces, tentative: tentative && tentative.utterance <= piece.utterance ? null : tentative };
}

/** Transcript after a `tentative` message; empty text withdraws. */
export function tentatively(transcript, piece) {
  return { ...transcript, tentative: piece.text?.trim() ? piece : null };
}

/** Pieces of one utterance joined to a line each: [{utterance, start_s, text}]. */
export function lines(transcript) {
  const byUtterance = new Map();
  for (const piece of transcript.pieces) {
    const line = byUtterance.get(piece.utterance);
    if (line) line.text = `${line.text} ${piece.text.trim()}`;
    else
      byUtterance.set(piece.utterance, { utterance: piece.utterance, start_s: piece.start_s, text: piece.text.trim() });
  }
  return [...byUtterance.values()];
}
