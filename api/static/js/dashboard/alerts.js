/** Alerts, and the stills and clips that were kept for them. */

import { sessions } from "../api.js";
import { byId, h, reconcile, setText } from "../dom.js";
import { clock } from "../format.js";
import { timeButton } from "../look_up.js";
import { rule, severity } from "../words.js";

const MAX_ALERTS = 60;
const STILL_PX = 320;

/** `session` is the id; evidence is fetched when the view names pieces the card has not seen. */
export function alertsCard(session, signal) {
  const list = h("ul", { class: "alerts", role: "list", tabindex: 0, "aria-labelledby": "alerts-title" });
  const empty = h("p", { class: "quietly" }, "Nothing asked for a look so far.");
  const element = h(
    "section",
    { class: "card", "aria-labelledby": "alerts-title" },
    h(
      "header",
      {},
      h("h3", { id: "alerts-title" }, "Worth a look"),
      h("p", { class: "hint" }, "What was seen, not what it means."),
    ),
    empty,
    list,
  );
  const evidence = new EvidenceIndex(session, signal);
  let latest = [];
  const draw = () => {
    const newest = latest.slice(-MAX_ALERTS).reverse();
    list.hidden = newest.length === 0;
    empty.hidden = newest.length > 0;
    reconcile(
      list,
      newest,
      (alert) => alert.id,
      createAlert,
      (row, alert) => updateAlert(row, alert, evidence),
    );
  };
  const update = ({ alerts, evidence: names }) => {
    // What is for the record alone, such as a lost connection, is on the timeline and asks nobody to look.
    latest = alerts.filter((alert) => alert.severity !== "info");
    draw();
    evidence.refresh(names ?? []).then((changed) => changed && draw());
  };
  return { element, update };
}

/** Which evidence belongs to which alert. */
class EvidenceIndex {
  #session;
  #names = "";
  #byAlert = new Map();
  #signal;

  constructor(session, signal) {
    this.#session = session;
    this.#signal = signal;
  }

  of(alertId) {
    return this.#byAlert.get(alertId) ?? [];
  }

  /** Fetch the list if the view names other pieces than before; true if it was fetched. */
  async refresh(names) {
    const joined = names.join("\n");
    if (joined === this.#names) return false;
    const before = this.#names;
    this.#names = joined;
    try {
      const { evidence } = await sessions.evidence(this.#session, this.#signal);
      this.#byAlert = Map.groupBy ? Map.groupBy(evidence, (item) => item.alert_id) : groupBy(evidence);
      return true;
    } catch {
      // Asked again at the next change: stills are an addition, the alert itself is already on the page.
      this.#names = before;
      return false;
    }
  }

  async blob(name) {
    return sessions.evidenceBlob(this.#session, name, this.#signal);
  }
}

function groupBy(evidence) {
  const groups = new Map();
  for (const item of evidence) groups.set(item.alert_id, [...(groups.get(item.alert_id) ?? []), item]);
  return groups;
}

function createAlert(alert) {
  return h(
    "li",
    {},
    h(
      "div",
      { class: "alert-head" },
      h("span", { class: `badge sev-${alert.severity}` }, severity(alert.severity)),
      h("strong", {}, rule(alert.rule)),
      h("span", { class: "quietly" }, "at ", timeButton(alert.t_s)),
    ),
    h("p", {}, alert.message),
    h("div", { class: "stills" }),
  );
}

function updateAlert(row, alert, evidence) {
  reconcile(
    row.lastElementChild,
    evidence.of(alert.id),
    (item) => item.name,
    (item) => still(item, alert, evidence),
    () => {},
  );
}

function still(item, alert, evidence) {
  const image = item.media_type.startsWith("image/");
  const label = `${image ? "Still" : "Clip"} of ${rule(alert.rule)} at ${clock(alert.t_s)}`;
  const button = h("button", {
    type: "button",
    class: "still",
    "aria-label": `${label}: enlarge`,
    onclick: () => enlarge(item, label, evidence),
  });
  if (!image) {
    button.append(h("span", {}, "▶ Play clip"));
    return button;
  }
  const failed = () => button.replaceChildren(h("span", {}, "Still not available"));
  evidence
    .blob(item.name)
    .then((blob) => paint(blob, STILL_PX))
    .then((canvas) => button.replaceChildren(canvas), failed);
  return button;
}

/** A picture as a canvas: it needs no URL, so the page's content policy can stay closed. */
async function paint(blob, width) {
  const bitmap = await createImageBitmap(blob);
  const scale = width ? Math.min(1, width / bitmap.width) : 1;
  const canvas = h("canvas", { width: Math.round(bitmap.width * scale), height: Math.round(bitmap.height * scale) });
  canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  return canvas;
}

async function enlarge(item, label, evidence) {
  const [dialog, box] = [byId("evidence-dialog"), byId("evidence-view")];
  setText(byId("evidence-title"), label);
  box.replaceChildren(h("p", { class: "quietly" }, "Loading…"));
  dialog.showModal();
  try {
    const blob = await evidence.blob(item.name);
    if (item.media_type.startsWith("image/")) {
      const canvas = await paint(blob);
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", label);
      box.replaceChildren(canvas);
    } else {
      box.replaceChildren(player(blob, dialog));
    }
  } catch (error) {
    box.replaceChildren(h("p", { class: "error" }, `This piece cannot be shown. ${error.message}`));
  }
}

function player(blob, dialog) {
  const url = URL.createObjectURL(blob);
  const forget = () => {
    URL.revokeObjectURL(url);
    byId("evidence-view").replaceChildren();
  };
  dialog.addEventListener("close", forget, { once: true });
  return h("video", { src: url, controls: true, autoplay: true, loop: true, muted: true, playsinline: true });
}
