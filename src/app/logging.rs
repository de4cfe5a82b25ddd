//! The process's own log, on stderr: `PGWARD_LOG` filters it, `PGWARD_LOG_FORMAT=json` makes it structured.
//! Statements and secrets have no business here; those are the journal's.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// Starts the log. A filter that cannot be read is as good as none.
pub fn start() {
    let filter = EnvFilter::try_from_env("PGWARD_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = if std::env::var("PGWARD_LOG_FORMAT").is_ok_and(|format| format == "json") {
        builder.json().try_init()
    } else {
        builder.with_ansi(std::io::stderr().is_terminal()).with_target(false).try_init()
    };
    // A log that runs already, as in tests, is the right one.
    drop(started);
}
