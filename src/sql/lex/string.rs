//! String constants: plain, with escapes, bit strings, continuation over a line's end, and Unicode escapes.

use super::{Kind, Lexer};
use crate::sql::Unreadable;

/// What two quotes in a row are, inside of a string.
#[derive(Clone, Copy, PartialEq)]
enum Doubled {
    /// One quote of the string's.
    IsQuote,
    /// The end of it, and the start of another: `xqdouble` of scan.l has no part in bit strings.
    Ends,
}

impl Lexer<'_> {
    pub(super) fn plain_string(&mut self) -> Result<Kind, Unreadable> {
        Ok(Kind::String(self.single_quoted()?))
    }

    /// `N'…'` is the keyword NCHAR and then a plain string.
    pub(super) fn national_marker(&mut self) -> Kind {
        self.fixed(1, Kind::Word("nchar".to_owned()))
    }

    pub(super) fn bit_string(&mut self) -> Result<Kind, Unreadable> {
        let letter = if matches!(self.peek(0), Some(b'b' | b'B')) { 'b' } else { 'x' };
        self.at += 1;
        let body = self.quoted(Doubled::Ends)?;
        Ok(Kind::Bit(format!("{letter}{body}")))
    }

    /// The body of `'…'` with its continuations; stands on the opening quote. A backslash is a backslash.
    pub(super) fn single_quoted(&mut self) -> Result<String, Unreadable> {
        self.quoted(Doubled::IsQuote)
    }

    fn quoted(&mut self, doubled: Doubled) -> Result<String, Unreadable> {
        let mut body = String::new();
        self.at += 1;
        loop {
            let Some(length) = self.rest().find('\'') else {
                return Err(self.refuse("an unterminated string"));
            };
            let start = self.at;
            self.at += length;
            body.push_str(self.slice(start));
            self.at += 1;
            if self.peek(0) == Some(b'\'') && doubled == Doubled::IsQuote {
                body.push('\'');
                self.at += 1;
            } else if !self.continues() {
                break;
            }
        }
        Ok(body)
    }

    /// `E'…'`; stands on the letter. Escapes may spell single bytes, so that the whole is checked at the end.
    pub(super) fn escape_string(&mut self) -> Result<Kind, Unreadable> {
        self.at += 2;
        let mut body = Vec::new();
        loop {
            match self.peek(0) {
                None => return Err(self.refuse("an unterminated string")),
                Some(b'\'') if self.peek(1) == Some(b'\'') => {
                    body.push(b'\'');
                    self.at += 2;
                }
                Some(b'\'') => {
                    self.at += 1;
                    if !self.continues() {
                        break;
                    }
                }
                Some(b'\\') => self.escape(&mut body)?,
                Some(byte) => {
                    body.push(byte);
                    self.at += 1;
                }
            }
        }
        match String::from_utf8(body) {
            Ok(body) if !body.contains('\0') => Ok(Kind::String(body)),
            Ok(_) | Err(_) => Err(self.refuse("a string that is not valid UTF-8 after its escapes")),
        }
    }

    /// One escape; stands on the backslash.
    fn escape(&mut self, body: &mut Vec<u8>) -> Result<(), Unreadable> {
        let Some(letter) = self.peek(1) else { return Err(self.refuse("an unterminated string")) };
        self.at += 2;
        match letter {
            b'b' => body.push(8),
            b'f' => body.push(12),
            b'n' => body.push(b'\n'),
            b'r' => body.push(b'\r'),
            b't' => body.push(b'\t'),
            b'v' => return Err(self.refuse("the escape \\v, which PostgreSQL versions read differently")),
            b'0'..=b'7' => {
                self.at -= 1;
                // Only the low eight bits are kept, as PostgreSQL does.
                body.push((self.radix(8, 3) & 0xff) as u8);
            }
            b'x' if self.peek(0).is_some_and(|byte| byte.is_ascii_hexdigit()) => {
                body.push((self.radix(16, 2) & 0xff) as u8);
            }
            b'u' | b'U' => self.unicode_escape(letter, body)?,
            other => body.push(other),
        }
        Ok(())
    }

    /// `\uXXXX` or `\UXXXXXXXX`; a surrogate must have its pair right after.
    fn unicode_escape(&mut self, letter: u8, body: &mut Vec<u8>) -> Result<(), Unreadable> {
        let mut code = self.code_point(letter)?;
        if (0xd800..0xdc00).contains(&code) {
            let next = match (self.peek(0), self.peek(1)) {
                (Some(b'\\'), Some(next @ (b'u' | b'U'))) => next,
                _ => return Err(self.refuse("an invalid Unicode surrogate pair")),
            };
            self.at += 2;
            let low = self.code_point(next)?;
            if !(0xdc00..0xe000).contains(&low) {
                return Err(self.refuse("an invalid Unicode surrogate pair"));
            }
            code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        }
        let Some(character) = char::from_u32(code) else {
            return Err(self.refuse("an invalid Unicode escape"));
        };
        body.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        Ok(())
    }

    fn code_point(&mut self, letter: u8) -> Result<u32, Unreadable> {
        let length = if letter == b'u' { 4 } else { 8 };
        let start = self.at;
        let code = self.radix(16, length);
        if self.at - start == length { Ok(code) } else { Err(self.refuse("an invalid Unicode escape")) }
    }

    /// At most `length` digits, eight at the most, so that the number cannot overflow.
    fn radix(&mut self, radix: u32, length: usize) -> u32 {
        let mut number = 0_u32;
        for _ in 0..length {
            let Some(digit) = self.peek(0).and_then(|byte| char::from(byte).to_digit(radix)) else { break };
            number = number.wrapping_mul(radix).wrapping_add(digit);
            self.at += 1;
        }
        number
    }

    /// `quotecontinue` of scan.l: after a closing quote, white space and line comments with at least one line's end among
    /// them, then another quote, go on with the same string in the same mode. Moves past that quote if so.
    fn continues(&mut self) -> bool {
        let start = self.at;
        let mut line_ended = false;
        loop {
            match self.peek(0) {
                Some(b'\n' | b'\r') => {
                    line_ended = true;
                    self.at += 1;
                }
                Some(b' ' | b'\t' | 0x0c) => self.at += 1,
                Some(b'-') if self.peek(1) == Some(b'-') => self.skip_line(),
                Some(b'\'') if line_ended => {
                    self.at += 1;
                    return true;
                }
                Some(_) | None => {
                    self.at = start;
                    return false;
                }
            }
        }
    }
}

/// Undoes `\XXXX` and `\+XXXXXX` with the given escape character; `None` if one is invalid.
pub(super) fn unescape_unicode(raw: &str, escape: char) -> Option<String> {
    let mut plain = String::with_capacity(raw.len());
    let mut rest = raw;
    let mut high: Option<u32> = None;
    while let Some(character) = rest.chars().next() {
        rest = rest.get(character.len_utf8()..)?;
        if character != escape || rest.starts_with(escape) {
            if high.is_some() {
                return None;
            }
            if character == escape {
                rest = rest.get(escape.len_utf8()..)?;
            }
            plain.push(character);
            continue;
        }
        let (skip, length) = if rest.starts_with('+') { (1, 6) } else { (0, 4) };
        let digits = rest.get(skip..skip + length)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        rest = rest.get(skip + length..)?;
        let code = u32::from_str_radix(digits, 16).ok()?;
        match (high.take(), code) {
            (None, 0xd800..0xdc00) => high = Some(code),
            (None, 1..) => plain.push(char::from_u32(code)?),
            (Some(first), 0xdc00..0xe000) => {
                plain.push(char::from_u32(0x10000 + ((first - 0xd800) << 10) + (code - 0xdc00))?);
            }
            (None | Some(_), _) => return None,
        }
    }
    high.is_none().then_some(plain)
}
