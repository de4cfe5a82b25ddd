// The frame: who is here, which page, keys.

import { get, post, whoami, me, Failed } from "./api.js";
import { h, put, say } from "./dom.js";
import * as requests from "./requests.js";
import * as oversight from "./oversight.js";
import * as standing from "./standing.js";

const PAGES = [
  ["queue", "Queue", requests.queue], ["new", "Ask", requests.fresh], ["access", "My access", requests.access], ["sessions", "Sessions", oversight.sessions],
  ["feed", "Feed", oversight.feed], ["denials", "Denials", oversight.denials], ["grants", "Grants", oversight.grants], ["reviews", "Reviews", requests.reviews],
  ["audit", "Journal", oversight.audit], ["scopes", "Scopes", oversight.scopes], ["usage", "Use", oversight.usage],
  ["standing", "Standing access", standing.standing], ["reports", "Reports", standing.reports],
];
// Others would be refused.
const OVERSEERS = new Set(["standing", "reports"]);
const RENEWED = new Set(["queue", "access", "sessions", "grants"]);
const main = document.getElementById("main"), nav = document.getElementById("nav"), top_ = document.getElementById("top");
let open = null, turn = 0, provider = null;

async function show() {
  const mine = ++turn;
  if (open && open.stop) open.stop();
  open = null;
  const [path, query] = (location.hash.replace(/^#\//, "") || "queue").split("?");
  const [name, id] = path.split("/").map(decodeURIComponent);
  const page = PAGES.find(([known]) => known === name);
  nav.querySelectorAll("a").forEach((link) => link.toggleAttribute("aria-current", link.dataset.page === name));
  document.title = `${page ? page[1] : "Request"} · pgward`;
  try {
    const draw = name === "requests" ? await requests.one(main, id)
      : name === "new" ? await requests.fresh(main, new URLSearchParams(query).get("scope"))
      : name === "audit" ? await oversight.audit(main, query) : name === "standing" ? await standing.standing(main, query) : await (page || PAGES[0])[2](main);
    if (mine !== turn) { if (draw && draw.stop) draw.stop(); return; }
    open = { name, draw: typeof draw === "function" ? draw : null, stop: draw && draw.stop };
  } catch (error) { failed(error); }
}

function failed(error) {
  if (error instanceof Failed && error.status === 401) { login(); return; }
  put(main, h("p", { class: "note bad", role: "alert" }, `${error.message}. ${error.hint || ""}`));
}

function login() {
  top_.hidden = true;
  const token = h("input", { id: "token", type: "password", autocomplete: "current-password", required: true }), problem = h("div", { role: "alert" });
  const enter = async (event) => {
    event.preventDefault();
    try {
      await post("/login", { token: token.value });
      token.value = "";
      await start();
    } catch (error) { put(problem, h("p", { class: "note bad" }, error.status === 401 ? "No user has this token." : `${error.message}. ${error.hint || ""}`)); }
  };
  put(main, h("form", { class: "login card", onsubmit: enter }, h("img", { src: "/icon.svg", alt: "", width: 40, height: 40 }), h("h1", {}, "pgward"),
    h("p", { class: "dim" }, "Just-in-time access to PostgreSQL."), h("label", { for: "token" }, "Control token"), token,
    h("div", { class: "actions" }, h("button", { class: "main" }, "Log in")), problem,
    provider && h("p", {}, h("a", { id: "oidc", href: `${provider}?next=${encodeURIComponent(`/${location.hash}`)}` }, "Log in by the identity provider"))));
  token.focus();
}

async function counted() {
  if (top_.hidden || document.hidden) return;
  try {
    const waiting = (await get("/v1/requests?state=pending")).filter((request) => request.you_may.approve).length;
    nav.querySelector("[data-page=queue]").replaceChildren("Queue", ...(waiting ? [h("span", { class: "count" }, String(waiting))] : []));
  } catch { /* told where somebody looks */ }
}

function isTyping() { return ["INPUT", "TEXTAREA", "SELECT"].includes(document.activeElement.tagName); }

function keys(event) {
  if (isTyping() || event.ctrlKey || event.metaKey || event.altKey) return;
  const cards = [...main.querySelectorAll("article")], at = cards.indexOf(document.activeElement.closest("article"));
  if (event.key === "j" || event.key === "k") cards[Math.max(0, Math.min(cards.length - 1, at + (event.key === "j" ? 1 : -1)))]?.focus();
  else if (event.key === "a" || event.key === "d") cards[at]?.querySelector(`[data-key=${event.key}]`)?.click();
  else if (event.key === "?") say("j, k: next, previous · a: approve · d: deny · Tab: everything else");
}

async function start() {
  try {
    const standing = await get("/login");
    provider = standing.oidc;
    if (!standing.session) { login(); return; }
    await whoami();
  } catch (error) { failed(error); return; }
  top_.hidden = false;
  document.getElementById("who").textContent = `${me.name}${me.groups.length ? ` (${me.groups.map((group) => `@${group}`).join(", ")})` : ""}`;
  nav.replaceChildren(...PAGES.filter(([name]) => me.admin || me.auditor || !OVERSEERS.has(name)).map(([name, label]) => h("a", { href: `#/${name}`, "data-page": name }, label)));
  await Promise.all([show(), counted()]);
}

document.getElementById("logout").addEventListener("click", async () => {
  try { await post("/logout", {}); } catch (error) { say(error.message); }
  location.hash = "";
  login();
});
addEventListener("hashchange", () => { if (!top_.hidden) { show(); main.focus(); } });
addEventListener("keydown", keys);
document.addEventListener("acted", counted);
setInterval(() => {
  counted();
  // Not under somebody's hands.
  if (open && open.draw && RENEWED.has(open.name) && !document.hidden && (document.activeElement === main || !main.contains(document.activeElement))) open.draw().catch(failed);
}, 4000);
start();
