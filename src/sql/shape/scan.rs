//! Cuts the literals out of a text, in one pass and without allocating. It follows the lexer's rules as far as it takes to
//! tell literals from what is none: a literal that it is not sure of stays where it is, a part of the shape.

use std::hash::Hasher;

use super::{Class, Literal, Shape};
use crate::sql::redact::may_mention_secret;

/// Longer texts have no shape: reading them is not done on the spot either.
const MAX_TEXT: usize = 4 * 1024;
/// Texts with more literals have none.
const MAX_LITERALS: usize = 1024;
/// So many are kept without allocating.
const FEW: usize = 16;

/// A text and the literals in it.
#[derive(Debug)]
pub struct Outline<'t> {
    text: &'t str,
    few: [Literal; FEW],
    many: Vec<Literal>,
    length: usize,
}

const NOTHING: Literal = Literal { class: Class::Int4, start: 0, end: 0 };

impl<'t> Outline<'t> {
    fn new(text: &'t str) -> Self {
        Self { text, few: [NOTHING; FEW], many: Vec::new(), length: 0 }
    }

    fn push(&mut self, literal: Literal) -> Option<()> {
        match self.few.get_mut(self.length) {
            Some(place) => *place = literal,
            None => self.many.push(literal),
        }
        self.length += 1;
        (self.length <= MAX_LITERALS).then_some(())
    }

    /// How many literals there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The literals, in the order of the text.
    pub fn literals(&self) -> impl Iterator<Item = Literal> {
        self.few.iter().take(self.length).chain(&self.many).copied()
    }

    #[must_use]
    pub fn text(&self) -> &'t str {
        self.text
    }

    pub(super) fn bytes(&self) -> &'t [u8] {
        self.text.as_bytes()
    }

    /// Adds what texts of this shape have in common to a hash.
    pub fn hash_shape(&self, hasher: &mut impl Hasher) {
        let mut at = 0;
        for literal in self.literals() {
            hasher.write(self.bytes().get(at..literal.range().start).unwrap_or_default());
            hasher.write_u8(literal.class as u8);
            at = literal.range().end;
        }
        hasher.write(self.bytes().get(at..).unwrap_or_default());
    }

    /// The shape, to be kept.
    #[must_use]
    pub fn shape(&self) -> Shape {
        let mut rest = String::with_capacity(self.text.len());
        let mut literals = Vec::with_capacity(self.length);
        let mut at = 0;
        for literal in self.literals() {
            rest.push_str(self.text.get(at..literal.range().start).unwrap_or_default());
            // No text is longer than MAX_TEXT.
            literals.push((literal.class, u32::try_from(rest.len()).unwrap_or(u32::MAX)));
            at = literal.range().end;
        }
        rest.push_str(self.text.get(at..).unwrap_or_default());
        Shape { rest: rest.into(), literals: literals.into() }
    }
}

/// The literals of a text; `None` where it has none, or no shape that could be shared.
#[must_use]
pub fn scan(text: &str) -> Option<Outline<'_>> {
    if text.len() > MAX_TEXT { None } else { cut(text) }
}

/// [`scan`], of a text of any length.
pub(super) fn cut(text: &str) -> Option<Outline<'_>> {
    if memchr::memchr(0, text.as_bytes()).is_some() {
        return None;
    }
    let mut scanner = Scanner { bytes: text.as_bytes(), at: 0, found: Outline::new(text) };
    while let Some(byte) = scanner.peek(0) {
        scanner.token(byte)?;
    }
    (!scanner.found.is_empty()).then_some(scanner.found)
}

/// What a byte can begin.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Begins {
    /// Nothing that matters here: blanks, operators, marks.
    Nothing,
    Name,
    Digit,
    Quote,
    QuotedName,
    Point,
    Minus,
    Slash,
    Dollar,
    /// What PostgreSQL's versions read differently.
    Refused,
}

const BEGINS: [Begins; 256] = {
    let mut table = [Begins::Nothing; 256];
    let mut byte = 0;
    #[expect(clippy::indexing_slicing, reason = "computed when compiling")]
    while byte < 256 {
        table[byte] = match byte as u8 {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80..=0xff => Begins::Name,
            b'0'..=b'9' => Begins::Digit,
            b'\'' => Begins::Quote,
            b'"' => Begins::QuotedName,
            b'.' => Begins::Point,
            b'-' => Begins::Minus,
            b'/' => Begins::Slash,
            b'$' => Begins::Dollar,
            0x0b => Begins::Refused,
            _ => Begins::Nothing,
        };
        byte += 1;
    }
    table
};

fn begins(byte: u8) -> Begins {
    BEGINS.get(usize::from(byte)).copied().unwrap_or(Begins::Refused)
}

/// Whether a byte goes on with a name.
fn is_name_part(byte: u8) -> bool {
    matches!(begins(byte), Begins::Name | Begins::Digit | Begins::Dollar)
}

struct Scanner<'t> {
    bytes: &'t [u8],
    at: usize,
    found: Outline<'t>,
}

impl Scanner<'_> {
    fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    fn rest(&self) -> &[u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// Moves past what begins here; `None` where the text cannot be read.
    fn token(&mut self, byte: u8) -> Option<()> {
        match begins(byte) {
            Begins::Nothing => self.at += 1,
            Begins::Name => self.name(byte)?,
            Begins::Digit => self.number()?,
            Begins::Quote => self.string()?,
            Begins::QuotedName => self.quoted(b'"')?,
            Begins::Point => match self.peek(1) {
                Some(b'0'..=b'9') => self.number()?,
                Some(b'.') => self.at += 2,
                Some(_) | None => self.at += 1,
            },
            Begins::Minus if self.peek(1) == Some(b'-') => {
                self.at += memchr::memchr2(b'\n', b'\r', self.rest()).unwrap_or(self.rest().len());
            }
            Begins::Slash if self.peek(1) == Some(b'*') => self.comment()?,
            Begins::Minus | Begins::Slash => self.at += 1,
            Begins::Dollar => self.dollar()?,
            Begins::Refused => return None,
        }
        Some(())
    }

    /// A word, or a string with letters in front of it, which stays.
    fn name(&mut self, first: u8) -> Option<()> {
        match (first | 0x20, self.peek(1)) {
            (b'e', Some(b'\'')) => return self.escaped(),
            (b'b' | b'x', Some(b'\'')) => {
                // Two quotes in a row are none of its own.
                self.at += 2;
                self.at += memchr::memchr(b'\'', self.rest())? + 1;
                return Some(());
            }
            (b'n', Some(b'\'')) => {
                self.at += 1;
                return self.quoted(b'\'');
            }
            (b'u', Some(b'&')) if matches!(self.peek(2), Some(b'\'' | b'"')) => {
                let quote = self.peek(2)?;
                self.at += 2;
                return self.quoted(quote);
            }
            (_, _) => {}
        }
        let length = self.rest().iter().position(|byte| !is_name_part(*byte)).unwrap_or(self.rest().len());
        self.at += length;
        // A type's name and a string right behind it.
        if self.peek(0) == Some(b'\'') { self.quoted(b'\'') } else { Some(()) }
    }

    fn digits(&mut self) {
        self.at += self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
    }

    /// As `lex::number` reads it.
    fn number(&mut self) -> Option<()> {
        let start = self.at;
        self.digits();
        let whole = start..self.at;
        if self.peek(0) == Some(b'.') && self.peek(1) != Some(b'.') {
            self.at += 1;
            self.digits();
        }
        let mut exponent = false;
        if matches!(self.peek(0), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(self.peek(1), Some(b'+' | b'-')));
            if self.peek(1 + sign).is_some_and(|byte| byte.is_ascii_digit()) {
                exponent = true;
                self.at += 1 + sign;
                self.digits();
            }
        }
        if self.peek(0).is_some_and(|next| begins(next) == Begins::Name || (exponent && next == b'$')) {
            return None;
        }
        let class = if self.at == whole.end { integer(self.bytes.get(whole)?) } else { Class::Numeric };
        self.found.push(Literal::new(class, start..self.at)?)
    }

    /// `'…'`: a literal, unless it may hold a secret.
    fn string(&mut self) -> Option<()> {
        let start = self.at;
        self.quoted(b'\'')?;
        if may_mention_secret(self.bytes.get(start + 1..self.at - 1)?) {
            return Some(());
        }
        self.found.push(Literal::new(Class::String, start..self.at)?)
    }

    /// Past the quote that closes the one here; doubled ones are part of what is quoted.
    fn quoted(&mut self, quote: u8) -> Option<()> {
        self.at += 1;
        loop {
            self.at += memchr::memchr(quote, self.rest())? + 1;
            if self.peek(0) != Some(quote) {
                return Some(());
            }
            self.at += 1;
        }
    }

    /// `E'…'`
    fn escaped(&mut self) -> Option<()> {
        self.at += 2;
        loop {
            self.at += memchr::memchr2(b'\'', b'\\', self.rest())?;
            match (self.peek(0), self.peek(1)) {
                (Some(b'\''), Some(b'\'')) | (Some(b'\\'), Some(_)) => self.at += 2,
                (Some(b'\''), _) => {
                    self.at += 1;
                    return Some(());
                }
                (_, _) => return None,
            }
        }
    }

    /// A block comment; they nest.
    fn comment(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            self.at += memchr::memchr2(b'/', b'*', self.rest())?;
            match (self.peek(0), self.peek(1)) {
                (Some(b'/'), Some(b'*')) => {
                    depth += 1;
                    self.at += 2;
                }
                (Some(b'*'), Some(b'/')) => {
                    depth -= 1;
                    self.at += 2;
                    if depth == 0 {
                        return Some(());
                    }
                }
                (_, _) => self.at += 1,
            }
        }
    }

    /// `$1`, or a dollar-quoted string, which stays.
    fn dollar(&mut self) -> Option<()> {
        let start = self.at;
        self.at += 1;
        if self.peek(0).is_some_and(|byte| byte.is_ascii_digit()) {
            self.digits();
            return Some(());
        }
        self.at += self.rest().iter().take_while(|byte| is_name_part(**byte) && **byte != b'$').count();
        if self.peek(0) != Some(b'$') {
            return None;
        }
        self.at += 1;
        let tag = self.bytes.get(start..self.at)?;
        self.at += memchr::memmem::find(self.rest(), tag)? + tag.len();
        Some(())
    }
}

/// The class of an integer without a sign, which an operator gives it.
fn integer(digits: &[u8]) -> Class {
    let mut value = 0_u64;
    for digit in digits {
        value = value.saturating_mul(10).saturating_add(u64::from(digit.wrapping_sub(b'0')));
    }
    match value {
        0..=0x7fff_ffff => Class::Int4,
        0x8000_0000..=0x7fff_ffff_ffff_ffff => Class::Int8,
        0x8000_0000_0000_0000.. => Class::Large,
    }
}
