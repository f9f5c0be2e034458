/** Building pages without a framework. Text always goes in as text nodes: data can never become markup. */

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || (value === false && !name.startsWith("aria-"))) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true && !name.startsWith("aria-")) node.setAttribute(name, "");
    else node.setAttribute(name, String(value));
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** An HTML element: `h("a", {href: "#", onclick: f}, "text", otherNode)`. */
export const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);

/** An SVG element. */
export const s = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

export const byId = (id) => document.getElementById(id);

/** Write only what differs: an untouched node keeps a reader's selection and stays silent in a screen reader. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function setAttributes(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) node.removeAttribute(name);
    else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value === true ? "" : String(value));
  }
}

/**
 * Make the children of `parent` those of `items`, in order, reusing nodes by key; the focused one keeps the focus.
 * `create(item)` makes a node, `update(node, item)` fills it.
 */
export function reconcile(parent, items, key, create, update) {
  const held = new Map([...parent.children].map((node) => [node.dataset.key, node]));
  const focused = parent.contains(document.activeElement) ? document.activeElement : null;
  let cursor = parent.firstElementChild;
  for (const item of items) {
    const name = key(item);
    let node = held.get(name);
    held.delete(name);
    if (!node) {
      node = create(item);
      node.dataset.key = name;
    }
    update(node, item);
    if (node === cursor) cursor = cursor.nextElementSibling;
    else parent.insertBefore(node, cursor);
  }
  for (const node of held.values()) node.remove();
  if (focused?.isConnected && document.activeElement !== focused) focused.focus({ preventScroll: true });
}

/** Call `draw` at most once a frame, and not while the page is hidden; returns the function that asks for it. */
export function scheduler(draw) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      draw();
    });
  };
}

/** One polite live region: at most one announcement every few seconds, the newest of each topic. */
export function announcer(region, pause_ms = 3000) {
  const waiting = new Map();
  let timer = null;
  const speak = () => {
    timer = null;
    if (waiting.size === 0) return;
    region.textContent = [...waiting.values()].slice(0, 3).join(" ");
    waiting.clear();
    timer = setTimeout(speak, pause_ms);
  };
  return (topic, text) => {
    waiting.set(topic, text);
    timer ??= setTimeout(speak, 50);
  };
}
