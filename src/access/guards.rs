//! Guard rails of a scope: what bounds each statement that its grants allow, beyond which objects it may touch.

use std::fmt;
use std::time::Duration;

/// The guard rails of one scope. A scope that was stored before there were any has none but what the defaults give.
///
/// Fields that are left out of what is written stand for their defaults, so that a scope without guards has the digest
/// that it always had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Guards {
    /// Rows that one statement may return, and one cursor or portal over all of its fetches.
    #[serde(default)]
    pub row_limit: Option<u64>,
    /// Bytes of rows, likewise: the bodies of `DataRow` and of the `CopyData` that a statement returns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub byte_limit: Option<u64>,
    /// How long one statement may run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statement_timeout: Option<Duration>,
    /// Whether an UPDATE or DELETE may do without a condition on its rows.
    #[serde(default, skip_serializing_if = "is_false")]
    pub unfiltered_writes: bool,
    /// Whether a session has to say why (`SET pgward.reason`) before anything but session plumbing runs.
    #[serde(default, skip_serializing_if = "is_false")]
    pub require_reason: bool,
    /// What the configuration says; [`super::Scope::is_read_only`] says what holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only: Option<bool>,
}

impl Guards {
    /// Whether what one statement returns, or how long it runs, is bounded.
    #[must_use]
    pub fn bounds(&self) -> bool {
        self.row_limit.is_some() || self.byte_limit.is_some() || self.statement_timeout.is_some()
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
fn is_false(value: &bool) -> bool {
    !value
}

/// What bounds a statement, in the words that a listing shows: `at most 5 rows, needs a reason`.
impl fmt::Display for Guards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = [
            self.row_limit.map(|rows| format!("at most {rows} rows")),
            self.byte_limit.map(|bytes| format!("at most {}", Bytes(bytes))),
            self.statement_timeout.map(|timeout| format!("at most {}", Seconds(timeout))),
            self.unfiltered_writes.then(|| "writes without WHERE".to_owned()),
            self.require_reason.then(|| "needs a reason".to_owned()),
        ];
        f.write_str(&words.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }
}

/// An amount of bytes as people write it, exactly: `10MB`, `1GiB`, `1234 bytes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes(pub u64);

impl Bytes {
    /// The units that an amount may be written in.
    pub const UNITS: [(&str, u64); 6] =
        [("GiB", 1 << 30), ("GB", 1_000_000_000), ("MiB", 1 << 20), ("MB", 1_000_000), ("KiB", 1 << 10), ("kB", 1_000)];
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(bytes) = *self;
        match Self::UNITS.iter().find(|(_, size)| bytes > 0 && bytes.is_multiple_of(*size)) {
            Some((unit, size)) => write!(f, "{}{unit}", bytes / size),
            None => write!(f, "{bytes} bytes"),
        }
    }
}

/// A timeout as PostgreSQL's people write it: `30s`, `5min`, `250ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seconds(pub Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, rest) = (self.0.as_secs(), self.0.subsec_millis());
        match (seconds, rest) {
            (0, rest) => write!(f, "{rest}ms"),
            (seconds, 0) if seconds % 60 == 0 => write!(f, "{}min", seconds / 60),
            (seconds, 0) => write!(f, "{seconds}s"),
            (seconds, rest) => write!(f, "{seconds}.{rest:03}s"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn amounts_are_written_as_they_are_read() {
        for (bytes, text) in [
            (1, "1 bytes"),
            (1_000, "1kB"),
            (1_024, "1KiB"),
            (10_000_000, "10MB"),
            (10 << 20, "10MiB"),
            (3 << 30, "3GiB"),
            (1_234, "1234 bytes"),
        ] {
            assert_eq!(Bytes(bytes).to_string(), text);
        }
        for (millis, text) in [(250, "250ms"), (30_000, "30s"), (90_000, "90s"), (120_000, "2min"), (1_500, "1.500s")] {
            assert_eq!(Seconds(Duration::from_millis(millis)).to_string(), text);
        }
    }

    #[test]
    fn guards_that_are_not_set_leave_no_trace_in_what_approvals_bind() {
        assert_eq!(serde_json::to_string(&Guards::default()).unwrap(), r#"{"row_limit":null}"#);
        assert_eq!(serde_json::from_str::<Guards>("{}").unwrap(), Guards::default());
        let all = Guards {
            row_limit: Some(5),
            byte_limit: Some(u64::MAX),
            statement_timeout: Some(Duration::from_millis(1_500)),
            unfiltered_writes: true,
            require_reason: true,
            read_only: Some(false),
        };
        let written = serde_json::to_string(&all).unwrap();
        assert_eq!(serde_json::from_str::<Guards>(&written).unwrap(), all);
        assert_eq!(
            Guards { byte_limit: Some(10_000_000), ..all }.to_string(),
            "at most 5 rows, at most 10MB, at most 1.500s, writes without WHERE, needs a reason"
        );
    }
}
