//! The commands and their flags.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use jiff::Timestamp;

use super::duration;
use crate::access::RequestState;
use crate::control::api::VerdictWord;

/// Just-in-time access to PostgreSQL.
#[derive(Debug, Parser)]
#[command(name = "pgward", version, about, max_term_width = 100, propagate_version = true)]
pub struct Arguments {
    #[command(flatten)]
    pub options: Options,
    #[command(subcommand)]
    pub command: Command,
}

/// Flags of every command that talks to the control port. Flags win over the environment, and that over the login file.
#[derive(Clone, Default, Args)]
pub struct Options {
    /// The control port [default: that of the login, or https://127.0.0.1:6443]
    #[arg(long, global = true, env = "PGWARD_URL", value_name = "URL", help_heading = "Connection")]
    pub url: Option<String>,
    /// The control token [default: that of the login]
    #[arg(long, global = true, env = "PGWARD_TOKEN", hide_env_values = true, help_heading = "Connection")]
    pub token: Option<String>,
    /// The certificate authority of the control port, PEM [default: that of the login, or the system's]
    #[arg(long, global = true, env = "PGWARD_CA", value_name = "FILE", help_heading = "Connection")]
    pub ca: Option<PathBuf>,
    /// How answers are printed: for people, or as one JSON document
    #[arg(short, long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: Format,
}

impl std::fmt::Debug for Options {
    /// Leaves the token out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options").field("url", &self.url).field("ca", &self.ca).finish_non_exhaustive()
    }
}

/// For people, or for programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    #[default]
    Table,
    // One document on stdout and nothing else.
    Json,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the proxy and the control port
    Serve {
        #[arg(long, value_name = "FILE", default_value = "proxy.toml")]
        config: PathBuf,
    },
    /// Validate a configuration and reach each upstream
    Check {
        #[arg(long, value_name = "FILE", default_value = "proxy.toml")]
        config: PathBuf,
    },
    /// Make a control token, and the hash to put into proxy.toml
    Token,
    /// Keep URL, CA and token, and write pg_service.conf entries
    Login {
        /// The control port: https://HOST:PORT
        #[arg(value_name = "URL")]
        address: String,
    },
    /// Ask for access to a scope
    Request(RequestArguments),
    /// List requests, oldest first
    Requests {
        /// Only those in this state
        #[arg(long, value_parser = request_state)]
        state: Option<RequestState>,
    },
    /// Say yes to a request
    Approve {
        id: String,
        #[arg(long)]
        note: Option<String>,
    },
    /// Say no to a request
    Deny {
        id: String,
        /// Why
        #[arg(long)]
        note: String,
    },
    /// Take back a pending request of your own
    Withdraw { id: String },
    /// List the scopes that you may ask for or decide on
    Scopes,
    /// List live grants
    Grants {
        /// Those that are over, too
        #[arg(long)]
        all: bool,
    },
    /// End a grant now
    Revoke {
        grant: String,
        #[arg(long)]
        reason: Option<String>,
    },
    /// Mint your password for a database
    Credentials { database: String },
    /// Mint a password and run psql with it
    Connect {
        database: String,
        /// Passed on to psql
        #[arg(last = true, value_name = "PSQL ARGUMENTS")]
        psql: Vec<std::ffi::OsString>,
    },
    /// List live sessions
    Sessions,
    /// End a session now
    Kill {
        session: String,
        #[arg(long)]
        reason: Option<String>,
    },
    /// Say what the verdict on a statement would be, running nothing
    Explain {
        database: String,
        /// Somebody else; for administrators and auditors
        #[arg(long)]
        user: Option<String>,
        /// The statement; `-` reads it from stdin
        sql: String,
    },
    /// Read and prove the journal
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Print a completion script
    Completions { shell: clap_complete::Shell },
    /// Make certificates for development
    #[command(hide = true)]
    DevCerts {
        dir: PathBuf,
        /// Names and addresses of the server besides localhost
        #[arg(long = "host")]
        hosts: Vec<String>,
        /// Make a client's certificate, too, for this user
        #[arg(long)]
        client: Option<String>,
    },
}

#[derive(Debug, Args)]
pub struct RequestArguments {
    /// What to ask for: one of `pgward scopes`
    pub scope: String,
    /// For how long: 45s, 30m, 1h30m, 2d
    #[arg(long = "for", value_name = "DURATION", value_parser = duration::parse)]
    pub duration: Duration,
    /// Why, for the approvers and the journal
    #[arg(long)]
    pub reason: String,
    /// Where it is talked about
    #[arg(long)]
    pub ticket: Option<String>,
    /// Not before this instant (RFC 3339) [default: at approval]
    #[arg(long, value_name = "TIME")]
    pub starts: Option<Timestamp>,
    /// Only this one statement
    #[arg(long, value_name = "SQL")]
    pub statement: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Print the records that meet all conditions, newest last, one JSON document a line
    Search(SearchArguments),
    /// Print new records as they come, one JSON document a line
    Tail(SearchArguments),
    /// Tell one statement's story
    Show {
        /// A record's number, a session, or a fingerprint
        record: String,
    },
    /// Prove that the journal is whole
    Verify {
        /// Read this journal directory, without a server
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Print records in another format
    Export {
        #[command(flatten)]
        search: SearchArguments,
        /// A line of cells for each record, a line of JSON, or an event of the Open Cybersecurity Schema Framework
        #[arg(long, value_enum, default_value_t)]
        format: ExportFormat,
        /// Read the journal's own files in this folder, with no server
        #[arg(long, value_name = "FOLDER")]
        dir: Option<PathBuf>,
    },
}

/// What `audit export` writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    // With a header line.
    #[default]
    Csv,
    // One JSON document a line.
    Jsonl,
    // One OCSF event a line.
    Ocsf,
}

#[derive(Clone, Debug, Default, Args)]
pub struct SearchArguments {
    #[arg(long)]
    pub principal: Option<String>,
    #[arg(long)]
    pub database: Option<String>,
    #[arg(long)]
    pub grant: Option<String>,
    #[arg(long)]
    pub session: Option<String>,
    /// schema.name of a relation that the statement touches
    #[arg(long)]
    pub relation: Option<String>,
    #[arg(long, value_parser = verdict)]
    pub verdict: Option<VerdictWord>,
    /// Text that the statement holds
    #[arg(long)]
    pub text: Option<String>,
    /// From this instant on: RFC 3339, or so long ago (15m, 2d)
    #[arg(long, value_name = "TIME", value_parser = duration::instant)]
    pub since: Option<Timestamp>,
    /// Before this instant
    #[arg(long, value_name = "TIME", value_parser = duration::instant)]
    pub until: Option<Timestamp>,
    /// The newest so many
    #[arg(long, value_name = "COUNT")]
    pub limit: Option<usize>,
}

fn verdict(text: &str) -> Result<VerdictWord, String> {
    match text {
        "allow" => Ok(VerdictWord::Allow),
        "deny" => Ok(VerdictWord::Deny),
        _ => Err("`allow` or `deny`".to_owned()),
    }
}

fn request_state(text: &str) -> Result<RequestState, String> {
    let states = [
        RequestState::Pending,
        RequestState::Approved,
        RequestState::Denied,
        RequestState::Withdrawn,
        RequestState::Expired,
    ];
    let found = states.into_iter().find(|state| state.as_str() == text);
    found.ok_or_else(|| "pending, approved, denied, withdrawn or expired".to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &[&str]) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from([&["pgward"], line].concat())
    }

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_of_the_contract_parses() {
        let lines: &[&[&str]] = &[
            &["serve", "--config", "proxy.toml"],
            &["check", "--config", "proxy.toml"],
            &["token", "-o", "json"],
            &["login", "https://127.0.0.1:6443"],
            &["request", "orders-read", "--for", "30m", "--reason", "x"],
            &["request", "s", "--for", "1h", "--reason", "x", "--ticket", "T-1", "--starts", "2026-11-22T10:00:00Z"],
            &["request", "s", "--for", "1h", "--reason", "x", "--statement", "select 1"],
            &["requests"],
            &["requests", "--state", "pending"],
            &["approve", "req_1"],
            &["approve", "req_1", "--note", "fine"],
            &["deny", "req_1", "--note", "no"],
            &["withdraw", "req_1"],
            &["scopes"],
            &["grants"],
            &["revoke", "gr_1", "--reason", "over"],
            &["credentials", "shop"],
            &["connect", "shop"],
            &["connect", "shop", "--", "-c", "select 1"],
            &["sessions"],
            &["kill", "se_1"],
            &["explain", "shop", "--user", "alice", "select 1"],
            &["audit", "search", "--principal", "a", "--database", "d", "--grant", "g", "--session", "s"],
            &["audit", "search", "--relation", "public.t", "--verdict", "deny", "--text", "x", "--limit", "5"],
            &["audit", "search", "--since", "1h", "--until", "2026-11-22T10:00:00Z"],
            &["audit", "tail"],
            &["audit", "show", "12"],
            &["audit", "verify", "--dir", "var/audit"],
            &["audit", "export", "--format", "csv"],
            &["completions", "bash"],
            &["dev-certs", "certs"],
            &["--url", "https://h:1", "--token", "t", "--ca", "c", "-o", "json", "grants"],
        ];
        for line in lines {
            assert!(parse(line).is_ok(), "{line:?}: {:?}", parse(line).err());
        }
    }

    #[test]
    fn what_is_left_out_or_odd_is_a_usage_error() {
        let lines: &[&[&str]] = &[
            &[],
            &["request", "s", "--reason", "x"],
            &["request", "s", "--for", "30", "--reason", "x"],
            &["request", "s", "--for", "1h", "--reason", "x", "--starts", "tomorrow"],
            &["deny", "req_1"],
            &["grants", "-o", "yaml"],
            &["audit", "search", "--verdict", "maybe"],
            &["nonsense"],
        ];
        for line in lines {
            assert!(parse(line).is_err(), "{line:?}");
        }
    }

    #[test]
    fn psql_arguments_are_passed_on_untouched() {
        let Command::Connect { database, psql } = parse(&["connect", "shop", "--", "-X", "--help"]).unwrap().command
        else {
            panic!("not connect")
        };
        assert_eq!((database.as_str(), psql), ("shop", vec!["-X".into(), "--help".into()]));
    }

    #[test]
    fn the_token_is_not_shown() {
        let arguments = parse(&["--token", "pgw_secret", "grants"]).unwrap();
        assert!(!format!("{arguments:?}").contains("pgw_secret"));
    }
}
