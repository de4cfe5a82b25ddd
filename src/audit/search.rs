//! What can be asked of the journal, and whether a record is what is asked for.

use jiff::Timestamp;

use super::find::Finder;
use super::reader::{Entry, Places, ReadError};
use super::sieve::Sieve;
use super::{Event, Record, RecordedVerdict};
use crate::access::Region;

/// What is looked for; what is left out does not narrow. A statement is also what its end says: it is found by the rows and
/// the SQLSTATE of its end.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Filter {
    pub principal: Option<String>,
    pub database: Option<String>,
    pub grant: Option<String>,
    pub session: Option<String>,
    pub request: Option<String>,
    /// `schema.name`, or a bare name in any schema.
    pub relation: Option<String>,
    /// `schema.table.column`, `table.column` in any schema, or a bare name in any table. Where a table is named, statements
    /// that read its whole rows are found too.
    pub column: Option<String>,
    /// `SELECT`, in any case.
    pub kind: Option<String>,
    /// The client's, the upstream's, or that of the data.
    pub region: Option<String>,
    pub verdict: Option<RecordedVerdict>,
    pub event: Option<Event>,
    pub fingerprint: Option<String>,
    /// The rule that refused.
    pub rule: Option<String>,
    pub sqlstate: Option<String>,
    pub rows: Option<RowRange>,
    /// A part of the statement, in any case.
    pub text: Option<String>,
    /// Not before this instant.
    pub since: Option<Timestamp>,
    /// Before this instant.
    pub until: Option<Timestamp>,
    /// Only the newest so many.
    pub limit: Option<usize>,
}

/// The most records that one search answers.
pub const MAX_RESULTS: usize = 100_000;

/// A number of rows, from the least to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RowRange {
    pub least: u64,
    pub most: u64,
}

impl RowRange {
    #[must_use]
    pub fn contains(self, rows: u64) -> bool {
        (self.least..=self.most).contains(&rows)
    }
}

impl std::str::FromStr for RowRange {
    type Err = String;

    /// Reads `>N`, `>=N`, `<N`, `<=N`, `N..M` (both included) and `N`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{}` is no number of rows: >N, <N, N..M or N", text.escape_debug());
        let number = |digits: &str| digits.trim().parse::<u64>().map_err(|_| wrong());
        let range = |least: Option<u64>, most: Option<u64>| match (least, most) {
            (Some(least), Some(most)) if least <= most => Ok(Self { least, most }),
            _ => Err(wrong()),
        };
        let trimmed = text.trim();
        if let Some(digits) = trimmed.strip_prefix(">=") {
            range(Some(number(digits)?), Some(u64::MAX))
        } else if let Some(digits) = trimmed.strip_prefix('>') {
            range(number(digits)?.checked_add(1), Some(u64::MAX))
        } else if let Some(digits) = trimmed.strip_prefix("<=") {
            range(Some(0), Some(number(digits)?))
        } else if let Some(digits) = trimmed.strip_prefix('<') {
            range(Some(0), number(digits)?.checked_sub(1))
        } else if let Some((least, most)) = trimmed.split_once("..") {
            range(Some(number(least)?), Some(number(most)?))
        } else {
            let rows = number(trimmed)?;
            range(Some(rows), Some(rows))
        }
    }
}

impl Filter {
    /// Whether `record` alone is looked for: of a statement, nothing is known of its end.
    #[must_use]
    pub fn matches(&self, record: &Record) -> bool {
        self.prepare().matches(record, None)
    }

    /// Whether a statement is looked for, now that its end is known.
    #[must_use]
    pub fn matches_with(&self, statement: &Record, end: &Record) -> bool {
        self.prepare().matches(statement, Some(end))
    }

    /// Whether an end says what is asked of ends.
    #[must_use]
    pub fn ended_so(&self, end: &Record) -> bool {
        self.prepare().ended_so(end, None)
    }

    /// Whether something is asked that only the end of a statement says.
    #[must_use]
    pub fn asks_of_ends(&self) -> bool {
        self.rows.is_some() || self.sqlstate.is_some()
    }

    pub(super) fn prepare(&self) -> Prepared<'_> {
        let text = self.text.as_ref().map(|text| text.to_lowercase());
        Prepared { filter: self, sieve: Sieve::of(self, text.as_deref()), text }
    }
}

/// The newest records in `places` that `filter` looks for and `visible` lets be seen, newest last.
///
/// # Errors
/// Where the files cannot be read or are damaged.
pub fn search(
    places: impl Into<Places>,
    filter: &Filter,
    visible: impl Fn(&Record) -> bool,
) -> Result<Vec<Entry>, ReadError> {
    Finder::new(places).search(filter, visible)
}

/// A filter made ready for many records.
pub(super) struct Prepared<'a> {
    pub(super) filter: &'a Filter,
    /// The text in lower case.
    pub(super) text: Option<String>,
    /// What can be told of records that were not parsed.
    pub(super) sieve: Sieve,
}

impl Prepared<'_> {
    pub(super) fn matches(&self, record: &Record, end: Option<&Record>) -> bool {
        let filter = self.filter;
        let same =
            |wanted: &Option<String>, there: Option<&str>| wanted.as_deref().is_none_or(|wanted| there == Some(wanted));
        same(&filter.principal, record.principal.as_deref())
            && same(&filter.database, record.database.as_deref())
            && same(&filter.grant, record.grant.as_ref().map(|id| id.as_str()))
            && same(&filter.session, record.session.as_ref().map(|id| id.as_str()))
            && same(&filter.request, record.request.as_ref().map(|id| id.as_str()))
            && same(&filter.fingerprint, record.fingerprint.as_deref())
            && same(&filter.rule, record.rule.as_deref())
            && filter.verdict.is_none_or(|verdict| record.verdict == Some(verdict))
            && filter.event.is_none_or(|event| record.event == event)
            && filter.since.is_none_or(|since| record.time >= since)
            && filter.until.is_none_or(|until| record.time < until)
            && filter.kind.as_deref().is_none_or(|wanted| has_word(record.kind.as_deref(), wanted))
            && filter.region.as_deref().is_none_or(|wanted| is_of(record, wanted))
            && filter.relation.as_deref().is_none_or(|wanted| touches(record, wanted))
            && filter.column.as_deref().is_none_or(|wanted| reads(record, wanted))
            && self.text.as_deref().is_none_or(|text| says(record, text))
            && self.ended_so(record, end)
    }

    /// Whether rows and SQLSTATE are as wanted, by the record itself or by its end.
    pub(super) fn ended_so(&self, record: &Record, end: Option<&Record>) -> bool {
        let rows = record.rows.or_else(|| end?.rows);
        let sqlstate = record.sqlstate.as_deref().or_else(|| end?.sqlstate.as_deref());
        self.filter.rows.is_none_or(|range| rows.is_some_and(|rows| range.contains(rows)))
            && self.filter.sqlstate.as_deref().is_none_or(|wanted| has_word(sqlstate, wanted))
    }
}

fn has_word(there: Option<&str>, wanted: &str) -> bool {
    there.is_some_and(|there| there.eq_ignore_ascii_case(wanted))
}

fn is_of(record: &Record, wanted: &str) -> bool {
    [&record.client_region, &record.upstream_region, &record.data_region]
        .into_iter()
        .flatten()
        .map(Region::as_str)
        .any(|name| name == wanted)
}

fn touches(record: &Record, wanted: &str) -> bool {
    record.relations.iter().any(|relation| is_name(&relation.name, wanted))
}

fn reads(record: &Record, wanted: &str) -> bool {
    let table = wanted.rsplit_once('.').map(|(table, _)| table);
    record.relations.iter().any(|relation| {
        relation.columns.iter().any(|column| {
            is_name(&format!("{}.{column}", relation.name), wanted)
                || (column == "*" && table.is_some_and(|table| is_name(&relation.name, table)))
        })
    })
}

/// Whether `wanted` is `full`, or what stands behind one of its dots.
fn is_name(full: &str, wanted: &str) -> bool {
    full.strip_suffix(wanted).is_some_and(|before| before.is_empty() || before.ends_with('.'))
}

fn says(record: &Record, lowercase: &str) -> bool {
    record.statement.as_ref().is_some_and(|statement| statement.to_lowercase().contains(lowercase))
}

impl Record {
    /// Whether the record is about `principal`, who then may read it without being an auditor.
    #[must_use]
    pub fn concerns(&self, principal: &str) -> bool {
        self.principal.as_deref() == Some(principal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_rows_are_read() {
        let check = |text: &str, expected: Option<(u64, u64)>| {
            let range = text.parse::<RowRange>().ok().map(|range| (range.least, range.most));
            assert_eq!(range, expected, "{text}");
        };
        check(">1000", Some((1001, u64::MAX)));
        check(" >= 1000 ", Some((1000, u64::MAX)));
        check("<10", Some((0, 9)));
        check("<=10", Some((0, 10)));
        check("3..7", Some((3, 7)));
        check("0", Some((0, 0)));
        for wrong in ["", ">", "<0", "7..3", "..", "-1", "1..", "many", ">18446744073709551615"] {
            check(wrong, None);
        }
    }
}
