// Asking and deciding: the queue, one request, a new one, what I have, what is to be reviewed.

import { get, post, me, Failed } from "./api.js";
import { h, put, say, span, when, pill, facts, copied } from "./dom.js";

const STATES = { approved: "good", live: "good", denied: "bad", revoked: "bad", expired: "warn", pending: "" };

async function scopes() { return new Map((await get("/v1/scopes")).map((scope) => [scope.name, scope])); }

function gives(scope) {
  if (!scope) return null;
  const line = (one) => one.functions.length
    ? `call ${one.functions.join(", ")}`
    : `${one.do.join(", ")} on ${one.on.join(", ")}${one.columns ? ` (${one.columns.join(", ")})` : ""}`;
  return scope.allow.map((one) => h("div", {}, h("code", {}, line(one))));
}

function needs(request) {
  return request.requirements.map((one) => {
    const open = Math.max(0, one.needed - one.given.length);
    const who = one.given.length ? `given by ${one.given.join(", ")}; ` : "";
    return h("div", {}, `${who}${open ? `${open} more of ${one.approvers.join(", ")}` : "complete"} `, pill(one.why));
  });
}

// What the statement does, as it was looked at when it was asked for.
function analysed(analysis) {
  const { estimate } = analysis;
  const touches = analysis.relations.map((one) => `${one.operation} on ${one.name}${one.columns.length ? ` (${one.columns.join(", ")})` : ""}`);
  return h("div", { class: "analysis" }, facts([
    ["Kind", analysis.kind],
    ["Touches", touches.join("; ") || "no relation"],
    ["Calls", analysis.functions.join(", ") || null],
    ["Labels", analysis.labels.join(", ") || null],
    ["Regions", analysis.regions.join(", ") || null],
    ["Refused", analysis.refused],
    ["Estimate", estimate ? `${estimate.rows} rows, cost ${estimate.cost}` : `none: ${analysis.no_estimate}`],
  ]), estimate && h("pre", {}, estimate.plan.join("\n")));
}

function card(request, scope, again) {
  const note = h("input", { class: "inline", "aria-label": "Note", placeholder: "Note (needed to deny)", maxlength: "4000" });
  const act = (name, body, done) => async (event) => {
    const buttons = [...event.target.closest(".actions").querySelectorAll("button")];
    buttons.forEach((button) => { button.disabled = true; });
    try {
      await post(`/v1/requests/${encodeURIComponent(request.id)}/${name}`, body());
      say(done);
    } catch (error) {
      say(`${error.message}. ${error.hint || ""}`);
    }
    document.dispatchEvent(new Event("acted"));
    await again();
  };
  const decided = () => ({ digest: request.digest, ...(note.value.trim() ? { note: note.value.trim() } : {}) });
  const may = request.you_may;
  const actions = [
    may.approve && h("button", { type: "button", class: "main", "data-key": "a", onclick: act("approve", decided, "Approved.") }, "Approve"),
    may.deny && h("button", { type: "button", class: "bad", "data-key": "d", onclick: (event) => {
      if (!note.value.trim()) { note.focus(); say("Say why: a note is needed to deny."); return; }
      act("deny", decided, "Denied.")(event);
    } }, "Deny"),
    may.deny && note,
    may.withdraw && h("button", { type: "button", onclick: act("withdraw", () => ({}), "Withdrawn.") }, "Withdraw"),
  ].filter(Boolean);
  return h("article", { class: "card", tabindex: "0", "aria-label": `${request.principal} asks for ${request.scope}` },
    h("header", {},
      h("h3", {}, h("a", { href: `#/requests/${encodeURIComponent(request.id)}` }, request.principal), " asks for ", h("code", {}, request.scope), ` on ${request.database}`),
      h("span", {}, pill(request.state, STATES[request.state]), " ", when(request.created_at))),
    h("p", { class: "reason" }, request.reason),
    facts([
      ["For", `${span(request.duration_seconds)}${request.extends ? `, after the end of ${request.extends}` : ""}`],
      ["Starts", request.starts && when(request.starts)],
      ["Ticket", request.ticket],
      ["Gives", gives(scope)],
      ["Guards", scope && scope.guards],
      ["Labels", request.labels.length ? request.labels.map((label) => pill(label, "warn")) : null],
      ["Edited", request.revision ? `${request.revision} times: approvals before that do not count` : null],
      ["Needs", request.state === "pending" ? needs(request) : null],
      ["Decisions", request.decisions.length ? request.decisions.map((one) =>
        h("div", {}, `${one.decision} by ${one.approver}${one.note ? `: ${one.note}` : ""} `, when(one.at))) : null],
      ["Expires", request.state === "pending" ? when(request.expires_at) : null],
      ["Grant", request.grant && `${request.grant.id}, until ${new Date(request.grant.expires_at).toLocaleString()}`],
    ]),
    request.statement && h("div", {}, h("span", { class: "dim" }, `Only this statement${request.uses ? `, ${request.uses} times` : ""}:`), h("pre", {}, request.statement), request.analysis && analysed(request.analysis)),
    actions.length ? h("div", { class: "actions" }, actions) : null);
}

export async function queue(main) {
  const draw = async () => {
    const [requests, known] = await Promise.all([get("/v1/requests?state=pending"), scopes()]);
    const mine = requests.filter((request) => request.you_may.approve);
    const others = requests.filter((request) => !request.you_may.approve);
    const cards = (list) => list.map((request) => card(request, known.get(request.scope), draw));
    put(main, 
      h("h1", {}, "Queue"),
      h("p", { class: "lead" }, mine.length ? `${mine.length} ${mine.length === 1 ? "waits" : "wait"} for you. An approval speaks of exactly what is shown here.` : "Nothing waits for you."),
      ...cards(mine),
      others.length ? h("h2", {}, "Pending, for others to decide") : null,
      ...cards(others),
      requests.length ? null : h("p", { class: "empty" }, "No request is pending. ", h("a", { href: "#/new" }, "Ask for access")));
    return mine.length;
  };
  await draw();
  return draw;
}

export async function one(main, id) {
  const draw = async () => {
    const [request, known] = await Promise.all([get(`/v1/requests/${encodeURIComponent(id)}`), scopes()]);
    put(main, h("h1", {}, "Request"), h("p", { class: "lead" }, h("code", {}, id)), card(request, known.get(request.scope), draw));
  };
  await draw();
  return draw;
}

function seconds(text) {
  const match = /^\s*(?:(\d+)d)?\s*(?:(\d+)h)?\s*(?:(\d+)m)?\s*(?:(\d+)s)?\s*$/.exec(text);
  if (!match || !text.trim()) throw new Failed(0, { detail: `"${text}" is not a duration`, hint: "such as 30m or 1h30m" });
  const [d, h_, m, s] = match.slice(1).map((part) => Number(part || 0));
  return d * 86400 + h_ * 3600 + m * 60 + s;
}

export async function fresh(main, chosen) {
  const offered = [...(await scopes()).values()].filter((scope) => scope.may_request || scope.break_glass_seconds);
  if (!offered.length) {
    put(main, h("h1", {}, "Ask for access"), h("p", { class: "empty" }, "No scope may be asked for by you. An administrator can add you to one's requesters."));
    return null;
  }
  const about = h("div", { class: "card" }), problem = h("div", { role: "alert" });
  const scope = h("select", { id: "scope" }, offered.map((one) => h("option", { value: one.name, selected: one.name === chosen }, `${one.name} (${one.database})`)));
  const field = (id, label, element) => [h("label", { for: id }, label), Object.assign(element, { id })];
  const duration = h("input", { value: "30m", required: true, autocomplete: "off" });
  const reason = h("textarea", { rows: "2", required: true, maxlength: "4000" });
  const ticket = h("input", { maxlength: "200", autocomplete: "off" });
  const starts = h("input", { type: "datetime-local" });
  const statement = h("textarea", { rows: "3", spellcheck: false });
  const uses = h("input", { type: "number", min: "1", placeholder: "as often as the time lets it" });
  const verdict = h("div", {});
  const glass = h("button", { type: "button", class: "bad" }, "Break the glass");
  const current = () => offered.find((one) => one.name === scope.value);
  const describe = () => {
    const one = current();
    put(about, facts([
      ["Gives", gives(one)], ["Regions", one.regions.join(", ")], ["At most", span(one.max_duration_seconds)], ["Guards", one.guards],
      ["Approvers", `${one.approvals} of ${one.approvers.join(", ")}`], ["Labels", one.labels.map((label) => pill(label, "warn"))],
      ["Without approval", one.auto_approve_seconds ? `for up to ${span(one.auto_approve_seconds)}` : null],
      ["Held", one.hold_seconds ? `a statement that lacks it waits ${span(one.hold_seconds)} for approval` : null],
    ]));
    glass.hidden = !one.break_glass_seconds;
  };
  scope.addEventListener("change", describe);
  describe();
  const tell = (error) => put(problem, h("p", { class: "note bad" }, `${error.message}. ${error.hint || ""}`));
  const wish = () => ({ scope: scope.value, duration_seconds: seconds(duration.value), reason: reason.value, ...(ticket.value.trim() ? { ticket: ticket.value.trim() } : {}) });
  const send = async (event) => {
    event.preventDefault();
    try {
      const more = { ...(starts.value ? { starts: new Date(starts.value).toISOString() } : {}), ...(statement.value.trim() ? { statement: statement.value.trim(), ...(uses.value ? { uses: Number(uses.value) } : {}) } : {}) };
      const filed = await post("/v1/requests", { ...wish(), ...more });
      location.hash = `#/requests/${filed.id}`;
      say(filed.state === "approved" ? "Granted." : "Asked. The approvers see it in their queue.");
    } catch (error) { tell(error); }
  };
  glass.addEventListener("click", async () => {
    if (!reason.value.trim()) { reason.focus(); say("Say why it cannot wait."); return; }
    if (!confirm("Open this scope now, without approval? Others are told, and somebody else will review what you did.")) return;
    try {
      const opened = await post("/v1/break-glass", wish());
      location.hash = `#/requests/${opened.id}`;
    } catch (error) { tell(error); }
  });
  const explain = h("button", { type: "button", onclick: async () => {
    try {
      const answer = await post("/v1/explain", { database: current().database, sql: statement.value });
      put(verdict, h("p", {}, pill(answer.verdict, answer.verdict === "allow" ? "good" : "bad"), " by what you have now. ", answer.detail || ""),
        ...(answer.steps || []).map((step) => h("div", { class: "dim" }, step)));
    } catch (error) { tell(error); }
  } }, "What if I ran it now?");
  put(main, h("h1", {}, "Ask for access"), h("p", { class: "lead" }, "Somebody else approves; it ends by itself."),
    h("form", { class: "narrow", onsubmit: send },
      h("label", { for: "scope" }, "Scope"), scope, about,
      field("duration", "For how long", duration), field("reason", "Why", reason), field("ticket", "Ticket", ticket),
      field("starts", "Not before (optional)", starts), field("statement", "Only this statement (optional)", statement), field("uses", "How often that may run (optional)", uses),
      h("div", { class: "actions" }, h("button", { class: "main" }, "Ask"), explain, glass), problem, verdict));
  return null;
}

export async function access(main) {
  const draw = async () => {
    const grants = (await get("/v1/grants")).filter((grant) => grant.principal === me.name);
    const place = (name) => me.databases.find((database) => database.name === name);
    const cards = grants.map((grant) => {
      const shown = h("div", {}), database = place(grant.database);
      const end = async () => {
        if (!confirm("Give up this grant? Sessions that need it end.")) return;
        try { await post(`/v1/grants/${encodeURIComponent(grant.id)}/revoke`, {}); say("Given up."); } catch (error) { say(error.message); }
        await draw();
      };
      const mint = async () => {
        try {
          const minted = await post("/v1/credentials", { database: grant.database });
          put(shown, h("p", { class: "note" }, "Shown this once; good until ", when(minted.expires_at), "."),
            h("pre", {}, minted.dsn), copied(minted.dsn, "Copy the DSN"), " ", copied(minted.password, "Copy the password"));
        } catch (error) { say(`${error.message}. ${error.hint}`); }
      };
      const extend = async () => {
        const reason = prompt("30 more minutes. Why?");
        if (!reason) return;
        try {
          const filed = await post(`/v1/grants/${encodeURIComponent(grant.id)}/extend`, { duration_seconds: 1800, reason });
          location.hash = `#/requests/${filed.id}`;
        } catch (error) { say(`${error.message}. ${error.hint}`); }
      };
      const line = database ? `psql 'host=${database.host} port=${database.port} dbname=${database.name} user=${me.name} sslmode=verify-full'` : "";
      return h("article", { class: "card" },
        h("header", {}, h("h3", {}, h("code", {}, grant.scope), ` on ${grant.database}`), h("span", {}, pill(grant.state, STATES[grant.state]), " ", grant.origin === "break_glass" ? pill("break-glass", "bad") : "")),
        facts([["Ends", when(grant.expires_at)], ["Begins", grant.state === "pending" ? when(grant.not_before) : null], ["Why", grant.reason], ["Approved by", grant.approvers.join(", ") || (grant.origin === "rule" ? "the scope's rule" : null)], ["Only", grant.statement && `${grant.statement}${grant.uses ? ` (${grant.uses_left} of ${grant.uses} uses left)` : ""}`]]),
        line ? h("pre", {}, line) : null,
        h("div", { class: "actions" }, line ? copied(line, "Copy the psql line") : null, h("button", { type: "button", onclick: mint }, "Mint a password"),
          grant.statement ? null : h("button", { type: "button", onclick: extend }, "More time"), h("button", { type: "button", class: "bad", onclick: end }, "Give up")), shown);
    });
    put(main, h("h1", {}, "My access"), h("p", { class: "lead" }, "What is granted to you now, and until when."), ...cards,
      cards.length ? null : h("p", { class: "empty" }, "Nothing is granted to you. ", h("a", { href: "#/new" }, "Ask for access")));
  };
  await draw();
  return draw;
}

export async function reviews(main) {
  const draw = async () => {
    const all = await get("/v1/reviews?all=true");
    const cards = all.reverse().map((review) => {
      const note = h("input", { class: "inline", "aria-label": "What was done, and whether it had to be", placeholder: "What was done, and whether it had to be" });
      const close = async () => {
        try { await post(`/v1/reviews/${encodeURIComponent(review.grant.id)}/close`, { note: note.value }); say("Closed."); await draw(); } catch (error) { say(`${error.message}. ${error.hint}`); }
      };
      const state = review.closed ? pill("closed", "good") : review.overdue ? pill("overdue", "bad") : pill("open", "warn");
      return h("article", { class: "card" }, h("header", {}, h("h3", {}, `${review.grant.principal} opened `, h("code", {}, review.grant.scope)), h("span", {}, state, " ", when(review.grant.not_before))),
        h("p", { class: "reason" }, review.grant.reason),
        facts([["Review due", review.closed ? null : when(review.due)], ["Found", review.closed && `${review.closed.note} (${review.closed.by})`],
          ["What was run", h("a", { href: `#/audit?grant=${encodeURIComponent(review.grant.id)}` }, "in the journal")]]),
        review.you_may_close ? h("div", { class: "actions" }, note, h("button", { type: "button", class: "main", onclick: close }, "Close the review")) : null);
    });
    put(main, h("h1", {}, "Reviews"), h("p", { class: "lead" }, "What was opened in an emergency, for somebody else to look at."), ...cards,
      cards.length ? null : h("p", { class: "empty" }, "The glass has not been broken."));
  };
  await draw();
  return draw;
}
