//! `pg_service.conf`: an entry for each database, so that `psql service=NAME` works. What others wrote there stays.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use super::failure::Failure;
use super::login::{home, write_private};
use crate::control::api::DatabaseView;

/// What the entries say.
#[derive(Clone, Debug)]
pub struct Services<'a> {
    pub url: &'a str,
    pub user: &'a str,
    pub ca: Option<&'a Path>,
    pub databases: &'a [DatabaseView],
}

/// Writes the entries into the user's service file; answers the file and the services' names.
///
/// # Errors
/// Where the file cannot be read or written.
pub fn update(services: &Services<'_>) -> Result<(PathBuf, Vec<String>), Failure> {
    let path = path().ok_or_else(|| Failure::new("there is no home directory", "set HOME or PGSERVICEFILE"))?;
    // A link, as of a managed dotfile, stays one.
    let path = fs::canonicalize(&path).unwrap_or(path);
    let old = match fs::read_to_string(&path) {
        Ok(old) => old,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => {
            return Err(Failure::new(format!("{}: {error}", path.display()), "correct the file, then log in again"));
        }
    };
    let (new, names) = merge(&old, services);
    if new != old {
        write_private(&path, &new)?;
    }
    Ok((path, names))
}

/// As libpq finds it.
fn path() -> Option<PathBuf> {
    let given = env::var_os("PGSERVICEFILE").map(PathBuf::from).filter(|path| !path.as_os_str().is_empty());
    given.map(|path| super::server::absolute(&path)).or_else(|| home().map(|home| home.join(".pg_service.conf")))
}

/// The file with our entries for this URL put anew. A name that somebody else's entry bears is left to it; ours is then
/// `pgward-NAME`, since libpq takes the first.
fn merge(old: &str, services: &Services<'_>) -> (String, Vec<String>) {
    let (begin, end) = (format!("# pgward: begin {}", services.url), format!("# pgward: end {}", services.url));
    let mut kept = String::new();
    let mut inside = false;
    for line in old.lines() {
        if line.trim() == begin {
            inside = true;
        }
        if !inside {
            kept.push_str(line);
            kept.push('\n');
        }
        if line.trim() == end {
            inside = false;
        }
    }
    let taken = |name: &str| kept.lines().any(|line| line.trim() == format!("[{name}]"));
    let mut names = Vec::new();
    let mut block = String::new();
    for database in services.databases {
        let name = if taken(&database.name) { format!("pgward-{}", database.name) } else { database.name.clone() };
        let ca = services.ca.and_then(Path::to_str).unwrap_or_default();
        let values = [name.as_str(), &database.host, &database.name, services.user, ca];
        if values.iter().any(|value| value.contains(char::is_control)) || name.contains(']') || taken(&name) {
            continue;
        }
        block.push_str(&format!(
            "[{name}]\nhost={}\nport={}\ndbname={}\nuser={}\nsslmode=verify-full\n",
            database.host, database.port, database.name, services.user
        ));
        if !ca.is_empty() {
            block.push_str(&format!("sslrootcert={ca}\n"));
        }
        names.push(name);
    }
    if !kept.is_empty() && !kept.ends_with("\n\n") && !names.is_empty() {
        kept.push('\n');
    }
    let new = if names.is_empty() { kept } else { format!("{kept}{begin}\n{block}{end}\n") };
    (new, names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database(name: &str) -> DatabaseView {
        DatabaseView { name: name.to_owned(), region: "us".to_owned(), host: "127.0.0.1".to_owned(), port: 6432 }
    }

    #[test]
    fn entries_are_put_once_and_others_stay() {
        let databases = [database("shop"), database("mine")];
        let services =
            Services { url: "https://h:1", user: "alice", ca: Some(Path::new("/ca.crt")), databases: &databases };
        let old = "[mine]\nhost=elsewhere\n";
        let (once, names) = merge(old, &services);
        assert_eq!(names, ["shop", "pgward-mine"]);
        assert!(once.starts_with("[mine]\nhost=elsewhere\n\n# pgward: begin https://h:1\n[shop]\n"), "{once}");
        assert!(once.contains("\nsslmode=verify-full\nsslrootcert=/ca.crt\n"), "{once}");
        let (twice, names) = merge(&once, &services);
        assert_eq!((twice, names.len()), (once.clone(), 2));
        let fewer = Services { databases: &databases[..1], ..services };
        let (less, _) = merge(&once, &fewer);
        assert!(less.contains("[mine]") && less.contains("[shop]") && !less.contains("[pgward-mine]"), "{less}");
    }

    #[test]
    fn another_control_port_keeps_its_own() {
        let databases = [database("shop")];
        let one = Services { url: "https://one:1", user: "a", ca: None, databases: &databases };
        let (first, _) = merge("", &one);
        let (both, names) = merge(&first, &Services { url: "https://two:1", ..one });
        assert_eq!(names, ["pgward-shop"]);
        assert!(both.starts_with(&first), "{both}");
    }

    #[test]
    fn a_name_cannot_smuggle_lines() {
        let databases = [database("shop\nhost=evil")];
        let (text, names) = merge("", &Services { url: "https://h:1", user: "a", ca: None, databases: &databases });
        assert!(text.is_empty() && names.is_empty());
    }
}
