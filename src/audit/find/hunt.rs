//! One search on its way through the segments of a directory, from the newest to the oldest.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::Path;

use super::{Exact, Found, MayMatch};
use crate::audit::canonical::find;
use crate::audit::index::{self, Cache, OpenIndex, Useless};
use crate::audit::plan::Plan;
use crate::audit::{Entry, Event, ReadError, Reader, Record, sieve};

pub(super) struct Hunt<'a> {
    plan: &'a Plan,
    may_match: MayMatch<'a>,
    exact: Exact<'a>,
    /// Newest first.
    found: Vec<Found>,
    /// Ends from the segments behind, by the `seq` of their statement, which lies before them: of those that are wanted.
    ends: HashMap<u64, Record>,
}

impl<'a> Hunt<'a> {
    /// A search that knows of some ends already.
    pub(super) fn new(plan: &'a Plan, may_match: MayMatch<'a>, exact: Exact<'a>, ends: HashMap<u64, Record>) -> Self {
        Self { plan, may_match, exact, found: Vec::new(), ends }
    }

    pub(super) fn is_full(&self) -> bool {
        self.found.len() >= self.plan.limit()
    }

    /// Leaves a segment: ends that are still without a statement belong to one before it, or to none.
    pub(super) fn pass(&mut self, first_seq: u64) {
        self.ends.retain(|statement, _| *statement < first_seq);
    }

    /// What was found, newest last.
    pub(super) fn into_found(mut self) -> Vec<Found> {
        self.found.reverse();
        self.found
    }

    /// Takes from a segment what its index leads to.
    pub(super) fn look_up(&mut self, index: &mut OpenIndex, cache: &Cache, dir: &Path) -> Result<(), Useless> {
        let plan = self.plan;
        let within = index.within(plan.since, plan.until);
        let is_outside = within.as_ref().is_some_and(|records| records.is_empty());
        if is_outside && !plan.needs_ends() {
            return Ok(());
        }
        cache.with_terms(index)?;
        let ends = if plan.needs_ends() { foreign_ends(plan, index, dir)? } else { HashMap::new() };
        let behind: Vec<u32> = self.ends.keys().filter_map(|seq| index.record_of(*seq)).collect();
        let mut found = Vec::new();
        let candidates = if is_outside { None } else { plan.candidates(index, within, &behind)? };
        let mut reader = Reader::new(dir, 1);
        for record in candidates.iter().flatten().rev() {
            if self.found.len() + found.len() >= plan.limit() {
                break;
            }
            let Some(entry) = read_at(index, &mut reader, record)? else { continue };
            let mut end = None;
            if plan.needs_ends() && entry.record.event == Event::Statement {
                end = match index.partner(record)? {
                    Some(partner) => read_at(index, &mut reader, partner)?.map(|entry| entry.record),
                    None => self.ends.get(&entry.record.seq).cloned(),
                };
            }
            if (self.exact)(&entry.record, end.as_ref()) {
                found.push(Found { entry, end });
            }
        }
        self.found.append(&mut found);
        self.ends.extend(ends);
        Ok(())
    }

    /// Reads a whole segment, up to the record before `end`.
    pub(super) fn read_through(&mut self, dir: &Path, first_seq: u64, end: u64) -> Result<(), ReadError> {
        if self.plan.asks_of_ends() {
            let ends = read_ends(self.plan, dir, first_seq, end, |_| true)?;
            self.ends.extend(ends);
        }
        // The segment is read forwards, and only the newest are to be kept.
        let left = self.plan.limit() - self.found.len();
        let mut here = VecDeque::new();
        let mut reader = Reader::new(dir, first_seq);
        while self.plan.may_lie_from(first_seq) {
            let Some(entry) = reader.read_if(|canonical| self.may_be_found(canonical))? else { break };
            let seq = entry.record.seq;
            if seq >= end {
                break;
            }
            let of = if entry.record.event == Event::Statement { self.ends.get(&seq) } else { None };
            if (self.exact)(&entry.record, of) {
                if here.len() == left {
                    here.pop_front();
                }
                here.push_back(Found { end: of.cloned(), entry });
            }
        }
        if self.plan.comes_with_ends() {
            let found: HashSet<u64> = here.iter().map(|found| found.entry.record.seq).collect();
            let is_wanted = |statement: u64| statement < first_seq || found.contains(&statement);
            let ends = read_ends(self.plan, dir, first_seq, end, is_wanted)?;
            self.ends.extend(ends);
            for found in here.iter_mut().filter(|found| found.end.is_none()) {
                found.end = self.ends.remove(&found.entry.record.seq);
            }
        }
        self.found.extend(here.into_iter().rev());
        Ok(())
    }

    fn may_be_found(&self, canonical: &[u8]) -> bool {
        if !(self.may_match)(canonical) {
            return false;
        }
        // What is looked for by its end is such an end, or a statement of which such an end is known.
        let is_known = || sieve::number_at(b",\"seq\":", canonical).is_some_and(|seq| self.ends.contains_key(&seq));
        !self.plan.asks_of_ends() || self.plan.may_want_end(canonical) || is_known()
    }
}

/// The ends in a segment that the plan wants to know and whose statements do not lie in it, by the `seq` of these.
pub(super) fn foreign_ends(plan: &Plan, index: &mut OpenIndex, dir: &Path) -> Result<HashMap<u64, Record>, Useless> {
    let mut ends = HashMap::new();
    let mut reader = Reader::new(dir, 1);
    for record in plan.foreign_ends(index)? {
        let entry = read_at(index, &mut reader, record)?;
        ends.extend(entry.and_then(|entry| wanted_end(plan, entry.record)));
    }
    Ok(ends)
}

/// The ends in a segment, up to the record before `end`, that the plan wants to know and `wanted` too, by the `seq` of their
/// statements.
pub(super) fn read_ends(
    plan: &Plan,
    dir: &Path,
    first_seq: u64,
    end: u64,
    wanted: impl Fn(u64) -> bool,
) -> Result<HashMap<u64, Record>, ReadError> {
    let mut ends = HashMap::new();
    let mut reader = Reader::new(dir, first_seq);
    let may_be = |canonical: &[u8]| is_end(canonical) && plan.may_want_end(canonical);
    while let Some(entry) = reader.read_if(may_be)? {
        if entry.record.seq >= end {
            break;
        }
        ends.extend(wanted_end(plan, entry.record).filter(|(statement, _)| wanted(*statement)));
    }
    Ok(ends)
}

/// An end that the plan wants to know, and the `seq` of its statement.
fn wanted_end(plan: &Plan, record: Record) -> Option<(u64, Record)> {
    let statement = record.statement_seq.filter(|_| record.event == Event::StatementEnd)?;
    plan.wants_end(&record).then_some((statement, record))
}

/// Whether canonical bytes are those of a statement's end.
pub(super) fn is_end(canonical: &[u8]) -> bool {
    find(b",\"event\":\"statement_end\"", canonical).is_some()
}

/// Reads a record that an index names; `None` where it was erased.
pub(super) fn read_at(index: &mut OpenIndex, reader: &mut Reader, record: u32) -> Result<Option<Entry>, Useless> {
    let offset = index.offset(record)?;
    let seq = index.seq_of(record);
    match index::fetch(index, reader, offset)? {
        Some(entry) if Some(entry.record.seq) != seq => Err(Useless::Damaged("it names another record")),
        entry => Ok(entry),
    }
}
