//! Operators: the longest run of operator characters, cut as scan.l cuts it.

use super::{Kind, Lexer};
use crate::sql::Unreadable;

/// `op_chars` of scan.l.
pub(super) fn is_part(byte: u8) -> bool {
    b"~!@#^&|`?+-*/%<>=".contains(&byte)
}

/// The characters that let an operator end in `+` or `-`.
fn allows_sign_at_end(byte: u8) -> bool {
    b"~!@#^&|`?%".contains(&byte)
}

impl Lexer<'_> {
    pub(super) fn operator(&mut self) -> Result<Kind, Unreadable> {
        let run = self.rest().bytes().take_while(|byte| is_part(*byte)).count();
        let mut symbol = self.rest().get(..run).unwrap_or_default();
        // A comment begins inside the run. It cannot be at the start: comments were skipped before.
        if let Some(cut) = [symbol.find("/*"), symbol.find("--")].into_iter().flatten().min() {
            symbol = symbol.get(..cut).unwrap_or_default();
        }
        while symbol.len() > 1 && symbol.ends_with(['+', '-']) && !symbol.bytes().rev().skip(1).any(allows_sign_at_end)
        {
            symbol = symbol.get(..symbol.len() - 1).unwrap_or_default();
        }
        if symbol.len() >= 64 {
            return Err(self.refuse("an operator that is too long"));
        }
        let kind = match symbol {
            "=>" => Kind::Arrow,
            "!=" => Kind::Operator("<>".to_owned()),
            other => Kind::Operator(other.to_owned()),
        };
        self.at += symbol.len();
        Ok(kind)
    }
}
