/** A quiet line under the bar: what sessions lack here, and the command that fetches it. From GET /health. */

import { system } from "../api.js";
import { byId, h, reconcile, setText } from "../dom.js";
import { count } from "../format.js";
import { feature } from "../words.js";

const AGAIN_MS = 30_000;

/** Ask now, and again every half minute while the page is looked at. */
export function watchSystem() {
  const look = async () => {
    if (document.hidden) return;
    // A page that cannot ask says so elsewhere: here, what was last known stays.
    const found = await system.health().catch(() => null);
    if (found) draw(found);
  };
  look();
  setInterval(look, AGAIN_MS);
  document.addEventListener("visibilitychange", look);
}

function draw({ missing, fell_back }) {
  const rows = [...missing.map(missingRow), ...fallenRows(fell_back)];
  byId("system").hidden = rows.length === 0;
  setText(byId("system-summary"), said(missing.length, new Set(fell_back.map((one) => one.model)).size));
  reconcile(byId("system-list"), rows, (row) => row.key, createRow, updateRow);
}

function said(missing, slow) {
  const parts = [];
  if (missing > 0) parts.push(`${count(missing, "feature")} not available here`);
  if (slow > 0) parts.push(`${count(slow, "model")} slower than intended`);
  return parts.join(", ");
}

function missingRow(one) {
  const some = one.processes < one.of ? ` In ${one.processes} of ${one.of} ${one.service} processes.` : "";
  const name = feature(one.feature);
  return { key: `feature ${one.service} ${one.feature}`, name, reason: clause(one.reason) + some, command: one.command };
}

/** One row a model, in however many processes it fell back. */
function fallenRows(fell_back) {
  const models = new Map();
  for (const one of fell_back) models.set(one.model, [...(models.get(one.model) ?? []), one]);
  return [...models].map(([model, all]) => ({
    key: `provider ${model}`,
    name: model,
    reason: clause(all[0].reason) + (all.length > 1 ? ` In ${count(all.length, "process", "processes")}.` : ""),
    command: all[0].command,
  }));
}

/** A reason as a sentence; names in it keep their hyphens and capitals. */
const clause = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]?$/.exec(text)[0] ? "" : ".");

const createRow = () => h("li", {}, h("strong", {}), h("span", {}), h("code", {}));

function updateRow(row, { name, reason, command }) {
  const [title, text, code] = row.children;
  setText(title, name);
  setText(text, reason);
  setText(code, command);
  code.hidden = !command;
}
