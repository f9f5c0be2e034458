/** Keeps a candidate published: joins, and joins again after every loss, until they leave or it makes no sense any more. */

import { backoff } from "../backoff.js";
import { WhipClient, WhipError } from "../whip.js";
import { ICE_FAILED, NETWORK_LOST, refusalMessage } from "./messages.js";

/** A connection that is away for a moment usually comes back by itself; a new one would interrupt it. */
const GRACE_MS = 5000;
const CONNECT_MS = 20_000;

/**
 * States: `joining`, `connected`, `waiting` (message, retry_s), and, for good, `ended` (message) and `left`.
 * `onState(state, {message, retry_s})` gets each. `stream` may be replaced while running (`replace`).
 */
export class Publisher {
  #options;
  #stream;
  #onState;
  #client = null;
  #running = false;
  #wake = null;
  #attempt = 0;
  #lost = null;

  constructor({ endpoint, token, stream, onState }) {
    this.#options = { endpoint, token };
    this.#stream = stream;
    this.#onState = onState;
  }

  /** Publish until left or refused for good. */
  async run() {
    this.#running = true;
    while (this.#running) {
      this.#onState("joining", {});
      const outcome = await this.#once();
      if (!this.#running) return;
      if (outcome.message.final) {
        this.#running = false;
        this.#onState("ended", { message: outcome.message });
        return;
      }
      await this.#pause(outcome);
    }
  }

  /** Leave: tells the server, closes, and ends `run`. `keepalive` lets the farewell outlive the page. */
  async leave({ keepalive = false } = {}) {
    if (!this.#running) return;
    this.#running = false;
    this.#lost?.({ message: NETWORK_LOST });
    this.#wake?.();
    this.#onState("left", {});
    await this.#client?.stop({ keepalive });
  }

  /** Send other tracks from now on, without a new connection. */
  async replace(stream) {
    this.#stream = stream;
    const senders = this.#client?.connection?.getSenders() ?? [];
    const tracks = new Map(stream.getTracks().map((track) => [track.kind, track]));
    await Promise.all(
      senders
        .filter((sender) => sender.track && tracks.has(sender.track.kind))
        .map((sender) => sender.replaceTrack(tracks.get(sender.track.kind))),
    );
  }

  retryNow() {
    this.#wake?.();
  }

  /** One connection from offer to loss; resolves with why it ended: {message, retry_s?}. */
  async #once() {
    const lost = new Promise((resolve) => (this.#lost = resolve));
    const watch = new Watch(this.#lost, () => {
      this.#attempt = 0;
      this.#onState("connected", {});
    });
    const client = new WhipClient({ ...this.#options, onState: (state) => watch.became(state) });
    this.#client = client;
    try {
      await client.publish(this.#stream);
      return await lost;
    } catch (error) {
      if (!(error instanceof WhipError)) throw error;
      return { message: refusalMessage(error.status, error.message), retry_s: error.retryAfter_s };
    } finally {
      watch.close();
      if (this.#running) await client.stop();
    }
  }

  async #pause({ message, retry_s }) {
    const wait_ms = retry_s ? retry_s * 1000 : backoff(this.#attempt, { base_ms: 1000, max_ms: 20_000 });
    this.#attempt += 1;
    const until = Date.now() + wait_ms;
    const now = () => this.#wake?.();
    globalThis.addEventListener("online", now);
    await new Promise((resolve) => {
      const tell = () => {
        const left_ms = until - Date.now();
        if (left_ms <= 0) return resolve();
        this.#onState("waiting", { message, retry_s: Math.ceil(left_ms / 1000) });
      };
      const timer = setInterval(tell, 1000);
      this.#wake = () => {
        clearInterval(timer);
        resolve();
      };
      tell();
    }).finally(() => this.#wake?.());
    this.#wake = null;
    globalThis.removeEventListener("online", now);
  }
}

/** Turns connection states into one verdict: connected, or lost for good. */
class Watch {
  #lost;
  #connected;
  #ever = false;
  #timer;

  constructor(lost, connected) {
    this.#lost = lost;
    this.#connected = connected;
    this.#timer = setTimeout(() => lost({ message: ICE_FAILED }), CONNECT_MS);
  }

  became(state) {
    clearTimeout(this.#timer);
    if (state === "connected") {
      this.#ever = true;
      this.#connected();
    } else if (state === "failed" || state === "closed") {
      this.#lost({ message: this.#ever ? NETWORK_LOST : ICE_FAILED });
    } else {
      const wait_ms = state === "disconnected" ? GRACE_MS : CONNECT_MS;
      this.#timer = setTimeout(() => this.became("failed"), wait_ms);
    }
  }

  close() {
    clearTimeout(this.#timer);
    this.became = () => {};
  }
}
