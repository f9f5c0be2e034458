/**
 * A WHIP client (RFC 9725): publishes one MediaStream to one endpoint, once. Usable on its own:
 *
 *     const whip = new WhipClient({ endpoint: "/v1/whip/ID", token, onState: console.log });
 *     await whip.publish(stream);
 *     await whip.stop();
 *
 * `publish` throws WhipError; what happens after it has returned arrives through `onState`: `connecting`, `connected`,
 * `disconnected` (may recover), `failed`, `closed`. Reconnecting is the caller's: make a new client and publish again.
 */

import { retryAfter } from "./backoff.js";
import { iceServers, preferCodec, sdpFragment } from "./ice.js";

const REQUEST_TIMEOUT_MS = 15_000;
/** Candidates of the own network are there at once; a slow STUN server must not hold the offer back: the rest trickles. */
const GATHER_MS = 800;
const TRICKLE_MS = 150;
const MAX_BITRATE_BPS = 1_200_000;
const MAX_FRAMERATE_FPS = 24;

/** The endpoint refused, or could not be reached (`status` 0). `retryAfter_s` is set with a 503 or 429. */
export class WhipError extends Error {
  constructor(status, message, retryAfter_s = null) {
    super(message);
    this.name = "WhipError";
    this.status = status;
    this.retryAfter_s = retryAfter_s;
  }
}

export class WhipClient {
  #endpoint;
  #token;
  #onState;
  #servers;
  #pc = null;
  #resource = null;
  #etag = "";
  #fresh = [];
  #gathered = false;
  #trickle = null;
  #trickleOff = false;
  #stopped = false;

  constructor({ endpoint, token, servers = [], onState = () => {} }) {
    this.#endpoint = new URL(endpoint, globalThis.location?.href).href;
    this.#token = token;
    this.#servers = servers;
    this.#onState = onState;
  }

  /** The peer connection, for statistics; null before `publish`. */
  get connection() {
    return this.#pc;
  }

  /** URL of the WHIP session, once there is one. */
  get resource() {
    return this.#resource;
  }

  /** Offer the stream's tracks and take the answer. Throws WhipError; nothing is left open then. */
  async publish(stream) {
    try {
      if (this.#servers.length === 0) this.#servers = await this.#askServers();
      const answered = await this.#offer(stream);
      if (answered.length > 0 && this.#servers.length === 0) await this.#offerAgain(stream, answered);
    } catch (error) {
      const stopped = this.#stopped;
      await this.stop();
      // Whatever a call on a connection that was closed under it says, the reason is the caller's own.
      throw stopped ? new WhipError(0, "Stopped.") : error;
    }
  }

  /** Leave: DELETE the WHIP session and close. Never throws: the peer's end is noticed by the server in any case. */
  async stop({ keepalive = false } = {}) {
    this.#stopped = true;
    clearTimeout(this.#trickle);
    const resource = this.#resource;
    this.#resource = null;
    this.#pc?.close();
    if (!resource) return;
    try {
      await this.#request("DELETE", resource, { keepalive });
    } catch (error) {
      console.info("WHIP session not deleted", error.status ?? "");
    }
  }

  /** ICE servers the endpoint names before the offer (RFC 9725, 4.6); none if it does not say. */
  async #askServers() {
    try {
      const response = await this.#request("OPTIONS", this.#endpoint);
      return response.ok ? iceServers(response.headers.get("link")) : [];
    } catch {
      return [];
    }
  }

  /** The answer named servers too late for the offer to use them: offer once more, with them. */
  async #offerAgain(stream, servers) {
    const { pc, resource } = { pc: this.#pc, resource: this.#resource };
    pc.onconnectionstatechange = null;
    pc.onicecandidate = null;
    pc.close();
    this.#servers = servers;
    await this.#request("DELETE", resource).catch(() => null);
    await this.#offer(stream);
  }

  async #offer(stream) {
    this.#open(stream);
    const pc = this.#pc;
    await pc.setLocalDescription();
    await this.#gather();
    this.#fresh = [];
    const offered = pc.localDescription.sdp;
    const response = await this.#request("POST", this.#endpoint, { body: offered, type: "application/sdp" });
    if (response.status !== 201) throw await refusal(response);
    const location = response.headers.get("location");
    if (!location) throw new WhipError(response.status, "The server accepted, but did not say where the session is.");
    this.#resource = new URL(location, this.#endpoint).href;
    this.#etag = response.headers.get("etag") ?? "";
    if (this.#stopped) throw new WhipError(0, "Stopped.");
    await pc.setRemoteDescription({ type: "answer", sdp: await response.text() }).catch((error) => {
      throw new WhipError(0, `The server's answer cannot be used: ${error.message}`);
    });
    this.#askTrickle();
    return iceServers(response.headers.get("link"));
  }

  #open(stream) {
    const pc = new RTCPeerConnection({ iceServers: this.#servers, bundlePolicy: "max-bundle" });
    this.#pc = pc;
    this.#gathered = false;
    pc.onconnectionstatechange = () => this.#onState(pc.connectionState);
    pc.onicecandidate = ({ candidate }) => {
      if (candidate?.candidate) this.#fresh.push(candidate);
      this.#gathered = candidate === null;
      this.#askTrickle();
    };
    for (const track of stream.getAudioTracks().slice(0, 1)) pc.addTransceiver(track, { direction: "sendonly", streams: [stream] });
    for (const track of stream.getVideoTracks().slice(0, 1)) addVideo(pc, track, stream);
  }

  async #gather() {
    const pc = this.#pc;
    if (pc.iceGatheringState === "complete") return;
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, GATHER_MS);
      pc.addEventListener("icegatheringstatechange", () => {
        if (pc.iceGatheringState !== "complete") return;
        clearTimeout(timer);
        resolve();
      });
    });
  }

  #askTrickle() {
    if (!this.#resource || this.#trickleOff || this.#stopped) return;
    if (this.#fresh.length === 0) return;
    clearTimeout(this.#trickle);
    this.#trickle = setTimeout(() => this.#sendTrickle(), TRICKLE_MS);
  }

  async #sendTrickle() {
    const candidates = this.#fresh.splice(0);
    const body = sdpFragment(this.#pc.localDescription.sdp, candidates, this.#gathered);
    try {
      const headers = this.#etag ? { "If-Match": this.#etag } : {};
      const response = await this.#request("PATCH", this.#resource, { body, type: "application/trickle-ice-sdpfrag", headers });
      // A server may do without trickle (405, 501); it then finds these candidates by the checks they send.
      this.#trickleOff = !response.ok;
    } catch {
      this.#trickleOff = true;
    }
  }

  async #request(method, url, { body, type, headers = {}, keepalive = false } = {}) {
    try {
      return await fetch(url, {
        method,
        body,
        keepalive,
        headers: { ...headers, ...(type ? { "Content-Type": type } : {}), ...(this.#token ? { Authorization: `Bearer ${this.#token}` } : {}) },
        signal: keepalive ? undefined : AbortSignal.timeout(REQUEST_TIMEOUT_MS),
      });
    } catch {
      throw new WhipError(0, "The server cannot be reached.");
    }
  }
}

/** VP8 first, in temporal layers where the browser can, so that the server may decode no more than it looks at. */
function addVideo(pc, track, stream) {
  const encoding = { maxBitrate: MAX_BITRATE_BPS, maxFramerate: MAX_FRAMERATE_FPS };
  const add = (more) => pc.addTransceiver(track, { direction: "sendonly", streams: [stream], sendEncodings: [{ ...encoding, ...more }] });
  let transceiver;
  try {
    transceiver = add({ scalabilityMode: "L1T3" });
  } catch {
    transceiver = add({});
  }
  const codecs = globalThis.RTCRtpSender.getCapabilities?.("video")?.codecs;
  if (codecs) transceiver.setCodecPreferences?.(preferCodec(codecs, "video/VP8"));
}

async function refusal(response) {
  const type = response.headers.get("content-type") ?? "";
  const body = type.includes("json") ? await response.json().catch(() => ({})) : {};
  const busy = response.status === 503 || response.status === 429;
  const wait_s = busy ? retryAfter(response.headers.get("retry-after"), Date.now()) : null;
  return new WhipError(response.status, body.detail ?? body.title ?? `The server answered ${response.status}.`, wait_s);
}
