//! Which control port, with which token and authority: flags over the environment over the login file.

use std::path::{Path, PathBuf};

use super::args::Options;
use super::failure::Failure;
use super::login::Login;
use super::oidc;

/// Where the control port is when nobody says.
pub const DEFAULT_URL: &str = "https://127.0.0.1:6443";

/// One control port and how to speak with it.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    pub url: String,
    pub token: Option<String>,
    /// Absolute.
    pub ca: Option<PathBuf>,
}

impl std::fmt::Debug for Target {
    /// Leaves the token out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Target").field("url", &self.url).field("ca", &self.ca).finish_non_exhaustive()
    }
}

impl Target {
    /// From flags and environment, completed from the login file.
    ///
    /// # Errors
    /// Where the URL is none, or the login file cannot be read.
    pub async fn resolve(options: &Options) -> Result<Self, Failure> {
        let mut login = Login::read()?;
        if given(options.token.as_deref()).is_none() && Self::complete(options, login.clone())?.token.is_some() {
            login = oidc::renewed(login).await?;
        }
        Self::complete(options, login)
    }

    /// What the login keeps is for its own URL: its token is never sent anywhere else.
    fn complete(options: &Options, login: Option<Login>) -> Result<Self, Failure> {
        let given = given(options.url.as_deref()).map(normalise).transpose()?;
        let login = login.filter(|login| given.as_ref().is_none_or(|url| *url == login.url));
        let (url, token, ca) = match login {
            Some(login) => (Some(login.url), Some(login.token), login.ca),
            None => (given, None, None),
        };
        Ok(Self {
            url: url.unwrap_or_else(|| DEFAULT_URL.to_owned()),
            token: super::server::given(options.token.as_deref()).map(str::to_owned).or(token),
            ca: options.ca.as_deref().filter(|ca| !ca.as_os_str().is_empty()).map(absolute).or(ca),
        })
    }
}

/// An empty variable is as good as none.
pub fn given(value: Option<&str>) -> Option<&str> {
    value.map(str::trim).filter(|value| !value.is_empty())
}

/// `https://host:port`, without a path or a slash at its end.
///
/// # Errors
/// Where it is anything else: a token is never sent in the clear.
pub fn normalise(url: &str) -> Result<String, Failure> {
    let wrong = |what: &str| {
        Failure::new(
            format!("`{url}` {what}"),
            format!("give the control port as https://HOST:PORT, such as {DEFAULT_URL}"),
        )
    };
    let parsed = reqwest::Url::parse(url).map_err(|_| wrong("is not a URL"))?;
    if parsed.scheme() != "https" {
        return Err(wrong("is not https"));
    }
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err(wrong("holds a user or password"));
    }
    if parsed.path() != "/" || parsed.query().is_some() || parsed.fragment().is_some() {
        return Err(wrong("has a path"));
    }
    Ok(parsed.as_str().trim_end_matches('/').to_owned())
}

/// The path as other programs, started elsewhere, have to name it.
pub fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn login() -> Option<Login> {
        Some(Login {
            url: "https://kept:6443".to_owned(),
            token: "kept".to_owned(),
            ca: Some("/kept.crt".into()),
            oidc: None,
        })
    }

    fn options(url: Option<&str>, token: Option<&str>, ca: Option<&str>) -> Options {
        Options { url: url.map(Into::into), token: token.map(Into::into), ca: ca.map(Into::into), ..Options::default() }
    }

    #[test]
    fn flags_win_over_the_login_and_its_token_stays_with_its_url() {
        let check = |options: Options, login: Option<Login>, expected: (&str, Option<&str>, Option<&str>)| {
            let target = Target::complete(&options, login).unwrap();
            let ca = target.ca.as_deref().and_then(Path::to_str);
            assert_eq!((target.url.as_str(), target.token.as_deref(), ca), expected);
        };
        check(options(None, None, None), None, (DEFAULT_URL, None, None));
        check(options(None, None, None), login(), ("https://kept:6443", Some("kept"), Some("/kept.crt")));
        check(
            options(Some("https://kept:6443/"), None, None),
            login(),
            ("https://kept:6443", Some("kept"), Some("/kept.crt")),
        );
        check(options(Some("https://other:1"), None, None), login(), ("https://other:1", None, None));
        check(
            options(None, Some("mine"), Some("/my.crt")),
            login(),
            ("https://kept:6443", Some("mine"), Some("/my.crt")),
        );
        check(options(Some(""), Some(" "), Some("")), login(), ("https://kept:6443", Some("kept"), Some("/kept.crt")));
    }

    #[test]
    fn only_plain_https_urls_are_taken() {
        let check = |url: &str, expected: Option<&str>| assert_eq!(normalise(url).ok().as_deref(), expected, "{url}");
        check("https://127.0.0.1:6443", Some("https://127.0.0.1:6443"));
        check("https://[::1]:6443/", Some("https://[::1]:6443"));
        check("http://127.0.0.1:6443", None);
        check("https://user:secret@host", None);
        check("https://host/v1", None);
        check("127.0.0.1:6443", None);
        check("", None);
    }
}
