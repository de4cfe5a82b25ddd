//! What a text is but for its literals: texts of the same shape differ in nothing else, and each literal of one stands for a
//! literal of the same class in the other.
//!
//! A shape is cut out by a scanner that is much quicker than the lexer ([`scan`]). It need not be right about every text: a
//! shape is only shared once [`share`] has held one text of it against the lexer, token by token. What stands between the
//! literals is kept byte for byte and compared whole, and the lexer reads from left to right: so it cuts every other text of
//! that shape at the same places, if only its literals are whole literals by themselves, which the scanner sees to.

mod place;
mod scan;
mod share;
#[cfg(test)]
mod tests;

pub use scan::{Outline, scan};
pub use share::share;

use std::ops::Range;

/// What typing and the choice of an overload see of a literal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// An integer that is an `int4`.
    Int4,
    /// One that is an `int8`.
    Int8,
    /// One that is a `numeric`.
    Large,
    /// A number with a point or an exponent.
    Numeric,
    /// `'…'`, all of it in one pair of quotes, without anything that looks like a secret.
    String,
}

/// One literal, and where it stands in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Literal {
    pub class: Class,
    start: u32,
    end: u32,
}

impl Literal {
    /// `None` where the place is beyond what a shape may be taken of.
    fn new(class: Class, range: Range<usize>) -> Option<Self> {
        Some(Self { class, start: u32::try_from(range.start).ok()?, end: u32::try_from(range.end).ok()? })
    }

    #[must_use]
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// A shape, independent of the text that it was cut out of.
#[derive(Debug)]
pub struct Shape {
    /// What stands between the literals, and before and behind them, run together.
    rest: Box<str>,
    /// Of each literal its class, and where in `rest` it stands.
    literals: Box<[(Class, u32)]>,
}

impl Shape {
    /// Whether a text is of this shape.
    #[must_use]
    pub fn is_of(&self, outline: &Outline<'_>) -> bool {
        let rest = self.rest.as_bytes();
        if outline.len() != self.literals.len() {
            return false;
        }
        let (mut at, mut known) = (0, 0);
        for (literal, (class, place)) in outline.literals().zip(&self.literals) {
            let place = *place as usize;
            let piece = outline.bytes().get(at..literal.range().start);
            if literal.class != *class || piece.is_none() || piece != rest.get(known..place) {
                return false;
            }
            (at, known) = (literal.range().end, place);
        }
        let tail = outline.bytes().get(at..);
        tail.is_some() && tail == rest.get(known..)
    }

    /// Bytes that it keeps.
    #[must_use]
    pub fn size(&self) -> usize {
        self.rest.len() + self.literals.len() * size_of::<(Class, u32)>()
    }
}
