//! `store`: making its tables, and moving to it.

use crate::app::{copy_store, migrate_store};
use crate::cli::args::StoreCommand;
use crate::cli::failure::Failure;
use crate::cli::output;

pub async fn run(command: StoreCommand) -> Result<(), Failure> {
    match command {
        StoreCommand::Migrate { url, password_file, role } => {
            migrate_store(&url, password_file.as_deref(), role.as_deref()).await.map_err(Failure::from)?;
            output::say("the store's tables are up to date")
        }
        StoreCommand::Copy { from, to, password_file } => {
            let copied = copy_store(&from, &to, password_file.as_deref()).await.map_err(Failure::from)?;
            for (table, rows) in copied {
                output::say(&format!("{table}: {rows}"))?;
            }
            output::say("everything is copied")?;
            output::hint(
                "point store.url at the new store and restart; keep the file until you have seen that all is there",
            );
            Ok(())
        }
    }
}
