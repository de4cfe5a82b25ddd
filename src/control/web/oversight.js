// Looking on: sessions, the feed of statements, denials, grants over time, the journal, scopes, use.

import { get, post, lines, events, me } from "./api.js";
import { h, put, svg, say, span, when, pill, facts, table } from "./dom.js";

const cell = (text, kind) => h("td", { class: kind }, text ?? "");

export async function sessions(main) {
  const draw = async () => {
    const [all, held, grants] = await Promise.all([get("/v1/sessions"), get("/v1/unusual/held"), get("/v1/grants")]);
    const glass = new Set(grants.filter((grant) => grant.origin === "break_glass").map((grant) => grant.id));
    const rows = all.map((session) => h("tr", {}, h("td", {}, session.principal, " ", session.grants.some((id) => glass.has(id)) ? pill("break-glass", "bad") : ""), cell(session.replica ? `${session.database} at ${session.replica}` : session.database), cell(session.application_name),
      cell(`${session.client_addr}${session.client_region ? ` (${session.client_region})` : ""}`), h("td", {}, when(session.opened_at)), cell(session.statements, "number"),
      cell(session.statement || "idle", session.statement ? "text" : "dim"), cell(session.rows ?? "", "number"),
      h("td", {}, h("button", { type: "button", class: "bad", "aria-label": `Kill the session of ${session.principal}`, onclick: async () => {
        const reason = prompt("End this session now, its statement cancelled. Why?");
        if (reason === null) return;
        try { await post(`/v1/sessions/${encodeURIComponent(session.id)}/kill`, reason ? { reason } : {}); say("Ended."); } catch (error) { say(error.message); }
        // It is listed until both its connections are closed.
        for (let looks = 0; looks < 20 && (await draw()).some((one) => one.id === session.id); looks += 1) await new Promise((later) => { setTimeout(later, 250); });
      } }, "Kill"))));
    put(main, h("h1", {}, "Sessions"), h("p", { class: "lead" }, `${all.length} live ${all.length === 1 ? "session" : "sessions"}, with the statement that runs.`),
      ...held.map((one) => h("p", { class: "note bad" }, `Statements of ${one.principal} are held: ${one.why} `, me.admin && one.principal !== me.name && h("button", { type: "button", onclick: async () => {
        const reason = prompt("Let them run again. What was found?");
        if (reason === null) return;
        try { await post(`/v1/unusual/held/${encodeURIComponent(one.principal)}/release`, reason ? { reason } : {}); say("Released."); } catch (error) { say(error.message); }
        await draw();
      } }, "Release"))),
      table(["Who", "Database", "Application", "From", "Since", "Statements", "Statement", "Rows so far", ""], rows, "Nobody is connected."));
    return all;
  };
  await draw();
  return draw;
}

function statement(record) {
  const deny = record.verdict === "deny";
  return h("tr", {}, h("td", {}, when(record.time)), cell(record.principal), cell(record.database),
    h("td", {}, record.verdict ? pill(record.verdict, deny ? "bad" : "good") : cell(record.event).textContent), cell(record.statement || record.detail || record.event, "text"),
    cell(deny ? record.rule : (record.relations || []).map((one) => `${one.operation} ${one.name}`).join(", ")));
}

const HEADS = ["When", "Who", "Database", "Verdict", "Statement", "Rule or relations"];

export async function feed(main) {
  const body = h("tbody", {}), who = h("input", { "aria-label": "Only of", placeholder: "Only of this principal" });
  let paused = false;
  const pause = h("button", { type: "button", "aria-pressed": "false", onclick: () => {
    paused = !paused;
    pause.textContent = paused ? "Go on" : "Pause";
    pause.setAttribute("aria-pressed", String(paused));
  } }, "Pause");
  put(main, h("h1", {}, "Feed"), h("p", { class: "lead" }, "Statements as they are recorded."), h("div", { class: "bar" }, who, pause),
    h("div", { class: "scroll" }, h("table", {}, h("thead", {}, h("tr", {}, HEADS.map((text) => h("th", { scope: "col" }, text)))), body)));
  const stop = events("/v1/audit/tail?event=statement&last=20", (record) => {
    if (paused || (who.value.trim() && record.principal !== who.value.trim())) return;
    body.prepend(statement(record));
    while (body.children.length > 200) body.lastChild.remove();
  }, () => say("The feed has ended: open it again."));
  return { stop };
}

async function search(query) {
  const found = [], stop = new AbortController();
  await lines(`/v1/audit/search?${query}`, stop.signal, (record) => found.push(record));
  return found.reverse();
}

export async function denials(main) {
  const draw = async () => {
    const found = await search("verdict=deny&event=statement&limit=200");
    const rules = new Map();
    found.forEach((record) => rules.set(record.rule, (rules.get(record.rule) || 0) + 1));
    put(main, h("h1", {}, "Denials"), h("p", { class: "lead" }, "The newest two hundred statements that were refused."),
      h("p", {}, [...rules].sort((a, b) => b[1] - a[1]).flatMap(([rule, count]) => [pill(`${rule} ${count}`), " "])),
      table(HEADS, found.map(statement), "Nothing was refused."));
  };
  await draw();
  return draw;
}

export async function grants(main) {
  const draw = async () => {
    const all = (await get("/v1/grants?all=true")).slice(-60).reverse();
    const times = all.flatMap((grant) => [Date.parse(grant.not_before), Date.parse(grant.expires_at)]);
    const from = Math.min(...times, Date.now() - 3600e3), to = Math.max(...times, Date.now() + 600e3);
    const x = (at) => ((at - from) / (to - from)) * 1000;
    const lane = (grant) => {
      const end = grant.revocation ? Date.parse(grant.revocation.at) : Date.parse(grant.expires_at), begin = x(Date.parse(grant.not_before));
      const fill = grant.state === "live" ? "var(--good)" : grant.state === "revoked" ? "var(--bad)" : "var(--dim)";
      return h("div", { class: "lane" }, svg("svg", { viewBox: "0 0 1000 16", preserveAspectRatio: "none", "aria-hidden": "true" },
        svg("rect", { x: begin, y: 3, width: Math.max(3, x(end) - begin), height: 10, fill }), svg("rect", { x: x(Date.now()), y: 0, width: 1, height: 16, fill: "var(--ink)" })));
    };
    const rows = all.map((grant) => h("tr", {}, cell(grant.principal), h("td", {}, h("code", {}, grant.scope), grant.origin === "break_glass" ? [" ", pill("break-glass", "bad")] : null),
      h("td", {}, pill(grant.state, { live: "good", revoked: "bad" }[grant.state])), h("td", {}, lane(grant)), h("td", {}, when(grant.expires_at)), cell(grant.approvers.join(", ") || grant.origin), cell(grant.reason),
      h("td", {}, grant.state === "live" || grant.state === "pending" ? h("button", { type: "button", class: "bad", onclick: async () => {
        const reason = prompt("End this grant now. Why?");
        if (reason === null) return;
        try { await post(`/v1/grants/${encodeURIComponent(grant.id)}/revoke`, reason ? { reason } : {}); say("Revoked."); } catch (error) { say(error.message); }
        await draw();
      } }, "Revoke") : null)));
    put(main, h("h1", {}, "Grants"), h("p", { class: "lead" }, `From ${new Date(from).toLocaleString()} to ${new Date(to).toLocaleString()}; the line is now.`),
      table(["Who", "Scope", "State", "Time", "Ends", "Approved by", "Why", ""], rows, "Nothing has been granted."));
  };
  await draw();
  return draw;
}

export async function audit(main, query) {
  const known = new URLSearchParams(query || ""), badge = h("span", { class: "dim" }, "not verified yet"), found = h("div", {});
  const names = ["principal", "database", "relation", "grant", "session", "event", "verdict", "text", "since"];
  const inputs = names.map((name) => h("input", { name, "aria-label": name, placeholder: name === "since" ? "since (2026-11-23T08:00:00Z)" : name, value: known.get(name) || "" }));
  const run = async (event) => {
    if (event) event.preventDefault();
    const asked = new URLSearchParams({ limit: "200" });
    inputs.filter((input) => input.value.trim()).forEach((input) => asked.set(input.name, input.value.trim()));
    try {
      const records = await search(asked);
      put(found, table(HEADS, records.map((record) => { const row = statement(record); row.title = `record ${record.seq}`; return row; }), "No record is like that."));
    } catch (error) { put(found, h("p", { class: "note bad" }, `${error.message}. ${error.hint || ""}`)); }
  };
  const verify = async () => {
    badge.textContent = "verifying …";
    try {
      const report = await get("/v1/audit/verify");
      put(badge, report.ok ? pill(`verified up to record ${report.records}, ${new Date().toLocaleTimeString()}`, "good") : pill(`broken at record ${report.first_bad}: ${report.detail || ""}`, "bad"));
    } catch (error) { badge.textContent = error.message; }
  };
  put(main, h("h1", {}, "Journal"), h("p", { class: "lead" }, badge, " ", h("button", { type: "button", class: "quiet", onclick: verify }, "Verify")),
    h("form", { class: "bar", onsubmit: run }, inputs, h("button", { class: "main" }, "Search")), found);
  await run();
  return null;
}

export async function scopes(main) {
  const all = await get("/v1/scopes"), sql = h("textarea", { rows: "3", "aria-label": "Statement", placeholder: "SELECT …", spellcheck: false });
  const database = h("select", { "aria-label": "Database" }, me.databases.map((one) => h("option", { value: one.name }, one.name)));
  const user = h("input", { "aria-label": "Principal", placeholder: "as whom (you, unless you say)" }), answer = h("div", { role: "status" });
  const ask = async (event) => {
    event.preventDefault();
    try {
      const said = await post("/v1/explain", { database: database.value, sql: sql.value, ...(user.value.trim() ? { user: user.value.trim() } : {}) });
      put(answer, h("p", {}, pill(said.verdict, said.verdict === "allow" ? "good" : "bad"), " ", said.rule ? `rule ${said.rule}: ` : "", said.detail || ""), said.hint ? h("pre", {}, said.hint) : null, ...said.steps.map((step) => h("div", { class: "dim" }, step)));
    } catch (error) { put(answer, h("p", { class: "note bad" }, `${error.message}. ${error.hint || ""}`)); }
  };
  const cards = all.map((scope) => h("article", { class: "card" }, h("header", {}, h("h3", {}, h("code", {}, scope.name), ` on ${scope.database}`), h("span", {}, scope.may_request ? h("a", { href: `#/new?scope=${encodeURIComponent(scope.name)}` }, "Ask for it") : null)),
    facts([["Gives", scope.allow.map((one) => h("div", {}, h("code", {}, one.functions.length ? `call ${one.functions.join(", ")}` : `${one.do.join(", ")} on ${one.on.join(", ")}${one.columns ? ` (${one.columns.join(", ")})` : ""}`)))],
      ["Regions", scope.regions.join(", ")], ["Data labelled", scope.labels.length ? scope.labels.map((label) => pill(label, "warn")) : null], ["At most", span(scope.max_duration_seconds)], ["Guards", scope.guards],
      ["Asked for by", scope.requesters.join(", ")], ["Approved by", `${scope.approvals} of ${scope.approvers.join(", ")}`]])));
  put(main, h("h1", {}, "Scopes"), h("p", { class: "lead" }, "What may be asked for, and what a statement would come to."),
    h("form", { class: "card", onsubmit: ask }, h("h3", {}, "What if"), h("div", { class: "bar" }, database, user), sql, h("div", { class: "actions" }, h("button", { class: "main" }, "Explain")), answer), ...cards);
  return null;
}

export async function usage(main) {
  const since = new Date(Date.now() - 24 * 3600e3), found = await search(`event=statement&limit=1000&since=${since.toISOString()}`);
  const hours = Array.from({ length: 24 }, () => [0, 0]), people = new Map(), tables = new Map();
  found.forEach((record) => {
    const hour = Math.min(23, Math.floor((Date.parse(record.time) - since) / 3600e3));
    if (hour >= 0) hours[hour][record.verdict === "deny" ? 1 : 0] += 1;
    people.set(record.principal, (people.get(record.principal) || 0) + 1);
    (record.relations || []).forEach((one) => tables.set(one.name, (tables.get(one.name) || 0) + 1));
  });
  const most = Math.max(1, ...hours.map(([good, bad]) => good + bad));
  const bars = hours.flatMap(([good, bad], index) => [svg("rect", { x: index * 20 + 2, y: 100 - (good / most) * 95, width: 16, height: (good / most) * 95, fill: "var(--accent)" }),
    svg("rect", { x: index * 20 + 2, y: 100 - ((good + bad) / most) * 95, width: 16, height: (bad / most) * 95, fill: "var(--bad)" })]);
  // Every third hour by its beginning here, and the tallest bar by its count.
  const tick = (index) => svg("text", { x: index * 20 + 10, y: 111, class: "tick" }, `${new Date(since.getTime() + index * 3600e3).getHours()}:00`);
  const tallest = hours.findIndex(([good, bad]) => good + bad === most);
  const top = tallest < 0 ? [] : [svg("text", { x: tallest * 20 + 10, y: -2, class: "tick" }, String(most))];
  const list = (counts, head) => table([head, "Statements"], [...counts].sort((a, b) => b[1] - a[1]).slice(0, 12).map(([name, count]) => h("tr", {}, cell(name), cell(count, "number"))), "None.");
  const chart = svg("svg", { viewBox: "-10 -12 500 128", role: "img", "aria-label": `Statements an hour, at most ${most}` },
    svg("line", { x1: 0, y1: 100, x2: 480, y2: 100, stroke: "currentColor", "stroke-opacity": "0.25" }), ...bars, ...[...hours.keys()].filter((index) => index % 3 === 1).map(tick), ...top);
  put(main, h("h1", {}, "Use"), h("p", { class: "lead" }, `Of the last 24 hours, the newest ${found.length} statements that you may see${found.length >= 1000 ? " (there are more)" : ""}; refused ones on top.`),
    h("div", { class: "card" }, chart), h("h2", {}, "By principal"), list(people, "Who"), h("h2", {}, "By relation"), list(tables, "Relation"));
  return null;
}
