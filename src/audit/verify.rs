//! Proves a journal from its files alone: every byte of every segment, the order of the records, and what must hold
//! between the records of a session. Names the first record that is not as it was written.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;
use std::time::Duration;

use super::canonical;
use super::chain::Head;
use super::segment::{Header, Line, Segment, read_line, split_line};
use super::sessions::OpenSessions;

/// What verifying found.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Report {
    pub ok: bool,
    /// Records that are as they were written: all, or those before the first bad one.
    pub records: u64,
    /// The first record that was changed, dropped, moved, doubled or forged.
    pub first_bad: Option<u64>,
    /// What is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Verifies the journal in `dir`. Records that are missing at its very end leave no trace in the files: give
/// [`verify_up_to`] a position that was kept elsewhere to find that too.
#[must_use]
pub fn verify(dir: &Path) -> Report {
    verify_up_to(dir, None)
}

/// Verifies the journal in `dir`, and that it holds the record `expected.0` with the head `expected.1` after it.
#[must_use]
pub fn verify_up_to(dir: &Path, expected: Option<(u64, Head)>) -> Report {
    let mut attempt = 0;
    loop {
        let mut verifier = Verifier { expected, ..Verifier::default() };
        let result = verifier.run(dir);
        match result {
            // A live writer may be in the middle of a line: what it is writing is whole a moment later.
            Err(Problem { torn: true, .. }) if attempt < TORN_RETRIES => {
                attempt += 1;
                std::thread::sleep(TORN_PAUSE);
            }
            result => return verifier.report(result),
        }
    }
}

const TORN_RETRIES: u32 = 3;
const TORN_PAUSE: Duration = Duration::from_millis(20);

struct Problem {
    what: String,
    /// The only thing wrong is that the last line is not whole.
    torn: bool,
}

impl From<String> for Problem {
    fn from(what: String) -> Self {
        Self { what, torn: false }
    }
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        format!("it cannot be read: {error}").into()
    }
}

#[derive(Default)]
struct Verifier {
    expected: Option<(u64, Head)>,
    /// Records found good so far.
    records: u64,
    /// The journal's id and the head so far, once a header was read.
    chain: Option<(String, Head)>,
    sessions: OpenSessions,
}

impl Verifier {
    fn run(&mut self, dir: &Path) -> Result<(), Problem> {
        let segments = Segment::list(dir)?;
        if segments.is_empty() {
            return Err("there is no journal in this directory".to_owned().into());
        }
        for (index, segment) in segments.iter().enumerate() {
            self.segment(segment, index + 1 == segments.len())?;
        }
        match self.expected {
            Some((seq, _)) if seq > self.records => {
                Err(format!("the journal ends before it, but {seq} records were made").into())
            }
            _ => Ok(()),
        }
    }

    fn segment(&mut self, segment: &Segment, is_last: bool) -> Result<(), Problem> {
        let next = self.records + 1;
        if segment.first_seq != next {
            return Err(format!("it is missing: the next segment begins with record {}", segment.first_seq).into());
        }
        let mut reader = BufReader::with_capacity(256 * 1024, File::open(&segment.path)?);
        let mut line = Vec::new();
        if !read_whole(&mut reader, &mut line, is_last)? {
            return Ok(());
        }
        let header = Header::parse(&line).filter(|header| header.first_seq == next);
        let header = header.ok_or_else(|| "the header of its segment is damaged".to_owned())?;
        let (journal_id, head) = match self.chain.take() {
            Some(chain) => chain,
            None => (header.journal_id.clone(), Head::genesis(&header.journal_id)),
        };
        if header.journal_id != journal_id || header.before != head {
            return Err("its segment does not follow what comes before it".to_owned().into());
        }
        let mut head = head;
        while read_whole(&mut reader, &mut line, is_last)? {
            head = self.record(&line, head)?;
        }
        self.chain = Some((journal_id, head));
        Ok(())
    }

    fn record(&mut self, line: &[u8], before: Head) -> Result<Head, Problem> {
        let seq = self.records + 1;
        let (digits, canonical) = split_line(line).ok_or_else(|| "its line has no head".to_owned())?;
        let head = before.after(canonical);
        if digits != head.to_hex() {
            return Err("the chain does not hold: it was changed, or what stood here is gone".to_owned().into());
        }
        let record = canonical::parse(canonical).map_err(|error| format!("it cannot be read: {error}"))?;
        if record.seq != seq {
            return Err(format!("it says that it is record {}", record.seq).into());
        }
        if self.expected.is_some_and(|(at, expected)| at == seq && expected != head) {
            return Err("its head is not the one that was kept: the journal was written anew".to_owned().into());
        }
        self.sessions.take(&record)?;
        self.records = seq;
        Ok(head)
    }

    fn report(&self, result: Result<(), Problem>) -> Report {
        match result {
            Ok(()) => Report { ok: true, records: self.records, first_bad: None, problem: None },
            Err(problem) => Report {
                ok: false,
                records: self.records,
                first_bad: Some(self.records + 1),
                problem: Some(problem.what),
            },
        }
    }
}

/// Reads one whole line, without its newline; false at the end of the file.
fn read_whole(reader: &mut BufReader<File>, line: &mut Vec<u8>, is_last: bool) -> Result<bool, Problem> {
    match read_line(reader, line)? {
        Line::Whole => Ok(true),
        Line::End => Ok(false),
        Line::TooLong => Err("its line is too long".to_owned().into()),
        Line::Torn(_) => {
            Err(Problem { what: "it is not whole: the file ends in the middle of it".to_owned(), torn: is_last })
        }
    }
}
