//! `retention` and its flags.

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub enum RetentionCommand {
    /// Count what is overdue and what a run would do, changing nothing
    Plan {
        /// A database, or one of its upstreams (shop@us) [default: all]
        database: Option<String>,
        /// One policy alone
        #[arg(long)]
        policy: Option<String>,
    },
    /// Purge or anonymise what is due, in batches
    Run {
        /// A database, or one of its upstreams (shop@us) [default: all]
        database: Option<String>,
        /// One policy alone
        #[arg(long)]
        policy: Option<String>,
        /// Also outside the policies' hours: administrators only
        #[arg(long)]
        any_hour: bool,
        /// Do not wait for its end
        #[arg(long)]
        detach: bool,
    },
    /// List the runs since the service was started
    Runs,
    /// Have a run end after its batch
    Stop { run: String },
    /// List the tables whose overdue rows are not to be read
    Hidden {
        /// A database, or one of its upstreams (shop@us) [default: all]
        database: Option<String>,
        /// Print the SQL that has PostgreSQL hide the rows from pgward's short-lived roles, to be run by the tables' owner
        #[arg(long)]
        sql: bool,
    },
    /// Keep rows whatever their time: legal holds
    Hold {
        #[command(subcommand)]
        command: DataHoldCommand,
    },
}

#[derive(Debug, Subcommand)]
pub enum DataHoldCommand {
    /// Place a hold on a table's rows
    Place {
        database: String,
        /// schema.name
        table: String,
        /// Which rows, as an SQL condition on the table's columns [default: all]
        #[arg(long = "where", value_name = "CONDITION")]
        rows: Option<String>,
        #[arg(long)]
        reason: String,
    },
    /// Release a hold
    Release {
        id: String,
        #[arg(long)]
        reason: String,
    },
    /// List the holds that stand
    List,
}
