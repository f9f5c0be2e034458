/** Dialogs: the API key, a new session, and the confirmation of what cannot be undone. */

import { ApiError, apiKey, sessions } from "../api.js";
import { byId, setText } from "../dom.js";

/** Buttons marked `data-close` close their dialog; Escape does so by itself. */
export function wireDialogs() {
  for (const button of document.querySelectorAll("dialog [data-close]")) {
    button.addEventListener("click", () => button.closest("dialog").close());
  }
}

/** Ask for the API key; resolves once one is given. `reason` says why it is asked for again. */
export function askForKey(reason = "") {
  const [dialog, form, input] = [byId("key-dialog"), byId("key-form"), byId("key")];
  setText(byId("key-error"), reason);
  input.value = "";
  if (!dialog.open) dialog.showModal();
  return new Promise((resolve) => {
    form.onsubmit = () => {
      apiKey.set(input.value.trim());
      resolve();
    };
    dialog.oncancel = () => resolve();
  });
}

/** Run `call`, show its refusal in `errorBox`, keep `button` disabled meanwhile; true if it went well. */
async function attempt(call, errorBox, button) {
  setText(errorBox, "");
  button.disabled = true;
  try {
    await call();
    return true;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    const hint =
      { 401: " Reload the page to enter an API key.", 403: " Your key does not allow this." }[error.status] ?? "";
    setText(errorBox, error.message + hint);
    return false;
  } finally {
    button.disabled = false;
  }
}

/** Open the dialog that creates a session; `onCreated(id)` is called once it exists. */
export function createSession(onCreated) {
  const [dialog, form, done] = [byId("create-dialog"), byId("create-form"), byId("create-done")];
  form.hidden = false;
  done.hidden = true;
  setText(byId("create-error"), "");
  setText(byId("copied"), "");
  byId("create-label").value = "";
  dialog.showModal();
  form.onsubmit = async (event) => {
    event.preventDefault();
    const body = { label: byId("create-label").value.trim(), policy: byId("create-policy").value.trim() };
    await attempt(
      async () => {
        const created = await sessions.create(body);
        byId("create-link").value = created.candidate_url;
        byId("create-whip").value = created.whip_url;
        byId("create-token").value = created.token;
        byId("create-open").href = `#/sessions/${encodeURIComponent(created.id)}`;
        form.hidden = true;
        done.hidden = false;
        byId("copy-link").focus();
        onCreated(created.id);
      },
      byId("create-error"),
      form.querySelector("[type=submit]"),
    );
  };
  dialog.onclose = () => {
    for (const id of ["create-link", "create-whip", "create-token"]) byId(id).value = "";
  };
  byId("create-open").onclick = () => dialog.close();
  byId("copy-link").onclick = copyLink;
}

async function copyLink() {
  const field = byId("create-link");
  field.select();
  try {
    await navigator.clipboard.writeText(field.value);
    setText(byId("copied"), "Copied.");
  } catch {
    setText(byId("copied"), "This browser does not let the page copy: the link is selected, copy it with Ctrl+C.");
  }
}

/** Ask before doing; `act` may refuse, which is shown and leaves the dialog open. */
export function confirm({ title, text, yes, act }) {
  const [dialog, form] = [byId("confirm-dialog"), byId("confirm-form")];
  setText(byId("confirm-title"), title);
  setText(byId("confirm-text"), text);
  setText(byId("confirm-yes"), yes);
  setText(byId("confirm-error"), "");
  dialog.showModal();
  form.onsubmit = async (event) => {
    event.preventDefault();
    if (await attempt(act, byId("confirm-error"), byId("confirm-yes"))) dialog.close();
  };
}
