//! What `scripts/install-servers.sh` installs: servers of other versions than the machine's, and a client with libpq 18.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folders of server programs, by major version; the first that is found of each.
pub fn installed() -> BTreeMap<u32, PathBuf> {
    let mut folders = Vec::new();
    let mut parents = vec![PathBuf::from("/usr/lib/postgresql"), PathBuf::from("/var/cache/pgward/postgresql")];
    parents.extend(own_cache().map(|cache| cache.join("postgresql")));
    for parent in parents {
        folders.extend(std::fs::read_dir(parent).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())));
    }
    if let Ok(listed) = std::env::var("PGWARD_TEST_SERVERS") {
        folders.extend(listed.split(':').map(PathBuf::from));
    }
    let mut found = BTreeMap::new();
    for programs in folders.into_iter().map(|folder| folder.join("bin")) {
        if let Some(major) = major(&programs.join("postgres")) {
            found.entry(major).or_insert(programs);
        }
    }
    found
}

/// Where `scripts/install-servers.sh` keeps what it installs for somebody who is not root.
fn own_cache() -> Option<PathBuf> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home)?;
    Some(cache.join("pgward"))
}

/// psycopg with libpq 18: what goes into `PYTHONPATH`.
#[allow(dead_code, reason = "each test takes what it needs of this")]
pub fn libpq18() -> PathBuf {
    let root = PathBuf::from("/var/cache/pgward/libpq18");
    let own = own_cache().map(|cache| cache.join("libpq18")).filter(|path| path.is_dir());
    own.unwrap_or(root)
}

/// `postgres (PostgreSQL) 15.18 (Debian …)`
fn major(program: &Path) -> Option<u32> {
    let output = Command::new(program).arg("--version").output().ok()?;
    String::from_utf8(output.stdout).ok()?.split_whitespace().nth(2)?.split('.').next()?.parse().ok()
}
