import assert from "node:assert/strict";
import { test } from "node:test";

import { MAX_EVENT_CHARS, SseParser } from "../static/js/sse.js";

const STREAM = ': hello\nid: 7\nevent: changed\ndata: {"a":\ndata: 1}\n\nid: 8\ndata: plain\n\n';
const EVENTS = [
  { event: "changed", id: "7", data: '{"a":\n1}' },
  { event: "message", id: "8", data: "plain" },
];

test("events come out whole, with type and id", () => {
  assert.deepEqual(new SseParser().push(STREAM), EVENTS);
});

test("it does not matter where the network cuts, nor how lines end", () => {
  for (const newline of ["\n", "\r\n", "\r"]) {
    const text = STREAM.replaceAll("\n", newline);
    for (let cut = 1; cut < text.length; cut += 1) {
      const parser = new SseParser();
      assert.deepEqual(
        [...parser.push(text.slice(0, cut)), ...parser.push(text.slice(cut))],
        EVENTS,
        `${JSON.stringify(newline)} cut at ${cut}`,
      );
    }
    const parser = new SseParser();
    assert.deepEqual(
      [...text].flatMap((character) => parser.push(character)),
      EVENTS,
    );
  }
});

test("a half-received event is forgotten by a reconnect, and its id is not resumed from", () => {
  const parser = new SseParser();
  parser.push("id: 3\ndata: a\n\nid: 4\ndata: b\n");
  parser.reset();
  assert.equal(parser.lastEventId, "3");
  assert.deepEqual(parser.push("data: c\n\n"), [{ event: "message", id: "3", data: "c" }]);
});

test("comments and empty events say nothing", () => {
  assert.deepEqual(new SseParser().push(": keep-alive\n\nevent: changed\n\n"), []);
});

test("retry is read, and nonsense in it is not", () => {
  const parser = new SseParser();
  parser.push("retry: 2500\n\nretry: soon\n\n");
  assert.equal(parser.retry_ms, 2500);
});

test("an event without end is refused, not gathered", () => {
  const parser = new SseParser();
  assert.throws(() => parser.push(`data: ${"x".repeat(MAX_EVENT_CHARS)}`), /too long/);
});
