//! Finds where a journal ended, so that a new writer goes on from there. Verifies the last segment whole, cuts a torn
//! tail, and refuses a journal whose chain does not hold.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use aws_lc_rs::digest::{Context, SHA256};

use super::JournalError;
use super::appender::Position;
use super::canonical;
use super::chain::Head;
use super::segment::{Header, Line, Segment, read_line, split_line};

/// Where a journal ended, and what was cut to get there.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) position: Position,
    /// The segment to go on with: its first `seq` and its length.
    pub(super) segment: Option<(u64, u64)>,
    pub(super) cut: Vec<Cut>,
}

/// Bytes after the last whole line that were cut.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cut {
    pub(super) bytes: u64,
    /// SHA-256 of them.
    pub(super) digest: String,
}

/// Reads the end of the journal in `dir`, which the caller has locked.
pub(super) fn recover(dir: &Path) -> Result<Recovered, JournalError> {
    let mut segments = Segment::list(dir).map_err(|error| unreadable(dir, &error))?;
    let mut cut = Vec::new();
    while let Some(segment) = segments.pop() {
        let end = scan(&segment)?;
        let torn = cut_torn(&segment.path, end.whole_bytes).map_err(|error| unreadable(&segment.path, &error))?;
        cut.extend(torn);
        if let Some(position) = end.position {
            if let Some(before) = segments.last() {
                follows(before, &segment)?;
            }
            return Ok(Recovered { position, segment: Some((segment.first_seq, end.whole_bytes)), cut });
        }
        // Not even its header was written: the writer had just made it.
        std::fs::remove_file(&segment.path).map_err(|error| unreadable(&segment.path, &error))?;
    }
    let journal_id = uuid::Uuid::now_v7().simple().to_string();
    let head = Head::genesis(&journal_id);
    Ok(Recovered { position: Position { journal_id, records: 0, head }, segment: None, cut })
}

struct End {
    /// `None` where there is no whole header.
    position: Option<Position>,
    whole_bytes: u64,
}

fn scan(segment: &Segment) -> Result<End, JournalError> {
    let failed = |error: std::io::Error| unreadable(&segment.path, &error);
    let broken = |seq: u64, what: &str| {
        JournalError(format!("{}: record {seq}: {what}; `pgward audit verify` tells more", segment.path.display()))
    };
    let mut reader = BufReader::with_capacity(256 * 1024, File::open(&segment.path).map_err(failed)?);
    let mut line = Vec::new();
    let mut read = |line: &mut Vec<u8>| read_line(&mut reader, line).map_err(failed);
    match read(&mut line)? {
        Line::Whole => {}
        Line::Torn(_) | Line::End => return Ok(End { position: None, whole_bytes: 0 }),
        Line::TooLong => return Err(broken(segment.first_seq, "the segment's header is damaged")),
    }
    let mut whole_bytes = line.len() as u64 + 1;
    let header = Header::parse(&line).filter(|header| header.first_seq == segment.first_seq);
    let header = header.ok_or_else(|| broken(segment.first_seq, "the segment's header is damaged"))?;
    let (mut head, mut seq) = (header.before, header.first_seq.saturating_sub(1));
    let mut last = Vec::new();
    loop {
        match read(&mut line)? {
            Line::Whole => seq += 1,
            Line::Torn(_) | Line::End => break,
            Line::TooLong => return Err(broken(seq + 1, "the line is too long")),
        }
        let (digits, canonical) = split_line(&line).ok_or_else(|| broken(seq, "the line has no head"))?;
        head = head.after(canonical);
        if digits != head.to_hex() {
            return Err(broken(seq, "the chain does not hold"));
        }
        whole_bytes += line.len() as u64 + 1;
        std::mem::swap(&mut line, &mut last);
    }
    if let Some((_, canonical)) = split_line(&last.split_off(0))
        && canonical::parse(canonical).map(|record| record.seq).ok() != Some(seq)
    {
        return Err(broken(seq, "the record does not bear its number"));
    }
    Ok(End { position: Some(Position { journal_id: header.journal_id, records: seq, head }), whole_bytes })
}

/// Cuts what comes after the last whole line.
fn cut_torn(path: &Path, whole_bytes: u64) -> std::io::Result<Option<Cut>> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    file.seek(SeekFrom::Start(whole_bytes))?;
    let mut context = Context::new(&SHA256);
    let mut buffer = vec![0; 64 * 1024];
    let mut bytes = 0;
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        context.update(buffer.get(..read).unwrap_or_default());
        bytes += read as u64;
    }
    if bytes == 0 {
        return Ok(None);
    }
    file.set_len(whole_bytes)?;
    file.sync_all()?;
    let digest = context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Some(Cut { bytes, digest }))
}

/// Whether `segment` begins where `before` ends, by the last line of `before`.
fn follows(before: &Segment, segment: &Segment) -> Result<(), JournalError> {
    let failed = |error: std::io::Error| unreadable(&before.path, &error);
    let first_line = |path: &Path| -> std::io::Result<Vec<u8>> {
        let mut line = Vec::new();
        BufReader::new(File::open(path)?).read_until(b'\n', &mut line)?;
        line.pop();
        Ok(line)
    };
    let header = Header::parse(&first_line(&segment.path).map_err(failed)?);
    let (last, header_before) = last_line(&before.path).map_err(failed)?;
    let head = split_line(&last).and_then(|(digits, _)| Head::from_hex(digits));
    let same_journal = Header::parse(&header_before).map(|header| header.journal_id);
    if let Some(header) = header
        && head == Some(header.before)
        && same_journal == Some(header.journal_id)
    {
        return Ok(());
    }
    let (path, seq) = (segment.path.display(), segment.first_seq);
    Err(JournalError(format!("{path}: record {seq}: the segment does not follow the one before it")))
}

/// The last whole line of a file, and its first.
fn last_line(path: &Path) -> std::io::Result<(Vec<u8>, Vec<u8>)> {
    let mut reader = BufReader::with_capacity(256 * 1024, File::open(path)?);
    let mut first = Vec::new();
    reader.read_until(b'\n', &mut first)?;
    first.pop();
    let length = reader.seek(SeekFrom::End(0))?;
    let mut window = TAIL_WINDOW;
    loop {
        let start = length.saturating_sub(window);
        reader.seek(SeekFrom::Start(start))?;
        let mut tail = Vec::new();
        reader.read_to_end(&mut tail)?;
        if tail.pop() == Some(b'\n') {
            let line = tail.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
            if line.len() < tail.len() || start == 0 {
                return Ok((line.to_vec(), first));
            }
        } else {
            return Ok((Vec::new(), first));
        }
        window = window.saturating_mul(16);
    }
}

const TAIL_WINDOW: u64 = 64 * 1024;

fn unreadable(path: &Path, error: &std::io::Error) -> JournalError {
    JournalError(format!("{}: {error}", path.display()))
}
