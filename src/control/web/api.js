// Calls of the API: the browser's cookie says who calls, the session's word that it is one of our pages.

export const me = { name: null, groups: [], admin: false, auditor: false, databases: [], csrf: null };

export class Failed extends Error {
  constructor(status, problem) {
    super(problem.detail || "pgward does not answer");
    this.status = status;
    this.hint = problem.hint || "";
  }
}

async function call(method, path, body) {
  const headers = {};
  if (method !== "GET") {
    headers["X-CSRF-Token"] = me.csrf || "";
    headers["Content-Type"] = "application/json";
  }
  let response;
  try {
    response = await fetch(path, { method, headers, credentials: "same-origin", body: body === undefined ? undefined : JSON.stringify(body) });
  } catch {
    throw new Failed(0, { detail: "pgward cannot be reached", hint: "look whether it runs" });
  }
  const text = await response.text();
  let answer = null;
  try { answer = text ? JSON.parse(text) : null; } catch { answer = text; }
  if (!response.ok) throw new Failed(response.status, answer || {});
  return answer;
}

export const get = (path) => call("GET", path);
export const post = (path, body) => call("POST", path, body === undefined ? {} : body);

export async function whoami() { return Object.assign(me, { csrf: null }, await get("/v1/whoami")); }

// Server-sent events, as they come; a connection that breaks is made again, and goes on where it broke off.
export function events(path, take, failed) {
  const source = new EventSource(path);
  source.addEventListener("message", (event) => take(JSON.parse(event.data)));
  source.addEventListener("error", () => { if (source.readyState === EventSource.CLOSED) failed(); });
  return () => source.close();
}

// One JSON document a line, until the signal says stop.
export async function lines(path, signal, take) {
  const response = await fetch(path, { credentials: "same-origin", signal });
  if (!response.ok) throw new Failed(response.status, await response.json().catch(() => ({})));
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    parts.filter((part) => part.trim()).forEach((part) => take(JSON.parse(part)));
  }
}
