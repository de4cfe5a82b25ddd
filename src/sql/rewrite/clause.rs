//! Clauses that sqlparser reads otherwise or not at all: ONLY, TABLE, INTO, FOR UPDATE, ON CONFLICT, TABLESAMPLE, SET.

use sqlparser::tokenizer::Token as Core;

use super::source::definitions;
use super::{Mode, Rewriter, Sized};
use crate::sql::Unreadable;
use crate::sql::cursor::{Cursor, comma_separated};
use crate::sql::lex::Kind;
use crate::sql::marker;
use crate::sql::parse;
use crate::sql::tree::{Call, Expr};
use crate::sql::types::type_name;

impl Rewriter<'_> {
    /// `ONLY t` and `ONLY (t)`: the name gets a mark in front.
    pub(super) fn only(&mut self) -> Result<(), Unreadable> {
        self.cursor.advance(1);
        let parenthesised = self.cursor.take_mark('(');
        let Some(name) = self.cursor.qualified_name() else { return self.refuse_here("ONLY without a table") };
        if parenthesised && !self.cursor.take_mark(')') {
            return self.refuse_here("ONLY without a table");
        }
        self.emit_name(&marker::plain("only"));
        for part in &name.parts {
            self.emit(Core::Period);
            self.emit_name(part.as_str());
        }
        Ok(())
    }

    /// `TABLE t` is `SELECT * FROM t`.
    pub(super) fn table(&mut self) {
        self.emit_keyword("select");
        self.emit(Core::Mul);
        self.emit_keyword("from");
        self.cursor.advance(1);
    }

    /// SELECT INTO; the words between carry no name.
    pub(super) fn select_into(&mut self) {
        self.emit_keyword("into");
        self.cursor.advance(1);
        self.cursor.take_one(&["local", "global"]);
        self.cursor.take_one(&["temporary", "temp", "unlogged"]);
        self.cursor.take(&["table"]);
    }

    /// The locking clause; true if one stood here.
    pub(super) fn row_lock(&mut self) -> Result<bool, Unreadable> {
        const STRENGTHS: [&[&str]; 4] =
            [&["for", "no", "key", "update"], &["for", "key", "share"], &["for", "update"], &["for", "share"]];
        if !STRENGTHS.iter().any(|words| self.cursor.take(words)) {
            // FOR READ ONLY is accepted and means nothing.
            return Ok(self.cursor.take(&["for", "read", "only"]));
        }
        let mut of = Vec::new();
        if self.cursor.take(&["of"]) {
            loop {
                match self.cursor.qualified_name() {
                    Some(name) => of.push(name),
                    None => return self.refuse_here("FOR UPDATE OF without a table"),
                }
                if !self.cursor.take_mark(',') {
                    break;
                }
            }
        }
        if !self.cursor.take(&["nowait"]) {
            self.cursor.take(&["skip", "locked"]);
        }
        self.side.locks.push(of);
        for word in ["for", "update", "of"] {
            self.emit_keyword(word);
        }
        self.emit_name(&marker::with("lock", self.side.locks.len() - 1));
        Ok(true)
    }

    /// `ON CONFLICT (…) WHERE …`: expressions and operator classes, where sqlparser takes only columns.
    pub(super) fn conflict(&mut self) -> Result<(), Unreadable> {
        self.emit_keyword("conflict");
        self.cursor.advance(1);
        if !self.cursor.is_mark(0, '(') {
            return Ok(());
        }
        let Some(inside) = self.cursor.group() else { return self.refuse_here("an unbalanced parenthesis") };
        let mut inference = parse::sized_index_elements(inside)?;
        if self.cursor.take(&["where"]) {
            let condition = parse::sized(self.cursor.until(&["do"]))?;
            inference.of.push(condition.of);
            inference.size += condition.size;
        }
        self.side.conflicts.push(inference);
        self.emit(Core::LParen);
        self.emit_name(&marker::with("conflict", self.side.conflicts.len() - 1));
        self.emit(Core::RParen);
        Ok(())
    }

    /// `TABLESAMPLE method (arguments) [REPEATABLE (seed)]`.
    pub(super) fn sample(&mut self) -> Result<(), Unreadable> {
        self.cursor.advance(1);
        let Some(name) = self.cursor.qualified_name() else { return self.refuse_here("TABLESAMPLE without a method") };
        let mut arguments = self.expression_group()?;
        if self.cursor.take(&["repeatable"]) {
            let mut seed = self.expression_group()?;
            arguments.of.append(&mut seed.of);
            arguments.size += seed.size;
        }
        self.side.samples.push(Sized { of: Call::plain(name, arguments.of), size: arguments.size });
        self.emit_keyword("tablesample");
        self.emit_keyword("system");
        self.emit(Core::LParen);
        self.emit(Core::Number((self.side.samples.len() - 1).to_string(), false));
        self.emit(Core::RParen);
        Ok(())
    }

    fn expression_group(&mut self) -> Result<Sized<Vec<Expr>>, Unreadable> {
        match self.cursor.group() {
            Some(inside) => parse::sized_list(comma_separated(inside)),
            None => self.refuse_here("a parenthesis was expected"),
        }
    }

    /// SET of UPDATE.
    pub(super) fn set(&mut self) -> Result<(), Unreadable> {
        self.emit_keyword("set");
        self.cursor.advance(1);
        if let Some(frame) = self.frame() {
            frame.assignments = true;
        }
        self.assignment_target()
    }

    /// `x COLLATE name`, as a postfix, which is how tightly it binds.
    pub(super) fn collate(&mut self) -> Result<(), Unreadable> {
        self.cursor.advance(1);
        let Some(name) = self.cursor.qualified_name() else { return self.refuse_here("COLLATE without a collation") };
        if !self.operand {
            return self.refuse_here("COLLATE without an expression");
        }
        self.side.collations.push(name);
        self.emit_postfix(&marker::with("collate", self.side.collations.len() - 1));
        Ok(())
    }

    /// SEARCH and CYCLE after a table of WITH: the columns that they add, as a mark among its columns. True if they stood
    /// here. The columns that they follow are the table's own, which it has computed already.
    pub(super) fn search_or_cycle(&mut self) -> bool {
        if self.kind_before(1) != Some(&Kind::Mark(')')) {
            return false;
        }
        let mut ahead = self.cursor.clone();
        let mut added = Vec::new();
        if ahead.take(&["search"]) {
            let known = (ahead.take(&["depth"]) || ahead.take(&["breadth"])) && ahead.take(&["first", "by"]);
            if !known || !names(&mut ahead) || !ahead.take(&["set"]) {
                return false;
            }
            let Some(order) = ahead.name() else { return false };
            added.push(order);
        }
        if ahead.take(&["cycle"]) {
            if !names(&mut ahead) || !ahead.take(&["set"]) {
                return false;
            }
            let Some(mark) = ahead.name() else { return false };
            let values =
                !ahead.take(&["to"]) || (constant(&mut ahead) && ahead.take(&["default"]) && constant(&mut ahead));
            if !values || !ahead.take(&["using"]) {
                return false;
            }
            let Some(path) = ahead.name() else { return false };
            added.extend([mark, path]);
        }
        let mark = marker::with("search", self.side.searches.len());
        if !self.add_column(&mark) {
            return false;
        }
        self.side.searches.push(added);
        self.cursor = ahead;
        true
    }

    /// Adds a column to the list behind the name of the table of WITH that was just written.
    fn add_column(&mut self, mark: &str) -> bool {
        let mut depth = 0_usize;
        let opens = self.out.iter().rposition(|token| {
            match token.token {
                Core::RParen => depth += 1,
                Core::LParen => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0
        });
        let Some(opens) = opens else { return false };
        let word = |at: usize, wanted: &str| match self.out.get(at).map(|token| &token.token) {
            Some(Core::Word(word)) => word.quote_style.is_none() && word.value == wanted,
            Some(_) | None => false,
        };
        let mut at = opens;
        for wanted in ["materialized", "not", "as"] {
            if at > 0 && word(at - 1, wanted) {
                at -= 1;
            }
        }
        if at == 0 || !word(at, "as") {
            return false;
        }
        let column = self.name_token(mark);
        let added = match self.out.get(at - 1).map(|token| &token.token) {
            Some(Core::RParen) => {
                at -= 1;
                vec![self.token(Core::Comma), column]
            }
            Some(Core::Word(word)) if word.quote_style.is_some() => {
                vec![self.token(Core::LParen), column, self.token(Core::RParen)]
            }
            Some(_) | None => return false,
        };
        self.out.splice(at..at, added);
        true
    }

    /// `CAST(x AS type)`: the type, up to the closing parenthesis.
    pub(super) fn cast_type(&mut self) -> Result<(), Unreadable> {
        self.emit_keyword("as");
        self.cursor.advance(1);
        match type_name(&mut self.cursor) {
            Some(found) if self.cursor.is_mark(0, ')') => {
                self.side.types.push(found);
                self.emit_name(&marker::with("type", self.side.types.len() - 1));
                Ok(())
            }
            Some(_) | None => self.refuse_here("a cast to a type that is not understood"),
        }
    }

    /// The column definitions after a function in FROM, `AS t(a int, b text)`; true if they stood here.
    pub(super) fn definitions(&mut self) -> Result<bool, Unreadable> {
        let bare = self.before(1) == "as" && self.kind_before(2) == Some(&Kind::Mark(')'));
        let after_name = matches!(
            self.out.last().map(|token| &token.token),
            Some(Core::Word(word)) if word.quote_style.is_some() && marker::split(&word.value).is_none()
        );
        let named = after_name
            && (self.kind_before(2) == Some(&Kind::Mark(')'))
                || (self.before(2) == "as" && self.kind_before(3) == Some(&Kind::Mark(')'))));
        if !bare && !named {
            return Ok(false);
        }
        let mut ahead = self.cursor.clone();
        let Some(inside) = ahead.group() else { return Ok(false) };
        let Some(columns) = definitions(inside) else { return Ok(false) };
        if bare {
            self.emit_name(&marker::plain("unnamed"));
        }
        self.emit(Core::LParen);
        for (index, (name, found)) in columns.into_iter().enumerate() {
            if index > 0 {
                self.emit_comma();
            }
            self.emit_name(name.as_str());
            self.side.types.push(found);
            self.emit_name(&marker::with("type", self.side.types.len() - 1));
        }
        self.emit(Core::RParen);
        self.operand = true;
        self.cursor = ahead;
        Ok(true)
    }

    /// USING: the columns of a join, or an operator of ORDER BY, which becomes a comparison.
    pub(super) fn using(&mut self) -> Result<(), Unreadable> {
        self.cursor.advance(1);
        if let Some(Kind::Operator(symbol)) = self.cursor.kind(0) {
            self.emit(Core::CustomBinaryOperator(symbol.clone()));
            self.emit_keyword("null");
            self.cursor.advance(1);
        } else if self.cursor.word(0) == "operator" && self.cursor.is_mark(1, '(') {
            self.qualified_operator()?;
            self.emit_keyword("null");
        } else {
            self.emit_keyword("using");
            self.merge_source();
            if self.cursor.is_mark(0, '(') && self.in_join() {
                self.pending = Some(Mode::JoinUsing);
            }
        }
        Ok(())
    }

    /// MERGE … USING a JOIN b ON x ON y: sqlparser takes a join there only in parentheses.
    fn merge_source(&mut self) {
        if self.closes.is_some() || self.frames.len() > 1 || !self.merges() {
            return;
        }
        let mut ahead = self.cursor.clone();
        let (mut on, mut joins) = (None, false);
        loop {
            ahead.until(&["on", "join", "case", "when"]);
            match ahead.word(0) {
                "on" => on = Some(ahead.index()),
                "join" => joins = true,
                "case" if super::extent::primary(&mut ahead).is_some() => continue,
                _ => break,
            }
            ahead.advance(1);
        }
        if joins && let Some(on) = on {
            self.emit(Core::LParen);
            self.closes = Some(on);
        }
    }

    /// Whether the statement's own verb is MERGE.
    fn merges(&self) -> bool {
        let mut cursor = Cursor::new(self.tokens);
        cursor.until(&["merge", "select", "insert", "update", "delete", "values"]);
        cursor.word(0) == "merge"
    }

    /// DELETE … USING and MERGE … USING name relations, not columns.
    fn in_join(&self) -> bool {
        let mut ahead = self.cursor.clone();
        let Some(inside) = ahead.group() else { return false };
        comma_separated(inside).into_iter().all(|column| Cursor::new(column).name().is_some() && column.len() == 1)
    }
}

/// Moves past a list of names.
fn names(cursor: &mut Cursor<'_>) -> bool {
    loop {
        if cursor.name().is_none() {
            return false;
        }
        if !cursor.take_mark(',') {
            return true;
        }
    }
}

/// Moves past a constant.
fn constant(cursor: &mut Cursor<'_>) -> bool {
    let word = matches!(cursor.word(0), "true" | "false" | "null");
    let found = word || matches!(cursor.kind(0), Some(Kind::String(_) | Kind::Integer(_) | Kind::Numeric(_)));
    if found {
        cursor.advance(1);
    }
    found
}
