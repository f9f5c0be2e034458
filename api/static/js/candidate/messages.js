/** What a candidate reads when something does not work: what happened, and what to do. Never whose fault it is. Pure. */

const DEVICE = {
  NotAllowedError: {
    title: "The browser may not use your camera or microphone",
    text: "Allow both for this page: look for the camera sign in the address bar, or in the browser’s site settings. Then try again.",
  },
  NotFoundError: {
    title: "No camera or microphone was found",
    text: "Connect one, check that it is switched on, and try again.",
  },
  NotReadableError: {
    title: "Your camera or microphone is in use",
    text: "Another program seems to hold it. Close other calls and camera programs, then try again.",
  },
  OverconstrainedError: {
    title: "The chosen device is gone",
    text: "It may have been unplugged. Choose another one, or try again.",
  },
};
DEVICE.SecurityError = DEVICE.NotAllowedError;
DEVICE.AbortError = DEVICE.NotReadableError;

/** Message for a failed getUserMedia, by its DOMException's name. */
export function deviceMessage(name) {
  return (
    DEVICE[name] ?? {
      title: "The camera or microphone could not be started",
      text: `The browser said ${name || "nothing more"}. Reload the page, or try another browser.`,
    }
  );
}

export const INSECURE = {
  title: "This page cannot use the camera here",
  text: "Browsers give the camera to secure pages only. Open the link with https:// in front, as you received it.",
};

export const UNSUPPORTED = {
  title: "This browser is too old",
  text: "It cannot send live video. Use a recent Chrome, Edge, Firefox or Safari.",
};

export const BAD_LINK = {
  title: "This link is not complete",
  text: "Open the link exactly as you received it, or ask whoever invited you for it again.",
};

export const OVER = {
  title: "This interview is over",
  text: "Nothing is sent any more. You can close this page. If this is a surprise, ask whoever invited you.",
  final: true,
};
const DENIED = {
  title: "This link does not let you in",
  text: "It may have been copied only in part. Open it exactly as you received it, or ask whoever invited you for it again.",
  final: true,
};

const REFUSED = {
  401: DENIED,
  403: DENIED,
  404: {
    title: "There is no such interview",
    text: "It may have been deleted. Ask whoever invited you for a new link.",
    final: true,
  },
  409: OVER,
  410: OVER,
  503: { title: "No room at the moment", text: "All places are taken. This page tries again by itself." },
  429: { title: "No room at the moment", text: "The server is busy. This page tries again by itself." },
  0: {
    title: "The server cannot be reached",
    text: "Check your internet connection. This page tries again by itself.",
  },
};

/** Message for a refused offer; `final` means trying again cannot help. */
export function refusalMessage(status, detail = "") {
  const known = REFUSED[status];
  if (known) return known;
  if (status >= 500) return { title: "The server has a problem", text: "This page tries again by itself." };
  return { title: "The server did not accept the video", text: detail || `It answered ${status}.`, final: true };
}

/** Message for a notice that could not be had; nothing tries again by itself before the candidate agreed. */
export function noticeMessage(status) {
  const known = REFUSED[status];
  if (known?.final) return known;
  if (status === 0)
    return { title: known.title, text: "Check your internet connection, then try again. Your camera stays off." };
  return { title: "The server has a problem", text: "Wait a moment, then try again. Your camera stays off." };
}

export const ICE_FAILED = {
  title: "No video connection",
  text: "The server can be reached, but video does not get through: often a firewall or VPN. This page tries again; another network may help.",
};

export const NETWORK_LOST = {
  title: "Connection lost",
  text: "The interview goes on as soon as the connection is back. This page tries again by itself; you need not do anything.",
};
