//! The commands and their flags.

mod audit;
mod retention;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use jiff::Timestamp;

pub use audit::{
    AuditCommand, ExportFormat, HoldCommand, KeyArguments, ProveArguments, SearchArguments, VerifyArguments,
    WitnessArguments,
};

pub use retention::{DataHoldCommand, RetentionCommand};

use super::duration;
use crate::access::RequestState;

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
pub enum ScopesCommand {
    /// Say which scopes were never asked for or used, and the narrowest that would have done
    Suggest {
        /// How many days of the journal are looked at [default: 90]
        #[arg(long)]
        days: Option<u32>,
        /// One scope alone
        #[arg(long)]
        scope: Option<String>,
        /// Print the suggestions for proxy.toml, and nothing else
        #[arg(long)]
        toml: bool,
    },
}

#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Make the tables of a store in PostgreSQL, or bring them up to date, as their owner
    Migrate {
        /// postgresql://OWNER@HOST/DATABASE?sslrootcert=FILE
        url: String,
        /// The file with the owner's password
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
        /// The role that pgward works as: it may use the tables, and not change them
        #[arg(long)]
        role: Option<String>,
    },
    /// Move an installation: copy sqlite://FILE to postgresql://ROLE@HOST/DATABASE
    Copy {
        from: String,
        to: String,
        /// The file with the role's password
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub enum ReportCommand {
    /// Where classified data lies, who touched it from where, what left its region, what was refused
    Residency {
        /// A database, or one of its upstreams (shop@us) [default: all]
        database: Option<String>,
        /// From this instant on [default: 90 days before the end]
        #[arg(long, value_name = "TIME")]
        since: Option<Timestamp>,
        /// Up to this instant [default: now]
        #[arg(long, value_name = "TIME")]
        until: Option<Timestamp>,
        /// Write it as a page to hand on
        #[arg(long, value_name = "FILE")]
        html: Option<PathBuf>,
    },
}

/// `permissions`
#[derive(Debug, Args)]
pub struct PermissionsArguments {
    /// A database, or one of its upstreams (shop@us)
    pub database: String,
    /// How many days of the journal are looked at for use [default: 90]
    #[arg(long)]
    pub days: Option<u32>,
    /// Show what changed since: 7d, or 2026-03-01T12:00:00Z
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Every table, not only those that [[database.data]] classifies
    #[arg(long)]
    pub all: bool,
    /// Print the SQL that would close it, and nothing else
    #[arg(long, conflicts_with = "scope")]
    pub sql: bool,
    /// Print the scopes that would replace it, and nothing else
    #[arg(long)]
    pub scope: bool,
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
    /// Make and move the store that several replicas share
    #[command(subcommand)]
    Store(StoreCommand),
    /// Make a control token, and the hash to put into proxy.toml
    Token,
    /// Keep URL, CA and token, and write pg_service.conf entries
    Login(LoginArguments),
    /// Ask for access to a scope
    Request(RequestArguments),
    /// List requests, oldest first; or show all that one asks for
    Requests {
        /// The request to show
        #[arg(value_name = "REQUEST", conflicts_with = "state")]
        id: Option<String>,
        /// Only those in this state
        #[arg(long, value_parser = request_state)]
        state: Option<RequestState>,
    },
    /// Change a pending request of your own: approvals that it had no longer count
    Edit(EditArguments),
    /// Say yes to a request
    Approve {
        id: String,
        #[arg(long)]
        note: Option<String>,
        /// The digest of what you saw (`pgward requests -o json` shows it): refused where the request was edited since
        #[arg(long)]
        digest: Option<String>,
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
    /// List the scopes that you may ask for or decide on; or judge them by what was done under them
    Scopes {
        #[command(subcommand)]
        command: Option<ScopesCommand>,
    },
    /// Reports to hand on, from the journal
    #[command(subcommand)]
    Report(ReportCommand),
    /// List live grants
    Grants {
        /// Those that are over, too
        #[arg(long)]
        all: bool,
    },
    /// Ask for more time under a grant of your own
    Extend(ExtendArguments),
    /// Open a scope at once, in an emergency, where it names you; others are told, and a review follows
    BreakGlass(BreakGlassArguments),
    /// List the reviews that are owed after emergencies
    Reviews {
        /// Those that are closed, too
        #[arg(long)]
        all: bool,
    },
    /// Close the review of a grant
    Review {
        grant: String,
        /// What was done, and whether it had to be
        #[arg(long)]
        note: String,
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
    /// Say who reaches a database's data without pgward, by which path, and what would close it
    Permissions(PermissionsArguments),
    /// Rows past their time: count them, purge them, hold them
    #[command(subcommand)]
    Retention(RetentionCommand),
    /// List live sessions
    Sessions,
    /// List the principals whose statements are held for unusual access
    Held,
    /// Let a principal's statements run again
    Release {
        principal: String,
        /// What was found
        #[arg(long)]
        reason: Option<String>,
    },
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
pub struct LoginArguments {
    /// The control port: https://HOST:PORT
    #[arg(value_name = "URL")]
    pub address: String,
    /// By the identity provider, in a browser on this machine
    #[arg(long)]
    pub oidc: bool,
    /// By the identity provider, in a browser on any machine
    #[arg(long, conflicts_with = "oidc")]
    pub device: bool,
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
    /// How often that statement may run [default: as often as the time lets it]
    #[arg(long, value_name = "N", requires = "statement")]
    pub uses: Option<u32>,
}

#[derive(Debug, Args)]
pub struct EditArguments {
    pub id: String,
    #[arg(long = "for", value_name = "DURATION", value_parser = duration::parse)]
    pub duration: Option<Duration>,
    #[arg(long)]
    pub reason: Option<String>,
    #[arg(long)]
    pub ticket: Option<String>,
    #[arg(long, value_name = "TIME")]
    pub starts: Option<Timestamp>,
    #[arg(long, value_name = "SQL")]
    pub statement: Option<String>,
    #[arg(long, value_name = "N")]
    pub uses: Option<u32>,
}

#[derive(Debug, Args)]
pub struct BreakGlassArguments {
    /// What to open
    pub scope: String,
    #[arg(long = "for", value_name = "DURATION", value_parser = duration::parse)]
    pub duration: Duration,
    /// Why it cannot wait
    #[arg(long)]
    pub reason: String,
    #[arg(long)]
    pub ticket: Option<String>,
}

#[derive(Debug, Args)]
pub struct ExtendArguments {
    pub grant: String,
    /// After its end
    #[arg(long = "for", value_name = "DURATION", value_parser = duration::parse)]
    pub duration: Duration,
    #[arg(long)]
    pub reason: String,
    #[arg(long)]
    pub ticket: Option<String>,
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
#[path = "args/tests.rs"]
mod tests;
