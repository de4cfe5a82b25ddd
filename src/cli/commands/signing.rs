//! `audit key`: making, changing and showing the key that signs the journal's checkpoints. The secret itself is never printed.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::cli::args::{Format, KeyArguments, Options};
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::tlog::Verifier;
use crate::tlog::keyfile::{self, KeyFileError};

pub fn run(options: &Options, arguments: &KeyArguments) -> Result<(), Failure> {
    let (file, origin) = place(arguments)?;
    let (verifier, done) = if arguments.show {
        (keyfile::load(&file).map_err(failure)?.current.verifier(), None)
    } else if arguments.rotate {
        let keys = keyfile::rotate(&file).map_err(failure)?;
        let note = "the new key signs from pgward's next start on; the one before signs once more, beside it";
        (keys.current.verifier(), Some(note))
    } else {
        let origin = origin.ok_or_else(|| {
            Failure::new("the key needs the log's name", "give it with --origin, or set [audit] origin in proxy.toml")
        })?;
        let signer = keyfile::create(&file, &origin).map_err(failure)?;
        (signer.verifier(), Some("give this verifier key to whoever is to check the journal: auditors, witnesses"))
    };
    print(options.output, &file, &verifier)?;
    if let Some(note) = done {
        output::notice(&format!("{} is made: {note}", file.display()));
    }
    Ok(())
}

/// The key's file, and the name for a new key.
fn place(arguments: &KeyArguments) -> Result<(PathBuf, Option<String>), Failure> {
    if let Some(file) = &arguments.file {
        return Ok((file.clone(), arguments.origin.clone()));
    }
    let configured = crate::app::signing_key(&arguments.config)?;
    Ok((configured.file, arguments.origin.clone().or(configured.origin)))
}

fn print(format: Format, file: &Path, verifier: &Verifier) -> Result<(), Failure> {
    match format {
        Format::Json => output::json(&json!({ "vkey": verifier.to_string(), "file": file })),
        Format::Table => output::say(&verifier.to_string()),
    }
}

fn failure(error: KeyFileError) -> Failure {
    let hint = match &error {
        KeyFileError::Exists { .. } => "show its verifier key with --show, or make another in its place with --rotate",
        KeyFileError::Rotating { .. } => {
            "start pgward: its first checkpoint is signed by both keys and ends the rotation"
        }
        KeyFileError::Open { .. } => "a key that others could read may be in their hands: consider --rotate",
        KeyFileError::File { .. } | KeyFileError::Key { .. } => "name the key's file with --file, or make one",
    };
    Failure::new(error.to_string(), hint)
}
