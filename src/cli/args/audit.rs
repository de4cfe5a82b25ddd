//! The commands that read the journal, and those of its keys and witnesses.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;

use crate::audit::{Event, RowRange};
use crate::cli::duration;
use crate::control::api::VerdictWord;

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
