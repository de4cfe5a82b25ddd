//! Where classified data lies and went.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use super::{Counted, DAYS, unreadable};
use crate::access::{Export, Region};
use crate::audit::{Filter, Record};
use crate::control::usage::{ResidencyQuestion, ResidencyReport, UsageError};
use crate::policy::{DataClass, DatabasePolicy};
use crate::retention::Facts;
use crate::session::DatabaseSettings;
use crate::usage::{Class, Counting, Place, Proof};

impl Counted {
    pub(super) async fn count_residency(&self, question: ResidencyQuestion) -> Result<ResidencyReport, UsageError> {
        let until = question.until.unwrap_or_else(|| self.clock.now());
        let since = question.since.unwrap_or_else(|| self.days_ago(DAYS)).min(until);
        let databases = self.databases.load_full();
        let named = |settings: &&Arc<DatabaseSettings>| {
            question.database.as_ref().is_none_or(|name| settings.route == *name || settings.policy.name == *name)
        };
        let mut meant: Vec<&Arc<DatabaseSettings>> = databases.values().filter(named).collect();
        meant.sort_by(|one, other| one.route.cmp(&other.route));
        if let Some(name) = question.database.as_ref().filter(|_| meant.is_empty()) {
            return Err(UsageError::NotFound(format!("database \"{}\" is not configured", name.escape_debug())));
        }
        let mut report = ResidencyReport {
            made_at: self.clock.now().to_string(),
            since: since.to_string(),
            until: until.to_string(),
            ..ResidencyReport::default()
        };
        let mut classes: Vec<(String, String, Class)> = Vec::new();
        for settings in meant {
            report.places.push(place(settings));
            let known = self.classified(settings).await;
            let known = known.unwrap_or_else(|why| {
                report.notes.push(why);
                Vec::new()
            });
            // Records name the database, whichever of its upstreams it was.
            for (relation, class) in known {
                if !classes.iter().any(|(database, name, other)| {
                    *database == settings.policy.name && *name == relation && *other == class
                }) {
                    classes.push((settings.policy.name.clone(), relation, class));
                }
            }
        }
        let last_record = self.journal.last_seq();
        let checkpoint = self.journal.published().read().ok().flatten().map(|(_, note)| note.to_string());
        report.relations = self.count(classes, since, until).await?;
        report.proof = proof(checkpoint, last_record, since, until);
        report.notes.extend(self.notes(since));
        Ok(report)
    }

    /// The classified relations of one upstream: those that it has.
    async fn classified(&self, settings: &DatabaseSettings) -> Result<Vec<(String, Class)>, String> {
        let route = &settings.route;
        let unknown = |error: &dyn std::fmt::Display| {
            tracing::warn!(database = route, %error, "the residency report");
            format!(
                "the upstream of \"{route}\" could not be asked which tables it has: its classified data is not in this report"
            )
        };
        let client = self.sessions.own_connection(route, "pgward report").await.map_err(|error| unknown(&error))?;
        let begun = client.batch_execute("SET default_transaction_read_only = on; SET search_path = pg_catalog").await;
        begun.map_err(|error| unknown(&error))?;
        let facts = Facts::read(&client).await.map_err(|error| unknown(&error))?;
        let mut found = Vec::new();
        for table in &facts.tables {
            for class in settings.policy.data.iter().filter(|class| class.on.matches(&table.schema, &table.name)) {
                found.push((table.relation().to_string(), class_of(class, &settings.policy)));
            }
        }
        found.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(found)
    }

    async fn count(
        &self,
        classes: Vec<(String, String, Class)>,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<crate::usage::Residency>, UsageError> {
        let journal = Arc::clone(&self.journal);
        let counted = tokio::task::spawn_blocking(move || {
            let all =
                classes.iter().map(|(database, relation, class)| (database.clone(), relation.clone(), class)).collect();
            let counting = Mutex::new(Counting::of(all));
            // Not bounded above: a statement's end may come after.
            let filter = Filter { since: Some(since), ..Filter::default() };
            let take = |record: &Record| {
                if record.time < until || record.statement_seq.is_some() {
                    counting.lock().unwrap_or_else(PoisonError::into_inner).take(record);
                }
                // Counted, and not wanted.
                false
            };
            let searched = journal.finder().search(&filter, take);
            searched.map(|_| counting.into_inner().unwrap_or_else(PoisonError::into_inner).relations())
        });
        counted.await.map_err(|error| unreadable(&error))?.map_err(|error| unreadable(&error))
    }

    /// What a reader has to know of what is not in it.
    fn notes(&self, since: Timestamp) -> Vec<String> {
        let mut notes = vec![
            "What goes to the databases past pgward is not in its journal; `pgward permissions` says who could."
                .to_owned(),
            "A statement that touches several tables counts with each of them, with all of its rows.".to_owned(),
            "Rows are those that a statement returned or changed, whether or not they were classified ones.".to_owned(),
        ];
        if self.networks.load().is_empty() {
            notes.push("No region declares networks: the regions of clients are not known.".to_owned());
        }
        for region in &self.regions {
            notes.push(format!(
                "Records of region {region} are kept by rules of their own, and may have been erased within the period."
            ));
        }
        let age = self.clock.now().duration_since(since).unsigned_abs();
        if self.journal.settings().shelves.iter().any(|shelf| shelf.retention.statement < age) {
            notes.push(format!(
                "The journal does not keep all records since {since}: what is older than its retention is not counted."
            ));
        }
        notes
    }
}

fn place(settings: &DatabaseSettings) -> Place {
    let upstream = &settings.upstream;
    let hosts: Vec<String> = upstream.places.iter().map(|place| format!("{}:{}", place.host, place.port)).collect();
    Place {
        database: settings.route.clone(),
        region: settings.policy.region.to_string(),
        upstream: format!("{}/{}", hosts.join(","), upstream.database),
    }
}

fn class_of(class: &DataClass, policy: &DatabasePolicy) -> Class {
    let region = class.region.as_ref().unwrap_or(&policy.region);
    let rule = policy.rules.get(region);
    let words = |regions: &Vec<Region>| regions.iter().map(ToString::to_string).collect::<Vec<_>>();
    let clients = class.clients.as_ref().or_else(|| rule.and_then(|rule| rule.clients.as_ref()));
    let export = class.export.as_ref().or_else(|| rule.and_then(|rule| rule.export.as_ref()));
    Class {
        on: class.on.clone(),
        columns: class.columns.clone(),
        region: region.to_string(),
        clients: clients.map(words),
        export: match export {
            None => "any amount, to clients alone".to_owned(),
            Some(Export::Unlimited) => "any amount".to_owned(),
            Some(Export::Limited(limit)) => match (limit.rows, limit.bytes) {
                (Some(0), _) | (_, Some(0)) => "nothing".to_owned(),
                (rows, bytes) => {
                    let rows = rows.map(|rows| format!("{rows} rows"));
                    let bytes = bytes.map(|bytes| format!("{bytes} bytes"));
                    format!(
                        "at most {} under one grant",
                        rows.into_iter().chain(bytes).collect::<Vec<_>>().join(" and ")
                    )
                }
            },
        },
        labels: class.labels.clone(),
    }
}

fn proof(checkpoint: Option<String>, last_record: u64, since: Timestamp, until: Timestamp) -> Proof {
    let search =
        format!("pgward audit search --database DATABASE --relation SCHEMA.NAME --since {since} --until {until}");
    let recount = [
        "pgward audit verify".to_owned(),
        format!("{search} --event statement --verdict allow"),
        format!("{search} --event statement --verdict deny"),
        "pgward audit prove RECORD".to_owned(),
    ];
    Proof { checkpoint, last_record, recount: recount.to_vec() }
}
