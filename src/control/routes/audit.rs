//! Reading the journal: auditors all of it, everyone what concerns themselves.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::access::SessionId;
use crate::audit::{Entry, Filter, MAX_RESULTS, Record, Selector, Subscription};
use crate::control::api::{AuditFilter, JournalState, MORE_HEADER, Verification};
use crate::control::auth::Caller;
use crate::control::elsewhere::{self, Others, TimedLines};
use crate::control::extract::{Id, Params};
use crate::control::lines::{Broken, Framing, LineSender, Lines};
use crate::control::problem::Problem;
use crate::control::server::Shared;
use crate::replicas::Reply;

/// Answers the records that meet the filter, one JSON document a line, newest last: at most 10,000 unless a limit is
/// given. Where older ones meet it, too, the header `pgward-more: true` says so.
#[utoipa::path(
    get, path = "/v1/audit/search", tag = "audit", params(AuditFilter),
    responses(
        (status = 200, body = String, content_type = "application/x-ndjson"),
        (status = "default", body = Problem)
    )
)]
pub async fn search(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Query(query): Query<Vec<(String, String)>>,
    Params(filter): Params<AuditFilter>,
) -> Result<Response, Problem> {
    if filter.last.is_some() {
        return Err(Problem::bad_request("`last` is for following the journal; a search has `limit`"));
    }
    let mut filter = read_filter(filter, &caller)?;
    let limit = filter.limit.unwrap_or(DEFAULT_RESULTS).min(MAX_RESULTS - 1);
    // One more than is answered, to know whether there are more.
    filter.limit = Some(limit + 1);
    let place = place(&shared.readers).await?;
    let (reading, principal) = (Arc::clone(&shared), caller.principal().clone());
    let found = spawn_blocking(move || {
        let directory = reading.directory.load();
        let visible = |record: &_| directory.may_read(&principal, record);
        reading.journal.finder().search(&filter, visible)
    });
    let mut found = found.await.map_err(|_| Problem::internal())??;
    if let Some(replicas) = shared.others(&caller) {
        let read = |reply: &Reply| Some((elsewhere::lines(&reply.body, &reply.replica)?, reply.more));
        let others = shared.ask_others_with(&caller, &["audit", "search"], &query, true, read).await;
        drop(place);
        return Ok(merged(found, &replicas.name(), others, limit));
    }
    let surplus = found.len().saturating_sub(limit);
    found.drain(..surplus);
    let (sender, lines) = Lines::channel(Framing::Lines);
    let streams = shared.streams.clone();
    streams.spawn(async move {
        for entry in found {
            if send(&shared, &sender, entry).await.is_err() {
                break;
            }
        }
        drop(place);
    });
    let mut response = lines.into_response();
    if surplus > 0 {
        response.headers_mut().insert(MORE_HEADER, HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// The newest of what all replicas' journals hold, oldest first.
fn merged(found: Vec<Entry>, own: &str, mut others: Others<(TimedLines, bool)>, limit: usize) -> Response {
    let here = found.into_iter().map(|entry| (entry.record.time, elsewhere::of_replica(&entry.canonical, own)));
    let mut all: Vec<_> = here.collect();
    let mut more = false;
    for (_, (lines, left_out)) in std::mem::take(&mut others.said) {
        all.extend(lines);
        more |= left_out;
    }
    all.sort_by_key(|(time, _)| *time);
    let surplus = all.len().saturating_sub(limit);
    let mut body = Vec::new();
    for (_, line) in all.drain(..).skip(surplus) {
        body.extend_from_slice(&line);
        body.push(b'\n');
    }
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    let mut response = (kind, body).into_response();
    if surplus > 0 || more {
        response.headers_mut().insert(MORE_HEADER, HeaderValue::from_static("true"));
    }
    others.tell_missing(response.headers_mut());
    response
}

/// Follows the journal: new records that meet the filter, one JSON document a line, until the caller goes away or has
/// as many as the limit says. `last` has it begin with the newest that are there already. Where the filter speaks of rows
/// or SQLSTATE, a statement comes when it has ended, before its end. With `Accept: text/event-stream` they come as server-sent
/// events whose ids are the records' numbers; who comes again with `Last-Event-ID` goes on behind it.
#[utoipa::path(
    get, path = "/v1/audit/tail", tag = "audit", params(AuditFilter),
    responses(
        (status = 200, content(
            (String = "application/x-ndjson"),
            (String = "text/event-stream")
        )),
        (status = "default", body = Problem)
    )
)]
pub async fn tail(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    headers: HeaderMap,
    Params(filter): Params<AuditFilter>,
) -> Result<Response, Problem> {
    let framing = Framing::wanted(&headers);
    let resumed = framing.resumes_behind(&headers);
    let first = filter.last.unwrap_or_default().min(MAX_RESULTS);
    let filter = read_filter(filter, &caller)?;
    let place = place(&shared.followers).await?;
    let last = shared.journal.last_seq();
    let subscription = shared.journal.subscribe(resumed.unwrap_or(last).min(last) + 1);
    let found = match resumed {
        None if first > 0 => newest(&shared, &caller, &filter, first, last).await?,
        None | Some(_) => Vec::new(),
    };
    let (sender, lines) = Lines::channel(framing);
    let streams = shared.streams.clone();
    streams.spawn(async move {
        for entry in found {
            if send(&shared, &sender, entry).await.is_err() {
                return;
            }
        }
        follow(&shared, &caller, &filter, subscription, &sender).await;
        drop(place);
    });
    Ok(lines.into_response())
}

/// Tells the story of a statement: the record itself and its end, the session around it, and the requests, approvals,
/// grants and revocations that it rests on. Of a session, or of a fingerprint, all its statements.
#[utoipa::path(
    get, path = "/v1/audit/records/{id}", tag = "audit",
    params(("id" = String, Path, description = "A record's number, a session's id, or a fingerprint")),
    responses((status = 200, body = Object), (status = "default", body = Problem))
)]
pub async fn story(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Id(id): Id<String>,
) -> Result<Json<serde_json::Value>, Problem> {
    let place = place(&shared.readers).await?;
    let selector = Selector::parse(&id);
    let (reading, principal) = (Arc::clone(&shared), caller.principal().clone());
    let story = spawn_blocking(move || {
        let directory = reading.directory.load();
        let visible = |record: &_| directory.may_read(&principal, record);
        let story = reading.journal.finder().story(&selector, visible);
        drop(place);
        story
    });
    let story = story.await.map_err(|_| Problem::internal())??;
    if story.is_empty() {
        // A number names a record of one journal; sessions and fingerprints are the same everywhere.
        let is_number = id.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number && let Some(there) = found_elsewhere(&shared, &caller, &["audit", "records", &id]).await {
            return Ok(Json(there));
        }
        return Err(Problem::not_found(
            format!("the journal holds no \"{}\", or nothing that you may read", id.escape_debug()),
            "find records with `pgward audit search`; name one by its seq, its session, or its fingerprint",
        ));
    }
    serde_json::to_value(story).map(Json).map_err(|_| Problem::internal())
}

/// Tells a session as psql would have shown it, without the rows: what was said, when, and what came of it.
#[utoipa::path(
    get, path = "/v1/audit/sessions/{id}/replay", tag = "audit",
    params(("id" = String, Path, description = "A session's id")),
    responses((status = 200, body = Object), (status = "default", body = Problem))
)]
pub async fn replay(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Id(id): Id<String>,
) -> Result<Json<serde_json::Value>, Problem> {
    let place = place(&shared.readers).await?;
    let session = SessionId::from_text(id.as_str());
    let (reading, principal) = (Arc::clone(&shared), caller.principal().clone());
    let replay = spawn_blocking(move || {
        let directory = reading.directory.load();
        let visible = |record: &_| directory.may_read(&principal, record);
        let replay = reading.journal.finder().replay(&session, visible);
        drop(place);
        replay
    });
    match replay.await.map_err(|_| Problem::internal())?? {
        Some(replay) => serde_json::to_value(replay).map(Json).map_err(|_| Problem::internal()),
        None => match found_elsewhere(&shared, &caller, &["audit", "sessions", &id, "replay"]).await {
            Some(there) => Ok(Json(there)),
            None => Err(Problem::not_found(
                format!("the journal holds no session \"{}\", or none that you may read", id.escape_debug()),
                "find sessions with `pgward audit search --event session_open`",
            )),
        },
    }
}

/// What the first of the other replicas has that has anything.
async fn found_elsewhere(shared: &Shared, caller: &Caller, path: &[&str]) -> Option<serde_json::Value> {
    let others = shared.ask_others::<serde_json::Value>(caller, path, true).await;
    others.said.into_iter().next().map(|(_, found)| found)
}

/// Proves that the journal is whole, or names the first record that is not as it was written.
#[utoipa::path(
    get, path = "/v1/audit/verify", tag = "audit",
    responses((status = 200, body = Verification), (status = "default", body = Problem))
)]
pub async fn verify(State(shared): State<Arc<Shared>>, caller: Caller) -> Result<Json<Verification>, Problem> {
    let place = place(&shared.provers).await?;
    let published = shared.published_journals(&caller).await;
    let reading = Arc::clone(&shared);
    let report = spawn_blocking(move || {
        let report = reading.journal.verify();
        drop(place);
        report
    });
    let report = report.await.map_err(|_| Problem::internal())?;
    if !report.ok {
        tracing::error!(by = caller.name(), first_bad = ?report.first_bad, "the journal is not as it was written");
    }
    let mut all = Verification {
        ok: report.ok,
        records: report.records,
        first_bad: report.first_bad,
        detail: report.problem,
        journals: Vec::new(),
    };
    all.journals = shared.all_journals(&caller, &all, published).await;
    if !all.journals.is_empty() {
        all.records = all.journals.iter().map(|journal| journal.records).sum();
        all.ok = all.journals.iter().all(|journal| journal.state == JournalState::Whole);
    }
    Ok(Json(all))
}

/// The newest records up to the last that a follower is not handed anyway.
async fn newest(
    shared: &Arc<Shared>,
    caller: &Caller,
    filter: &Filter,
    count: usize,
    last: u64,
) -> Result<Vec<Entry>, Problem> {
    let place = place(&shared.readers).await?;
    let filter = Filter { limit: Some(count), ..filter.clone() };
    let (reading, principal) = (Arc::clone(shared), caller.principal().clone());
    let found = spawn_blocking(move || {
        let directory = reading.directory.load();
        let visible = |record: &Record| record.seq <= last && directory.may_read(&principal, record);
        let found = reading.journal.finder().search(&filter, visible);
        drop(place);
        found
    });
    Ok(found.await.map_err(|_| Problem::internal())??)
}

/// Sends what comes until the caller goes away, the process ends, or the caller's token no longer counts: who may read
/// what is asked anew for each record.
async fn follow(
    shared: &Arc<Shared>,
    caller: &Caller,
    filter: &Filter,
    mut subscription: Subscription,
    sender: &LineSender,
) {
    let mut left = filter.limit.unwrap_or(usize::MAX);
    while left > 0 {
        let entries = tokio::select! {
            () = shared.stop.cancelled() => return,
            () = sender.closed() => return,
            entries = subscription.next(BATCH) => entries,
        };
        let entries = match entries {
            Ok(entries) if entries.is_empty() => return,
            Ok(entries) => entries,
            Err(error) => {
                tracing::error!(%error, "the journal could not be followed");
                sender.cut().await;
                return;
            }
        };
        for entry in entries {
            let Some(principal) = shared.still(caller) else { return };
            let directory = shared.directory.load_full();
            for entry in wanted(shared, filter, entry).await {
                if !directory.may_read(&principal, &entry.record) {
                    continue;
                }
                if left == 0 || send(shared, sender, entry).await.is_err() {
                    return;
                }
                left -= 1;
            }
        }
    }
}

/// The record, where it is looked for. Before an end that is, comes its statement, which could not be judged before.
async fn wanted(shared: &Arc<Shared>, filter: &Filter, entry: Entry) -> Vec<Entry> {
    let statement = match entry.record.statement_seq {
        Some(seq) if filter.asks_of_ends() => statement_of(shared, filter, &entry, seq).await,
        Some(_) | None => None,
    };
    let entry = Some(entry).filter(|entry| filter.matches(&entry.record));
    statement.into_iter().chain(entry).collect()
}

async fn statement_of(shared: &Arc<Shared>, filter: &Filter, end: &Entry, seq: u64) -> Option<Entry> {
    if !filter.ended_so(&end.record) {
        return None;
    }
    let reading = Arc::clone(shared);
    // One that cannot be read is left out: following goes on, and a search says what is wrong.
    let found = spawn_blocking(move || reading.journal.finder().record(seq)).await.ok()?.ok()?;
    found.filter(|statement| filter.matches_with(&statement.record, &end.record))
}

/// Sends the record's bytes as the journal's chain has them. A caller who does not read loses their place.
async fn send(shared: &Shared, sender: &LineSender, entry: Entry) -> Result<(), Broken> {
    tokio::select! {
        () = shared.stop.cancelled() => Err(Broken),
        sent = timeout(MAX_STALL, sender.send(entry.record.seq, entry.canonical)) => sent.unwrap_or(Err(Broken)),
    }
}

/// Who is no auditor finds only what concerns themselves; asking for somebody else is told apart from finding nothing.
fn read_filter(filter: AuditFilter, caller: &Caller) -> Result<Filter, Problem> {
    let others = filter.principal.as_deref().is_some_and(|principal| principal != caller.name());
    if others && !caller.is_auditor() {
        return Err(Problem::forbidden(
            "only auditors may read what concerns somebody else",
            "leave --principal out to read what concerns yourself",
        ));
    }
    let mut filter = filter.read().map_err(Problem::bad_request)?;
    if !caller.is_auditor() {
        filter.principal = Some(caller.name().to_owned());
    }
    Ok(filter)
}

/// Waits for one of the places, but not long.
pub(super) async fn place(places: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Problem> {
    match timeout(MAX_WAIT, Arc::clone(places).acquire_owned()).await {
        Ok(Ok(place)) => Ok(place),
        Ok(Err(_)) | Err(_) => Err(Problem::unavailable("too many are reading the journal", "try again in a moment")),
    }
}

/// How long a caller waits for a place.
const MAX_WAIT: Duration = Duration::from_secs(10);
/// How long a caller may leave an answer unread.
const MAX_STALL: Duration = Duration::from_secs(60);
/// Records in one answer, unless the caller says otherwise.
const DEFAULT_RESULTS: usize = 10_000;
/// Records that one follower is handed at once.
const BATCH: usize = 64;
