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
/** Candidates are sent together when nothing new came for so long. */
const TRICKLE_MS = 60;
/** How long to gather before an offer that must carry every candidate, for a server that takes none later. */
const GATHER_MS = 3000;
const UNUSABLE = 502;
const FAREWELL_MS = 1000;
const NO_TRICKLE = [405, 501];
const MAX_BITRATE_BPS = 1_200_000;
const MAX_FRAMERATE_FPS = 24;

/** The endpoint refused, answered what cannot be used (`status` 502), or could not be reached (0). `retryAfter_s` is set with a 503 or 429. */
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
  #pc = null;
  #resource = null;
  #etag = "";
  #servers = [];
  #fresh = [];
  #gathered = false;
  #trickles = true;
  #stream = null;
  #timer = null;
  #stopped = false;

  constructor({ endpoint, token, onState = () => {} }) {
    this.#endpoint = new URL(endpoint, globalThis.location?.href).href;
    this.#token = token;
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
      this.#stream = stream;
      await this.#offerAtOnce();
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
    clearTimeout(this.#timer);
    await this.#close({ keepalive });
  }

  /** DELETE, then close: a connection that closed first is gone when the DELETE arrives. No reply holds it open for long. */
  async #close({ keepalive = false } = {}) {
    const [pc, resource] = [this.#pc, this.#resource];
    this.#resource = null;
    if (pc) pc.onconnectionstatechange = pc.onicecandidate = null;
    if (resource) {
      const deleted = this.#request("DELETE", resource, { keepalive }).catch((error) =>
        console.info("WHIP session not deleted:", error.message),
      );
      if (!keepalive) await Promise.race([deleted, new Promise((resolve) => setTimeout(resolve, FAREWELL_MS))]);
    }
    pc?.close();
  }

  /**
   * Offer before gathering: the answer to the offer is what names the ICE servers, with credentials that only those who
   * may publish are told (RFC 9725, 4.6). Candidates follow by trickle.
   */
  async #offerAtOnce() {
    const pc = this.#open();
    const offer = await pc.createOffer();
    const answer = await this.#post(offer.sdp);
    this.#useServers(pc);
    await pc.setLocalDescription(offer);
    await this.#accept(answer);
  }

  #useServers(pc) {
    if (this.#servers.length === 0) return;
    try {
      pc.setConfiguration({ ...pc.getConfiguration(), iceServers: this.#servers });
    } catch (error) {
      // Servers this browser cannot use must not cost the connection: it may well work without them.
      console.warn("ICE servers not used:", error.message);
      this.#servers = [];
    }
  }

  /** For a server that does without trickle (RFC 9725, 4.3.1): offer once more, with every candidate inside. */
  async #offerWhole() {
    this.#trickles = false;
    await this.#close();
    const pc = this.#open();
    await pc.setLocalDescription();
    await this.#gatherAll();
    await this.#accept(await this.#post(pc.localDescription.sdp));
  }

  #open() {
    const stream = this.#stream;
    const pc = new RTCPeerConnection({ iceServers: this.#servers, bundlePolicy: "max-bundle" });
    this.#pc = pc;
    this.#gathered = false;
    pc.onconnectionstatechange = () => this.#onState(pc.connectionState);
    pc.onicecandidate = ({ candidate }) => this.#found(candidate);
    for (const track of stream.getAudioTracks().slice(0, 1))
      pc.addTransceiver(track, { direction: "sendonly", streams: [stream] });
    for (const track of stream.getVideoTracks().slice(0, 1)) addVideo(pc, track, stream);
    return pc;
  }

  /** Returns the answer's SDP; remembers the WHIP session and its ICE servers. */
  async #post(sdp) {
    const response = await this.#request("POST", this.#endpoint, { body: sdp, type: "application/sdp" });
    if (response.status !== 201) throw await refusal(response);
    const location = response.headers.get("location");
    if (!location) throw new WhipError(UNUSABLE, "The server accepted, but did not say where the session is.");
    this.#resource = new URL(location, this.#endpoint).href;
    this.#etag = response.headers.get("etag") ?? "";
    this.#servers = iceServers(response.headers.get("link"));
    if (this.#stopped) throw new WhipError(0, "Stopped.");
    return response.text();
  }

  async #accept(sdp) {
    await this.#pc.setRemoteDescription({ type: "answer", sdp }).catch((error) => {
      throw new WhipError(UNUSABLE, `The server's answer cannot be used: ${error.message}`);
    });
    this.#watchGoodbye();
  }

  /** The server's own goodbye (DTLS close_notify) is known at once; ICE alone notices many seconds later. */
  #watchGoodbye() {
    const pc = this.#pc;
    const transport = pc.getSenders()[0]?.transport;
    transport?.addEventListener("statechange", () => {
      if (transport.state === "closed" && pc === this.#pc && !this.#stopped && pc.signalingState !== "closed")
        this.#onState("closed");
    });
  }

  #found(candidate) {
    if (candidate?.candidate) this.#fresh.push(candidate);
    this.#gathered = candidate === null;
    clearTimeout(this.#timer);
    if (this.#trickles) this.#timer = setTimeout(() => this.#trickle(), TRICKLE_MS);
  }

  /** PATCH what was gathered since the last time. */
  async #trickle() {
    if (!this.#resource || this.#stopped) return;
    const body = sdpFragment(this.#pc.localDescription.sdp, this.#fresh.splice(0), this.#gathered);
    const headers = this.#etag ? { "If-Match": this.#etag } : {};
    try {
      const { status } = await this.#request("PATCH", this.#resource, {
        body,
        type: "application/trickle-ice-sdpfrag",
        headers,
      });
      if (NO_TRICKLE.includes(status) && this.#trickles && !this.#stopped) await this.#offerWhole();
    } catch (error) {
      // A lost PATCH is not fatal, the server also learns addresses from the checks it gets; a lost second offer is.
      if (!this.#trickles && !this.#stopped) this.#onState("failed");
      console.info("ICE candidates not delivered:", error.message);
    }
  }

  async #gatherAll() {
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

  async #request(method, url, { body, type, headers = {}, keepalive = false } = {}) {
    try {
      return await fetch(url, {
        method,
        body,
        keepalive,
        headers: {
          ...headers,
          ...(type ? { "Content-Type": type } : {}),
          ...(this.#token ? { Authorization: `Bearer ${this.#token}` } : {}),
        },
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
  const add = (more) =>
    pc.addTransceiver(track, { direction: "sendonly", streams: [stream], sendEncodings: [{ ...encoding, ...more }] });
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
