//! Wall three's part in a verdict: an allowed statement goes only after the session's own role was given the grant.

use super::{Judge, Judged, Refused};
use crate::policy::{Denial, Rule};

impl Judge {
    /// Has the session's own role hold the grant that allows a statement, before the statement goes.
    pub(super) async fn lend(&self, judged: &Judged) -> Result<(), Refused> {
        let Some(role) = &self.role else { return Ok(()) };
        let id = judged.permit.grant();
        let grants = &self.view.context.grants;
        let refused = || Refused { denial: not_lent(), footprint: judged.footprint.clone() };
        let grant = grants.iter().find(|grant| grant.id == *id).ok_or_else(refused)?;
        role.ready(grant, &self.database.catalogs).await.map_err(|error| {
            tracing::error!(role = role.name(), grant = %id, %error, "a session's role cannot be given its grant");
            refused()
        })
    }
}

fn not_lent() -> Denial {
    Denial {
        rule: Rule::Unresolved,
        message: "the session's role in the database cannot be given the grant's privileges now".to_owned(),
        detail: "A statement goes only after the role that it runs as was given what the grant allows.".to_owned(),
        hint: Some("Try again; if it stays so, tell those who run pgward.".to_owned()),
    }
}
