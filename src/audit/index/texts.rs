//! The trigrams of statements' texts, gathered. Programs say the same thing over and over, so that a text that comes again is
//! counted as a whole.

use ahash::{AHashMap, RandomState};
use roaring::RoaringBitmap;

use super::list::List;
use super::terms::trigrams;

#[derive(Debug)]
pub(super) struct Texts {
    /// Where in `lists` a trigram's list is.
    known: AHashMap<u32, u32>,
    lists: Vec<(u32, List)>,
    /// Records in lists of trigrams.
    postings: usize,
    /// Texts that came more than once.
    said: AHashMap<String, Said>,
    /// The hashes of texts that came once, at the places that these give them.
    once: Vec<u64>,
    hasher: RandomState,
    scratch: Vec<u32>,
}

#[derive(Debug)]
struct Said {
    /// Its trigrams' lists; empty where one of them has none.
    lists: Box<[u32]>,
    is_whole: bool,
    records: Vec<u32>,
}

impl Texts {
    pub(super) fn new() -> Self {
        Self {
            known: AHashMap::new(),
            lists: Vec::new(),
            postings: 0,
            said: AHashMap::new(),
            once: vec![0; ONCE],
            hasher: RandomState::new(),
            scratch: Vec::new(),
        }
    }

    /// Takes up a record's text; false where not every piece of it is in the lists.
    pub(super) fn take(&mut self, text: &str, number: u32) -> bool {
        if text.len() > MAX_TEXT || self.postings > MAX_POSTINGS {
            return false;
        }
        if let Some(said) = self.said.get_mut(text) {
            self.postings += 1;
            said.records.push(number);
            return said.is_whole;
        }
        let is_whole = self.find_lists(text);
        for list in &self.scratch {
            if let Some((_, list)) = self.lists.get_mut(*list as usize) {
                list.push(number);
            }
        }
        self.postings += self.scratch.len();
        if self.came_before(text) {
            self.remember(text, is_whole);
        }
        is_whole
    }

    /// The trigrams in order, and the records of each.
    pub(super) fn finish(mut self) -> Vec<(u32, RoaringBitmap)> {
        self.forget_said();
        let mut lists: Vec<_> = self.lists.into_iter().map(|(trigram, list)| (trigram, list.finish())).collect();
        lists.sort_unstable_by_key(|(trigram, _)| *trigram);
        lists
    }

    /// Leaves the lists of the text's trigrams in `scratch`, some perhaps twice; false where one of them has none.
    fn find_lists(&mut self, text: &str) -> bool {
        let (known, lists, found) = (&mut self.known, &mut self.lists, &mut self.scratch);
        found.clear();
        let mut is_whole = true;
        let mut find = |trigram: u32| match known.get(&trigram) {
            Some(list) => found.push(*list),
            None if lists.len() < MAX_TRIGRAMS => {
                let list = u32::try_from(lists.len()).unwrap_or(u32::MAX);
                lists.push((trigram, List::default()));
                known.insert(trigram, list);
                found.push(list);
            }
            None => is_whole = false,
        };
        if text.is_ascii() {
            let mut trigram = 0;
            for (at, byte) in text.bytes().enumerate() {
                trigram = (trigram << 8 | u32::from(byte.to_ascii_lowercase())) & 0x00ff_ffff;
                if at >= 2 {
                    find(trigram);
                }
            }
        } else {
            trigrams(&text.to_lowercase()).into_iter().for_each(find);
        }
        is_whole
    }

    /// Whether the text was perhaps there a moment ago.
    fn came_before(&mut self, text: &str) -> bool {
        let hash = self.hasher.hash_one(text);
        let place = usize::try_from(hash).unwrap_or_default() % ONCE;
        self.once.get_mut(place).is_some_and(|place| std::mem::replace(place, hash) == hash)
    }

    fn remember(&mut self, text: &str, is_whole: bool) {
        if self.said.len() >= MAX_SAID {
            self.forget_said();
        }
        self.scratch.sort_unstable();
        self.scratch.dedup();
        let said = Said { lists: self.scratch.as_slice().into(), is_whole, records: Vec::new() };
        self.said.insert(text.to_owned(), said);
    }

    /// Puts the records of texts that came more than once into the lists.
    fn forget_said(&mut self) {
        for (_, said) in self.said.drain() {
            let records = RoaringBitmap::from_iter(said.records);
            for list in said.lists {
                if let Some((_, list)) = self.lists.get_mut(list as usize) {
                    list.join(&records);
                }
            }
        }
    }
}

/// Text that is longer is searched by reading it.
const MAX_TEXT: usize = 64 * 1024;
/// Records in the lists of all trigrams together; text beyond is searched by reading it.
const MAX_POSTINGS: usize = 16 * 1024 * 1024;
/// Different trigrams: SQL has some ten thousand.
const MAX_TRIGRAMS: usize = 256 * 1024;
/// Texts whose trigrams are remembered.
const MAX_SAID: usize = 1024;
const ONCE: usize = 4096;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn every_trigram_has_every_record_that_says_it() {
        let mut texts = Texts::new();
        let mut expected: BTreeMap<u32, RoaringBitmap> = BTreeMap::new();
        for number in 0..20_000u32 {
            let text = match number % 4 {
                0 => "SELECT abalance FROM accounts WHERE aid = $1".to_owned(),
                1 => format!("SELECT * FROM T{}", number % 1500),
                2 => format!("insert into t values ({number})"),
                _ => format!("sÉlect 'grüße' -- {}", number % 10),
            };
            assert!(texts.take(&text, number));
            for trigram in trigrams(&text.to_lowercase()) {
                expected.entry(trigram).or_default().insert(number);
            }
        }
        let found: BTreeMap<u32, RoaringBitmap> = texts.finish().into_iter().collect();
        assert!(found == expected, "the lists differ");
    }
}
