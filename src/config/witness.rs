//! `[[audit.witness]]`: who remembers how far the journal had come.

use std::path::Path;
use std::time::Duration;

use super::files::{FileKind, FileUse};
use super::reader::Table;
use crate::tlog::{Algorithm, Verifier};
use crate::witness::{Place, check_url};

pub(super) fn witnesses(audit: &Table<'_>, directory: &Path, files: &mut Vec<FileUse>) -> Vec<Place> {
    let mut places: Vec<Place> = Vec::new();
    for table in audit.tables("witness") {
        let Some(place) = witness(&table, directory, files) else { continue };
        if places.iter().any(|known| known.verifier == place.verifier) {
            table.refuse("vkey", format!("\"{}\" is a witness already", place.verifier.name()));
        } else if places.len() == MAX_WITNESSES {
            table.place.refuse(format!("more than {MAX_WITNESSES} witnesses"));
        } else {
            places.push(place);
        }
    }
    places
}

fn witness(table: &Table<'_>, directory: &Path, files: &mut Vec<FileUse>) -> Option<Place> {
    table.allow(&["url", "vkey", "ca", "every", "silent_after"]);
    let url = table.required_text("url").and_then(|text| {
        let checked = text.read(|url| check_url(url).map(|()| url.to_owned()));
        checked.map(|url| url.trim_end_matches('/').to_owned())
    });
    let verifier = table.required_text("vkey").and_then(|text| text.read(verifier));
    let ca = table.text("ca").map(|text| FileUse::add(files, &text, directory, FileKind::Plain));
    let every = table.duration("every").unwrap_or(Duration::from_secs(1));
    let silent_after = table.duration("silent_after").unwrap_or(Duration::from_secs(60).max(every * 4));
    if silent_after < every * 2 {
        table.refuse("silent_after", "must be twice `every` or longer: a witness that is not asked cannot be heard");
    }
    Some(Place { url: url?, verifier: verifier?, ca, every, silent_after })
}

fn verifier(vkey: &str) -> Result<Verifier, String> {
    let verifier = Verifier::parse(vkey).map_err(|error| error.to_string())?;
    match verifier.algorithm() {
        Algorithm::CosignatureV1 => Ok(verifier),
        Algorithm::Ed25519 => Err("is the key of a log; `pgward witness` prints its own, of another type".to_owned()),
    }
}

/// As many signatures as every reader of a checkpoint has to take, but for the log's own.
const MAX_WITNESSES: usize = 14;
