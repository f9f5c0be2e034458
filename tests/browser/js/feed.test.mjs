import assert from "node:assert/strict";
import { afterEach, test } from "node:test";

globalThis.sessionStorage = { getItem: () => "the-key", setItem() {}, removeItem() {} };
const { Feed } = await import("../static/js/feed.js");

const realFetch = globalThis.fetch;
afterEach(() => {
  globalThis.fetch = realFetch;
});

/** Answers every connection with the next of `answers`: an HTTP status, or the text of a stream that then ends. */
function script(answers) {
  const requests = [];
  globalThis.fetch = async (url, options) => {
    requests.push({ url, headers: options.headers });
    const answer = answers.shift();
    if (answer instanceof Error) throw answer;
    return typeof answer === "number" ? new Response(null, { status: answer }) : new Response(answer);
  };
  return requests;
}

async function run(answers) {
  const requests = script(answers);
  const [events, states] = [[], []];
  const feed = new Feed("/v1/feed", {
    onEvent: (event) => events.push(event),
    onState: (state) => {
      states.push(state);
      if (state === "reconnecting") setImmediate(() => feed.retryNow());
    },
  });
  await feed.run();
  return { requests, events, states };
}

test("a cut feed comes back with the id of the last whole event, and the key in a header", async () => {
  const { requests, events, states } = await run([
    'id: 5\nevent: changed\ndata: {"n": 1}\n\nid: 6\ndata: {',
    'id: 6\nevent: changed\ndata: {"n": 2}\n\n',
    404,
  ]);
  assert.deepEqual(
    requests.map(({ headers }) => headers["Last-Event-ID"]),
    [undefined, "5", "6"],
  );
  assert.ok(requests.every(({ headers }) => headers.Authorization === "Bearer the-key"));
  assert.deepEqual(
    events.map(({ data }) => data.n),
    [1, 2],
  );
  assert.deepEqual(states, ["connecting", "live", "reconnecting", "live", "reconnecting", "gone"]);
});

test("a server that is away or full is tried again", async () => {
  const { requests, states } = await run([new TypeError("network"), 503, 500, 404]);
  assert.equal(requests.length, 4);
  assert.deepEqual(states, ["connecting", "reconnecting", "reconnecting", "reconnecting", "gone"]);
});

test("a refused key is not tried again", async () => {
  const { requests, states } = await run([401]);
  assert.equal(requests.length, 1);
  assert.deepEqual(states, ["connecting", "unauthorised"]);
});

test("a stopped feed says so and asks no more", async () => {
  const requests = script([503]);
  const states = [];
  const feed = new Feed("/v1/feed", {
    onEvent: () => {},
    onState: (state) => {
      states.push(state);
      if (state === "reconnecting") feed.stop();
    },
  });
  await feed.run();
  assert.equal(requests.length, 1);
  assert.equal(states.at(-1), "stopped");
});
