/** A live feed that comes back by itself: server-sent events over fetch, so that the key travels in a header. */

import { authorization } from "./api.js";
import { backoff } from "./backoff.js";
import { SseParser } from "./sse.js";

/** The server sends at least a comment far more often than this; silence for so long means a dead connection. */
const SILENCE_MS = 45_000;
const FATAL = { 401: "unauthorised", 403: "unauthorised", 404: "gone", 410: "gone" };

/**
 * States: `connecting`, `live`, `reconnecting`, and, for good, `unauthorised`, `gone`, `stopped`.
 * `onEvent({event, id, data})` gets decoded JSON; `onState(state, {retry_ms})` every change of state.
 */
export class Feed {
  #url;
  #onEvent;
  #onState;
  #parser = new SseParser();
  #stop = new AbortController();
  #attempt = 0;
  #wake = null;
  state = "connecting";

  constructor(url, { onEvent, onState = () => {} }) {
    this.#url = url;
    this.#onEvent = onEvent;
    this.#onState = onState;
  }

  get lastEventId() {
    return this.#parser.lastEventId;
  }

  /** Run until stopped or refused for good. */
  async run() {
    const now = () => this.#wake?.();
    globalThis.addEventListener?.("online", now);
    try {
      this.#become("connecting");
      while (!this.#stop.signal.aborted) {
        const fatal = await this.#connectOnce();
        if (this.#stop.signal.aborted) break;
        if (fatal) return this.#become(fatal);
        await this.#pause();
      }
      this.#become("stopped");
    } finally {
      globalThis.removeEventListener?.("online", now);
    }
  }

  stop() {
    this.#stop.abort();
    this.#wake?.();
  }

  /** Try again at once instead of waiting out the pause. */
  retryNow() {
    this.#wake?.();
  }

  #become(state, detail = {}) {
    this.state = state;
    this.#onState(state, detail);
  }

  /** One connection from start to end; returns a state that ends the feed, or null to try again. */
  async #connectOnce() {
    const quiet = new AbortController();
    let timer = setTimeout(() => quiet.abort(), SILENCE_MS);
    const alive = () => {
      clearTimeout(timer);
      timer = setTimeout(() => quiet.abort(), SILENCE_MS);
    };
    try {
      const last = this.#parser.lastEventId;
      const response = await fetch(this.#url, {
        headers: { Accept: "text/event-stream", ...authorization(), ...(last ? { "Last-Event-ID": last } : {}) },
        cache: "no-store",
        signal: AbortSignal.any([this.#stop.signal, quiet.signal]),
      });
      if (!response.ok || !response.body) return FATAL[response.status] ?? null;
      this.#become("live");
      await this.#read(response.body, alive);
    } catch (error) {
      // A lost network, a cut feed and our own abort all arrive here, and all mean the same: not connected any more.
      if (!this.#stop.signal.aborted) console.info("feed interrupted", error?.name ?? "");
    } finally {
      clearTimeout(timer);
    }
    return null;
  }

  async #read(body, alive) {
    this.#parser.reset();
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      alive();
      for (const { event, id, data } of this.#parser.push(value)) {
        this.#attempt = 0;
        this.#onEvent({ event, id, data: JSON.parse(data) });
      }
    }
  }

  async #pause() {
    const retry_ms = backoff(this.#attempt, { base_ms: this.#parser.retry_ms ?? 500 });
    this.#attempt += 1;
    this.#become("reconnecting", { retry_ms });
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, retry_ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = null;
  }
}
