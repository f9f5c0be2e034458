/**
 * The candidate's page: consent, then devices, then the interview. The camera is not asked for before consent, and
 * consent not before the page knows what it would be to.
 */

import { byId, h, setText } from "../dom.js";
import { clock } from "../format.js";
import { isOver } from "../words.js";
import * as devices from "./devices.js";
import { BAD_LINK, INSECURE, OVER, UNSUPPORTED, deviceMessage } from "./messages.js";
import { startMeter } from "./meter.js";
import { consentText, load } from "./notice.js";
import { Publisher } from "./publisher.js";

const STEPS = ["consent", "devices", "live", "over"];
const STATE_WORDS = { joining: "Connecting", connected: "Connected", waiting: "Reconnecting" };
const STATE_DOTS = { joining: "connecting", connected: "connected", waiting: "reconnecting" };

const link = {
  session: new URLSearchParams(location.search).get("session") ?? "",
  token: new URLSearchParams(location.hash.slice(1)).get("token") ?? "",
};
let stream = null;
let stopMeter = () => {};
let publisher = null;
let ticker = null;
let sleep = () => {};

function show(step) {
  for (const name of STEPS) byId(name).hidden = name !== step;
  document.body.dataset.step = step;
  byId(step).querySelector("h1, h2").focus();
}

/** Say what is wrong, with an offer to try again where that can help. */
function tell(message, retry = null) {
  const box = byId("trouble");
  const button = retry ? h("button", { type: "button", class: "primary", onclick: retry }, "Try again") : null;
  const countdown = h("p", { id: "countdown", class: "hint" });
  box.replaceChildren(h("h2", {}, message.title), h("p", {}, message.text), countdown, ...(button ? [button] : []));
  box.dataset.title = message.title;
  box.hidden = false;
}

function allIsWell() {
  byId("trouble").hidden = true;
  byId("trouble").replaceChildren();
  delete byId("trouble").dataset.title;
}

/** Say what applies to this session, then ask for consent; without knowing it, ask for nothing. */
async function inform() {
  allIsWell();
  byId("loading").hidden = false;
  const { notice, fault } = await load(link.session, link.token);
  byId("loading").hidden = true;
  if (notice && !isOver(notice.status)) return explain(notice);
  if (notice || fault.final) return finish(notice ? OVER : fault);
  tell(fault, inform);
}

function explain(notice) {
  const text = consentText(notice);
  const fill = (id, sentences) => byId(id).replaceChildren(...sentences.map((sentence) => h("li", {}, ...led(sentence))));
  fill("analysed", text.analysed);
  fill("not-analysed", text.not);
  fill("noted", text.noted);
  fill("kept", text.kept);
  setText(byId("policy"), notice.policy);
  byId("policy").title = notice.description;
  byId("facts").hidden = false;
  byId("consent-form").hidden = false;
}

/** A sentence with its "Emotions: off." in bold. */
function led(sentence) {
  const [, lead, rest] = /^([^:.]*: (?:on|off)\.)?(.*)$/s.exec(sentence);
  return [lead && h("strong", {}, lead), rest];
}

async function openDevices(chosen = {}) {
  const before = stream;
  if (!before) byId("asking").hidden = false;
  try {
    devices.stop(before);
    stream = await devices.open(chosen);
    allIsWell();
    await fillDevices();
    preview();
    return true;
  } catch (error) {
    stream = null;
    stopMeter();
    tell(deviceMessage(error.name), () =>
      openDevices().then((opened) => opened && (publisher ? publisher.replace(stream) : show("devices"))),
    );
    return false;
  } finally {
    byId("asking").hidden = true;
  }
}

async function fillDevices() {
  const { cameras, microphones } = await devices.list();
  const inUse = devices.used(stream);
  const fill = (select, items, id) => {
    select.replaceChildren(
      ...items.map((item) => h("option", { value: item.id, selected: item.id === id }, item.name)),
    );
    select.disabled = items.length < 2;
  };
  fill(byId("camera"), cameras, inUse.camera);
  fill(byId("microphone"), microphones, inUse.microphone);
}

function preview() {
  for (const video of document.querySelectorAll("video")) video.srcObject = stream;
  stopMeter();
  setText(byId("heard"), "Say something: the bar should move.");
  stopMeter = startMeter(stream, byId("level"), () => setText(byId("heard"), "Your microphone works."));
  for (const track of stream.getTracks()) track.addEventListener("ended", deviceLost, { once: true });
}

function deviceLost() {
  tell(deviceMessage("OverconstrainedError"), () =>
    openDevices().then((opened) => opened && publisher?.replace(stream)),
  );
}

async function choose() {
  await openDevices({ camera: byId("camera").value, microphone: byId("microphone").value });
}

async function join() {
  show("live");
  const began_ms = Date.now();
  clearInterval(ticker);
  ticker = setInterval(() => setText(byId("elapsed"), clock((Date.now() - began_ms) / 1000)), 1000);
  sleep = devices.keepAwake();
  publisher = new Publisher({
    endpoint: `/v1/whip/${encodeURIComponent(link.session)}`,
    token: link.token,
    stream,
    onState: became,
  });
  await publisher.run();
}

function became(state, { message, retry_s }) {
  const pill = byId("state");
  pill.dataset.state = STATE_DOTS[state] ?? "failed";
  if (STATE_WORDS[state]) setText(byId("state-text"), STATE_WORDS[state]);
  const sending =
    state === "connected" ? "Camera and microphone are being sent." : "Nothing is being sent at the moment.";
  setText(byId("sending"), `${sending} Keep this page open.`);
  if (state === "connected") allIsWell();
  if (state === "waiting") {
    if (byId("trouble").dataset.title !== message.title) tell(message, () => publisher.retryNow());
    setText(byId("countdown"), `Next try in ${retry_s} s.`);
  }
  if (state === "ended") finish(message);
  if (state === "left")
    finish(
      {
        title: "You have left the interview",
        text: "Camera and microphone are off. You can join again with the same link until the interview is ended.",
      },
      true,
    );
}

function finish(message, again = false) {
  clearInterval(ticker);
  sleep();
  stopMeter();
  devices.stop(stream);
  stream = null;
  publisher = null;
  for (const video of document.querySelectorAll("video")) video.srcObject = null;
  allIsWell();
  setText(byId("over-title"), message.title);
  setText(byId("over-text"), message.text);
  byId("again").hidden = !again;
  show("over");
}

async function consented(event) {
  event.preventDefault();
  if (await openDevices()) show("devices");
}

function wire() {
  byId("consent-form").addEventListener("submit", consented);
  byId("agree").addEventListener("change", (event) => (byId("continue").disabled = !event.target.checked));
  byId("camera").addEventListener("change", choose);
  byId("microphone").addEventListener("change", choose);
  byId("join").addEventListener("click", () => stream && join());
  byId("leave").addEventListener("click", () => publisher?.leave());
  byId("again").addEventListener("click", () => openDevices().then((opened) => opened && show("devices")));
  globalThis.addEventListener("pagehide", () => publisher?.leave({ keepalive: true }));
  navigator.mediaDevices?.addEventListener?.("devicechange", () => stream && fillDevices());
}

wire();
byId("continue").disabled = !byId("agree").checked;
const obstacle =
  !/^[A-Za-z0-9_-]{1,64}$/.test(link.session) || !link.token
    ? BAD_LINK
    : !devices.canAsk()
      ? INSECURE
      : !devices.canPublish()
        ? UNSUPPORTED
        : null;
if (obstacle) {
  byId("loading").hidden = true;
  tell(obstacle);
} else inform();
