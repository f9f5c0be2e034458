/** The supervisor's page: one feed of all sessions for the list, one of the session shown. */

import { ALL_FEED, ApiError, apiKey, sessions } from "../api.js";
import { announcer, byId, h, setText } from "../dom.js";
import { Feed } from "../feed.js";
import { count } from "../format.js";
import { MAX_SESSIONS, SessionStore } from "../store.js";
import { Detail } from "./detail.js";
import { askForKey, confirm, createSession, wireDialogs } from "./dialogs.js";
import { SessionList } from "./list.js";
import { watchSystem } from "./system.js";

const PAGE = 200;
const store = new SessionStore();
const list = new SessionList(store);
const announce = announcer(byId("announce"));
const states = new Map();
let detail = null;
let shown = "";
let cursor = null;
let allFeed = null;

const WORDS = {
  live: "Connected",
  connecting: "Connecting",
  reconnecting: "Reconnecting",
  unauthorised: "Key needed",
  gone: "Not available",
  stopped: "Disconnected",
};
const GRAVITY = ["unauthorised", "reconnecting", "connecting", "gone", "stopped", "live"];

/** The pill in the bar shows the worse of the two feeds. */
function connectionBecame(feed, state) {
  states.set(feed, state);
  const worst = GRAVITY.find((candidate) => [...states.values()].includes(candidate)) ?? "connecting";
  const pill = byId("connection");
  if (pill.dataset.state === worst) return;
  pill.dataset.state = worst;
  setText(byId("connection-text"), WORDS[worst]);
  if (worst === "reconnecting") announce("connection", "The connection was lost. Reconnecting.");
  if (worst === "live" && announce.lost) announce("connection", "Connected again.");
  announce.lost = worst === "reconnecting" || (announce.lost && worst !== "live");
}

function takeAll({ event, data }) {
  if (event === "snapshot") store.put(data);
  else if (event === "changed") store.put(data.view);
  else if (event === "deleted") store.delete(data.session);
  else return;
  list.changed();
}

function watchAll() {
  allFeed?.stop();
  allFeed = new Feed(ALL_FEED, {
    onEvent: takeAll,
    onState: (state) => {
      connectionBecame("all", state);
      if (state === "live") loadPage(null);
      if (state === "unauthorised") needKey();
    },
  });
  allFeed.run();
}

async function loadPage(from) {
  try {
    const page = await sessions.list({ limit: PAGE, cursor: from ?? "" });
    for (const item of page.sessions) store.put(item);
    cursor = page.next_cursor ?? null;
    const full = cursor !== null && store.size >= MAX_SESSIONS;
    byId("load-older").hidden = cursor === null || full;
    byId("list-full").hidden = !full;
    list.explain("");
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    list.explain(store.size === 0 ? `The sessions could not be loaded. ${error.message}` : "");
  }
}

async function needKey() {
  list.explain("An API key is needed to see sessions.");
  const wrong = apiKey.get() !== "";
  apiKey.forget();
  await askForKey(wrong ? "This key is not accepted, or may not watch sessions." : "");
  byId("forget-key").hidden = false;
  setText(byId("forget-key"), apiKey.get() ? "Forget key" : "Enter key");
  if (!apiKey.get()) return;
  watchAll();
  route();
}

function leaveDetail() {
  detail?.close();
  detail = null;
  shown = "";
  states.delete("one");
}

function showWelcome(...content) {
  leaveDetail();
  byId("detail").hidden = true;
  byId("detail").replaceChildren();
  byId("welcome").hidden = false;
  byId("panes").dataset.view = "list";
  document.title = "Candor: sessions";
  list.select("");
  byId("gone")?.remove();
  if (content.length > 0) byId("welcome").prepend(h("p", { id: "gone", class: "card" }, ...content));
}

function goHome(...content) {
  const from = shown;
  history.replaceState(null, "", location.pathname);
  showWelcome(...content);
  if (from) document.querySelector(`#sessions [href$="${CSS.escape(from)}"]`)?.focus();
}

function showSession(session) {
  if (session === shown && detail) return;
  leaveDetail();
  shown = session;
  byId("welcome").hidden = true;
  byId("detail").hidden = true;
  byId("panes").dataset.view = "detail";
  byId("main").scrollTop = 0;
  list.select(session);
  detail = new Detail(session, {
    announce,
    onState: (state) => {
      connectionBecame("one", state);
      if (state === "unauthorised" && states.get("all") !== "unauthorised") needKey();
    },
    onView: (view) => {
      if (store.put(view)) list.changed();
      document.title = `${view.label || session}: Candor`;
    },
    onGone: (reason) => {
      store.delete(session);
      announce("gone", reason);
      goHome(reason);
    },
    back: () => goHome(),
    end: () => confirmEnd(session),
    erase: () => confirmErase(session),
  });
}

function confirmEnd(session) {
  confirm({
    title: "End this session?",
    text: "The candidate is disconnected and cannot come back with the same link. What was noticed stays readable.",
    yes: "End session",
    act: async () => {
      const view = await sessions.end(session);
      if (view?.ledger && session === shown) detail?.adopt(view);
    },
  });
}

function confirmErase(session) {
  confirm({
    title: "Delete this session?",
    text: "Everything kept of it is erased: observations, transcript, score, stills and clips. This cannot be undone.",
    yes: "Delete everything",
    act: async () => {
      const receipt = await sessions.erase(session);
      store.delete(session);
      const removed = `${count(receipt.log_messages, "observation")} and ${count(receipt.evidence_objects, "piece")} of evidence were erased.`;
      announce("deleted", `The session was deleted. ${removed}`);
      goHome(h("strong", {}, "The session was deleted. "), removed);
    },
  });
}

function route() {
  const match = /^#\/sessions\/([A-Za-z0-9_%-]+)$/.exec(location.hash);
  if (match) showSession(decodeURIComponent(match[1]));
  else showWelcome();
}

wireDialogs();
byId("skip").addEventListener("click", (event) => {
  // The address holds the session shown: following the link would leave it.
  event.preventDefault();
  byId("main").focus();
});
byId("new-session").addEventListener("click", () => createSession(() => loadPage(null)));
byId("load-older").addEventListener("click", () => loadPage(cursor));
byId("forget-key").addEventListener("click", () => {
  apiKey.forget();
  location.reload();
});
byId("forget-key").hidden = apiKey.get() === "";
globalThis.addEventListener("hashchange", route);
list.explain("Loading…");
watchAll();
watchSystem();
route();
