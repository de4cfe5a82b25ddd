//! Rules records out by their canonical bytes, which costs a tenth of parsing them. What it lets through may still be
//! something else; what it holds back is none of what is looked for.

use jiff::Timestamp;
use memchr::memmem::Finder;
use memchr::{memchr, memchr2};

use super::search::Filter;

/// A filter, as far as canonical bytes tell. A quote stands unescaped only around names and strings, so that a place where
/// `,"name":` can be read is that name.
#[derive(Debug)]
pub(super) struct Sieve {
    /// All of them stand in a record that is looked for.
    needles: Vec<Finder<'static>>,
    /// One of these does, where there are any.
    one_of: Vec<Finder<'static>>,
    kind: Option<String>,
    text: Option<String>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl Sieve {
    /// The sieve of a filter, with its text in lower case.
    pub(super) fn of(filter: &Filter, lowercase: Option<&str>) -> Self {
        let mut needles = Vec::new();
        let mut need = |before: &str, text: Option<&str>, after: &str| {
            if let Some(text) = text.filter(|text| text.bytes().all(is_plain)) {
                needles.push(Finder::new(&format!("{before}{text}{after}")).into_owned());
            }
        };
        for text in
            [&filter.principal, &filter.database, &filter.grant, &filter.session, &filter.request, &filter.region]
        {
            need(":\"", text.as_deref(), "\"");
        }
        need(",\"fingerprint\":\"", filter.fingerprint.as_deref(), "\"");
        need(",\"rule\":\"", filter.rule.as_deref(), "\"");
        need(",\"event\":\"", filter.event.map(super::Event::as_str), "\"");
        need(",\"verdict\":\"", filter.verdict.map(super::RecordedVerdict::as_str), "\"");
        need("", filter.relation.as_deref(), "\",\"operation\":");
        need(",\"statement\":\"", filter.text.as_ref().map(|_| ""), "");
        let mut one_of = Vec::new();
        if let Some(column) = filter.column.as_deref().filter(|column| column.bytes().all(is_plain)) {
            // Of a name of several parts the last may begin anywhere: it is the column's end at least.
            let last = column.rsplit('.').next().unwrap_or_default();
            one_of = vec![Finder::new(&format!("{last}\"")).into_owned(), Finder::new("\"*\"").into_owned()];
        }
        Self {
            needles,
            one_of,
            kind: filter.kind.clone(),
            text: lowercase.map(longest_plain),
            since: filter.since,
            until: filter.until,
        }
    }

    /// Whether a record may be looked for.
    pub(super) fn lets_through(&self, canonical: &[u8]) -> bool {
        self.needles.iter().all(|needle| needle.find(canonical).is_some())
            && (self.one_of.is_empty() || self.one_of.iter().any(|needle| needle.find(canonical).is_some()))
            && self.kind.as_ref().is_none_or(|wanted| {
                word_at(b",\"kind\":\"", canonical).is_some_and(|kind| kind.eq_ignore_ascii_case(wanted.as_bytes()))
            })
            && self.is_in_time(canonical)
            && self.text.as_ref().is_none_or(|text| may_say(text.as_bytes(), canonical))
    }

    fn is_in_time(&self, canonical: &[u8]) -> bool {
        if self.since.is_none() && self.until.is_none() {
            return true;
        }
        let word = word_at(b"{\"time\":\"", canonical).and_then(|word| std::str::from_utf8(word).ok());
        let Some(time) = word.and_then(|word| word.parse::<Timestamp>().ok()) else { return true };
        self.since.is_none_or(|since| time >= since) && self.until.is_none_or(|until| time < until)
    }
}

/// The string that stands behind `name`, up to its quote.
pub(super) fn word_at<'a>(name: &[u8], canonical: &'a [u8]) -> Option<&'a [u8]> {
    let start = memchr::memmem::find(canonical, name)? + name.len();
    let rest = canonical.get(start..)?;
    rest.get(..memchr(b'"', rest)?)
}

/// The number that stands behind `name`.
pub(super) fn number_at(name: &[u8], canonical: &[u8]) -> Option<u64> {
    let start = memchr::memmem::find(canonical, name)? + name.len();
    let mut digits = canonical.get(start..)?.iter().take_while(|byte| byte.is_ascii_digit());
    digits.try_fold(0_u64, |number, digit| number.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
}

/// Whether `text`, which is plain and in lower case, may stand in the bytes in any case. Letters outside of ASCII can become
/// letters of ASCII in lower case, so that bytes that hold any tell nothing.
fn may_say(text: &[u8], canonical: &[u8]) -> bool {
    let Some(first) = text.first() else { return true };
    let mut rest = canonical;
    while let Some(at) = memchr2(*first, first.to_ascii_uppercase(), rest) {
        rest = rest.get(at..).unwrap_or_default();
        if rest.get(..text.len()).is_some_and(|there| there.eq_ignore_ascii_case(text)) {
            return true;
        }
        rest = rest.get(1..).unwrap_or_default();
    }
    !canonical.is_ascii()
}

/// The longest part of a text that stands in canonical bytes as it is.
fn longest_plain(text: &str) -> String {
    let parts = text.split(|c: char| !u8::try_from(c).is_ok_and(is_plain));
    parts.max_by_key(|part| part.len()).unwrap_or_default().to_owned()
}

/// Whether a byte stands in canonical bytes as it is.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_numbers_are_read_where_their_names_stand() {
        let canonical =
            br#"{"time":"t","seq":12,"statement":"x,\"rows\":7,\"sqlstate\":\"1","sqlstate":"57014","rows":3}"#;
        assert_eq!(number_at(b",\"seq\":", canonical), Some(12));
        assert_eq!(number_at(b",\"rows\":", canonical), Some(3));
        assert_eq!(word_at(b",\"sqlstate\":\"", canonical), Some(&b"57014"[..]));
        assert_eq!(word_at(b",\"kind\":\"", canonical), None);
    }

    #[test]
    fn text_is_ruled_out_only_where_it_cannot_stand() {
        let check = |text: &str, canonical: &str, expected: bool| {
            let part = longest_plain(&text.to_lowercase());
            assert_eq!(may_say(part.as_bytes(), canonical.as_bytes()), expected, "{text} in {canonical}");
        };
        check("from ORDERS", "select * From orders", true);
        check("from orders", "select * from\\norders", false);
        check("a \"b\" cc", "xx CC yy", true);
        check("\"", "anything", true);
        // The Kelvin sign is a k in lower case.
        check("kelvin", "select '\u{212a}elvin'", true);
        check("oorders", "select ooorders", true);
    }
}
