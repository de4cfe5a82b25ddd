//! Who may log in from where, where the database lets it be read.

use crate::session::{SideClient, SideRow};
use crate::standing::{LoginRule, Logins};

const ASKED: &str = "SELECT line_number, coalesce(type, '?'), coalesce(database, '{}'), coalesce(user_name, '{}'),
    coalesce(address, '') || coalesce('/' || nullif(netmask, ''), ''), coalesce(auth_method, '?'), error
    FROM pg_catalog.pg_hba_file_rules ORDER BY line_number";

/// Reads `pg_hba.conf` as the server understands it: for superusers, and whom they let.
pub(super) async fn read(client: &SideClient) -> Logins {
    let rows = match client.query(ASKED, &[]).await {
        Ok(rows) => rows,
        Err(error) => {
            let said = error.as_db_error().map_or_else(|| error.to_string(), |said| said.message().to_owned());
            let unreadable =
                format!("pg_hba_file_rules cannot be read ({said}): who may log in from where is not known");
            return Logins { unreadable: Some(unreadable), rules: Vec::new() };
        }
    };
    Logins { unreadable: None, rules: rows.iter().filter_map(rule).collect() }
}

fn rule(row: &SideRow) -> Option<LoginRule> {
    let (kind, method): (String, String) = (row.try_get(1).ok()?, row.try_get(5).ok()?);
    let error: Option<String> = row.try_get(6).ok()?;
    let is_plain = !matches!(kind.as_str(), "local" | "hostssl" | "hostgssenc");
    let warning = match (error, method.as_str()) {
        (Some(error), _) => Some(format!("the server does not understand this line: {error}")),
        (None, "trust") => Some("nobody is asked for anything".to_owned()),
        (None, "password") if is_plain => Some("passwords may travel in clear".to_owned()),
        (None, "md5") => Some("md5 passwords are weak".to_owned()),
        (None, _) => None,
    };
    Some(LoginRule {
        line: row.try_get(0).ok()?,
        kind,
        databases: row.try_get(2).ok()?,
        users: row.try_get(3).ok()?,
        address: row.try_get(4).ok()?,
        method,
        warning,
    })
}
