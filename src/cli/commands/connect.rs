//! `connect`: mints a password and becomes `psql` with it.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use super::credentials::mint;
use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::control::api::CredentialView;

/// Replaces this process by `psql`. The password goes through the environment: argv is for all to see, a password file
/// would outlive the process that is to remove it, and libpq takes neither a pipe nor a descriptor. The environment of a
/// process is open to its own user and root alone, who could as well ask for a password themselves; and the password is
/// good for nothing once the grant has ended.
pub async fn connect(client: &Client, database: String, arguments: &[OsString]) -> Result<(), Failure> {
    let minted = mint(client, database).await?;
    let mut psql = prepare(client, &minted, arguments);
    output::notice(&format!("connecting as {} to {} through pgward", minted.user, minted.database));
    // Only answers where psql could not be started.
    let error = psql.exec();
    Err(Failure::new(format!("psql cannot be started: {error}"), "install it: apt-get install postgresql-client"))
}

fn prepare(client: &Client, minted: &CredentialView, arguments: &[OsString]) -> Command {
    let mut psql = Command::new("psql");
    psql.args(arguments)
        .env("PGHOST", &minted.host)
        .env("PGPORT", minted.port.to_string())
        .env("PGDATABASE", &minted.database)
        .env("PGUSER", &minted.user)
        .env("PGPASSWORD", &minted.password)
        .env("PGSSLMODE", "verify-full");
    if let Some(ca) = &client.target().ca {
        psql.env("PGSSLROOTCERT", ca);
    }
    // What would lead elsewhere; and psql has no use for the control token.
    for name in ["PGSERVICE", "PGHOSTADDR", "PGPASSFILE", "PGREQUIRESSL", "PGWARD_TOKEN"] {
        psql.env_remove(name);
    }
    psql
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::cli::server::Target;

    #[test]
    fn no_secret_is_in_argv_and_tls_is_verified() {
        let target = Target { url: "https://127.0.0.1:6443".to_owned(), token: Some("pgw_token".to_owned()), ca: None };
        let client = Client::new(target).unwrap();
        let minted = CredentialView {
            user: "alice".to_owned(),
            password: "secret".to_owned(),
            host: "127.0.0.1".to_owned(),
            port: 6432,
            database: "shop".to_owned(),
            dsn: String::new(),
            expires_at: jiff::Timestamp::UNIX_EPOCH,
        };
        let psql = prepare(&client, &minted, &["-c".into(), "select 1".into()]);
        assert_eq!(psql.get_args().collect::<Vec<_>>(), ["-c", "select 1"]);
        let value = |name: &str| psql.get_envs().find(|(key, _)| *key == name).and_then(|(_, value)| value);
        assert_eq!(value("PGSSLMODE").unwrap(), "verify-full");
        assert_eq!(value("PGPASSWORD").unwrap(), "secret");
        assert_eq!(value("PGWARD_TOKEN"), None);
    }
}
