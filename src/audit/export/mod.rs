//! Records in the forms that other tools read.

mod csv;
pub mod ocsf;

use std::io::{self, Write};

use super::Entry;

/// A form to export to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One canonical record a line.
    JsonLines,
    /// RFC 4180 with a header line. Cells hold no control characters: they are escaped as in JSON. A cell that a
    /// spreadsheet would run as a formula begins with an apostrophe.
    Csv,
    /// One event of the Open Cybersecurity Schema Framework a line.
    Ocsf,
}

impl std::str::FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "jsonl" | "jsonlines" | "json" => Ok(Self::JsonLines),
            "csv" => Ok(Self::Csv),
            "ocsf" => Ok(Self::Ocsf),
            other => Err(format!("`{other}` is not a format; there are jsonl, csv and ocsf")),
        }
    }
}

/// Writes the records to `out`.
///
/// # Errors
/// What writing to `out` answers.
pub fn export<'a>(
    entries: impl IntoIterator<Item = &'a Entry>,
    format: Format,
    out: &mut impl Write,
) -> io::Result<()> {
    begin(format, out)?;
    entries.into_iter().try_for_each(|entry| export_one(entry, format, out))
}

/// Writes what stands before the first record.
///
/// # Errors
/// What writing to `out` answers.
pub fn begin(format: Format, out: &mut impl Write) -> io::Result<()> {
    match format {
        Format::JsonLines | Format::Ocsf => Ok(()),
        Format::Csv => out.write_all(csv::header().as_bytes()),
    }
}

/// Writes one record.
///
/// # Errors
/// What writing to `out` answers.
pub fn export_one(entry: &Entry, format: Format, out: &mut impl Write) -> io::Result<()> {
    match format {
        Format::JsonLines => {
            out.write_all(&entry.canonical)?;
            out.write_all(b"\n")
        }
        Format::Ocsf => {
            out.write_all(&ocsf::event(entry, None)?)?;
            out.write_all(b"\n")
        }
        Format::Csv => csv::write_row(&entry.record, out),
    }
}
