//! The commands and their flags.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use jiff::Timestamp;

use super::duration;
use crate::access::RequestState;
use crate::audit::{Event, RowRange};
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
    Audit(Box<AuditCommand>),
    /// Be a witness of other journals: remember how far each had come, and sign that it only grew
    Witness(WitnessArguments),
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
    Search {
        #[command(flatten)]
        search: SearchArguments,
        /// Read this journal directory, without a server
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Print new records as they come, one JSON document a line
    Tail {
        #[command(flatten)]
        search: SearchArguments,
        /// First the newest so many that are there already
        #[arg(short = 'n', long, value_name = "COUNT")]
        lines: Option<usize>,
        /// Go on with what comes, as tail always does
        #[arg(short, long)]
        follow: bool,
    },
    /// Tell one statement's story
    Show {
        /// A record's number, a session, or a fingerprint
        record: String,
        /// Read this journal directory, without a server
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Print a session as psql would have shown it, without the rows
    Replay {
        session: String,
        /// Read this journal directory, without a server
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Prove that the journal is whole, or check a proof of one record
    Verify(VerifyArguments),
    /// Hand out the proof of one record, which anybody can check who knows the log's verifier key
    Prove(ProveArguments),
    /// Make the key that signs the journal, and print its verifier key
    Key(KeyArguments),
    /// Keep records readable beyond their time
    #[command(subcommand)]
    Hold(HoldCommand),
    /// Erase now what is due; the service does it by itself, time and again
    Purge,
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

/// Legal holds.
#[derive(Clone, Debug, Subcommand)]
pub enum HoldCommand {
    /// Hold the records that meet all conditions, those that are still to come, too
    Place {
        #[command(flatten)]
        search: Box<SearchArguments>,
        /// What they are held for
        #[arg(long)]
        reason: String,
    },
    /// Print the holds that stand
    List,
    /// End a hold: what only it kept is erased
    Release {
        id: String,
        /// Why they need not be held any more
        #[arg(long)]
        reason: String,
    },
}

/// What is verified, and what is known of it.
#[derive(Clone, Debug, Default, Args)]
pub struct VerifyArguments {
    /// Read this journal directory, without a server
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// With --dir: the directory of a region that keeps its records itself; more than once for more regions
    #[arg(long = "region", value_name = "DIR", requires = "dir")]
    pub regions: Vec<PathBuf>,
    /// Check a proof of one record instead
    #[arg(long, value_name = "FILE", conflicts_with = "dir")]
    pub bundle: Option<PathBuf>,
    /// The log's verifier key [default: the one that the directory or the proof names]
    #[arg(long = "vkey", value_name = "VKEY")]
    pub vkeys: Vec<String>,
    /// With --bundle: the verifier key of a witness that must have cosigned
    #[arg(long = "witness", value_name = "VKEY", requires = "bundle")]
    pub witnesses: Vec<String>,
    /// With --dir: a copy that was made without keys/, as an archive is: its texts are not read
    #[arg(long, requires = "dir")]
    pub sealed: bool,
    /// With --dir: a checkpoint that was kept elsewhere, from which the journal must go on
    #[arg(long, value_name = "FILE", requires = "dir")]
    pub checkpoint: Option<PathBuf>,
}

/// Which record is proved, and where the proof goes.
#[derive(Clone, Debug, Args)]
pub struct ProveArguments {
    /// A record's number
    #[arg(value_name = "SEQ")]
    pub record: u64,
    /// Read this journal directory, without a server
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// With --dir: the directory of a region that keeps its records itself
    #[arg(long = "region", value_name = "DIR", requires = "dir")]
    pub regions: Vec<PathBuf>,
    /// Write the proof to this new file [default: stdout]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Where the key is, and what is to become of it.
#[derive(Clone, Debug, Default, Args)]
pub struct KeyArguments {
    /// The configuration that says where the key is
    #[arg(long, value_name = "FILE", default_value = "proxy.toml")]
    pub config: PathBuf,
    /// The key's file, without a configuration
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// The log's name, which a new key is called [default: that of the configuration, or of the journal]
    #[arg(long, value_name = "NAME")]
    pub origin: Option<String>,
    /// Put a new key in the place of the present one, which signs once more
    #[arg(long, conflicts_with_all = ["show", "origin"])]
    pub rotate: bool,
    /// Print the present key's verifier key
    #[arg(long, conflicts_with = "origin")]
    pub show: bool,
}

/// What a witness is started with.
#[derive(Clone, Debug, Args)]
pub struct WitnessArguments {
    /// Where to listen: ADDRESS:PORT
    #[arg(long, value_name = "ADDRESS", required_unless_present = "show")]
    pub listen: Option<std::net::SocketAddr>,
    /// The witness's key; made where there is none
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// What a new key is called [default: a name that nobody else has]
    #[arg(long)]
    pub name: Option<String>,
    /// The verifier key of a log to witness; more than once for more logs, or for one that changed its key
    #[arg(long = "log", value_name = "VKEY", required_unless_present = "show")]
    pub logs: Vec<String>,
    /// Where to remember what was signed
    #[arg(long, value_name = "DIR", required_unless_present = "show")]
    pub state: Option<PathBuf>,
    /// The certificate to show, PEM
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Its key
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Print the witness's verifier key and end
    #[arg(long)]
    pub show: bool,
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
    #[arg(long)]
    pub request: Option<String>,
    /// schema.name of a relation that the statement touches, or its bare name
    #[arg(long)]
    pub relation: Option<String>,
    /// schema.table.column that the statement touches, table.column, or its bare name
    #[arg(long)]
    pub column: Option<String>,
    /// What the statement does: SELECT, UPDATE, …
    #[arg(long)]
    pub kind: Option<String>,
    /// The client's region, the upstream's, or that of the data touched
    #[arg(long)]
    pub region: Option<String>,
    /// What the record speaks of: statement, session_open, grant_created, …
    #[arg(long, value_parser = event)]
    pub event: Option<Event>,
    /// Rows that the statement returned or changed: '>N', '<N', N..M or N
    #[arg(long, value_parser = rows)]
    pub rows: Option<String>,
    #[arg(long)]
    pub fingerprint: Option<String>,
    /// The rule that refused
    #[arg(long)]
    pub rule: Option<String>,
    /// The error that the statement ended with
    #[arg(long)]
    pub sqlstate: Option<String>,
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

fn event(text: &str) -> Result<Event, String> {
    let known = serde_json::from_value(serde_json::Value::from(text.replace('-', "_")));
    known
        .map_err(|_| "an event as records have it: statement, statement_end, session_open, grant_revoked, …".to_owned())
}

fn rows(text: &str) -> Result<String, String> {
    text.parse::<RowRange>().map(|_| text.to_owned())
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
            &["audit", "search", "--request", "r", "--column", "public.t.c", "--kind", "select", "--region", "eu"],
            &["audit", "search", "--event", "session_open", "--rows", ">1000", "--fingerprint", "f", "--rule", "r"],
            &["audit", "search", "--sqlstate", "57014", "--rows", "1..5", "--dir", "var/audit"],
            &["audit", "tail"],
            &["audit", "tail", "-f", "-n", "10", "--verdict", "deny"],
            &["audit", "show", "12"],
            &["audit", "show", "12", "--dir", "var/audit"],
            &["audit", "replay", "se_1", "--dir", "var/audit"],
            &["audit", "verify", "--dir", "var/audit"],
            &["audit", "verify", "--dir", "a", "--region", "b", "--vkey", "v", "--checkpoint", "c"],
            &["audit", "verify", "--bundle", "p.json", "--vkey", "v", "--vkey", "v2", "--witness", "w"],
            &["audit", "prove", "12", "--out", "p.json"],
            &["audit", "prove", "12", "--dir", "a", "--region", "b"],
            &["audit", "key", "--file", "audit.key", "--origin", "pgward/1"],
            &["audit", "key", "--rotate"],
            &["audit", "key", "--show", "--config", "proxy.toml"],
            &["audit", "export", "--format", "csv"],
            &["witness", "--listen", "127.0.0.1:7443", "--key", "w.key", "--log", "v", "--state", "w"],
            &["witness", "--key", "w.key", "--show"],
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
            &["audit", "search", "--event", "birthday"],
            &["audit", "search", "--rows", "many"],
            &["audit", "key", "--show", "--rotate"],
            &["audit", "prove", "se_1"],
            &["audit", "verify", "--bundle", "p", "--dir", "d"],
            &["nonsense"],
            &["witness", "--key", "w.key"],
            &["witness", "--listen", "[::]:1", "--key", "k", "--log", "v", "--state", "w", "--tls-cert", "c"],
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
