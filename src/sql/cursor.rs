//! A walk over tokens: what the parts that read tokens themselves (types, utility statements, rewrites) share.

use super::Unreadable;
use super::keywords::{Category, category};
use super::lex::{Kind, Token};
use super::tree::{Name, QualifiedName};

/// A position in a run of tokens.
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    tokens: &'a [Token],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub fn new(tokens: &'a [Token]) -> Self {
        Self { tokens, at: 0 }
    }

    pub fn at(tokens: &'a [Token], at: usize) -> Self {
        Self { tokens, at }
    }

    /// How many tokens lie behind.
    pub fn index(&self) -> usize {
        self.at
    }

    pub fn is_done(&self) -> bool {
        self.at >= self.tokens.len()
    }

    pub fn kind(&self, ahead: usize) -> Option<&'a Kind> {
        self.tokens.get(self.at + ahead).map(|token| &token.kind)
    }

    /// The unquoted word `ahead` tokens from here; empty if that token is anything else.
    pub fn word(&self, ahead: usize) -> &'a str {
        match self.kind(ahead) {
            Some(Kind::Word(word)) => word,
            Some(_) | None => "",
        }
    }

    pub fn is_mark(&self, ahead: usize, mark: char) -> bool {
        self.kind(ahead) == Some(&Kind::Mark(mark))
    }

    pub fn is_operator(&self, ahead: usize, symbol: &str) -> bool {
        matches!(self.kind(ahead), Some(Kind::Operator(found)) if found == symbol)
    }

    pub fn advance(&mut self, by: usize) {
        self.at = (self.at + by).min(self.tokens.len());
    }

    /// Moves past the words if all of them stand here.
    pub fn take(&mut self, words: &[&str]) -> bool {
        let all = words.iter().enumerate().all(|(ahead, word)| self.word(ahead) == *word);
        if all {
            self.advance(words.len());
        }
        all
    }

    /// Moves past one of the words and says which.
    pub fn take_one<'w>(&mut self, words: &[&'w str]) -> Option<&'w str> {
        let found = words.iter().find(|word| self.word(0) == **word)?;
        self.advance(1);
        Some(found)
    }

    pub fn take_mark(&mut self, mark: char) -> bool {
        let found = self.is_mark(0, mark);
        if found {
            self.advance(1);
        }
        found
    }

    /// `ColId`: a quoted name, or a word that is not reserved.
    pub fn name(&mut self) -> Option<Name> {
        let name = match self.kind(0)? {
            Kind::Quoted(name) => name,
            Kind::Word(word) => match category(word) {
                Category::Reserved | Category::FunctionOrType => return None,
                Category::Column | Category::Free => word,
            },
            _ => return None,
        };
        self.advance(1);
        Some(Name::from(name.as_str()))
    }

    /// `ColLabel`: any word, or a quoted name.
    pub fn label(&mut self) -> Option<Name> {
        let name = match self.kind(0)? {
            Kind::Quoted(name) | Kind::Word(name) => name,
            _ => return None,
        };
        self.advance(1);
        Some(Name::from(name.as_str()))
    }

    /// `any_name`: a name and labels after dots.
    pub fn qualified_name(&mut self) -> Option<QualifiedName> {
        let mut parts = vec![self.name()?];
        while self.is_mark(0, '.') {
            self.advance(1);
            parts.push(self.label()?);
        }
        Some(QualifiedName { parts })
    }

    /// The tokens inside the parentheses or brackets that open here; moves past the closing one.
    pub fn group(&mut self) -> Option<&'a [Token]> {
        let close = matching(self.tokens, self.at)?;
        let inside = self.tokens.get(self.at + 1..close)?;
        self.at = close + 1;
        Some(inside)
    }

    pub fn rest(&self) -> &'a [Token] {
        self.tokens.get(self.at..).unwrap_or_default()
    }

    /// The tokens up to one of the words at this depth of parentheses, or all that are left.
    pub fn until(&mut self, words: &[&str]) -> &'a [Token] {
        let start = self.at;
        while !self.is_done() && !words.contains(&self.word(0)) {
            if self.is_mark(0, '(') || self.is_mark(0, '[') {
                self.at = matching(self.tokens, self.at).unwrap_or(self.tokens.len());
            }
            self.advance(1);
        }
        self.tokens.get(start..self.at).unwrap_or_default()
    }

    /// Byte offset of this token, or the end of the text before it.
    pub fn position(&self) -> usize {
        match self.tokens.get(self.at) {
            Some(token) => token.range.start,
            None => self.tokens.last().map_or(0, |token| token.range.end),
        }
    }

    pub fn refuse(&self, message: impl Into<String>) -> Unreadable {
        Unreadable { message: message.into(), position: self.position() }
    }
}

/// The index of what closes the parenthesis or bracket at `open`.
pub fn matching(tokens: &[Token], open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate().skip(open) {
        match token.kind {
            Kind::Mark('(' | '[') => depth += 1,
            Kind::Mark(')' | ']') => depth = depth.checked_sub(1)?,
            _ => {}
        }
        if depth == 0 {
            return Some(index);
        }
    }
    None
}

/// The parts between commas at the outer depth; none for no tokens at all.
pub fn comma_separated(tokens: &[Token]) -> Vec<&[Token]> {
    if tokens.is_empty() {
        return Vec::new();
    }
    let mut depth = 0_usize;
    tokens
        .split(|token| {
            match token.kind {
                Kind::Mark('(' | '[') => depth += 1,
                Kind::Mark(')' | ']') => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0 && token.kind == Kind::Mark(',')
        })
        .collect()
}
