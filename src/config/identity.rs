//! `[[identity.issuer]]`: whose tokens are taken in place of a password, and how.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::files::{FileKind, FileUse};
use super::reader::{Table, Text};

/// A clock that is further off than this is wrong.
const MAX_LEEWAY: Duration = Duration::from_secs(300);

/// One `[[identity.issuer]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    /// Where it is, and the `iss` of its tokens.
    pub issuer: String,
    pub audience: String,
    /// Where its keys are; where it is not said, the issuer's own configuration says it.
    pub jwks_url: Option<String>,
    /// Who signs its certificate.
    pub ca: Option<PathBuf>,
    pub principal_claim: String,
    pub groups_claim: Option<String>,
    pub algorithms: Vec<TokenAlgorithm>,
    pub leeway: Duration,
    pub scope: String,
}

/// How tokens may be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenAlgorithm {
    Rs256,
    Es256,
    EdDsa,
}

/// How a user logs in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Login {
    /// By a password: a minted one, or the stable one.
    #[default]
    Password,
    /// By a token of this issuer, with OAUTHBEARER.
    Oauth(String),
    /// By a token of this issuer in place of the password.
    TokenAsPassword(String),
}

pub(super) fn issuers(root: &Table<'_>, directory: &Path, files: &mut Vec<FileUse>) -> Vec<Issuer> {
    let Some(identity) = root.table("identity") else { return Vec::new() };
    identity.allow(&["issuer"]);
    let mut issuers: Vec<Issuer> = Vec::new();
    for table in identity.tables("issuer") {
        let Some(issuer) = issuer(&table, directory, files) else { continue };
        if issuers.iter().any(|known| known.issuer == issuer.issuer) {
            table.refuse("issuer", format!("{} is an issuer already", issuer.issuer));
        }
        issuers.push(issuer);
    }
    issuers
}

/// What is said of every provider's tokens.
pub(super) const TOKEN_KEYS: [&str; 7] =
    ["issuer", "jwks_url", "ca", "principal_claim", "groups_claim", "algorithms", "leeway"];

fn issuer(table: &Table<'_>, directory: &Path, files: &mut Vec<FileUse>) -> Option<Issuer> {
    table.allow(&[TOKEN_KEYS.as_slice(), &["audience", "scope"]].concat());
    let audience = table.required_text("audience").and_then(|text| text.read(check_word));
    let scope = table.text("scope").and_then(|text| text.read(check_word));
    let issuer = tokens(table, audience, directory, files)?;
    Some(Issuer { scope: scope.unwrap_or(issuer.scope), ..issuer })
}

/// A provider whose tokens have to be for this audience.
pub(super) fn tokens(
    table: &Table<'_>,
    audience: Option<String>,
    directory: &Path,
    files: &mut Vec<FileUse>,
) -> Option<Issuer> {
    let issuer = table.required_text("issuer").and_then(|text| text.read(check_url));
    let jwks_url = table.text("jwks_url").and_then(|text| text.read(check_url));
    let ca = table.text("ca").map(|text| FileUse::add(files, &text, directory, FileKind::Plain));
    let word = |key: &str| table.text(key).and_then(|text| text.read(check_word));
    let leeway = match table.text("leeway") {
        None => Duration::from_secs(30),
        Some(text) => text.read(super::parse_duration).unwrap_or_default(),
    };
    if leeway > MAX_LEEWAY {
        table.refuse("leeway", "must be \"5m\" or less");
    }
    let algorithms = match table.some_texts("algorithms") {
        None => vec![TokenAlgorithm::Rs256, TokenAlgorithm::Es256, TokenAlgorithm::EdDsa],
        Some(texts) => texts.iter().filter_map(|text| text.read(algorithm)).collect(),
    };
    Some(Issuer {
        issuer: issuer?,
        audience: audience?,
        jwks_url,
        ca,
        principal_claim: word("principal_claim").unwrap_or_else(|| "sub".to_owned()),
        groups_claim: word("groups_claim"),
        algorithms,
        leeway,
        scope: "openid".to_owned(),
    })
}

fn algorithm(text: &str) -> Result<TokenAlgorithm, String> {
    match text {
        "RS256" => Ok(TokenAlgorithm::Rs256),
        "ES256" => Ok(TokenAlgorithm::Es256),
        "EdDSA" => Ok(TokenAlgorithm::EdDsa),
        _ => Err(format!("\"{text}\" is not accepted; one of RS256, ES256, EdDSA")),
    }
}

fn check_url(text: &str) -> Result<String, String> {
    if text.starts_with("https://") && !text.contains(['?', '#', ' ']) && !text.chars().any(char::is_control) {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is not an HTTPS URL without query and fragment"))
    }
}

pub(super) fn check_word(text: &str) -> Result<String, String> {
    if text.is_empty() || text.chars().any(char::is_control) {
        Err(format!("{text:?} is not a value"))
    } else {
        Ok(text.to_owned())
    }
}

/// `login` and `issuer` of a `[[user]]`.
pub(super) fn login(table: &Table<'_>, issuers: &[Issuer]) -> Login {
    type Make = Option<fn(String) -> Login>;
    let choices: [(&str, Make); 3] =
        [("password", None), ("oauth", Some(Login::Oauth)), ("token-as-password", Some(Login::TokenAsPassword))];
    let issuer = table.text("issuer");
    let make = table.text("login").and_then(|text| text.choose(&choices)).flatten();
    let Some(make) = make else {
        if let Some(issuer) = issuer {
            issuer.place.refuse("goes with login = \"oauth\" or \"token-as-password\" only");
        }
        return Login::Password;
    };
    match (issuer, issuers) {
        (Some(issuer), _) => make(named(&issuer, issuers)),
        (None, [only]) => make(only.issuer.clone()),
        (None, []) => {
            table.refuse("login", "there is no [[identity.issuer]] whose tokens could be taken");
            Login::Password
        }
        (None, _) => {
            table.refuse("login", "there are several [[identity.issuer]]; name one of them as `issuer`");
            Login::Password
        }
    }
}

fn named(text: &Text<'_>, issuers: &[Issuer]) -> String {
    let known: Vec<String> = issuers.iter().map(|issuer| issuer.issuer.clone()).collect();
    text.is_known("issuer", &known);
    text.value.to_owned()
}
