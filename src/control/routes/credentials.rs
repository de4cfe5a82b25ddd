//! Minting database passwords. The password is answered once and kept nowhere; of it only the verifier is stored.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::access::Secret;
use crate::audit::Event;
use crate::control::api::{CredentialView, NewCredential};
use crate::control::auth::Caller;
use crate::control::directory::Database;
use crate::control::extract::Body;
use crate::control::problem::Problem;
use crate::control::server::Shared;
use crate::store::Credential;

/// Mints the caller's password for one database. It is of no use without a live grant.
#[utoipa::path(
    post, path = "/v1/credentials", tag = "credentials", request_body = NewCredential,
    responses((status = 201, body = CredentialView), (status = "default", body = Problem))
)]
pub async fn mint(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Body(new): Body<NewCredential>,
) -> Result<(StatusCode, Json<CredentialView>), Problem> {
    let view = shared.act(mint_now(Arc::clone(&shared), caller, new.database)).await?;
    Ok((StatusCode::CREATED, Json(view)))
}

async fn mint_now(shared: Arc<Shared>, caller: Caller, database: String) -> Result<CredentialView, Problem> {
    let _turn = shared.desk.turn().await;
    let directory = shared.directory.load_full();
    let database = directory.database(&database).ok_or_else(|| {
        Problem::not_found(
            format!("there is no database \"{}\"", database.escape_debug()),
            "the databases stand in /v1/whoami",
        )
    })?;
    let now = shared.clock.now();
    let password = password()?;
    let name = database.logical_name();
    let verifier = verifier(&shared, &caller, name, &password).await?;
    let expires_at = now.saturating_add(shared.settings.credential_ttl).unwrap_or(jiff::Timestamp::MAX);
    let credential = Credential {
        principal: caller.name().to_owned(),
        database: name.to_owned(),
        verifier,
        created_at: now,
        expires_at,
    };
    let mut record = shared.record_by(Event::CredentialMinted, &caller);
    record.database = Some(name.to_owned());
    record.detail = Some(format!("good until {expires_at}"));
    shared.journal.record(record.clone()).await?;
    if let Err(error) = shared.store.add_credential(&credential).await {
        return Err(shared.failed(&record, error).await);
    }
    Ok(view(caller.name(), password, database, expires_at))
}

/// With the salt of the caller's other verifiers for this database: the handshake has to name one salt before it knows
/// which of the passwords the client holds.
async fn verifier(shared: &Arc<Shared>, caller: &Caller, database: &str, password: &str) -> Result<String, Problem> {
    let stable = shared.directory.load().user(caller.name()).and_then(|user| user.scram.clone());
    let like = match stable {
        Some(stable) => Some(stable),
        None => {
            let live = shared.store.credentials(caller.name(), database, shared.clock.now()).await?;
            live.into_iter().next().map(|credential| Secret::new(credential.verifier))
        }
    };
    let (derive, user, password) =
        (Arc::clone(&shared.derive_verifier), caller.name().to_owned(), Secret::new(password));
    // Thousands of hash rounds: not on the reactor's threads.
    let derived =
        tokio::task::spawn_blocking(move || derive(&user, password.expose(), like.as_ref().map(Secret::expose))).await;
    match derived {
        Ok(Ok(verifier)) => Ok(verifier),
        Ok(Err(error)) => {
            tracing::error!(%error, "a verifier could not be derived");
            Err(Problem::internal())
        }
        Err(error) => {
            tracing::error!(%error, "the derivation of a verifier did not end");
            Err(Problem::internal())
        }
    }
}

/// 32 random bytes in letters that need no quoting in a URI.
fn password() -> Result<String, Problem> {
    let mut bytes = [0_u8; 32];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| {
        tracing::error!("the system gives no random bytes");
        Problem::internal()
    })?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

fn view(user: &str, password: String, database: &Database, expires_at: jiff::Timestamp) -> CredentialView {
    CredentialView {
        dsn: format!(
            "postgresql://{}:{}@{}:{}/{}?sslmode=verify-full",
            percent(user),
            password,
            uri_host(&database.host),
            database.port,
            percent(&database.name),
        ),
        user: user.to_owned(),
        password,
        host: database.host.clone(),
        port: database.port,
        database: database.name.clone(),
        expires_at,
    }
}

/// An IPv6 address stands in brackets.
fn uri_host(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

/// RFC 3986: everything but unreserved characters is encoded.
fn percent(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::access::Region;

    #[test]
    fn the_dsn_survives_odd_names() {
        let database =
            Database { name: "my shop".to_owned(), region: Region::new("us"), host: "::1".to_owned(), port: 6432 };
        let view = view("o'brien@x", "secret".to_owned(), &database, jiff::Timestamp::UNIX_EPOCH);
        assert_eq!(view.dsn, "postgresql://o%27brien%40x:secret@[::1]:6432/my%20shop?sslmode=verify-full");
        assert!(!format!("{view:?}").contains("secret"));
    }

    #[test]
    fn passwords_are_long_and_differ() {
        let (one, other) = (password().unwrap(), password().unwrap());
        assert_eq!(one.len(), 43);
        assert_ne!(one, other);
    }
}
