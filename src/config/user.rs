//! `[[user]]`: who may authenticate, and by what.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::identity::{self, Issuer, Login};
use super::names::{Names, check_name, check_unique};
use super::notify::check_address;
use super::reader::{Table, Text};
use super::sections::region_of;
use super::{Secret, User};
use crate::access::{Principal, TokenHash};

pub(super) fn users(root: &Table<'_>, names: &Names, issuers: &[Issuer]) -> Vec<User> {
    let mut seen = Vec::new();
    let mut tokens: Vec<(TokenHash, Text<'_>)> = Vec::new();
    let mut users = Vec::new();
    for table in root.tables("user") {
        table.allow(&["name", "groups", "token_hash", "scram", "region", "login", "issuer", "email"]);
        let name = table.required_text("name");
        let groups = table.texts("groups").unwrap_or_default();
        let groups: Vec<String> = groups.iter().filter_map(|text| text.read(check_name)).collect();
        let token_hash = table.text("token_hash").and_then(|text| {
            let hash = text.read(TokenHash::parse)?;
            // Two users with one token could not be told apart, and one could approve what the other asked for.
            if let Some((_, earlier)) = tokens.iter().find(|(other, _)| *other == hash) {
                text.place.refuse(format!("this token is another user's already, in line {}", earlier.place.line()));
            }
            tokens.push((hash.clone(), text));
            Some(hash)
        });
        let scram = table.text("scram").and_then(|text| text.read(check_verifier));
        let login = identity::login(&table, issuers);
        if login != Login::Password && scram.is_some() {
            table.refuse("scram", "is a password, and this user logs in by tokens");
        }
        let email = table.text("email").and_then(|text| text.read(check_address));
        let region = region_of(&table, names);
        let Some(name) = name else { continue };
        check_unique(&mut seen, &name);
        let Some(name) = name.read(check_name) else { continue };
        users.push(User { principal: Principal { name, groups, region }, token_hash, scram, email, login });
    }
    users
}

/// The shape of a verifier as PostgreSQL stores it: `SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey`. The text is never
/// repeated in an error.
fn check_verifier(text: &str) -> Result<Secret, &'static str> {
    const EXPECTED: &str =
        "expected a verifier as in pg_authid.rolpassword: SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey";
    let rest = text.strip_prefix("SCRAM-SHA-256$").ok_or(EXPECTED)?;
    let (salting, keys) = rest.split_once('$').ok_or(EXPECTED)?;
    let (iterations, salt) = salting.split_once(':').ok_or(EXPECTED)?;
    let (stored, server) = keys.split_once(':').ok_or(EXPECTED)?;
    let bytes = |text: &str| STANDARD.decode(text).map_err(|_| EXPECTED);
    let iterations: u32 = iterations.parse().map_err(|_| EXPECTED)?;
    if iterations == 0 || bytes(salt)?.is_empty() || bytes(stored)?.len() != 32 || bytes(server)?.len() != 32 {
        return Err(EXPECTED);
    }
    Ok(Secret::new(text))
}
