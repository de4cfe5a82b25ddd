//! How a search is put to an index: the lists to be met, the cheapest first.

use jiff::Timestamp;
use roaring::RoaringBitmap;

use super::index::{Key, OpenIndex, Slot, Tag, Useless, key, row_buckets, trigrams};
use super::search::Prepared;
use super::sieve;
use super::{Event, Record};

/// What the records of a search have in common. An index answers it with all records that are meant, and maybe more.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    /// Of each list of keys a record has one at least.
    conditions: Vec<Vec<Key>>,
    /// The same, but a statement may have them by its end.
    ending: Vec<Vec<Key>>,
    /// Each stands in the statement's text.
    trigrams: Vec<u32>,
    pub(super) since: Option<Timestamp>,
    pub(super) until: Option<Timestamp>,
    limit: usize,
    /// Statements are to be answered with their ends.
    with_ends: bool,
    /// Only this record is meant.
    only_seq: Option<u64>,
    /// Which ends can make a statement one that is looked for.
    ends: Ends,
}

#[derive(Clone, Debug, Default)]
struct Ends {
    rows: Option<super::RowRange>,
    sqlstate: Option<String>,
}

impl Plan {
    /// The same, and statements come with their ends.
    pub(super) fn with_ends(self) -> Self {
        Self { with_ends: true, ..self }
    }

    /// The same, of one record only.
    pub(super) fn only(self, seq: u64) -> Self {
        Self { only_seq: Some(seq), ..self }
    }

    /// Whether statements are looked for by what their ends say.
    pub(super) fn asks_of_ends(&self) -> bool {
        !self.ending.is_empty()
    }

    /// A plan for records that have one key of each list.
    pub(super) fn new(conditions: Vec<Vec<Key>>, limit: usize) -> Self {
        Self { conditions, limit, ..Self::default() }
    }

    /// A plan for what a filter looks for.
    pub(super) fn of(prepared: &Prepared<'_>, limit: usize) -> Self {
        let filter = prepared.filter;
        let mut conditions: Vec<Vec<Key>> = Vec::new();
        let mut one = |tag: Tag, value: Option<&str>| {
            if let Some(value) = value {
                conditions.push(vec![key(tag, value)]);
            }
        };
        one(Tag::Principal, filter.principal.as_deref());
        one(Tag::Database, filter.database.as_deref());
        one(Tag::Grant, filter.grant.as_deref());
        one(Tag::Session, filter.session.as_deref());
        one(Tag::Request, filter.request.as_deref());
        one(Tag::Relation, filter.relation.as_deref());
        one(Tag::Kind, filter.kind.as_ref().map(|kind| kind.to_ascii_lowercase()).as_deref());
        one(Tag::Region, filter.region.as_deref());
        one(Tag::Verdict, filter.verdict.map(|verdict| verdict.as_str()));
        one(Tag::Event, filter.event.map(Event::as_str));
        one(Tag::Fingerprint, filter.fingerprint.as_deref());
        one(Tag::Rule, filter.rule.as_deref());
        one(Tag::HasText, filter.text.as_ref().map(|_| ""));
        if let Some(column) = &filter.column {
            let whole = column.rsplit_once('.').map(|(table, _)| key(Tag::Column, &format!("{table}.*")));
            conditions.push([key(Tag::Column, column)].into_iter().chain(whole).collect());
        }
        let mut ending = Vec::new();
        ending.extend(filter.rows.map(|rows| row_buckets(rows.least, rows.most)));
        ending.extend(filter.sqlstate.as_ref().map(|state| vec![key(Tag::Sqlstate, &state.to_ascii_uppercase())]));
        Self {
            conditions,
            ending,
            trigrams: prepared.text.as_deref().map(trigrams).unwrap_or_default(),
            since: filter.since,
            until: filter.until,
            limit,
            with_ends: false,
            only_seq: None,
            ends: Ends { rows: filter.rows, sqlstate: filter.sqlstate.clone() },
        }
    }

    /// The newest so many are to be found.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Whether statements come with their ends, whatever these say.
    pub(super) fn comes_with_ends(&self) -> bool {
        self.with_ends && !self.asks_of_ends()
    }

    /// Whether the ends of statements have to be known.
    pub(super) fn needs_ends(&self) -> bool {
        self.with_ends || self.asks_of_ends()
    }

    /// Whether an end can make its statement one that is looked for, or goes with it.
    pub(super) fn wants_end(&self, end: &Record) -> bool {
        // What the statement says by itself comes before what its end says, so one of them may be the statement's own.
        let rows = self.ends.rows.is_some_and(|range| end.rows.is_some_and(|rows| range.contains(rows)));
        let sqlstate =
            self.ends.sqlstate.as_ref().is_some_and(|wanted| {
                end.sqlstate.as_ref().is_some_and(|sqlstate| sqlstate.eq_ignore_ascii_case(wanted))
            });
        self.with_ends || rows || sqlstate
    }

    /// The same, told by its canonical bytes; true where these do not tell.
    pub(super) fn may_want_end(&self, canonical: &[u8]) -> bool {
        let rows = self
            .ends
            .rows
            .is_some_and(|range| sieve::number_at(b",\"rows\":", canonical).is_some_and(|rows| range.contains(rows)));
        let sqlstate = self.ends.sqlstate.as_ref().is_some_and(|wanted| {
            sieve::word_at(b",\"sqlstate\":\"", canonical)
                .is_some_and(|state| state.eq_ignore_ascii_case(wanted.as_bytes()))
        });
        self.with_ends || rows || sqlstate
    }

    /// Whether a segment that begins with this record can hold what is meant, but for ends.
    pub(super) fn may_lie_from(&self, first_seq: u64) -> bool {
        self.only_seq.is_none_or(|seq| seq >= first_seq)
    }

    /// The ends in this segment whose statements do not lie in it, and that may be wanted.
    pub(super) fn foreign_ends(&self, index: &OpenIndex) -> Result<RoaringBitmap, Useless> {
        let Some(slot) = index.slot(&key(Tag::Foreign, "")) else { return Ok(RoaringBitmap::new()) };
        let mut ends = index.list(slot)?;
        // Each of the keys may be the statement's own, so one that an end has is enough.
        let mut wanted = RoaringBitmap::new();
        for keys in self.ending.iter().filter(|_| !self.with_ends) {
            let slots: Vec<Slot> = keys.iter().filter_map(|key| index.slot(key)).collect();
            wanted |= union(index, &slots)?;
        }
        if !self.with_ends {
            ends &= wanted;
        }
        Ok(ends)
    }

    /// The records that may be meant, of those `within` a span of time; `behind` are statements here whose ends lie in
    /// later segments. `None`: there are none.
    pub(super) fn candidates(
        &self,
        index: &OpenIndex,
        within: Option<RoaringBitmap>,
        behind: &[u32],
    ) -> Result<Option<RoaringBitmap>, Useless> {
        let mut found = within.unwrap_or_else(|| index.all());
        if let Some(seq) = self.only_seq {
            found &= RoaringBitmap::from_iter(index.record_of(seq));
        }
        let mut lists = Vec::new();
        for keys in &self.conditions {
            let slots: Vec<Slot> = keys.iter().filter_map(|key| index.slot(key)).collect();
            if slots.is_empty() {
                return Ok(None);
            }
            lists.push(slots);
        }
        // The ends come last: they are the only ones that `behind` has to be added to.
        lists.sort_by_key(|slots| slots.iter().map(|slot| u64::from(slot.bytes())).sum::<u64>());
        for slots in lists {
            if found.len() <= FEW {
                return Ok(Some(found));
            }
            found &= union(index, &slots)?;
        }
        if !self.trigrams.is_empty() {
            self.narrow_by_text(index, &mut found)?;
        }
        for keys in &self.ending {
            if found.len() <= FEW {
                return Ok(Some(found));
            }
            let slots: Vec<Slot> = keys.iter().filter_map(|key| index.slot(key)).collect();
            let mut list = union(index, &slots)?;
            list.extend(behind.iter().copied());
            found &= list;
        }
        Ok(Some(found).filter(|found| !found.is_empty()))
    }

    fn narrow_by_text(&self, index: &OpenIndex, found: &mut RoaringBitmap) -> Result<(), Useless> {
        if found.len() <= FEW {
            return Ok(());
        }
        let unindexed = match index.slot(&key(Tag::UnindexedText, "")) {
            Some(slot) => index.list(slot)? & &*found,
            None => RoaringBitmap::new(),
        };
        let mut slots = Vec::new();
        for trigram in &self.trigrams {
            match index.trigram_slot(*trigram)? {
                Some(slot) => slots.push(slot),
                None => {
                    *found = unindexed;
                    return Ok(());
                }
            }
        }
        slots.sort_by_key(|slot| slot.bytes());
        for slot in slots.into_iter().take(MOST_TRIGRAMS) {
            if found.len() <= FEW {
                break;
            }
            *found &= index.list(slot)?;
        }
        *found |= unindexed;
        Ok(())
    }
}

fn union(index: &OpenIndex, slots: &[Slot]) -> Result<RoaringBitmap, Useless> {
    let mut records = RoaringBitmap::new();
    for slot in slots {
        records |= index.list(*slot)?;
    }
    Ok(records)
}

/// So few records are read sooner than another list.
const FEW: u64 = 8;
/// Of a long text the rarest trigrams say nearly everything.
const MOST_TRIGRAMS: usize = 8;
