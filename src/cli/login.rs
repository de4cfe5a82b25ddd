//! The login file: URL, CA and token of one control port, and by what the token is renewed, readable by its owner alone.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::failure::Failure;

/// What a login keeps.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    pub url: String,
    pub token: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// Where the token is an identity provider's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oidc: Option<Renewal>,
}

/// What a token of an identity provider is renewed by.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Renewal {
    pub issuer: String,
    pub client_id: String,
    pub scope: String,
    /// Where there is none one has to log in again.
    pub refresh_token: Option<String>,
}

impl std::fmt::Debug for Login {
    /// Leaves the token out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("url", &self.url).field("ca", &self.ca).finish_non_exhaustive()
    }
}

impl Login {
    /// The login of this user, where there is one.
    ///
    /// # Errors
    /// Where the file cannot be read, or others can read it, too.
    pub fn read() -> Result<Option<Self>, Failure> {
        match path() {
            Some(path) => Self::read_from(&path),
            None => Ok(None),
        }
    }

    fn read_from(path: &Path) -> Result<Option<Self>, Failure> {
        let again = "log in again: pgward login URL";
        let problem = |what: String| Failure::new(format!("login file {}: {what}", path.display()), again);
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(problem(error.to_string())),
        };
        let mode = fs::metadata(path)?.permissions().mode();
        if mode & 0o077 != 0 {
            let hint = format!("chmod 600 {}", path.display());
            return Err(Failure::new(format!("login file {} can be read by others", path.display()), hint));
        }
        serde_json::from_str(&text).map(Some).map_err(|error| problem(error.to_string()))
    }

    /// Keeps the login, and answers where.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn write(&self) -> Result<PathBuf, Failure> {
        let path = path().ok_or_else(|| Failure::new("there is no home directory", "set HOME or XDG_CONFIG_HOME"))?;
        let text = serde_json::to_string_pretty(self)? + "\n";
        write_private(&path, &text)?;
        Ok(path)
    }
}

/// Held by the one process that renews the login: a refresh token may be good once.
///
/// # Errors
/// Where there is no file to lock.
pub fn lock() -> Result<fs::File, Failure> {
    let path = path().ok_or_else(|| Failure::new("there is no home directory", "set HOME or XDG_CONFIG_HOME"))?;
    let file = fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path.with_extension("lock"))?;
    file.lock()?;
    Ok(file)
}

/// `$XDG_CONFIG_HOME/pgward/login.json`, or below `~/.config`. A relative directory counts for nothing, as the XDG base
/// directory specification has it.
fn path() -> Option<PathBuf> {
    let config = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|dir| dir.is_absolute());
    let config = config.or_else(|| home().map(|home| home.join(".config")))?;
    Some(config.join("pgward").join("login.json"))
}

/// The user's home directory.
pub fn home() -> Option<PathBuf> {
    std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute())
}

/// Replaces a file whole, for its owner alone: who reads it meanwhile sees the old one or the new one. The permissions of
/// an existing file stay as they are where they are narrower.
///
/// # Errors
/// What the file system answers.
pub fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let directory = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    let temporary = directory.join(format!(".{name}.{}", std::process::id()));
    let written = write_new(&temporary, text).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // The first error is the one to tell.
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    // Left by a process of the same number that died; made anew, so that its permissions are ours.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_kept_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pgward").join("login.json");
        assert_eq!(Login::read_from(&path).unwrap(), None);
        let login = Login { url: "https://h:1".to_owned(), token: "pgw_x".to_owned(), ca: None, oidc: None };
        for _ in 0..2 {
            write_private(&path, &serde_json::to_string(&login).unwrap()).unwrap();
        }
        assert_eq!(Login::read_from(&path).unwrap(), Some(login.clone()));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        assert!(!format!("{login:?}").contains("pgw_x"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(Login::read_from(&path).unwrap_err().message.contains("can be read by others"));
    }
}
