//! How much of what scopes allow was used. What a statement needed is worked out anew from its text, by the catalogs of now: records
//! name all that is touched, also what a view reads for its owner.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use super::{Counted, DAYS, MOST_DAYS, unreadable};
use crate::access::{Operation, Scope};
use crate::audit::{Event, Filter, Record, RecordedRelation, RecordedVerdict};
use crate::catalog::{self, Snapshot};
use crate::control::usage::{ScopesQuestion, ScopesReport, UsageError};
use crate::policy;
use crate::sql::{self, Limits};
use crate::usage::{GrantUse, Refused, ScopeUse, Used, patterns_used};

/// Different statements that are looked at; the report says where there were more.
const MOST_TEXTS: usize = 50_000;

/// One kind of statement under one scope and grant.
#[derive(Debug)]
struct Text {
    statement: Option<String>,
    relations: Vec<RecordedRelation>,
}

/// What one pass over the journal gathers.
#[derive(Debug, Default)]
struct Gathered {
    /// By database and scope, then by fingerprint.
    texts: BTreeMap<(String, String), HashMap<String, Text>>,
    /// By grant: statements, the first, the last, and the fingerprints.
    grants: BTreeMap<String, (u64, Timestamp, Timestamp, BTreeSet<String>)>,
    statements: BTreeMap<(String, String), u64>,
    /// By database, relation, operation and rule: how often, and to whom.
    refused: BTreeMap<[String; 4], (u64, BTreeSet<String>)>,
    surplus: bool,
    count: usize,
}

impl Gathered {
    fn take(&mut self, record: &Record) {
        let Some(database) = record.database.clone() else { return };
        if record.verdict == Some(RecordedVerdict::Deny) {
            for touched in &record.relations {
                let rule = record.rule.clone().unwrap_or_default();
                let key = [database.clone(), touched.name.clone(), touched.operation.as_str().to_owned(), rule];
                let (count, who) = self.refused.entry(key).or_default();
                *count += 1;
                who.extend(record.principal.clone());
            }
            return;
        }
        let (Some(grant), Some(scope), Some(fingerprint)) = (&record.grant, &record.scope, &record.fingerprint) else {
            return;
        };
        let key = (database, scope.clone());
        *self.statements.entry(key.clone()).or_default() += 1;
        let (count, first, last, prints) =
            self.grants.entry(grant.to_string()).or_insert((0, record.time, record.time, BTreeSet::new()));
        *count += 1;
        (*first, *last) = ((*first).min(record.time), (*last).max(record.time));
        let known = self.texts.entry(key).or_default();
        if !known.contains_key(fingerprint) {
            if self.count >= MOST_TEXTS {
                self.surplus = true;
                return;
            }
            self.count += 1;
            let text = Text { statement: record.statement.clone(), relations: record.relations.clone() };
            known.insert(fingerprint.clone(), text);
        }
        prints.insert(fingerprint.clone());
    }
}

impl Counted {
    pub(super) async fn count_scopes(&self, question: ScopesQuestion) -> Result<ScopesReport, UsageError> {
        let days = question.days.unwrap_or(DAYS).clamp(1, MOST_DAYS);
        let since = self.days_ago(days);
        let databases = self.databases.load_full();
        let mut scopes: Vec<Arc<Scope>> = databases.values().flat_map(|settings| settings.scopes.clone()).collect();
        scopes.sort_by(|one, other| (&one.database, &one.name).cmp(&(&other.database, &other.name)));
        scopes.dedup_by(|one, other| one.database == other.database && one.name == other.name);
        scopes.retain(|scope| question.scope.as_ref().is_none_or(|name| scope.name == *name));
        if let Some(name) = question.scope.as_ref().filter(|_| scopes.is_empty()) {
            return Err(UsageError::NotFound(format!("there is no scope \"{}\"", name.escape_debug())));
        }
        let gathered = self.gather(since).await?;
        let failed = |error: crate::store::StoreError| UsageError::Unavailable(error.to_string());
        let all = || Box::new(|_: &str, _: &Scope| true);
        let requests = self.store.list_requests(all(), None, usize::MAX, self.clock.now()).await.map_err(failed)?;
        let grants = self.store.list_grants(all(), None, usize::MAX).await.map_err(failed)?;
        let grants: Vec<_> = grants.into_iter().filter(|grant| grant.expires_at >= since).collect();
        let mut report = ScopesReport { days, ..ScopesReport::default() };
        let mut needs = Needs { counted: self, snapshots: BTreeMap::new(), notes: BTreeSet::new() };
        for scope in &scopes {
            let key = (scope.database.clone(), scope.name.clone());
            let mut used = Used::default();
            let mut by_print: HashMap<&String, Used> = HashMap::new();
            for (print, text) in gathered.texts.get(&key).into_iter().flatten() {
                let needed = by_print.entry(print).or_default();
                needs.of(scope, text, needed).await;
                used.merge(needed);
            }
            let of_scope = |one: &Scope| one.name == scope.name && one.database == scope.database;
            let asked =
                requests.iter().filter(|(request, _)| of_scope(&request.scope) && request.created_at >= since).count();
            let mut longest = 0;
            let (mut granted, mut granted_used) = (0, 0);
            for grant in grants.iter().filter(|grant| of_scope(&grant.scope)) {
                granted += 1;
                let seen = gathered.grants.get(grant.id.as_str());
                let statements = seen.map_or(0, |seen| seen.0);
                let seconds =
                    seen.map_or(0, |(_, first, last, _)| last.duration_since(*first).unsigned_abs().as_secs());
                granted_used += u64::from(statements > 0);
                longest = longest.max(seconds);
                let mut own = Used::default();
                for print in seen.into_iter().flat_map(|seen| &seen.3) {
                    by_print.get(print).into_iter().for_each(|needed| own.merge(needed));
                }
                report.grants.push(GrantUse {
                    grant: grant.id.to_string(),
                    scope: scope.name.clone(),
                    principal: grant.principal.clone(),
                    statements,
                    privileges_used: patterns_used(&grant.scope, &own).0,
                    privileges: grant.scope.allow.len(),
                    used_seconds: seconds,
                    window_seconds: grant.expires_at.duration_since(grant.not_before).unsigned_abs().as_secs(),
                });
            }
            let statements = gathered.statements.get(&key).copied().unwrap_or_default();
            let never = match (asked, granted, statements) {
                (_, _, 1..) => None,
                (0, 0, 0) => Some("never asked for"),
                (_, 0, 0) => Some("never granted"),
                (_, 1.., 0) => Some("never used"),
            };
            report.scopes.push(ScopeUse {
                scope: scope.name.clone(),
                database: scope.database.clone(),
                requests: asked as u64,
                grants: granted,
                grants_used: granted_used,
                statements,
                never: never.map(str::to_owned),
                unused: patterns_used(scope, &used).1,
                longest_use_seconds: longest,
                max_duration_seconds: scope.max_duration.as_secs(),
                suggestion: (!used.is_empty()).then(|| used.allow()),
            });
        }
        report.refused = gathered
            .refused
            .into_iter()
            .map(|([database, relation, operation, rule], (statements, principals))| Refused {
                database,
                relation,
                operation,
                rule,
                statements,
                principals,
            })
            .collect();
        report.notes = needs.notes.into_iter().collect();
        if gathered.surplus {
            report.notes.push(format!(
                "more than {MOST_TEXTS} different statements ran: the rest of them is not in the suggestions"
            ));
        }
        Ok(report)
    }

    async fn gather(&self, since: Timestamp) -> Result<Gathered, UsageError> {
        let journal = Arc::clone(&self.journal);
        let counted = tokio::task::spawn_blocking(move || {
            let gathered: Mutex<Gathered> = Mutex::default();
            let filter = Filter { event: Some(Event::Statement), since: Some(since), ..Filter::default() };
            let take = |record: &Record| {
                gathered.lock().unwrap_or_else(PoisonError::into_inner).take(record);
                // Counted, and not wanted.
                false
            };
            journal
                .finder()
                .search(&filter, take)
                .map(|_| gathered.into_inner().unwrap_or_else(PoisonError::into_inner))
        });
        counted.await.map_err(|error| unreadable(&error))?.map_err(|error| unreadable(&error))
    }
}

/// Works out what statements needed.
struct Needs<'a> {
    counted: &'a Counted,
    snapshots: BTreeMap<String, Option<Arc<Snapshot>>>,
    notes: BTreeSet<String>,
}

impl Needs<'_> {
    async fn of(&mut self, scope: &Scope, text: &Text, used: &mut Used) {
        let snapshot = self.snapshot(&scope.database).await;
        if let (Some(snapshot), Some(statement)) = (snapshot, &text.statement)
            && tokio::task::block_in_place(|| resolved(&snapshot, statement, used))
        {
            return;
        }
        self.notes.insert(format!(
            "of scope \"{}\" some statements cannot be read by the catalogs of now: what their records name counts, which may be more than they needed",
            scope.name
        ));
        for touched in &text.relations {
            let Some((schema, name)) = touched.name.split_once('.') else { continue };
            let whole = touched.columns.iter().any(|column| column == "*");
            let is_allowed = scope.allow.iter().any(|privilege| privilege.on.iter().any(|on| on.matches(schema, name)));
            if is_allowed {
                used.relation(schema, name, touched.operation, (!whole).then_some(touched.columns.as_slice()));
            }
        }
    }

    async fn snapshot(&mut self, database: &str) -> Option<Arc<Snapshot>> {
        if let Some(known) = self.snapshots.get(database) {
            return known.clone();
        }
        let snapshot = self.counted.sessions.catalogs(database).await.and_then(Result::ok);
        self.snapshots.insert(database.to_owned(), snapshot.clone());
        snapshot
    }
}

/// Whether a text could be read and resolved, all of it.
fn resolved(snapshot: &Snapshot, text: &str, used: &mut Used) -> bool {
    let Ok(statements) = sql::read(text, &Limits::default()) else { return false };
    let mut needs = Vec::new();
    for statement in &statements {
        let Ok(footprint) = catalog::resolve_told(snapshot, &statement.action).0 else { return false };
        needs.push(policy::needs(&footprint, &snapshot.search_paths()));
    }
    for (relations, functions) in needs {
        for need in &relations {
            // A schema is named by what lies in it.
            if !need.name.is_empty() || need.operation != Operation::Ddl {
                used.relation(&need.schema, &need.name, need.operation, need.columns.as_deref());
            }
        }
        functions.iter().for_each(|(schema, name)| used.function(schema, name));
    }
    true
}
