//! From PostgreSQL's tokens to the tokens that sqlparser reads, so that it has nothing left to decide about words.
//!
//! Every name goes over quoted: folded and truncated here, never read a second time. Only words that PostgreSQL's
//! grammar reads as keywords at that place stay keywords. Syntax that sqlparser does not know becomes a mark
//! ([`super::marker`]); what a mark stands for is parsed here and kept in [`Side`]. No token that holds a relation,
//! column, function or expression is ever dropped.

mod assign;
mod clause;
mod extent;
mod function;
mod json;
mod list;
mod prefix;
mod source;
mod symbol;
mod word;
mod xml;

use sqlparser::keywords::{ALL_KEYWORDS, ALL_KEYWORDS_INDEX, Keyword};
use sqlparser::tokenizer::{Location, Span, Token as Core, TokenWithSpan, Word};

use super::Unreadable;
use super::cursor::Cursor;
use super::lex::{Kind, Token};
pub use source::Source;

use super::tree::{Call, Expr, Name, QualifiedName, TypeName};

/// What the marks in the rewritten tokens refer to, by index.
#[derive(Debug, Default)]
pub struct Side {
    pub types: Vec<TypeName>,
    pub collations: Vec<QualifiedName>,
    pub locks: Vec<Vec<QualifiedName>>,
    /// The expressions of ON CONFLICT (…) WHERE ….
    pub conflicts: Vec<Sized<Vec<Expr>>>,
    pub samples: Vec<Sized<Call>>,
    /// Targets of SET with subscripts.
    pub targets: Vec<(Name, Sized<Vec<Expr>>)>,
    /// Expressions in a grammar of their own.
    pub exprs: Vec<Sized<Expr>>,
    /// Items of FROM in a grammar of their own.
    pub sources: Vec<Source>,
    /// The columns that SEARCH and CYCLE add to a table of WITH.
    pub searches: Vec<Vec<Name>>,
}

/// Something that was converted already, and how many expressions it is made of.
#[derive(Clone, Debug)]
pub struct Sized<T> {
    pub of: T,
    pub size: usize,
}

/// The rewritten tokens, each with the index of its origin as column, and what their marks mean.
pub fn rewrite(tokens: &[Token]) -> Result<(Vec<TokenWithSpan>, Side), Unreadable> {
    let mut rewriter = Rewriter {
        tokens,
        cursor: Cursor::new(tokens),
        out: Vec::with_capacity(tokens.len() + 8),
        frames: vec![Frame::new(Mode::Plain)],
        pending: None,
        operand: false,
        closes: None,
        side: Side::default(),
    };
    while !rewriter.cursor.is_done() {
        if rewriter.closes == Some(rewriter.cursor.index()) {
            rewriter.emit(Core::RParen);
        }
        rewriter.step()?;
    }
    Ok((rewriter.out, rewriter.side))
}

struct Rewriter<'a> {
    tokens: &'a [Token],
    cursor: Cursor<'a>,
    out: Vec<TokenWithSpan>,
    frames: Vec<Frame>,
    /// What the next opening parenthesis begins.
    pending: Option<Mode>,
    /// Whether the last token ended an operand, so that an operator after it is infix.
    operand: bool,
    /// The token before which a parenthesis that the text does not have is closed.
    closes: Option<usize>,
    side: Side,
}

/// What is known about one level of parentheses.
struct Frame {
    mode: Mode,
    group_by: bool,
    assignments: bool,
    window_frame: bool,
    /// Between SELECT and the first clause after its targets.
    targets: bool,
    /// Between FROM and the next clause.
    from: bool,
}

impl Frame {
    fn new(mode: Mode) -> Self {
        Self { mode, group_by: false, assignments: false, window_frame: false, targets: false, from: false }
    }
}

/// What a pair of parentheses encloses, where that changes how words in it are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Plain,
    /// Written with one parenthesis more, so that sqlparser takes a query in it.
    Doubled,
    Position,
    Substring,
    Overlay,
    Trim,
    /// EXTRACT, whose FROM is read already.
    Extract,
    Cast,
    JoinUsing,
    /// GROUPING SETS, CUBE or ROLLUP.
    Grouping,
    /// The keys of DISTINCT ON, after which the first target begins.
    DistinctOn,
}

impl Rewriter<'_> {
    fn step(&mut self) -> Result<(), Unreadable> {
        match self.cursor.kind(0) {
            None => Ok(()),
            Some(Kind::Word(word)) => self.word(word),
            Some(Kind::Quoted(name)) => self.name_or_literal(name),
            Some(Kind::String(body)) => self.string(body),
            Some(Kind::Bit(body)) => {
                let mark = super::marker::with("bit", body);
                self.literal(Core::SingleQuotedString(mark));
                Ok(())
            }
            Some(Kind::Integer(digits) | Kind::Numeric(digits)) => {
                self.literal(Core::Number(digits.clone(), false));
                Ok(())
            }
            Some(Kind::Parameter(number)) => {
                self.literal(Core::Placeholder(format!("${number}")));
                Ok(())
            }
            Some(
                Kind::Operator(_)
                | Kind::Mark(_)
                | Kind::DoubleColon
                | Kind::DoubleDot
                | Kind::ColonEquals
                | Kind::Arrow,
            ) => self.symbol(),
        }
    }

    fn frame(&mut self) -> Option<&mut Frame> {
        self.frames.last_mut()
    }

    fn mode(&self) -> Mode {
        self.frames.last().map_or(Mode::Plain, |frame| frame.mode)
    }

    /// The unquoted word `back` tokens before this one; empty for anything else.
    fn before(&self, back: usize) -> &str {
        match self.kind_before(back) {
            Some(Kind::Word(word)) => word,
            Some(_) | None => "",
        }
    }

    fn kind_before(&self, back: usize) -> Option<&Kind> {
        let index = self.cursor.index().checked_sub(back)?;
        self.tokens.get(index).map(|token| &token.kind)
    }

    fn token(&self, token: Core) -> TokenWithSpan {
        let column = self.cursor.index() as u64 + 1;
        let place = Location { line: 1, column };
        TokenWithSpan { token, span: Span { start: place, end: place } }
    }

    fn name_token(&self, name: &str) -> TokenWithSpan {
        self.token(Core::Word(Word { value: name.to_owned(), quote_style: Some('"'), keyword: Keyword::NoKeyword }))
    }

    fn emit(&mut self, token: Core) {
        let token = self.token(token);
        self.out.push(token);
    }

    fn emit_name(&mut self, name: &str) {
        let token = self.name_token(name);
        self.out.push(token);
        self.operand = true;
    }

    /// A word of the grammar.
    fn emit_keyword(&mut self, word: &str) {
        let upper = word.to_ascii_uppercase();
        let keyword = match ALL_KEYWORDS.binary_search(&upper.as_str()) {
            Ok(index) => ALL_KEYWORDS_INDEX.get(index).copied().unwrap_or(Keyword::NoKeyword),
            Err(_) => Keyword::NoKeyword,
        };
        self.emit(Core::Word(Word { value: word.to_owned(), quote_style: None, keyword }));
        self.operand = matches!(word, "end" | "null" | "true" | "false" | "unknown");
    }

    fn emit_builtin(&mut self, name: &str) {
        self.emit_name("pg_catalog");
        self.emit(Core::Period);
        self.emit_name(name);
    }

    /// A postfix of the operand before: a cast to a mark.
    fn emit_postfix(&mut self, mark: &str) {
        self.emit(Core::DoubleColon);
        self.emit_name(mark);
    }

    fn emit_comma(&mut self) {
        self.emit(Core::Comma);
        self.operand = false;
    }

    fn literal(&mut self, token: Core) {
        self.emit(token);
        self.operand = true;
        self.cursor.advance(1);
    }

    /// In a window's frame sqlparser takes a bare string for an interval of its own.
    fn string(&mut self, body: &str) -> Result<(), Unreadable> {
        if matches!(self.kind_before(1), Some(Kind::String(_))) {
            return Err(self.cursor.refuse("two strings side by side"));
        }
        self.emit_string(body);
        self.cursor.advance(1);
        Ok(())
    }

    fn emit_string(&mut self, body: &str) {
        let in_frame = self.frames.last().is_some_and(|frame| frame.window_frame);
        if in_frame {
            self.emit(Core::LParen);
        }
        self.emit(Core::SingleQuotedString(body.to_owned()));
        if in_frame {
            self.emit(Core::RParen);
        }
        self.operand = true;
    }

    fn refuse_here<T>(&self, message: &str) -> Result<T, Unreadable> {
        Err(self.cursor.refuse(message))
    }
}
