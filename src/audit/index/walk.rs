//! Goes through a record's canonical bytes field by field, without parsing what nobody asks for. Pure. It reads what canonical
//! bytes are and no JSON beyond that: no white space, and escapes left as they stand.

use std::borrow::Cow;

use memchr::memchr2;

/// Fields that are still to come: `,"name":value` and so on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Walk<'a> {
    rest: &'a [u8],
}

/// A field's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// What stands between the quotes.
    Text(Raw<'a>),
    Number(u64),
    /// The elements of a list, without its brackets.
    List(&'a [u8]),
    Null,
}

/// A text as it stands, perhaps with escapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Raw<'a> {
    bytes: &'a [u8],
    is_escaped: bool,
}

impl<'a> Raw<'a> {
    /// The text itself; `None` where it is none.
    pub(super) fn decode(self) -> Option<Cow<'a, str>> {
        if !self.is_escaped {
            return std::str::from_utf8(self.bytes).ok().map(Cow::Borrowed);
        }
        let quoted = [b"\"", self.bytes, b"\""].concat();
        serde_json::from_slice(&quoted).ok().map(Cow::Owned)
    }

    /// As it stands.
    pub(super) fn bytes(self) -> &'a [u8] {
        self.bytes
    }
}

impl<'a> Walk<'a> {
    /// Through a whole record.
    pub(super) fn through(canonical: &'a [u8]) -> Option<Self> {
        // Its brace stands where a comma stands before every other field.
        (canonical.first() == Some(&b'{') && canonical.last() == Some(&b'}')).then_some(())?;
        canonical.get(..canonical.len() - 1).map(|rest| Self { rest })
    }

    /// Through some of its fields, as [`Self::rest`] gave them.
    pub(super) fn through_part(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    /// What is still to come.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(super) fn is_done(&self) -> bool {
        self.rest.is_empty()
    }

    /// Leaves out `bytes` bytes, which are whole fields.
    pub(super) fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    /// The next field's name, which is not passed yet.
    pub(super) fn peek(&self) -> Option<&'a [u8]> {
        let name = self.rest.get(2..)?;
        // Names are short.
        name.get(..name.iter().position(|byte| *byte == b'"')?)
    }

    /// The next field. `None` where there is none, or it is not as canonical bytes are.
    pub(super) fn next(&mut self) -> Option<(&'a [u8], Value<'a>)> {
        let name = self.peek()?;
        let (before, behind) = self.rest.split_at_checked(name.len() + 4)?;
        if !matches!(before, [b'{' | b',', b'"', .., b'"', b':']) {
            return None;
        }
        let (value, rest) = value(behind)?;
        self.rest = rest;
        Some((name, value))
    }
}

/// The texts of a list of texts, or of texts and nulls.
pub(super) fn texts(list: &[u8]) -> impl Iterator<Item = Option<Raw<'_>>> {
    let mut rest = list;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let found = value(rest);
        rest = found.and_then(|(_, rest)| rest.strip_prefix(b",")).unwrap_or_default();
        match found {
            Some((Value::Text(text), _)) => Some(Some(text)),
            Some(_) | None => Some(None),
        }
    })
}

/// The objects of a list of objects, each as its fields.
pub(super) fn objects(list: &[u8]) -> impl Iterator<Item = Option<Walk<'_>>> {
    let mut rest = list;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let Some(length) = nested(rest) else {
            rest = &[];
            return Some(None);
        };
        let (object, behind) = rest.split_at_checked(length)?;
        rest = behind.strip_prefix(b",").unwrap_or_default();
        Some(Walk::through(object))
    })
}

/// A value, and what comes after it.
fn value(bytes: &[u8]) -> Option<(Value<'_>, &[u8])> {
    match bytes.first()? {
        b'"' => {
            let inside = bytes.get(1..)?;
            let (length, is_escaped) = text_length(inside)?;
            let (text, rest) = inside.split_at_checked(length)?;
            Some((Value::Text(Raw { bytes: text, is_escaped }), rest.get(1..)?))
        }
        b'0'..=b'9' => {
            let mut number: u64 = 0;
            let mut digits = 0;
            for byte in bytes.iter().take_while(|byte| byte.is_ascii_digit()) {
                number = number.checked_mul(10)?.checked_add(u64::from(byte - b'0'))?;
                digits += 1;
            }
            Some((Value::Number(number), bytes.get(digits..)?))
        }
        b'[' => {
            let (list, rest) = bytes.split_at_checked(nested(bytes)?)?;
            Some((Value::List(list.get(1..list.len() - 1)?), rest))
        }
        b'n' => bytes.strip_prefix(b"null").map(|rest| (Value::Null, rest)),
        _ => None,
    }
}

/// The bytes up to the quote that ends a text, and whether there are escapes among them.
fn text_length(inside: &[u8]) -> Option<(usize, bool)> {
    let (mut at, mut is_escaped) = (0, false);
    loop {
        at += memchr2(b'"', b'\\', inside.get(at..)?)?;
        if inside.get(at) == Some(&b'"') {
            return Some((at, is_escaped));
        }
        is_escaped = true;
        at += 2;
    }
}

/// The length of a list or an object with all that is in it.
fn nested(bytes: &[u8]) -> Option<usize> {
    let mut depth = 0u32;
    let mut at = 0;
    loop {
        match bytes.get(at)? {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            b'"' => at += text_length(bytes.get(at + 1..)?)?.0 + 1,
            _ => {}
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use super::*;

    #[test]
    fn fields_are_read_in_order_whatever_texts_say() {
        let canonical = br#"{"time":"t","seq":18446744073709551615,"a":"x\",\"seq\":1","b":["p","]\\",null],"c":[{"name":"n}","columns":["k"]},{}],"d":null}"#;
        let mut walk = Walk::through(canonical).unwrap();
        let mut names = Vec::new();
        let mut found = Vec::new();
        while !walk.is_done() {
            let (name, value) = walk.next().unwrap();
            names.push(std::str::from_utf8(name).unwrap());
            found.push(value);
        }
        assert_eq!(names, ["time", "seq", "a", "b", "c", "d"]);
        let text = |value: &Value<'_>| match value {
            Value::Text(text) => text.decode().unwrap().into_owned(),
            other => format!("{other:?}"),
        };
        assert_eq!(found.get(1), Some(&Value::Number(u64::MAX)));
        assert_eq!(text(found.get(2).unwrap()), "x\",\"seq\":1");
        let Some(Value::List(list)) = found.get(3) else { panic!("a list") };
        let texts: Vec<_> = texts(list).map(|text| text.map(|text| text.decode().unwrap().into_owned())).collect();
        assert_eq!(texts, [Some("p".to_owned()), Some("]\\".to_owned()), None]);
        let Some(Value::List(list)) = found.get(4) else { panic!("a list") };
        let objects: Vec<_> = objects(list).map(|object| object.unwrap().next().map(|(name, _)| name)).collect();
        assert_eq!(objects, [Some(b"name".as_slice()), None]);
    }

    #[test]
    fn what_is_not_canonical_is_not_read() {
        for text in
            ["", "{", "[]", r#"{"a":1"#, r#"{"a" :1}"#, r#"{"a":"x}"#, r#"{"a":-1}"#, r#"{"a":[1}"#, r#"{"a":tru}"#]
        {
            let walked = Walk::through(text.as_bytes()).and_then(|mut walk| walk.next());
            assert_eq!(walked, None, "{text}");
        }
    }
}
