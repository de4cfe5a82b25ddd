// What stands: who reaches data without pgward, how scopes are used, where data went.

import { get, me } from "./api.js";
import { h, put, pill, copied, table } from "./dom.js";

const cell = (text, kind) => h("td", { class: kind }, text ?? "");
const code = (text, label) => h("details", {}, h("summary", {}, label), h("pre", {}, text), h("div", { class: "actions" }, copied(text, "Copy")));

function access(one) {
  const what = one.privileges.length ? `${one.privileges.join(", ")}${one.columns.length ? ` (${one.columns.join(", ")})` : ""}` : "";
  return h("tr", { "data-role": one.role }, h("td", {}, one.role, " ", one.is_pgward ? pill("pgward", "") : ""), cell(what),
    h("td", {}, one.path, " ", one.some_rows ? pill("some rows", "") : "", one.possible ? pill("possible", "") : ""));
}

function relation(one, days) {
  const through = one.used.statements ? `${one.used.statements} statements through pgward in ${days} days, by ${one.used.principals.join(", ")}.` : `Not used through pgward in ${days} days.`;
  const scans = one.used.scans === null || one.used.scans === undefined ? "" : ` PostgreSQL counts ${one.used.scans} scans, whoever made them.`;
  return h("section", { class: "card" }, h("h2", {}, one.relation, one.columns ? ` (${one.columns.join(", ")})` : "", " ", one.labels.flatMap((label) => [pill(label), " "])),
    h("p", { class: "dim" }, through + scans), table(["Role", "May", "How"], one.access.map(access), "Nobody but those who reach everything."));
}

export async function standing(main, query) {
  const names = [...new Set(me.databases.map((database) => database.name))];
  const asked = new URLSearchParams(query);
  const chosen = names.includes(asked.get("database")) ? asked.get("database") : names[0];
  const pick = h("select", { id: "database", "aria-label": "Database" }, names.map((name) => h("option", { value: name, selected: name === chosen }, name)));
  const since = h("input", { id: "since", "aria-label": "Changes since", placeholder: "Changes since: 7d", value: asked.get("since") || "" });
  const all = h("input", { id: "all", type: "checkbox", checked: asked.get("all") === "true" });
  const go = (event) => {
    event.preventDefault();
    const wanted = new URLSearchParams({ database: pick.value, all: String(all.checked) });
    if (since.value.trim()) wanted.set("since", since.value.trim());
    location.hash = `#/standing?${wanted}`;
  };
  const form = h("form", { class: "bar", onsubmit: go }, pick, since, h("label", {}, all, " every table"), h("button", { class: "main" }, "Show"));
  put(main, h("h1", {}, "Standing access"), form, h("p", { class: "dim" }, "The database is asked …"));
  if (!chosen) { put(main, h("h1", {}, "Standing access"), h("p", { class: "empty" }, "No database is configured.")); return null; }
  const wanted = new URLSearchParams({ all: String(all.checked) });
  if (asked.get("since")) wanted.set("since", asked.get("since"));
  const report = await get(`/v1/databases/${encodeURIComponent(chosen)}/permissions?${wanted}`);
  const changes = report.changes && [["appeared", "Since then", "bad"], ["gone", "No longer", "good"]].map(([key, title, kind]) =>
    h("section", {}, h("h2", {}, `${title} (${report.changes.since})`), table(["Role", "Table", "How"], report.changes[key].map(([role, name, path]) => h("tr", {}, h("td", {}, pill(role, kind)), cell(name), cell(path))), "Nothing.")));
  const logins = report.logins.unreadable ? h("p", { class: "note" }, report.logins.unreadable)
    : table(["Line", "Kind", "Databases", "Users", "Address", "Method", ""], report.logins.rules.map((rule) => h("tr", {}, cell(String(rule.line), "number"), cell(rule.kind), cell(rule.databases.join(", ")), cell(rule.users.join(", ")), cell(rule.address), cell(rule.method), h("td", {}, rule.warning ? pill(rule.warning, "bad") : ""))), "No rule.");
  put(main, h("h1", {}, "Standing access"), h("p", { class: "lead" }, "Who reaches this data without pgward, and by which path."), form, changes || null,
    h("h2", {}, "Everything, whatever its table says"),
    table(["Role", "How"], report.everywhere.map((one) => h("tr", {}, h("td", {}, one.role, " ", one.is_pgward ? pill("pgward") : ""), cell(one.path))), "Nobody."),
    ...report.relations.map((one) => relation(one, report.days)), report.relations.length ? null : h("p", { class: "empty" }, "No table is classified: show every one."),
    report.future.length ? h("section", {}, h("h2", {}, "Yet to come"), h("ul", {}, report.future.map((one) => h("li", {}, one)))) : null,
    h("h2", {}, "Who may log in from where"), logins, code(report.sql, "SQL that would close it"), code(report.scopes, "Scopes that would replace it"));
  return null;
}

export async function reports(main) {
  put(main, h("h1", {}, "Reports"), h("p", { class: "dim" }, "The journal is read …"));
  const report = await get("/v1/reports/scopes");
  const rows = report.scopes.map((one) => h("tr", {}, cell(one.scope), cell(one.database), cell(String(one.requests), "number"), cell(`${one.grants_used} of ${one.grants}`, "number"), cell(String(one.statements), "number"),
    h("td", {}, one.never ? pill(one.never, "bad") : one.unused.length ? `not used: ${one.unused.join("; ")}` : "all of it used")));
  put(main, h("h1", {}, "Reports"), h("p", { class: "lead" }, `How scopes were used in ${report.days} days.`), table(["Scope", "Database", "Requests", "Grants used", "Statements", ""], rows, "No scope is configured."),
    ...report.scopes.filter((one) => one.suggestion).map((one) => code(one.suggestion, `What ran under ${one.scope} would have needed`)),
    ...report.notes.map((note) => h("p", { class: "note" }, note)),
    me.auditor ? h("p", {}, h("a", { href: "/v1/reports/residency?format=html", target: "_blank", rel: "noopener" }, "Residency: where classified data lies, who touched it from where")) : null);
  return null;
}
