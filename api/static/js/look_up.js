/** Times in tables that show their moment on the chart when pressed. */

import { h } from "./dom.js";
import { clock } from "./format.js";

/** Event on the document; `detail` is a session time in seconds. */
export const LOOK_UP = "candor:look-up";

/** A session time as a button. */
export function timeButton(t_s) {
  const show = () => document.dispatchEvent(new CustomEvent(LOOK_UP, { detail: t_s }));
  return h("button", { type: "button", class: "time", title: "Show on the timeline", onclick: show }, clock(t_s));
}
