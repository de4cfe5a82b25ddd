//! Numbers and everything that begins with a dollar sign.

use super::{Kind, Lexer, is_name_part, is_name_start};
use crate::sql::Unreadable;

impl Lexer<'_> {
    pub(super) fn number(&mut self) -> Result<Kind, Unreadable> {
        let start = self.at;
        let mut integer = true;
        self.digits();
        if self.peek(0) == Some(b'.') && self.peek(1) != Some(b'.') {
            integer = false;
            self.at += 1;
            self.digits();
        }
        if matches!(self.peek(0), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(self.peek(1), Some(b'+' | b'-')));
            if self.peek(1 + sign).is_some_and(|byte| byte.is_ascii_digit()) {
                integer = false;
                self.at += 1 + sign;
                self.digits();
            }
        }
        // `1_000`, `0x1F` and `123abc` are one token, two tokens or an error, depending on the version; so is `1e5$1`, which
        // might be a number and a name, the name having a longer part of it than the number with its exponent.
        let exponent = self.slice(start).contains(['e', 'E']);
        if self.peek(0).is_some_and(|next| is_name_start(next) || (exponent && next == b'$')) {
            return Err(self.refuse("a number with letters after it, which PostgreSQL versions read differently"));
        }
        let digits = self.slice(start).to_owned();
        Ok(if integer { Kind::Integer(digits) } else { Kind::Numeric(digits) })
    }

    fn digits(&mut self) {
        while self.peek(0).is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
    }

    /// `$1`, or a dollar-quoted string.
    pub(super) fn dollar(&mut self) -> Result<Kind, Unreadable> {
        if self.peek(1).is_some_and(|byte| byte.is_ascii_digit()) {
            return self.parameter();
        }
        let opening = self.at;
        self.at += 1;
        if self.peek(0).is_some_and(is_name_start) {
            while self.peek(0).is_some_and(|byte| is_name_part(byte) && byte != b'$') {
                self.at += 1;
            }
        }
        if self.peek(0) != Some(b'$') {
            return Err(self.refuse("a dollar sign that begins neither a parameter nor a string"));
        }
        self.at += 1;
        let tag = self.slice(opening).to_owned();
        let Some(length) = self.rest().find(&tag) else {
            return Err(self.refuse("an unterminated dollar-quoted string"));
        };
        let start = self.at;
        self.at += length;
        let body = self.slice(start).to_owned();
        self.at += tag.len();
        Ok(Kind::String(body))
    }

    fn parameter(&mut self) -> Result<Kind, Unreadable> {
        self.at += 1;
        let start = self.at;
        self.digits();
        if self.peek(0).is_some_and(is_name_start) {
            return Err(self.refuse("a parameter with letters after it, which PostgreSQL versions read differently"));
        }
        match self.slice(start).parse() {
            Ok(number) => Ok(Kind::Parameter(number)),
            Err(_) => Err(self.refuse("a parameter number out of range")),
        }
    }
}
