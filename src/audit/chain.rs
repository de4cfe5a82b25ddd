//! The hash chain that ties each record to all before it. Pure: bytes in, heads out.
//!
//! `head(n) = SHA-256(RECORD ‖ head(n-1) ‖ length ‖ canonical bytes)`, `head(0) = SHA-256(GENESIS ‖ journal id)`.
//! A chain without a key shows every change inside the journal to whoever knows a later head; it does not by itself show
//! that the end was cut off, or that all of it was written anew. That takes a head that is kept elsewhere.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256, digest};

/// The state of the chain after some record: a commitment to that record and all before it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Head([u8; 32]);

impl Head {
    /// The head of an empty journal.
    #[must_use]
    pub fn genesis(journal_id: &str) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(GENESIS);
        context.update(journal_id.as_bytes());
        Self::of(context)
    }

    /// The head after one more record.
    #[must_use]
    pub fn after(self, canonical: &[u8]) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(RECORD);
        context.update(&self.0);
        context.update(&(canonical.len() as u64).to_be_bytes());
        context.update(canonical);
        Self::of(context)
    }

    /// 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn to_hex(self) -> [u8; 64] {
        let mut hex = [0; 64];
        for (pair, byte) in hex.chunks_exact_mut(2).zip(self.0) {
            if let [high, low] = pair {
                *high = digit(byte >> 4);
                *low = digit(byte & 15);
            }
        }
        hex
    }

    /// Reads what [`Self::to_hex`] gives, and nothing else.
    #[must_use]
    pub fn from_hex(hex: &[u8]) -> Option<Self> {
        let hex: &[u8; 64] = hex.try_into().ok()?;
        let mut head = [0; 32];
        for (byte, pair) in head.iter_mut().zip(hex.chunks_exact(2)) {
            if let [high, low] = pair {
                *byte = value(*high)? << 4 | value(*low)?;
            }
        }
        Some(Self(head))
    }

    fn of(context: Context) -> Self {
        let digest = context.finish();
        // SHA-256 gives 32 bytes, so the lengths agree.
        let mut head = [0; 32];
        head.copy_from_slice(digest.as_ref());
        Self(head)
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// SHA-256 in hexadecimal, for what is named but not kept.
pub(super) fn fingerprint(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

const GENESIS: &[u8] = b"pgward journal 1 genesis\0";
const RECORD: &[u8] = b"pgward journal 1 record\0";

fn digit(nibble: u8) -> u8 {
    if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }
}

fn value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn hexadecimal_is_one_form_only() {
        let head = Head::genesis("x");
        let hex = head.to_hex();
        assert_eq!(String::from_utf8(hex.to_vec()).unwrap(), head.to_string());
        assert_eq!(Head::from_hex(&hex), Some(head));
        assert_eq!(Head::from_hex(&hex.to_ascii_uppercase()), None);
        assert_eq!(Head::from_hex(b"00"), None);
    }

    #[test]
    fn heads_are_what_the_formula_gives() {
        let genesis = Head::genesis("id");
        assert_eq!(genesis.to_string(), fingerprint(b"pgward journal 1 genesis\0id"));
        let mut bytes = b"pgward journal 1 record\0".to_vec();
        bytes.extend_from_slice(&genesis.0);
        bytes.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 2]);
        bytes.extend_from_slice(b"{}");
        assert_eq!(genesis.after(b"{}").to_string(), fingerprint(&bytes));
    }

    #[test]
    fn a_head_depends_on_journal_content_and_order() {
        let genesis = Head::genesis("a");
        assert_ne!(genesis, Head::genesis("b"));
        assert_ne!(genesis.after(b"x"), genesis.after(b"y"));
        assert_ne!(genesis.after(b"x").after(b"y"), genesis.after(b"y").after(b"x"));
        assert_ne!(genesis.after(b"xy"), genesis.after(b"x").after(b"y"));
    }
}
