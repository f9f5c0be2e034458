/** Whose face it is, and what it shows: only as far as the session's policy looks at it, and never more than an estimate. */

import { h, reconcile, setText } from "../dom.js";
import { NOT_MEASURED, count, trim } from "../format.js";
import { expression } from "../words.js";

const GEOMETRY = "geometry";
const IDENTITY = "IDENTITY_MISMATCH";

const LIKENESS = [
  // Cut off, like the score: 79.6 has not reached 80.
  ["Alike, on average", (m) => (missing(m.identity_pct) ? NOT_MEASURED : `${Math.floor(m.identity_pct)} %`)],
  ["Looks that could tell", (m) => m.identity_checks.toLocaleString("en-GB")],
  ["Of these, unlike", (m) => m.identity_failures.toLocaleString("en-GB")],
  ["Could not tell", (m) => (m.identity_undecided ?? 0).toLocaleString("en-GB")],
];

const missing = (value) => value === null || value === undefined;

/** The face against the registered one; without one, why nothing is compared. */
export function identityCard() {
  const values = LIKENESS.map(() => h("dd", {}));
  const list = h(
    "dl",
    { class: "measures" },
    LIKENESS.map(([name], i) => h("div", {}, h("dt", {}, name), values[i])),
  );
  const why = h("p", { class: "quietly" });
  const element = h(
    "section",
    { class: "card", id: "identity", "aria-labelledby": "identity-title" },
    h(
      "header",
      {},
      h("h3", { id: "identity-title" }, "Compared with the reference face"),
      h("p", { class: "hint" }, "80 % and more count as the same person. Light and angle matter; a person should look."),
    ),
    list,
    why,
  );
  const update = ({ measures, rules = [] }) => {
    const watch = rules.find(({ rule }) => rule === IDENTITY);
    const looked = measures.identity_checks > 0 || measures.identity_undecided > 0;
    element.hidden = !looked && (!watch || watch.state === "off");
    list.hidden = !looked;
    why.hidden = looked;
    LIKENESS.forEach(([, format], i) => setText(values[i], format(measures)));
    setText(why, `Not measured: ${watch?.reason || "no face was compared so far"}.`);
  };
  return { element, update };
}

/** The expression in percent, now and over the session; not there at all where the policy does not allow emotion. */
export function expressionCard() {
  const list = h("ul", { class: "bars", role: "list" });
  const kind = h("span", { class: "badge" });
  const hint = h("p", { class: "hint" });
  const now = h("p", { class: "quietly" });
  const element = h(
    "section",
    { class: "card", id: "expression", hidden: true, "aria-labelledby": "expression-title" },
    h("header", {}, h("h3", { id: "expression-title" }, "Expression"), kind, hint),
    now,
    list,
  );
  const update = ({ measures }) => {
    const { expression: present, expression_mean: mean, expression_model: model } = measures;
    const shares = present ?? mean;
    element.hidden = missing(shares);
    if (missing(shares)) return;
    setText(kind, model === GEOMETRY ? "Estimate" : "From a model");
    setText(
      hint,
      `${model === GEOMETRY ? "From the shape of the face, without a model. " : ""}What somebody feels cannot be read from a face. Carries no points.`,
    );
    now.hidden = !missing(present);
    setText(now, "Not seen at the moment. Over the session:");
    const items = Object.keys(shares).map((name) => ({ name, share: shares[name], mean: present ? mean?.[name] : null }));
    reconcile(list, items, (item) => item.name, createBar, updateBar);
  };
  return { element, update };
}

const createBar = () =>
  h(
    "li",
    {},
    h("span", {}),
    h("span", { class: "gauge", "aria-hidden": "true" }, h("i", {})),
    h("b", {}),
    h("span", { class: "mean" }),
  );

function updateBar(row, { name, share, mean }) {
  const [label, gauge, value, over] = row.children;
  setText(label, expression(name));
  gauge.firstElementChild.style.width = `${Math.min(100, Math.max(0, share))}%`;
  setText(value, `${trim(share, 0)} %`);
  setText(over, missing(mean) ? "" : `${trim(mean, 0)} % so far`);
}

/** Searches for readable text, for the list of measures. */
export const textFigure = ({ text_looks: looks, text_found: found }) =>
  missing(looks) ? NOT_MEASURED : found ? `in ${found} of ${count(looks, "look")}` : `none in ${count(looks, "look")}`;
