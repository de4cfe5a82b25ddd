//! Grammar that looks like a function call: EXTRACT, POSITION, SUBSTRING, TRIM and the like, and typed literals.

use sqlparser::tokenizer::Token as Core;

use super::{Mode, Rewriter, Sized};
use crate::sql::Unreadable;
use crate::sql::cursor::{Cursor, matching};
use crate::sql::keywords::{Category, category};
use crate::sql::lex::{Kind, Token};
use crate::sql::marker;
use crate::sql::parse;
use crate::sql::tree::{Call, Expr, QualifiedName, TypeName};
use crate::sql::types::{interval_fields, simple};

impl Rewriter<'_> {
    /// The functions that gram.y spells with words inside; true if one was written. Stands on the name.
    pub(super) fn grammar_function(&mut self, word: &str) -> Result<bool, Unreadable> {
        if !self.cursor.is_mark(1, '(') {
            return Ok(word == "collation" && self.collation_for());
        }
        // INSERT's table, with a list of columns.
        if self.before(1) == "into" {
            return Ok(false);
        }
        match word {
            "coalesce" | "greatest" | "least" | "nullif" | "grouping" | "xmlconcat" => {
                self.call(&marker::plain(word), Mode::Plain);
            }
            "row" => self.call(&marker::plain("tuple"), Mode::Plain),
            "exists" => {
                self.emit_keyword("exists");
                self.cursor.advance(1);
            }
            "cast" if self.begins_item() => {
                return self.expression_in_from().map(|()| true);
            }
            "cast" => {
                self.emit_keyword("cast");
                self.pending = Some(Mode::Cast);
                self.cursor.advance(1);
            }
            "position" => self.builtin("position", Mode::Position),
            "substring" if self.has(&["from", "for", "similar"]) => {
                // One ESCAPE is that of SIMILAR; whose any other is, the rewritten text would not tell.
                if self.escapes() > usize::from(self.has(&["similar"])) {
                    return self.refuse_here("ESCAPE of an operator inside of SUBSTRING");
                }
                self.builtin("substring", Mode::Substring);
            }
            "overlay" if self.has(&["placing"]) => self.builtin("overlay", Mode::Overlay),
            "substring" | "overlay" => self.call(word, Mode::Plain),
            "trim" => self.trim(),
            "extract" => return self.extract().map(|()| true),
            "normalize" => return self.normalize().map(|()| true),
            "xmlelement" | "xmlforest" | "xmlparse" | "xmlpi" | "xmlroot" | "xmlserialize" | "xmlexists" => {
                return self.xml(word).map(|()| true);
            }
            "json" | "json_array" | "json_arrayagg" | "json_exists" | "json_object" | "json_objectagg"
            | "json_query" | "json_scalar" | "json_serialize" | "json_value" => return self.json(word),
            "json_table" => return self.json_table(),
            "xmltable" => return self.xml_table().map(|()| true),
            "treat" => return self.treat().map(|()| true),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn call(&mut self, name: &str, mode: Mode) {
        self.emit_name(name);
        self.pending = Some(mode);
        self.cursor.advance(1);
    }

    fn builtin(&mut self, name: &str, mode: Mode) {
        self.emit_builtin(name);
        self.pending = Some(mode);
        self.cursor.advance(1);
    }

    /// Whether one of the words stands between the parentheses after this token, at their own depth.
    fn has(&self, words: &[&str]) -> bool {
        let Some(inside) = Cursor::at(self.tokens, self.cursor.index() + 1).group() else { return false };
        let mut cursor = Cursor::new(inside);
        loop {
            cursor.until(words);
            // SIMILAR TO is an operator, and COLLATION FOR a function of its own.
            let collation = cursor.word(0) == "for"
                && cursor.index().checked_sub(1).is_some_and(|at| Cursor::at(inside, at).word(0) == "collation");
            if collation {
                cursor.advance(1);
            } else if !cursor.take(&["similar", "to"]) {
                return !cursor.is_done();
            }
        }
    }

    /// The ESCAPEs in the parentheses that follow, not deeper.
    fn escapes(&self) -> usize {
        let Some(inside) = Cursor::at(self.tokens, self.cursor.index() + 1).group() else { return 0 };
        let mut cursor = Cursor::new(inside);
        let mut found = 0;
        loop {
            cursor.until(&["escape"]);
            if cursor.is_done() {
                return found;
            }
            found += 1;
            cursor.advance(1);
        }
    }

    /// `TRIM([BOTH|LEADING|TRAILING] [[x] FROM] y)` is btrim, ltrim or rtrim.
    fn trim(&mut self) {
        let side = self.cursor.word(2);
        let name = match side {
            "leading" => "ltrim",
            "trailing" => "rtrim",
            _ => "btrim",
        };
        self.emit_builtin(name);
        self.cursor.advance(1);
        self.emit(Core::LParen);
        self.operand = false;
        self.frames.push(super::Frame::new(Mode::Trim));
        self.cursor.advance(1);
        self.cursor.take_one(&["both", "leading", "trailing"]);
        self.cursor.take(&["from"]);
    }

    /// `EXTRACT(field FROM x)`.
    fn extract(&mut self) -> Result<(), Unreadable> {
        let field = match self.cursor.kind(2) {
            Some(Kind::Word(field) | Kind::Quoted(field) | Kind::String(field)) if self.cursor.word(3) == "from" => {
                field
            }
            _ => return self.refuse_here("EXTRACT without a field"),
        };
        self.emit_builtin("extract");
        self.emit(Core::LParen);
        self.emit(Core::SingleQuotedString(field.clone()));
        self.emit_comma();
        self.frames.push(super::Frame::new(Mode::Extract));
        self.cursor.advance(4);
        Ok(())
    }

    /// `NORMALIZE(x [, form])`; the form is a keyword.
    fn normalize(&mut self) -> Result<(), Unreadable> {
        let open = self.cursor.index() + 1;
        let close = matching(self.tokens, open).unwrap_or(open);
        let form = |index: usize| match self.tokens.get(index).map(|token: &Token| &token.kind) {
            Some(Kind::Word(word)) => matches!(word.as_str(), "nfc" | "nfd" | "nfkc" | "nfkd"),
            Some(_) | None => false,
        };
        let comma = close.saturating_sub(2);
        let formed = form(close - 1) && self.tokens.get(comma).is_some_and(|token| token.kind == Kind::Mark(','));
        let argument = self.tokens.get(open + 1..if formed { comma } else { close }).unwrap_or_default();
        let found = parse::sized(argument)?;
        let call = Call::plain(QualifiedName::builtin("normalize"), vec![found.of]);
        self.emit_expr(Sized { of: Expr::Call(Box::new(call)), size: found.size + 1 });
        self.cursor = Cursor::at(self.tokens, close + 1);
        Ok(())
    }

    /// Whether an item of FROM begins here.
    fn begins_item(&self) -> bool {
        let listed =
            self.kind_before(1) == Some(&Kind::Mark(',')) && self.frames.last().is_some_and(|frame| frame.from);
        // FROM is a word of some functions too.
        let inside_of_function =
            matches!(self.mode(), Mode::Extract | Mode::Substring | Mode::Overlay | Mode::Trim | Mode::Position);
        let clause = matches!(self.before(1), "from" | "join" | "lateral") && self.before(2) != "distinct";
        listed || (clause && !inside_of_function)
    }

    /// CAST as an item of FROM, which it may be as other functions may.
    fn expression_in_from(&mut self) -> Result<(), Unreadable> {
        let start = self.cursor.index();
        self.cursor.advance(1);
        self.cursor.group();
        let found = parse::sized(self.tokens.get(start..self.cursor.index()).unwrap_or_default())?;
        let call = Call::plain(QualifiedName::builtin("coalesce"), vec![found.of]);
        self.emit_source(super::Source { calls: vec![call], definitions: Vec::new(), size: found.size + 1 });
        Ok(())
    }

    /// `COLLATION FOR (x)`.
    fn collation_for(&mut self) -> bool {
        let found = self.cursor.word(1) == "for" && self.cursor.is_mark(2, '(');
        if found {
            self.emit_builtin("pg_collation_for");
            self.cursor.advance(2);
        }
        found
    }

    /// A name, unless a string follows the type that it begins: `date '2020-01-01'`, `interval '1' day`.
    pub(super) fn name_or_literal(&mut self, name: &str) -> Result<(), Unreadable> {
        if !self.typed_literal(name) {
            self.emit_name(name);
            self.cursor.advance(1);
        }
        Ok(())
    }

    pub(super) fn typed_literal(&mut self, word: &str) -> bool {
        if self.operand || !starts_literal(&self.cursor, word) {
            return false;
        }
        let mut ahead = self.cursor.clone();
        let Some(name) = simple(&mut ahead) else { return false };
        let Some(Kind::String(body)) = ahead.kind(0) else { return false };
        let interval = name == QualifiedName::builtin("interval");
        ahead.advance(1);
        if interval && interval_fields(&mut ahead).is_none() {
            return false;
        }
        self.side.types.push(TypeName { name, array: false });
        self.emit(Core::LParen);
        self.emit_string(body);
        self.emit_postfix(&marker::with("type", self.side.types.len() - 1));
        self.emit(Core::RParen);
        self.operand = true;
        self.cursor = ahead;
        true
    }
}

/// Whether a type may begin here. The words of the grammar that take an expression after them are none.
fn starts_literal(cursor: &Cursor<'_>, word: &str) -> bool {
    if matches!(cursor.kind(0), Some(Kind::Quoted(_))) {
        return true;
    }
    const NEVER: [&str; 11] =
        ["escape", "zone", "by", "range", "rows", "groups", "document", "content", "passing", "path", "value"];
    match category(word) {
        Category::Reserved | Category::FunctionOrType => false,
        Category::Column => !matches!(word, "between" | "values" | "row" | "setof" | "out" | "inout"),
        Category::Free => !NEVER.contains(&word),
    }
}
