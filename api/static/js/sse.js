/** Server-sent events out of a byte stream, by the rules of the HTML standard (9.2.6). Pure: text in, events out. */

/** An event longer than this is not ours: the parser throws instead of growing. */
export const MAX_EVENT_CHARS = 8 * 1024 * 1024;

export class SseParser {
  #rest = "";
  #data = [];
  #size = 0;
  #event = "";
  #lastWasCr = false;

  /** Id of the newest complete event; goes on over reconnects. @type {string} */
  lastEventId = "";
  /** Pause before a reconnect the server asked for, in milliseconds, or null. @type {number | null} */
  retry_ms = null;
  #pendingId = "";

  /** Feed decoded text; returns the events it completes as [{event, id, data}]. */
  push(text) {
    const events = [];
    let chunk = text;
    if (this.#lastWasCr && chunk.startsWith("\n")) chunk = chunk.slice(1);
    this.#lastWasCr = text === "" ? this.#lastWasCr : text.endsWith("\r");
    const lines = (this.#rest + chunk).split(/\r\n|\n|\r/);
    this.#rest = lines.pop();
    for (const line of lines) this.#line(line, events);
    if (this.#rest.length + this.#size > MAX_EVENT_CHARS) throw new Error("The feed sent an event that is too long.");
    return events;
  }

  /** Forget a half-received event, as a reconnect must; the last event id stays. */
  reset() {
    this.#rest = "";
    this.#lastWasCr = false;
    this.#clear();
    this.#pendingId = this.lastEventId;
  }

  #clear() {
    this.#data = [];
    this.#size = 0;
    this.#event = "";
  }

  #line(line, events) {
    if (line === "") {
      this.lastEventId = this.#pendingId;
      if (this.#data.length > 0) {
        events.push({ event: this.#event || "message", id: this.lastEventId, data: this.#data.join("\n") });
      }
      this.#clear();
      return;
    }
    const colon = line.indexOf(":");
    if (colon === 0) return;
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    this.#field(name, value);
  }

  #field(name, value) {
    if (name === "data") {
      this.#data.push(value);
      this.#size += value.length;
    } else if (name === "event") {
      this.#event = value;
    } else if (name === "id" && !value.includes("\0")) {
      this.#pendingId = value;
    } else if (name === "retry" && /^\d+$/.test(value)) {
      this.retry_ms = Number(value);
    }
  }
}
