//! Legal holds on rows: placed between batches, so that a hold that stands is one that no batch has passed by.

use std::sync::Arc;

use super::{Keeper, told};
use crate::access::ObjectPattern;
use crate::audit::{Event, Record};
use crate::control::retention::{Asker, DataHoldView, NewDataHold, RetentionError};
use crate::retention::{Facts, Hold, HoldsTurn, Relation};
use crate::store::StoreError;

impl Keeper {
    /// The holds on a database's rows.
    pub(super) async fn standing(&self, database: &str) -> Result<Vec<Hold>, RetentionError> {
        self.parts.store.data_holds(Some(database)).await.map_err(failed)
    }

    pub(super) async fn all_holds(&self) -> Result<Vec<Hold>, RetentionError> {
        self.parts.store.data_holds(None).await.map_err(failed)
    }

    pub(super) async fn place_hold(&self, new: NewDataHold, asker: Asker) -> Result<DataHoldView, RetentionError> {
        let on = relation(&new.on)?;
        self.check_target(&new, &on).await?;
        let hold = Hold {
            id: format!("dh_{}", uuid::Uuid::now_v7().simple()),
            database: new.database,
            on,
            rows: new.rows.map(|rows| rows.trim().to_owned()),
            reason: new.reason,
            by: asker.principal.name.clone(),
            placed: self.parts.clock.now(),
        };
        let _turn = self.holds_turn().await.map_err(failed)?;
        self.record(Event::DataHoldPlaced, &hold, &hold.reason, &asker).await?;
        self.parts.store.place_data_hold(&hold).await.map_err(failed)?;
        Ok(told::hold(hold))
    }

    pub(super) async fn release_hold(
        &self,
        id: &str,
        reason: &str,
        asker: Asker,
    ) -> Result<DataHoldView, RetentionError> {
        let _turn = self.holds_turn().await.map_err(failed)?;
        let standing = self.all_holds().await?.into_iter().find(|hold| hold.id == id);
        let hold =
            standing.ok_or_else(|| RetentionError::NotFound(format!("there is no hold \"{}\"", id.escape_debug())))?;
        self.record(Event::DataHoldReleased, &hold, reason, &asker).await?;
        let released = self.parts.store.release_data_hold(id, self.parts.clock.now()).await.map_err(failed)?;
        Ok(told::hold(released))
    }

    /// Nothing is erased while a hold is placed or released, on any replica.
    pub(super) async fn holds_turn(&self) -> Result<HoldsTurn, StoreError> {
        let here = Arc::clone(&self.holds).lock_owned().await;
        Ok(match &self.parts.replicas {
            None => Box::new(here),
            Some(replicas) => Box::new((replicas.alone("retention batch or hold").await?, here)),
        })
    }

    /// A hold on what is not there would hold nothing, and nobody would know.
    async fn check_target(&self, new: &NewDataHold, on: &Relation) -> Result<(), RetentionError> {
        let databases = self.parts.databases.load_full();
        let routes = databases.values().filter(|settings| settings.policy.name == new.database);
        let mut routes: Vec<String> = routes.map(|settings| settings.route.clone()).collect();
        routes.sort();
        if routes.is_empty() {
            let database = new.database.escape_debug();
            return Err(RetentionError::NotFound(format!("database \"{database}\" is not configured")));
        }
        for route in routes {
            let client = self.connect(&route, true).await?;
            let facts = Facts::read(&client).await.map_err(|error| super::unavailable(&route, &error))?;
            let table = facts.table(on);
            let table = table.ok_or_else(|| RetentionError::Invalid(format!("\"{route}\" has no table {on}")))?;
            if !["r", "p"].contains(&table.kind.as_str()) {
                return Err(RetentionError::Invalid(format!("{on} is no table")));
            }
            // Rows of a partition go as rows of the whole.
            if table.is_partition {
                return Err(RetentionError::Invalid(format!(
                    "{on} is a partition: hold rows of the table that it is part of"
                )));
            }
            if let Some(rows) = &new.rows {
                let checked = self.check_condition(&route, on, rows).await?;
                checked.map_err(|error| RetentionError::Invalid(format!("where: {error}")))?;
            }
        }
        Ok(())
    }

    async fn record(&self, event: Event, hold: &Hold, reason: &str, asker: &Asker) -> Result<(), RetentionError> {
        let mut record = Record::new(self.parts.clock.now(), event);
        record.principal = Some(asker.principal.name.clone());
        record.groups.clone_from(&asker.principal.groups);
        record.client_addr = Some(asker.address.clone());
        record.database = Some(hold.database.clone());
        record.reason = Some(reason.to_owned());
        let rows = hold.rows.as_deref().map_or_else(|| "all rows".to_owned(), |rows| format!("rows where {rows}"));
        record.detail = Some(format!("hold {}: {rows} of {}", hold.id, hold.on));
        let recorded = self.parts.journal.record(record).await;
        recorded.map(|_| ()).map_err(|error| RetentionError::Unavailable(error.to_string()))
    }
}

fn relation(text: &str) -> Result<Relation, RetentionError> {
    match ObjectPattern::parse(text).map_err(RetentionError::Invalid)? {
        ObjectPattern { schema: Some(schema), name: Some(name) } => Ok(Relation { schema, name }),
        ObjectPattern { .. } => Err(RetentionError::Invalid(format!("\"{text}\" names no single table"))),
    }
}

fn failed(error: StoreError) -> RetentionError {
    RetentionError::Unavailable(error.to_string())
}
