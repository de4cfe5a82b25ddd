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
    let mut scanner = Scanner { bytes: text.as_bytes(), at: 0, ended: 0, found: Outline::new(text) };
    while let Some(byte) = scanner.next_of_interest() {
        scanner.token(byte)?;
    }
    (!scanner.found.is_empty()).then_some(scanner.found)
}

/// The bytes at which a literal, or what may hold something that looks like one, can begin.
const OF_INTEREST: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    #[expect(clippy::indexing_slicing, reason = "computed when compiling")]
    while byte < 256 {
        table[byte] = matches!(byte as u8, b'0'..=b'9' | b'\'' | b'"' | b'-' | b'/' | b'$' | 0x0b);
        byte += 1;
    }
    table
};

/// `ident_start` of scan.l.
fn is_name_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || !byte.is_ascii()
}

/// `ident_cont` of scan.l.
fn is_name_part(byte: u8) -> bool {
    is_name_start(byte) || byte.is_ascii_digit() || byte == b'$'
}

struct Scanner<'t> {
    bytes: &'t [u8],
    at: usize,
    /// Where the last number, parameter or dollar-quoted string ended: they end in what could go on with a name, and do not.
    ended: usize,
    found: Outline<'t>,
}

impl Scanner<'_> {
    fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    /// The byte so many before this one.
    fn before(&self, back: usize) -> Option<u8> {
        self.bytes.get(self.at.checked_sub(back)?).copied()
    }

    /// Whether the byte so many before this one is part of a name.
    fn is_named(&self, back: usize) -> bool {
        self.before(back).is_some_and(is_name_part) && self.ended + back != self.at + 1
    }

    fn rest(&self) -> &[u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// Moves to the next byte that is more than a part of a word, a blank or an operator.
    fn next_of_interest(&mut self) -> Option<u8> {
        let is_of_interest = |byte: &u8| OF_INTEREST.get(usize::from(*byte)).is_some_and(|of_interest| *of_interest);
        self.at += self.rest().iter().position(is_of_interest)?;
        self.peek(0)
    }

    /// Moves past what begins here or before; `None` where the text cannot be read.
    fn token(&mut self, byte: u8) -> Option<()> {
        let in_name = self.is_named(1);
        match byte {
            b'0'..=b'9' | b'$' if in_name => {
                self.at += self.rest().iter().take_while(|byte| is_name_part(**byte)).count()
            }
            b'0'..=b'9' => self.number()?,
            b'\'' => {
                self.string(in_name)?;
                self.ends_here()?;
            }
            b'"' => self.quoted(b'"')?,
            b'-' if self.peek(1) == Some(b'-') => {
                self.at += memchr::memchr2(b'\n', b'\r', self.rest()).unwrap_or(self.rest().len());
            }
            b'/' if self.peek(1) == Some(b'*') => self.comment()?,
            b'$' => self.dollar()?,
            // What PostgreSQL's versions read differently.
            0x0b => return None,
            _ => self.at += 1,
        }
        Some(())
    }

    /// `'…'`: a literal, unless it may hold a secret or letters in front say what it is.
    fn string(&mut self, in_name: bool) -> Option<()> {
        let unicode = self.before(1) == Some(b'&') && matches!(self.before(2), Some(b'u' | b'U'));
        if in_name {
            // One letter alone is a kind of string; more are a type's name.
            return match self.before(1) {
                Some(b'e' | b'E') if !self.is_named(2) => self.escaped(),
                Some(b'b' | b'B' | b'x' | b'X') if !self.is_named(2) => {
                    // Two quotes in a row are none of its own.
                    self.at += 1;
                    self.at += memchr::memchr(b'\'', self.rest())? + 1;
                    Some(())
                }
                Some(_) | None => self.quoted(b'\''),
            };
        }
        let (start, stays) = (self.at, unicode && !self.is_named(3));
        self.quoted(b'\'')?;
        if stays || may_mention_secret(self.bytes.get(start + 1..self.at - 1)?) {
            return Some(());
        }
        self.found.push(Literal::new(Class::String, start..self.at)?)
    }

    fn digits(&mut self) {
        self.at += self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
    }

    /// As `lex::number` reads it.
    fn number(&mut self) -> Option<()> {
        if self.before(1) == Some(b'.') {
            if self.before(2) == Some(b'.') {
                return None;
            }
            self.at -= 1;
        }
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
        if self.peek(0).is_some_and(|next| is_name_start(next) || (exponent && next == b'$')) {
            return None;
        }
        self.ended = self.at;
        let class = if self.at == whole.end { integer(self.bytes.get(whole)?) } else { Class::Numeric };
        self.found.push(Literal::new(class, start..self.at)?)
    }

    /// A string goes on behind a line's end if another quote stands there: `None` if so, as whose it is is not followed.
    fn ends_here(&self) -> Option<()> {
        let (mut at, mut line_ended) = (self.at, false);
        loop {
            match self.bytes.get(at) {
                Some(b'\n' | b'\r') => (line_ended, at) = (true, at + 1),
                Some(b' ' | b'\t' | 0x0c) => at += 1,
                Some(b'-') if self.bytes.get(at + 1) == Some(&b'-') => {
                    let rest = self.bytes.get(at..)?;
                    at += memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
                }
                Some(b'\'') if line_ended => return None,
                Some(_) | None => return Some(()),
            }
        }
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

    /// The rest of `E'…'`, from its quote on.
    fn escaped(&mut self) -> Option<()> {
        self.at += 1;
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
            self.ended = self.at;
            return Some(());
        }
        self.at += self.rest().iter().take_while(|byte| is_name_part(**byte) && **byte != b'$').count();
        if self.peek(0) != Some(b'$') {
            return None;
        }
        self.at += 1;
        let tag = self.bytes.get(start..self.at)?;
        self.at += memchr::memmem::find(self.rest(), tag)? + tag.len();
        self.ended = self.at;
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
