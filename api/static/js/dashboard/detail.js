/** One session, live: its own feed, its view brought up to date, and the cards that show it. */

import { sessions } from "../api.js";
import { byId, h, scheduler } from "../dom.js";
import { Feed } from "../feed.js";
import { EMPTY_TRANSCRIPT, applyChanged, commit, fromSnapshot, tentatively } from "../view.js";
import { isOver, rule } from "../words.js";
import { Track } from "../track.js";
import { alertsCard } from "./alerts.js";
import { headCard, heroCard, unsureCard } from "./head.js";
import { heardCard } from "./heard.js";
import { episodesTable, ledgerCard } from "./ledger.js";
import { expressionCard, identityCard } from "./looks.js";
import { featuresCard, measuresCard, rulesCard, transcriptCard } from "./panels.js";

const MAX_TRANSCRIPT_PAGES = 20;

export class Detail {
  #session;
  #view = null;
  #transcript = EMPTY_TRANSCRIPT;
  #unavailable = "";
  #closed = new AbortController();
  #feed;
  #hooks;
  #cards;
  #ask = scheduler(() => this.#draw());

  /** `hooks` is {onState(state, detail), onView(view), onGone(reason), announce(topic, text), end, erase, back}. */
  constructor(session, hooks) {
    this.#session = session;
    this.#hooks = hooks;
    this.#cards = this.#build();
    this.#feed = new Feed(sessions.feedUrl(session), {
      onEvent: (event) => this.#take(event),
      onState: (state, detail) => this.#became(state, detail),
    });
    this.#feed.run();
  }

  get view() {
    return this.#view;
  }

  retryNow() {
    this.#feed.retryNow();
  }

  /** Take a view that an action answered with, before the feed brings it. */
  adopt(view) {
    if (!this.#view || view.seq >= this.#view.seq) this.#set(fromSnapshot(view));
  }

  close() {
    this.#closed.abort();
    this.#feed.stop();
    this.#cards.track.close();
  }

  #build() {
    const { end, erase, back } = this.#hooks;
    const episodes = episodesTable();
    const cards = {
      head: headCard(this.#session, { end, erase, back }),
      hero: heroCard(),
      unsure: unsureCard(),
      track: new Track(episodes.element),
      episodes,
      ledger: ledgerCard(),
      transcript: transcriptCard(),
      alerts: alertsCard(this.#session, this.#closed.signal),
      measures: measuresCard(),
      heard: heardCard(),
      identity: identityCard(),
      expression: expressionCard(),
      features: featuresCard(),
      rules: rulesCard(),
    };
    const column = (...names) =>
      h(
        "div",
        {},
        names.map((name) => cards[name].element),
      );
    byId("detail").setAttribute("aria-labelledby", "detail-title");
    byId("detail").replaceChildren(
      ...["head", "hero", "unsure", "track"].map((name) => cards[name].element),
      h("div", { class: "columns" }, column("ledger", "measures", "heard", "features"), column("transcript", "alerts", "identity", "expression", "rules")),
    );
    return cards;
  }

  #take({ event, data }) {
    if (event === "snapshot") this.#set(fromSnapshot(data));
    else if (event === "changed") this.#change(data);
    else if (event === "tentative") this.#say(tentatively(this.#transcript, data));
    else if (event === "committed") this.#say(commit(this.#transcript, data));
    else if (event === "deleted") this.#hooks.onGone("This session was deleted.");
  }

  #change(changed) {
    const next = applyChanged(this.#view, changed);
    if (next === this.#view) return;
    const known = new Set(this.#view.alerts.map((alert) => alert.id));
    for (const alert of next.alerts) {
      if (!known.has(alert.id)) this.#hooks.announce("alert", `${rule(alert.rule)}. Score ${Math.round(next.score)}.`);
    }
    this.#set(next);
  }

  #set(view) {
    const first = this.#view === null;
    this.#view = view;
    this.#hooks.onView(view);
    byId("detail").hidden = false;
    if (first) {
      this.#draw();
      this.#cards.head.focus();
    } else this.#ask();
  }

  #say(transcript) {
    this.#transcript = transcript;
    this.#ask();
  }

  #became(state, detail) {
    this.#hooks.onState(state, detail);
    // Words committed while the feed was away are only in the log, and tentative ones are out of date.
    if (state === "live") this.#loadTranscript();
    if (state === "reconnecting") this.#say({ ...this.#transcript, tentative: null });
    if (state === "gone") this.#hooks.onGone("There is no such session, or it was deleted.");
  }

  async #loadTranscript() {
    try {
      let after = null;
      for (let page = 0; page < MAX_TRANSCRIPT_PAGES; page += 1) {
        const answer = await sessions.transcript(this.#session, { after, signal: this.#closed.signal });
        this.#unavailable = answer.available ? "" : `There is no transcript. ${answer.reason}`.trim();
        this.#say(answer.segments.reduce((transcript, segment) => commit(transcript, segment), this.#transcript));
        after = answer.next_after_seq;
        if (after === null) break;
      }
    } catch (error) {
      if (!this.#closed.signal.aborted) this.#unavailable = `The transcript could not be loaded. ${error.message}`;
    }
    this.#ask();
  }

  #draw() {
    if (!this.#view || this.#closed.signal.aborted) return;
    for (const card of Object.values(this.#cards)) if (card !== this.#cards.transcript) card.update(this.#view);
    const missing = this.#view.features.find((feature) => feature.name === "transcript" && !feature.available);
    const silent = isOver(this.#view.status) ? "Nothing was said." : "";
    const why = missing ? `There is no transcript: ${missing.reason}.` : this.#unavailable;
    this.#cards.transcript.update(this.#transcript, why || silent);
  }
}
