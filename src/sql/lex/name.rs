//! Words and quoted names: folding, truncation, and Unicode escapes with UESCAPE.

use super::string::unescape_unicode;
use super::{Kind, Lexer, Token, is_name_part};
use crate::sql::Unreadable;

/// NAMEDATALEN - 1.
const LONGEST: usize = 63;

impl Lexer<'_> {
    pub(super) fn word(&mut self) -> Kind {
        let start = self.at;
        while self.peek(0).is_some_and(is_name_part) {
            self.at += 1;
        }
        Kind::Word(truncate(self.slice(start).to_ascii_lowercase()))
    }

    pub(super) fn quoted_name(&mut self) -> Result<Kind, Unreadable> {
        let name = self.double_quoted()?;
        if name.is_empty() {
            return Err(self.refuse("an empty quoted name"));
        }
        Ok(Kind::Quoted(truncate(name)))
    }

    /// `U&'…'` and `U&"…"`, whose escape character is only known after the next token: the raw body is kept behind a
    /// mark until [`resolve_unicode`] has seen it.
    pub(super) fn unicode_start(&mut self) -> Result<Kind, Unreadable> {
        self.at += 2;
        if self.peek(0) == Some(b'"') {
            Ok(Kind::Quoted(format!("{PENDING}{}", self.double_quoted()?)))
        } else {
            Ok(Kind::String(format!("{PENDING}{}", self.single_quoted()?)))
        }
    }

    /// The body of `"…"`, doubled quotes undone; stands on the opening quote.
    fn double_quoted(&mut self) -> Result<String, Unreadable> {
        let mut name = String::new();
        self.at += 1;
        loop {
            let Some(length) = self.rest().find('"') else {
                return Err(self.refuse("an unterminated quoted name"));
            };
            let start = self.at;
            self.at += length;
            name.push_str(self.slice(start));
            self.at += 1;
            if self.peek(0) != Some(b'"') {
                break;
            }
            name.push('"');
            self.at += 1;
        }
        Ok(name)
    }
}

/// Stands before the body of a Unicode-escaped token that is not resolved yet; no text has it, zero bytes being refused.
pub(super) const PENDING: char = '\0';

/// Undoes the Unicode escapes, with the character that UESCAPE names or with a backslash, and drops the UESCAPE clauses.
pub(super) fn resolve_unicode(text: &str, tokens: &mut Vec<Token>) -> Result<(), Unreadable> {
    let mut resolved = Vec::with_capacity(tokens.len());
    let mut source = std::mem::take(tokens).into_iter().peekable();
    while let Some(mut token) = source.next() {
        let raw = match &token.kind {
            Kind::Quoted(body) | Kind::String(body) => body.strip_prefix(PENDING).map(str::to_owned),
            _ => None,
        };
        if let Some(raw) = raw {
            let mut escape = '\\';
            if source.peek().is_some_and(|next| next.kind == Kind::Word("uescape".to_owned())) {
                source.next();
                let clause = source.next();
                escape = escape_character(text, clause.as_ref()).ok_or_else(|| Unreadable {
                    message: "an invalid Unicode escape character".to_owned(),
                    position: token.range.end,
                })?;
                token.range.end = clause.map_or(token.range.end, |clause| clause.range.end);
            }
            let plain = unescape_unicode(&raw, escape).ok_or_else(|| Unreadable {
                message: "an invalid Unicode escape".to_owned(),
                position: token.range.start,
            })?;
            token.kind = match token.kind {
                Kind::Quoted(_) if plain.is_empty() => {
                    let position = token.range.start;
                    return Err(Unreadable { message: "an empty quoted name".to_owned(), position });
                }
                Kind::Quoted(_) => Kind::Quoted(truncate(plain)),
                _ => Kind::String(plain),
            };
        }
        resolved.push(token);
    }
    *tokens = resolved;
    Ok(())
}

/// The character of `UESCAPE 'c'`; scan.l wants a one-byte string there, and no blank: which a vertical tab is from
/// version 16 on.
fn escape_character(text: &str, clause: Option<&Token>) -> Option<char> {
    let clause = clause?;
    let Kind::String(body) = &clause.kind else { return None };
    let mut characters = body.chars();
    let escape = characters.next()?;
    let plain = text.get(clause.range.clone())?.starts_with('\'');
    let forbidden = escape.is_ascii_hexdigit() || matches!(escape, '+' | '\'' | '"' | ' ' | '\t'..='\r');
    (plain && characters.next().is_none() && escape.is_ascii() && !forbidden).then_some(escape)
}

/// Cuts a name to what PostgreSQL keeps of it, at a character boundary.
fn truncate(mut name: String) -> String {
    if name.len() > LONGEST {
        let mut end = LONGEST;
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        name.truncate(end);
    }
    name
}
