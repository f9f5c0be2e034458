import assert from "node:assert/strict";
import { test } from "node:test";

import { deviceMessage, refusalMessage } from "../static/js/candidate/messages.js";
import { level_dbfs } from "../static/js/candidate/meter.js";
import { iceServers, preferCodec, sdpFragment } from "../static/js/ice.js";

const OFFER = [
  "v=0",
  "a=group:BUNDLE 0 1",
  "m=audio 9 UDP/TLS/RTP/SAVPF 111",
  "a=mid:0",
  "a=ice-ufrag:abcd",
  "a=ice-pwd:secret",
  "m=video 9 UDP/TLS/RTP/SAVPF 96",
  "a=mid:1",
  "a=ice-ufrag:abcd",
  "a=ice-pwd:secret",
  "",
].join("\r\n");

test("ICE servers are read from a Link header, whatever else it carries", () => {
  const header =
    '<stun:stun.example.net>; rel="ice-server", </docs>; rel="help", <turn:turn.example.net?transport=udp>; rel="ice-server"; username="u, 1"; credential="a\\"b"; credential-type="password"';
  assert.deepEqual(iceServers(header), [
    { urls: "stun:stun.example.net" },
    { urls: "turn:turn.example.net?transport=udp", username: "u, 1", credential: 'a"b' },
  ]);
  assert.deepEqual(iceServers('<https://example.net/x>; rel="ice-server"'), []);
  assert.deepEqual(iceServers(null), []);
});

test("a trickle fragment names the ICE session and puts each candidate under its media section", () => {
  const fragment = sdpFragment(
    OFFER,
    [{ sdpMid: "1", candidate: "candidate:1 1 udp 1 192.0.2.1 5000 typ host" }],
    true,
  );
  assert.equal(
    fragment,
    [
      "a=ice-ufrag:abcd",
      "a=ice-pwd:secret",
      "m=audio 9 UDP/TLS/RTP/SAVPF 111",
      "a=mid:0",
      "a=end-of-candidates",
      "m=video 9 UDP/TLS/RTP/SAVPF 96",
      "a=mid:1",
      "a=candidate:1 1 udp 1 192.0.2.1 5000 typ host",
      "a=end-of-candidates",
      "",
    ].join("\r\n"),
  );
});

test("without an end, sections without candidates are left out", () => {
  const fragment = sdpFragment(OFFER, [{ sdpMid: "0", candidate: "candidate:1" }], false);
  assert.ok(!fragment.includes("m=video") && !fragment.includes("end-of-candidates"));
});

test("the preferred codec comes first and no other is lost", () => {
  const codecs = ["video/H264", "video/VP8", "video/rtx"].map((mimeType) => ({ mimeType }));
  assert.deepEqual(
    preferCodec(codecs, "video/vp8").map(({ mimeType }) => mimeType),
    ["video/VP8", "video/H264", "video/rtx"],
  );
});

test("every failure has a message, and only those that retrying cannot help are final", () => {
  const titles = ["NotAllowedError", "NotFoundError", "NotReadableError", "OverconstrainedError", "Odd"].map(
    (name) => deviceMessage(name).title,
  );
  assert.equal(new Set(titles).size, titles.length);
  for (const status of [401, 403, 404, 409, 410, 400, 415])
    assert.equal(refusalMessage(status).final, true, `${status}`);
  for (const status of [0, 429, 500, 502, 503]) assert.ok(!refusalMessage(status).final, `${status}`);
});

test("loudness is in dB of full scale, silence has a floor", () => {
  assert.equal(level_dbfs(new Float32Array(64)), -60);
  assert.equal(level_dbfs(new Float32Array(64).fill(1)), 0);
  assert.ok(Math.abs(level_dbfs(new Float32Array(64).fill(0.1)) + 20) < 0.01);
});
