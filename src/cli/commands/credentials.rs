//! `credentials`: the caller's database password, shown once.

use std::path::Path;

use serde_json::json;

use crate::cli::args::Format;
use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::control::api::{CredentialView, NewCredential};

pub async fn credentials(client: &Client, format: Format, database: String) -> Result<(), Failure> {
    let minted = mint(client, database).await?;
    match format {
        Format::Json => output::json(&json!({
            "user": minted.user,
            "password": minted.password,
            "host": minted.host,
            "port": minted.port,
            "database": minted.database,
            "dsn": minted.dsn,
        })),
        Format::Table => {
            output::fields(&[
                ("user", minted.user),
                ("password", minted.password),
                ("host", minted.host),
                ("port", minted.port.to_string()),
                ("database", minted.database),
                ("dsn", minted.dsn),
            ])?;
            output::hint(&format!(
                "good until {}, and only while a grant lives; it is not shown again",
                output::time(minted.expires_at)
            ));
            Ok(())
        }
    }
}

/// Mints a password; the DSN names the authority that this command line trusts.
pub async fn mint(client: &Client, database: String) -> Result<CredentialView, Failure> {
    let mut minted: CredentialView = client.post(&["credentials"], &NewCredential { database }).await?;
    if let Some(ca) = &client.target().ca {
        minted.dsn.push_str("&sslrootcert=");
        minted.dsn.push_str(&percent(ca));
    }
    Ok(minted)
}

/// A path inside a URI's query.
fn percent(path: &Path) -> String {
    let mut encoded = String::new();
    for byte in path.as_os_str().as_encoded_bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(byte) {
            encoded.push(char::from(*byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_survive_the_dsn() {
        assert_eq!(percent(Path::new("/etc/pg ward/ca&1.crt")), "/etc/pg%20ward/ca%261.crt");
    }
}
