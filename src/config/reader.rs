//! A checked walk through the parsed TOML: each value knows its place, so that whatever is wrong with it can be told there.

use std::fmt::Display;
use std::ops::Range;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::duration::parse_duration;
use super::problems::Problems;
use super::size::parse_size;
use super::suggest::instead_of;

/// Where a value stands.
#[derive(Clone, Debug)]
pub(super) struct Place<'a> {
    pub(super) key: String,
    span: Range<usize>,
    problems: &'a Problems<'a>,
}

impl Place<'_> {
    pub(super) fn refuse(&self, message: impl Display) {
        self.problems.add(self.span.clone(), &self.key, message.to_string());
    }

    pub(super) fn line(&self) -> usize {
        self.position().0
    }

    pub(super) fn position(&self) -> (usize, usize) {
        self.problems.position(self.span.start)
    }
}

/// A string and its place.
#[derive(Clone, Debug)]
pub(super) struct Text<'a> {
    pub(super) value: &'a str,
    pub(super) place: Place<'a>,
}

impl Text<'_> {
    /// Reads the string as something else, or tells why it cannot be.
    pub(super) fn read<T, E: Display>(&self, parse: impl FnOnce(&str) -> Result<T, E>) -> Option<T> {
        parse(self.value).map_err(|error| self.place.refuse(error)).ok()
    }

    /// One of a few words.
    pub(super) fn choose<T: Copy>(&self, choices: &[(&str, T)]) -> Option<T> {
        let chosen = choices.iter().find(|(word, _)| *word == self.value);
        if chosen.is_none() {
            let words: Vec<String> = choices.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            self.place.refuse(format!("unknown value \"{}\"; one of {}", self.value, words.join(", ")));
        }
        chosen.map(|(_, choice)| *choice)
    }

    /// Whether the string is one of the `known` ones; where not, says so and what might have been meant.
    pub(super) fn is_known(&self, what: &str, known: &[String]) -> bool {
        let is_known = known.iter().any(|known| known == self.value);
        if !is_known {
            let instead = instead_of(self.value, known.iter().map(String::as_str));
            self.place.refuse(format!("unknown {what} \"{}\"; {instead}", self.value));
        }
        is_known
    }
}

/// A table and its place.
#[derive(Clone, Debug)]
pub(super) struct Table<'a> {
    entries: &'a DeTable<'a>,
    pub(super) place: Place<'a>,
}

impl<'a> Table<'a> {
    pub(super) fn root(entries: &'a DeTable<'a>, problems: &'a Problems<'a>) -> Self {
        Self { entries, place: Place { key: String::new(), span: 0..0, problems } }
    }

    /// Refuses every key but these.
    pub(super) fn allow(&self, known: &[&str]) {
        for key in self.entries.keys().filter(|key| !known.contains(&key.get_ref().as_ref())) {
            let instead = instead_of(key.get_ref(), known.iter().copied());
            self.place.problems.add(key.span(), &self.path(key.get_ref()), format!("unknown key; {instead}"));
        }
    }

    /// Tells a problem of the value at `path`, a dotted path from here, if it is there; else of this table.
    pub(super) fn refuse(&self, path: &str, message: impl Display) {
        let (table, key) = match path.split_once('.') {
            Some((table, key)) => (self.table(table), key),
            None => (Some(self.clone()), path),
        };
        let value = table.as_ref().and_then(|table| table.value(key).map(|value| table.at(key, value)));
        match value {
            Some(place) => place.refuse(message),
            None => self.missing(path, message),
        }
    }

    /// The keys of this table, in the order of their names.
    pub(super) fn keys(&self) -> impl Iterator<Item = Text<'a>> {
        self.entries.keys().map(|key| {
            let place = Place { key: self.path(key.get_ref()), span: key.span(), problems: self.place.problems };
            Text { value: key.get_ref(), place }
        })
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.value(key).is_some()
    }

    /// The path of a key that is there, and where its value stands.
    pub(super) fn position(&self, key: &str) -> Option<(String, (usize, usize))> {
        let place = self.at(key, self.value(key)?);
        let position = place.position();
        Some((place.key, position))
    }

    pub(super) fn is_table(&self, key: &str) -> bool {
        self.value(key).is_some_and(|value| value.get_ref().as_table().is_some())
    }

    pub(super) fn text(&self, key: &str) -> Option<Text<'a>> {
        let value = self.value(key)?;
        self.text_of(key, value)
    }

    pub(super) fn required_text(&self, key: &str) -> Option<Text<'a>> {
        if !self.has(key) {
            self.missing(key, "is required");
        }
        self.text(key)
    }

    /// A list of strings; each has the place of its own, under the key of the list.
    pub(super) fn texts(&self, key: &str) -> Option<Vec<Text<'a>>> {
        let value = self.value(key)?;
        let Some(array) = value.get_ref().as_array() else {
            self.at(key, value).refuse(format!("expected a list of strings, found {}", article(value.get_ref())));
            return None;
        };
        Some(array.iter().filter_map(|item| self.text_of(key, item)).collect())
    }

    /// A list of strings that must not be empty if it is there.
    pub(super) fn some_texts(&self, key: &str) -> Option<Vec<Text<'a>>> {
        let texts = self.texts(key)?;
        let is_empty = self.value(key).and_then(|value| value.get_ref().as_array()).is_some_and(|list| list.is_empty());
        if is_empty {
            self.refuse(key, "is empty; leave it out or name something");
        }
        Some(texts)
    }

    pub(super) fn duration(&self, key: &str) -> Option<Duration> {
        let text = self.text(key)?;
        let duration = text.read(parse_duration)?;
        if duration.is_zero() {
            text.place.refuse("must be longer than nothing");
            return None;
        }
        Some(duration)
    }

    /// A whole number between two, both included.
    pub(super) fn integer(&self, key: &str, least: u64, most: u64) -> Option<u64> {
        let value = self.value(key)?;
        let place = self.at(key, value);
        let Some(integer) = value.get_ref().as_integer() else {
            place.refuse(format!("expected a whole number, found {}", article(value.get_ref())));
            return None;
        };
        let number = u64::from_str_radix(integer.as_str(), integer.radix()).ok();
        let number = number.filter(|number| (least..=most).contains(number));
        if number.is_none() {
            let upper = if most == u64::MAX { "or more".to_owned() } else { format!("to {most}") };
            place.refuse(format!("must be {least} {upper}"));
        }
        number
    }

    /// An amount of bytes, as a number or in words; at least one.
    pub(super) fn size(&self, key: &str) -> Option<u64> {
        let value = self.value(key)?;
        let DeValue::String(_) = value.get_ref() else { return self.integer(key, 1, u64::MAX) };
        let text = self.text(key)?;
        let size = text.read(parse_size)?;
        if size == 0 {
            text.place.refuse("must be more than nothing");
            return None;
        }
        Some(size)
    }

    pub(super) fn flag(&self, key: &str) -> Option<bool> {
        let value = self.value(key)?;
        let flag = value.get_ref().as_bool();
        if flag.is_none() {
            self.at(key, value).refuse(format!("expected true or false, found {}", article(value.get_ref())));
        }
        flag
    }

    pub(super) fn table(&self, key: &str) -> Option<Table<'a>> {
        let value = self.value(key)?;
        let place = self.at(key, value);
        match value.get_ref() {
            DeValue::Table(entries) => Some(Table { entries, place }),
            other => {
                place.refuse(format!("expected a table, found {}", article(other)));
                None
            }
        }
    }

    pub(super) fn required_table(&self, key: &str) -> Option<Table<'a>> {
        if !self.has(key) {
            self.missing("", format!("the section [{key}] is required"));
        }
        self.table(key)
    }

    /// An array of tables, `[[key]]`; none where there is no such key.
    pub(super) fn tables(&self, key: &str) -> Vec<Table<'a>> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let Some(array) = value.get_ref().as_array() else {
            let header = self.path(key).replace(|c: char| c == '[' || c == ']' || c.is_ascii_digit(), "");
            self.at(key, value).refuse(format!("expected a list of tables, written [[{header}]]"));
            return Vec::new();
        };
        let mut tables = Vec::new();
        for (position, item) in array.iter().enumerate() {
            let key = format!("{}[{position}]", self.path(key));
            let place = Place { key, span: item.span(), problems: self.place.problems };
            match item.get_ref() {
                DeValue::Table(entries) => tables.push(Table { entries, place }),
                other => place.refuse(format!("expected a table, found {}", article(other))),
            }
        }
        tables
    }

    /// A string, if it is one; tells nothing.
    pub(super) fn peek_text(&self, key: &str) -> Option<&'a str> {
        self.value(key)?.get_ref().as_str()
    }

    /// The strings of a list, or a string that should have been in one; tells nothing.
    pub(super) fn peek_texts(&self, key: &str) -> impl Iterator<Item = &'a str> {
        let array = self.value(key).and_then(|value| value.get_ref().as_array());
        let listed = array.into_iter().flat_map(|array| array.iter()).filter_map(|item| item.get_ref().as_str());
        listed.chain(self.peek_text(key))
    }

    /// The tables of a list, or the table itself; tells nothing.
    pub(super) fn peek_tables(&self, key: &str) -> Vec<Table<'a>> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let one = std::slice::from_ref(value);
        let items = value.get_ref().as_array().map_or(one, |array| array.as_ref());
        let table = |item: &'a Spanned<DeValue<'a>>| {
            item.get_ref().as_table().map(|entries| Table { entries, place: self.at(key, item) })
        };
        items.iter().filter_map(table).collect()
    }

    /// Tells a problem of a key that is not there, at the table that lacks it.
    fn missing(&self, key: &str, message: impl Display) {
        self.place.problems.add(self.place.span.clone(), &self.path(key), message.to_string());
    }

    fn text_of(&self, key: &str, value: &'a Spanned<DeValue<'a>>) -> Option<Text<'a>> {
        let place = self.at(key, value);
        match value.get_ref() {
            DeValue::String(text) => Some(Text { value: text, place }),
            other => {
                place.refuse(format!("expected a string, found {}", article(other)));
                None
            }
        }
    }

    fn value(&self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.entries.get(key)
    }

    fn at(&self, key: &str, value: &Spanned<DeValue<'_>>) -> Place<'a> {
        Place { key: self.path(key), span: value.span(), problems: self.place.problems }
    }

    fn path(&self, key: &str) -> String {
        match (self.place.key.as_str(), key) {
            ("", key) => key.to_owned(),
            (table, "") => table.to_owned(),
            (table, key) => format!("{table}.{key}"),
        }
    }
}

/// What a value is, with its article.
fn article(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
