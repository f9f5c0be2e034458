/** The HTTP API, as the pages use it. The key lives in this tab's session storage and nowhere else. */

const KEY = "candor.api_key";
const TIMEOUT_MS = 15_000;

export const apiKey = {
  get: () => sessionStorage.getItem(KEY) ?? "",
  set: (value) => sessionStorage.setItem(KEY, value),
  forget: () => sessionStorage.removeItem(KEY),
};

/** A refusal or failure of the API. `status` is 0 when it could not be reached. `message` is fit to be shown. */
export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.name = "ApiError";
    this.status = status;
  }
}

export function authorization() {
  const key = apiKey.get();
  return key ? { Authorization: `Bearer ${key}` } : {};
}

/** The sentence in a problem+json answer, or a plain one for its status. */
export async function problem(response) {
  const type = response.headers.get("content-type") ?? "";
  if (type.includes("json")) {
    const body = await response.json().catch(() => ({}));
    const text = body.detail ?? body.title;
    if (typeof text === "string" && text) return text;
  }
  return `The server answered ${response.status}.`;
}

async function request(method, path, { body, signal } = {}) {
  const limit = AbortSignal.timeout(TIMEOUT_MS);
  let response;
  try {
    response = await fetch(path, {
      method,
      headers: {
        Accept: "application/json",
        ...(body ? { "Content-Type": "application/json" } : {}),
        ...authorization(),
      },
      body: body ? JSON.stringify(body) : undefined,
      cache: "no-store",
      signal: signal ? AbortSignal.any([signal, limit]) : limit,
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, "The server cannot be reached. Check the connection and try again.");
  }
  if (!response.ok) throw new ApiError(response.status, await problem(response));
  return response;
}

const json = async (method, path, options) => {
  const response = await request(method, path, options);
  return response.status === 204 ? null : response.json();
};

const at = (session, rest = "") => `/v1/sessions/${encodeURIComponent(session)}${rest}`;

export const sessions = {
  list: ({ limit = 100, cursor = "", signal } = {}) =>
    json("GET", `/v1/sessions?${new URLSearchParams({ limit, ...(cursor ? { cursor } : {}) })}`, { signal }),
  create: (body) => json("POST", "/v1/sessions", { body }),
  view: (session, signal) => json("GET", at(session), { signal }),
  end: (session) => json("POST", at(session, "/end")),
  erase: (session) => json("DELETE", at(session)),
  /** A page of the transcript; `after` is the answer before's `next_after_seq`. */
  transcript: (session, { after = null, signal } = {}) =>
    json("GET", at(session, `/transcript${after === null ? "" : `?after_seq=${after}`}`), { signal }),
  evidence: (session, signal) => json("GET", at(session, "/evidence"), { signal }),
  /** One piece of evidence as a Blob. */
  evidenceBlob: async (session, name, signal) =>
    (await request("GET", at(session, `/evidence/${encodeURIComponent(name)}`), { signal })).blob(),
  feedUrl: (session) => at(session, "/feed"),
};

export const system = {
  /** Every process, what sessions lack, and what runs the models; needs no key. */
  health: () => json("GET", "/health"),
};

export const ALL_FEED = "/v1/feed";
