import assert from "node:assert/strict";
import { test } from "node:test";

import {
  EMPTY_TRANSCRIPT,
  MAX_LEDGER,
  MAX_UTTERANCES,
  applyChanged,
  commit,
  fromSnapshot,
  lines,
  tentatively,
} from "../static/js/view.js";

const ledger = (seq, t_s = seq) => ({ seq, t_s, rule: "NO_FACE", weight: 20 });
const episode = (start_s, end_s = null, kind = "NO_FACE") => ({ kind, start_s, end_s });
const view = (seq, more = {}) => ({ session: "s1", seq, score: 0, ledger: [], timeline: [], alerts: [], ...more });
const changed = (seq, more) => ({ session: "s1", seq, view: view(seq, more) });

test("a change replaces figures, adds lines, and closes the open episode", () => {
  const before = fromSnapshot(view(5, { ledger: [ledger(4)], timeline: [episode(4)] }));
  const after = applyChanged(before, changed(6, { score: 12, ledger: [ledger(6)], timeline: [episode(4, 5.5)] }));
  assert.equal(after.score, 12);
  assert.equal(after.seq, 6);
  assert.deepEqual(
    after.ledger.map(({ seq }) => seq),
    [4, 6],
  );
  assert.deepEqual(after.timeline, [episode(4, 5.5)]);
  assert.deepEqual(before.timeline, [episode(4)], "the view before is left alone");
});

test("two kinds that begin together are two episodes, two rules of one observation two lines", () => {
  const other = { ...ledger(4), rule: "MULTIPLE_FACES" };
  const after = applyChanged(
    fromSnapshot(view(5, { ledger: [ledger(4)], timeline: [episode(4)] })),
    changed(6, { ledger: [other], timeline: [episode(4, null, "COULD_NOT_TELL")] }),
  );
  assert.equal(after.ledger.length, 2);
  assert.equal(after.timeline.length, 2);
});

test("a repeated or older change changes nothing", () => {
  const before = fromSnapshot(view(5));
  assert.equal(applyChanged(before, changed(5, { score: 50 })), before);
  assert.equal(applyChanged(before, changed(4, { score: 50 })), before);
});

test("a change before any snapshot is not a view", () => {
  assert.equal(applyChanged(null, changed(1)), null);
});

test("lists are bounded, and the oldest go", () => {
  const many = Array.from({ length: MAX_LEDGER + 10 }, (_, i) => ledger(i));
  const bounded = fromSnapshot(view(1, { ledger: many }));
  assert.equal(bounded.ledger.length, MAX_LEDGER);
  assert.equal(bounded.ledger[0].seq, 10);
});

test("committed words withdraw the tentative ones they confirm, not those of a later utterance", () => {
  const said = { utterance: 1, start_s: 1, end_s: 2, text: " I am" };
  const guess = { utterance: 1, start_s: 2, text: "an engine" };
  let transcript = tentatively(commit(EMPTY_TRANSCRIPT, said), guess);
  assert.equal(transcript.tentative.text, "an engine");
  transcript = commit(transcript, { utterance: 1, start_s: 2, end_s: 3, text: "an engineer" });
  assert.equal(transcript.tentative, null);
  assert.deepEqual(lines(transcript), [{ utterance: 1, start_s: 1, text: "I am an engineer" }]);
  transcript = commit(tentatively(transcript, { utterance: 2, start_s: 5, text: "so" }), {
    utterance: 1,
    start_s: 3,
    end_s: 4,
    text: "today",
  });
  assert.equal(transcript.tentative.utterance, 2);
});

test("words that arrive twice, by the log and by the feed, are there once", () => {
  const said = { utterance: 1, start_s: 1, end_s: 2, text: "hello" };
  assert.equal(commit(commit(EMPTY_TRANSCRIPT, said), { ...said }).pieces.length, 1);
});

test("empty text withdraws, and blank commits say nothing", () => {
  const guess = tentatively(EMPTY_TRANSCRIPT, { utterance: 1, start_s: 0, text: "hm" });
  assert.equal(tentatively(guess, { utterance: 1, start_s: 0, text: "" }).tentative, null);
  assert.equal(commit(EMPTY_TRANSCRIPT, { utterance: 1, start_s: 0, end_s: 1, text: " " }), EMPTY_TRANSCRIPT);
});

test("a transcript is bounded", () => {
  let transcript = EMPTY_TRANSCRIPT;
  for (let i = 0; i < MAX_UTTERANCES + 5; i += 1)
    transcript = commit(transcript, { utterance: i, start_s: i, end_s: i, text: "w" });
  assert.equal(transcript.pieces.length, MAX_UTTERANCES);
  assert.equal(transcript.pieces[0].start_s, 5);
});
