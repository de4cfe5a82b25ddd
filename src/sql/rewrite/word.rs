//! Unquoted words: which are grammar at this place, and which are names.

use sqlparser::tokenizer::Token as Core;

use super::{Mode, Rewriter};
use crate::sql::Unreadable;
use crate::sql::cursor::Cursor;
use crate::sql::keywords::{Category, category};
use crate::sql::lex::Kind;
use crate::sql::marker;

impl Rewriter<'_> {
    pub(super) fn word(&mut self, word: &str) -> Result<(), Unreadable> {
        if self.before(1) == "as" && self.label_after_as(word) {
            return Ok(());
        }
        if self.word_of_mode(word)? || self.reserved(word)? || self.grammar_function(word)? {
            return Ok(());
        }
        if self.typed_literal(word) {
            return Ok(());
        }
        if self.is_grammar(word) {
            self.emit_keyword(word);
            self.cursor.advance(1);
            return Ok(());
        }
        let name = match category(word) {
            Category::Reserved => false,
            Category::FunctionOrType => self.cursor.is_mark(1, '(') && !takes_operand(word),
            Category::Column | Category::Free => true,
        };
        if name {
            self.emit_name(word);
        } else {
            self.emit_keyword(word);
        }
        self.cursor.advance(1);
        Ok(())
    }

    /// After AS any word is a name, but for the words of WITH … AS MATERIALIZED.
    fn label_after_as(&mut self, word: &str) -> bool {
        let materialized = match word {
            "materialized" => self.cursor.is_mark(1, '('),
            "not" => self.cursor.word(1) == "materialized" && self.cursor.is_mark(2, '('),
            _ => false,
        };
        if materialized {
            self.emit_keyword(word);
        } else {
            self.emit_name(word);
        }
        self.cursor.advance(1);
        true
    }

    /// The words that separate arguments in POSITION, SUBSTRING, OVERLAY, TRIM and CAST.
    fn word_of_mode(&mut self, word: &str) -> Result<bool, Unreadable> {
        let comma = match (self.mode(), word) {
            (Mode::Cast, "as") => return self.cast_type().map(|()| true),
            (Mode::Position, "in") => true,
            (Mode::Substring, "from") | (Mode::Trim, "from") | (Mode::Overlay, "from") => self.before(1) != "distinct",
            (Mode::Substring, "for" | "escape") | (Mode::Overlay, "for" | "placing") => true,
            (Mode::Substring, "similar") => self.cursor.word(1) != "to",
            (_, _) => false,
        };
        if comma {
            self.emit_comma();
            self.cursor.advance(1);
        }
        Ok(comma)
    }

    /// Reserved words, and others that begin grammar wherever they are not names; true if written.
    fn reserved(&mut self, word: &str) -> Result<bool, Unreadable> {
        match word {
            "current_catalog" | "current_date" | "current_role" | "current_time" | "current_timestamp"
            | "current_user" | "localtime" | "localtimestamp" | "session_user" | "user" => self.value_keyword(word),
            "current_schema" if !self.cursor.is_mark(1, '(') => self.value_keyword(word),
            "default" if self.before(1) == "insert" => {
                // MERGE's INSERT DEFAULT VALUES is one row of defaults.
                self.emit_keyword("values");
                self.emit(Core::LParen);
                self.emit_name(&marker::plain("default"));
                self.emit(Core::RParen);
                self.cursor.advance(2);
            }
            "fetch" if matches!(self.cursor.word(1), "first" | "next") => self.fetch(),
            "row" | "rows" if self.operand && self.cursor.word(1) == "only" => self.cursor.advance(2),
            "row" | "rows" if self.operand && self.cursor.word(1) == "with" && self.cursor.word(2) == "ties" => {
                self.cursor.advance(3);
            }
            "default" if self.cursor.word(1) != "values" => {
                self.emit_name(&marker::plain("default"));
                self.cursor.advance(1);
            }
            // As an expression sqlparser takes a query only by SELECT or WITH.
            "values" if self.kind_before(1) == Some(&Kind::Mark('(')) && self.cursor.is_mark(1, '(') => {
                self.emit_keyword("with");
                self.emit_name(&marker::plain("none"));
                self.emit_keyword("as");
                self.emit(Core::LParen);
                self.emit_keyword("select");
                self.emit_keyword("null");
                self.emit(Core::RParen);
                self.emit_keyword("values");
                self.cursor.advance(1);
            }
            "values" if self.before(1) == "default" || (self.cursor.is_mark(1, '(') && self.before(1) != "into") => {
                self.emit_keyword("values");
                self.cursor.advance(1);
            }
            "array" if self.cursor.is_mark(1, '(') && self.begins_set_operation(2) => self.array_of_query()?,
            "array" if self.cursor.is_mark(1, '(') => self.doubled("array"),
            "any" | "some" if self.cursor.is_mark(1, '(') && self.after_comparison() => self.doubled("any"),
            "all" if self.cursor.is_mark(1, '(') && self.after_comparison() => self.doubled("all"),
            "variadic" => {
                self.cursor.advance(1);
                let mut ahead = self.cursor.clone();
                let named = ahead.name().filter(|_| matches!(ahead.kind(0), Some(Kind::Arrow | Kind::ColonEquals)));
                match named {
                    Some(name) => {
                        self.emit_name(&marker::with("variadic", name));
                        ahead.advance(1);
                        self.cursor = ahead;
                    }
                    None => self.emit_name(&marker::plain("variadic")),
                }
                self.emit(Core::RArrow);
                self.operand = false;
            }
            "only" if !matches!(self.before(1), "row" | "rows") => self.only()?,
            "table" => self.table(),
            "into" if !matches!(self.before(1), "insert" | "merge") => self.select_into(),
            "for" => return self.row_lock(),
            "collate" => self.collate()?,
            "set" if self.begins_set() => self.set()?,
            "is" | "isnull" | "notnull" => self.is_test(word)?,
            "at" => return self.at_time_zone(),
            "between" => self.between(),
            "search" | "cycle" => return Ok(self.search_or_cycle()),
            "operator" if self.cursor.is_mark(1, '(') => self.qualified_operator()?,
            "using" => self.using()?,
            "tablesample" => self.sample()?,
            "on" if self.before(1) == "distinct" && self.cursor.is_mark(1, '(') => {
                self.emit_keyword("on");
                self.pending = Some(Mode::DistinctOn);
                self.cursor.advance(1);
            }
            "conflict" if self.before(1) == "on" => self.conflict()?,
            "current" if self.cursor.word(1) == "of" => self.current_of()?,
            "exclude" if self.frame_exclusion() => {}
            // A quantifier of the grouping sets.
            "all" | "distinct" if self.before(1) == "by" && self.before(2) == "group" => self.cursor.advance(1),
            "overriding" if matches!(self.cursor.word(1), "system" | "user") && self.cursor.word(2) == "value" => {
                self.cursor.advance(3);
            }
            "rows" if self.cursor.word(1) == "from" && self.cursor.is_mark(2, '(') => self.rows_from()?,
            "in" if self.cursor.is_mark(1, '(') && self.mode() != Mode::Position => self.in_list()?,
            "returning" => {
                self.clause(word);
                self.returning_aliases()?;
            }
            "grouping" if self.cursor.word(1) == "sets" => {
                self.emit_name(&marker::plain("group"));
                self.pending = Some(Mode::Grouping);
                self.cursor.advance(2);
            }
            "cube" | "rollup" if self.cursor.is_mark(1, '(') && self.groups() => {
                self.emit_name(&marker::plain("group"));
                self.pending = Some(Mode::Grouping);
                self.cursor.advance(1);
            }
            "where" | "from" | "having" | "window" | "order" | "limit" | "offset" | "fetch" | "union" | "intersect"
            | "except" | "when" | "select" => {
                self.clause(word);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// A clause's first word ends GROUP BY and SET before it.
    fn clause(&mut self, word: &str) {
        let mut targets = false;
        if let Some(frame) = self.frame() {
            frame.group_by = false;
            frame.assignments = false;
            frame.from = word == "from";
            targets = std::mem::replace(&mut frame.targets, word == "select");
        }
        if word == "window" && targets {
            // Without FROM in front sqlparser takes WINDOW for an alias.
            self.emit_keyword("from");
            self.emit_name(&marker::plain("nothing"));
        }
        self.emit_keyword(word);
        self.cursor.advance(1);
        if word == "select" && self.no_targets() {
            self.emit_name(&marker::plain("nothing"));
        }
    }

    /// Whether SELECT lists nothing at all. With FROM behind it sqlparser takes that.
    fn no_targets(&self) -> bool {
        match self.cursor.kind(0) {
            None | Some(Kind::Mark(')')) => true,
            Some(Kind::Word(word)) => matches!(
                word.as_str(),
                "where"
                    | "group"
                    | "having"
                    | "window"
                    | "union"
                    | "intersect"
                    | "except"
                    | "order"
                    | "limit"
                    | "offset"
                    | "fetch"
                    | "for"
            ),
            Some(_) => false,
        }
    }

    fn groups(&self) -> bool {
        self.mode() == Mode::Grouping || self.frames.last().is_some_and(|frame| frame.group_by)
    }

    /// CURRENT_DATE and the like; the precision says nothing.
    fn value_keyword(&mut self, word: &str) {
        self.emit_name(&marker::with("keyword", word));
        self.cursor.advance(1);
        let precision = self.cursor.is_mark(0, '(')
            && matches!(self.cursor.kind(1), Some(Kind::Integer(_)))
            && self.cursor.is_mark(2, ')');
        if precision && matches!(word, "current_time" | "current_timestamp" | "localtime" | "localtimestamp") {
            self.cursor.advance(3);
        }
    }

    fn doubled(&mut self, kind: &str) {
        self.emit_name(&marker::plain(kind));
        self.pending = Some(Mode::Doubled);
        self.cursor.advance(1);
    }

    /// Whether ANY or ALL here belongs to the operator before it.
    fn after_comparison(&self) -> bool {
        match self.kind_before(1) {
            Some(Kind::Operator(_)) => true,
            Some(Kind::Word(word)) => matches!(word.as_str(), "like" | "ilike"),
            Some(Kind::Mark(')')) => {
                matches!(self.out.last().map(|token| &token.token), Some(Core::CustomBinaryOperator(_)))
            }
            Some(_) | None => false,
        }
    }

    fn begins_set(&self) -> bool {
        let target =
            self.cursor.is_mark(1, '(') || matches!(self.cursor.kind(1), Some(Kind::Word(_) | Kind::Quoted(_)));
        target && (self.operand || self.before(1) == "update")
    }

    /// IS and what follows; predicates that sqlparser reads differently become marks.
    fn is_test(&mut self, word: &str) -> Result<(), Unreadable> {
        self.cursor.advance(1);
        match word {
            "isnull" => return self.null_test(false),
            "notnull" => return self.null_test(true),
            _ => {}
        }
        let negated = self.cursor.take(&["not"]);
        match self.cursor.word(0) {
            "document" => {
                self.cursor.advance(1);
                self.null_test(negated)
            }
            "json" => {
                self.cursor.advance(1);
                self.cursor.take_one(&["value", "array", "object", "scalar"]);
                if self.cursor.take(&["with", "unique"]) || self.cursor.take(&["without", "unique"]) {
                    self.cursor.take(&["keys"]);
                }
                self.null_test(negated)
            }
            "normalized" | "nfc" | "nfd" | "nfkc" | "nfkd" => {
                self.cursor.take_one(&["nfc", "nfd", "nfkc", "nfkd"]);
                if !self.cursor.take(&["normalized"]) {
                    return self.refuse_here("IS with a predicate that is not understood");
                }
                self.emit_postfix(&marker::plain("normalized"));
                Ok(())
            }
            "null" | "true" | "false" | "unknown" => {
                let test = self.cursor.word(0);
                self.is_words(negated, &[test]);
                self.cursor.advance(1);
                Ok(())
            }
            "distinct" if self.cursor.word(1) == "from" => {
                self.is_words(negated, &["distinct", "from"]);
                self.cursor.advance(2);
                Ok(())
            }
            _ => self.refuse_here("IS with a predicate that is not understood"),
        }
    }

    fn null_test(&mut self, negated: bool) -> Result<(), Unreadable> {
        self.is_words(negated, &["null"]);
        Ok(())
    }

    fn is_words(&mut self, negated: bool, words: &[&str]) {
        self.emit_keyword("is");
        if negated {
            self.emit_keyword("not");
        }
        for word in words {
            self.emit_keyword(word);
        }
    }

    fn at_time_zone(&mut self) -> Result<bool, Unreadable> {
        if !self.operand {
            return Ok(false);
        }
        if self.cursor.take(&["at", "time", "zone"]) {
            for word in ["at", "time", "zone"] {
                self.emit_keyword(word);
            }
            return Ok(true);
        }
        let local = self.cursor.take(&["at", "local"]);
        if local {
            self.emit_postfix(&marker::plain("atlocal"));
        }
        Ok(local)
    }

    /// FETCH FIRST n ROWS ONLY is LIMIT n, where n may be any expression in parentheses.
    fn fetch(&mut self) {
        self.clause("limit");
        self.cursor.advance(1);
        if matches!(self.cursor.word(0), "row" | "rows") {
            self.emit(Core::Number("1".to_owned(), false));
            self.operand = true;
        }
    }

    /// SYMMETRIC swaps the bounds and uses the same operators.
    fn between(&mut self) {
        self.emit_keyword("between");
        self.cursor.advance(1);
        self.cursor.take_one(&["symmetric", "asymmetric"]);
    }

    /// WHERE CURRENT OF cursor.
    fn current_of(&mut self) -> Result<(), Unreadable> {
        self.cursor.advance(2);
        let Some(name) = self.cursor.name() else { return self.refuse_here("CURRENT OF without a cursor") };
        self.emit_name(&marker::with("current_of", name));
        Ok(())
    }

    /// EXCLUDE at the end of a window frame holds no name; true if it was passed over.
    fn frame_exclusion(&mut self) -> bool {
        if !self.frames.last().is_some_and(|frame| frame.window_frame) {
            return false;
        }
        let mut ahead = self.cursor.clone();
        ahead.advance(1);
        let known = ahead.take(&["current", "row"])
            || ahead.take(&["group"])
            || ahead.take(&["ties"])
            || ahead.take(&["no", "others"]);
        let found = known && ahead.is_mark(0, ')');
        if found {
            self.cursor = ahead;
        }
        found
    }

    /// Whether a word that is not reserved stands where PostgreSQL's grammar wants it.
    fn is_grammar(&mut self, word: &str) -> bool {
        let before = self.before(1).to_owned();
        let before = before.as_str();
        let after = Cursor::at(self.tokens, self.cursor.index() + 1);
        let next = after.word(0);
        let in_frame = self.frames.last().is_some_and(|frame| frame.window_frame);
        match word {
            "by" => {
                let found = matches!(before, "group" | "order" | "partition")
                    || (before == "matched" && matches!(next, "source" | "target"));
                if let (true, Some(frame)) = (before == "group", self.frame()) {
                    frame.group_by = true;
                }
                found
            }
            "recursive" => before == "with",
            "materialized" => before == "not" && self.before(2) == "as" && after.is_mark(0, '('),
            "over" => self.kind_before(1) == Some(&Kind::Mark(')')) && self.operand,
            "filter" => self.kind_before(1) == Some(&Kind::Mark(')')) && after.is_mark(0, '('),
            "within" => self.kind_before(1) == Some(&Kind::Mark(')')) && next == "group",
            "partition" => next == "by",
            "rows" | "range" | "groups"
                if self.ends_window_part() && (frame_follows(&after) || (self.operand && bound_follows(&after))) =>
            {
                if let Some(frame) = self.frame() {
                    frame.window_frame = true;
                }
                true
            }
            "rows" | "row" => {
                (in_frame && before == "current")
                    || matches!(before, "first" | "next")
                    || (self.operand && matches!(next, "only" | "with" | "fetch" | "limit" | "for" | ""))
            }
            "preceding" | "following" | "unbounded" => in_frame,
            "current" => in_frame && next == "row",
            "first" | "last" => matches!(before, "nulls" | "fetch"),
            "next" => before == "fetch",
            "nulls" => matches!(next, "first" | "last"),
            "ties" => before == "with",
            "ordinality" => before == "with",
            "insert" => next == "into" || before == "then",
            "update" => {
                matches!(before, "" | "then" | "do")
                    && !self.cursor.is_mark(1, '.')
                    && (!before.is_empty() || self.starts())
            }
            "delete" => next == "from" || before == "then",
            "merge" => self.starts() && next == "into",
            "matched" => matches!(before, "when" | "not"),
            "source" | "target" => before == "by",
            "nothing" => before == "do",
            "escape" => {
                self.operand
                    && !matches!(category(next), Category::Reserved)
                    && after.kind(0).is_some()
                    && !matches!(after.kind(0), Some(Kind::Mark(',' | ')' | '.')))
            }
            _ => false,
        }
    }

    /// Whether a window's frame may begin here: after an element of its ORDER BY or PARTITION BY, or as its first word.
    fn ends_window_part(&self) -> bool {
        let opens = self.kind_before(1) == Some(&Kind::Mark('(')) && matches!(self.before(2), "over" | "as");
        self.frames.len() > 1 && (opens || self.operand || matches!(self.before(1), "asc" | "desc" | "first" | "last"))
    }

    /// Whether a statement may begin here: at the start, in parentheses, or after a WITH list.
    fn starts(&self) -> bool {
        matches!(self.kind_before(1), None | Some(Kind::Mark('(' | ')')))
    }
}

/// Whether a window frame's first bound stands here.
fn frame_follows(after: &Cursor<'_>) -> bool {
    match after.kind(0) {
        Some(Kind::Word(word)) => matches!(word.as_str(), "between" | "unbounded" | "current" | "interval"),
        Some(Kind::String(_) | Kind::Integer(_) | Kind::Numeric(_) | Kind::Parameter(_)) => true,
        Some(_) | None => false,
    }
}

/// Whether something stands here that can only be a bound: after an operand, ROWS is no name of a column, and an alias
/// ends what it stands in.
fn bound_follows(after: &Cursor<'_>) -> bool {
    match after.kind(0) {
        Some(Kind::Mark('(')) => true,
        Some(Kind::Operator(symbol)) => matches!(symbol.as_str(), "+" | "-"),
        Some(Kind::Word(word)) => matches!(word.as_str(), "case" | "cast" | "null") || after.is_mark(1, '('),
        Some(_) | None => false,
    }
}

/// Words that PostgreSQL lets be functions, but which are operators here.
fn takes_operand(word: &str) -> bool {
    matches!(
        word,
        "ilike"
            | "like"
            | "similar"
            | "is"
            | "isnull"
            | "notnull"
            | "overlaps"
            | "join"
            | "cross"
            | "full"
            | "inner"
            | "natural"
            | "outer"
            | "tablesample"
    )
}
