//! `sessions`, `kill`.

use super::or_dash;
use crate::cli::args::Format;
use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::control::api::{Killed, Reason, SessionView};

pub async fn list(client: &Client, format: Format) -> Result<(), Failure> {
    let sessions: Vec<SessionView> = client.get(&["sessions"], &()).await?;
    match format {
        Format::Json => output::json(&sessions),
        Format::Table => {
            let several = sessions.iter().any(|session| session.replica.is_some());
            let headers = [
                "id",
                "principal",
                "database",
                "client",
                "region",
                "application",
                "since",
                "statements",
                "rows",
                "running",
            ];
            let headers: Vec<&str> = headers.into_iter().chain(several.then_some("replica")).collect();
            let rows = sessions.into_iter().map(|session| {
                let replica = several.then(|| or_dash(session.replica.as_deref()));
                let known = vec![
                    session.id,
                    session.principal,
                    session.database,
                    session.client_addr,
                    or_dash(session.client_region.as_deref()),
                    or_dash(Some(&session.application_name)),
                    output::time(session.opened_at),
                    session.statements.to_string(),
                    or_dash(session.rows.map(|rows| rows.to_string()).as_deref()),
                    or_dash(session.statement.as_deref()),
                ];
                known.into_iter().chain(replica).collect()
            });
            output::table("sessions", &headers, rows.collect())
        }
    }
}

pub async fn kill(client: &Client, format: Format, id: &str, reason: Option<String>) -> Result<(), Failure> {
    let killed: Killed = client.post(&["sessions", id, "kill"], &Reason { reason }).await?;
    match format {
        Format::Json => output::json(&killed),
        Format::Table => {
            output::say(&format!("session {} is ended", killed.id))?;
            output::hint("its principal may connect again while a grant lives; end that with: pgward revoke GRANT");
            Ok(())
        }
    }
}
