//! PostgreSQL's lexer (`src/backend/parser/scan.l`) for UTF-8 and `standard_conforming_strings = on`.
//!
//! Every byte of the text is accounted for as PostgreSQL accounts for it: a token boundary of our own making is a way to
//! hide SQL. Where versions 14 to 18 disagree about a token, the text is refused. Public for the tests that hold it against
//! PostgreSQL's own scanner.

mod name;
mod number;
mod operator;
mod string;

use std::ops::Range;

use super::Unreadable;

/// One token and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    pub kind: Kind,
    pub range: Range<usize>,
}

/// What a token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An unquoted word, folded and cut to 63 bytes: a keyword or a name.
    Word(String),
    /// `"…"` or `U&"…"`: always a name.
    Quoted(String),
    /// A string constant of any spelling, its escapes resolved.
    String(String),
    /// `B'…'` or `X'…'`, with the letter in front.
    Bit(String),
    Integer(String),
    Numeric(String),
    /// `$1`
    Parameter(u16),
    /// An operator, `+` and `=` included; `!=` is `<>`.
    Operator(String),
    /// One of `( ) [ ] , . ; :`
    Mark(char),
    /// `::`
    DoubleColon,
    /// `..`
    DoubleDot,
    /// `:=`
    ColonEquals,
    /// `=>`
    Arrow,
}

/// Cuts a text into tokens.
pub fn tokens(text: &str) -> Result<Vec<Token>, Unreadable> {
    if let Some(position) = text.find('\0') {
        return Err(Unreadable { message: "a zero byte".to_owned(), position });
    }
    let mut lexer = Lexer { text, at: 0 };
    let mut found = Vec::new();
    while let Some(token) = lexer.next()? {
        found.push(token);
    }
    name::resolve_unicode(text, &mut found)?;
    Ok(found)
}

/// The position in the text. Only ASCII is ever looked for, so that each stop is a character boundary.
struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl Lexer<'_> {
    fn next(&mut self) -> Result<Option<Token>, Unreadable> {
        self.skip_blank()?;
        let start = self.at;
        let Some(byte) = self.peek(0) else { return Ok(None) };
        let kind = match byte {
            b'\'' => self.plain_string()?,
            b'"' => self.quoted_name()?,
            b'e' | b'E' if self.peek(1) == Some(b'\'') => self.escape_string()?,
            b'b' | b'B' | b'x' | b'X' if self.peek(1) == Some(b'\'') => self.bit_string()?,
            b'n' | b'N' if self.peek(1) == Some(b'\'') => self.national_marker(),
            b'u' | b'U' if self.peek(1) == Some(b'&') && matches!(self.peek(2), Some(b'\'' | b'"')) => {
                self.unicode_start()?
            }
            b'$' => self.dollar()?,
            b'.' if self.peek(1).is_some_and(|next| next.is_ascii_digit()) => self.number()?,
            b'0'..=b'9' => self.number()?,
            b'.' if self.peek(1) == Some(b'.') => self.fixed(2, Kind::DoubleDot),
            b':' if self.peek(1) == Some(b':') => self.fixed(2, Kind::DoubleColon),
            b':' if self.peek(1) == Some(b'=') => self.fixed(2, Kind::ColonEquals),
            b'(' | b')' | b'[' | b']' | b',' | b'.' | b';' | b':' => self.fixed(1, Kind::Mark(char::from(byte))),
            _ if operator::is_part(byte) => self.operator()?,
            _ if is_name_start(byte) => self.word(),
            _ => return Err(self.refuse("a character that PostgreSQL has no meaning for")),
        };
        Ok(Some(Token { kind, range: start..self.at }))
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.text.as_bytes().get(self.at + ahead).copied()
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn slice(&self, start: usize) -> &str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn fixed(&mut self, length: usize, kind: Kind) -> Kind {
        self.at += length;
        kind
    }

    fn refuse(&self, message: &str) -> Unreadable {
        Unreadable { message: message.to_owned(), position: self.at }
    }

    /// White space and comments.
    fn skip_blank(&mut self) -> Result<(), Unreadable> {
        loop {
            match self.peek(0) {
                Some(b' ' | b'\t' | b'\n' | b'\r' | 0x0c) => self.at += 1,
                // White space from version 16 on, an error before.
                Some(0x0b) => return Err(self.refuse("a vertical tab, which PostgreSQL versions read differently")),
                Some(b'-') if self.peek(1) == Some(b'-') => self.skip_line(),
                Some(b'/') if self.peek(1) == Some(b'*') => self.skip_block()?,
                Some(_) | None => return Ok(()),
            }
        }
    }

    /// To the end of the line, the line's end not included.
    fn skip_line(&mut self) {
        let length = self.rest().find(['\n', '\r']).unwrap_or(self.rest().len());
        self.at += length;
    }

    /// A block comment; they nest.
    fn skip_block(&mut self) -> Result<(), Unreadable> {
        let mut depth = 0_usize;
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some(b'/'), Some(b'*')) => {
                    depth += 1;
                    self.at += 2;
                }
                (Some(b'*'), Some(b'/')) => {
                    depth -= 1;
                    self.at += 2;
                    if depth == 0 {
                        return Ok(());
                    }
                }
                (Some(_), _) => self.at += 1,
                (None, _) => return Err(self.refuse("an unterminated comment")),
            }
        }
    }
}

/// `ident_start` of scan.l; every byte of a multi-byte character counts as a letter.
fn is_name_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || !byte.is_ascii()
}

/// `ident_cont` of scan.l.
fn is_name_part(byte: u8) -> bool {
    is_name_start(byte) || byte.is_ascii_digit() || byte == b'$'
}

#[cfg(test)]
mod tests;
