//! The functions of SQL/JSON, whose arguments gram.y spells in ways of their own. They become calls of what `pg_catalog`
//! would call them, with every expression that they hold, and a cast to the type that they return.
//!
//! Without any of that grammar they are read as the plain calls that they look like: before the version that made them
//! grammar, `json_value(a, b)` was a function like any other.

use super::{Rewriter, Sized, extent};
use crate::sql::Unreadable;
use crate::sql::cursor::{Cursor, comma_separated};
use crate::sql::lex::{Kind, Token};
use crate::sql::marker;
use crate::sql::parse;
use crate::sql::tree::{Call, Expr, Literal, QualifiedName, SubqueryKind, TypeName};
use crate::sql::types::type_name;

/// What the parentheses of such a function hold.
#[derive(Default)]
pub(super) struct Arguments {
    pub exprs: Vec<Expr>,
    pub size: usize,
    pub returning: Option<TypeName>,
}

impl Arguments {
    pub(super) fn expr(&mut self, tokens: &[Token]) -> Result<(), Unreadable> {
        let found = parse::sized(tokens)?;
        self.exprs.push(found.of);
        self.size += found.size;
        Ok(())
    }

    /// An expression that begins here, and no more.
    pub(super) fn take_expr(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Unreadable> {
        let start = cursor.clone();
        match extent::expression(cursor) {
            Some(()) => self.expr(start.rest().get(..cursor.index() - start.index()).unwrap_or_default()),
            None => Err(start.refuse("an expression was expected")),
        }
    }

    /// The clauses that may stand around values; leaves off at what is none of them.
    pub(super) fn clauses(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Unreadable> {
        loop {
            if cursor.take(&["format", "json"]) {
                if cursor.take(&["encoding"]) && cursor.name().is_none() {
                    return Err(cursor.refuse("ENCODING without a name"));
                }
            } else if cursor.take(&["returning"]) {
                match type_name(cursor) {
                    Some(found) => self.returning = Some(found),
                    None => return Err(cursor.refuse("a type that is not understood")),
                }
            } else if cursor.take(&["passing"]) {
                self.passing(cursor)?;
            } else if cursor.take(&["order", "by"]) {
                self.order(cursor)?;
            } else if cursor.word(0) == "default" && cursor.kind(1).is_some() {
                cursor.advance(1);
                self.take_expr(cursor)?;
                if !takes_event(cursor) {
                    return Err(cursor.refuse("DEFAULT without ON EMPTY or ON ERROR"));
                }
            } else if !takes_plain_clause(cursor) {
                return Ok(());
            }
        }
    }

    /// `PASSING x AS name, …`
    fn passing(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Unreadable> {
        loop {
            self.take_expr(cursor)?;
            self.clauses(cursor)?;
            if !cursor.take(&["as"]) || cursor.label().is_none() {
                return Err(cursor.refuse("PASSING without a name"));
            }
            if !cursor.take_mark(',') {
                return Ok(());
            }
        }
    }

    fn order(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Unreadable> {
        loop {
            self.take_expr(cursor)?;
            cursor.take_one(&["asc", "desc"]);
            if cursor.take(&["nulls"]) {
                cursor.take_one(&["first", "last"]);
            }
            if !cursor.take_mark(',') {
                return Ok(());
            }
        }
    }

    /// Values, `key: value` and `key VALUE value`, with their clauses.
    pub(super) fn values(&mut self, inside: &[Token]) -> Result<(), Unreadable> {
        let mut cursor = Cursor::new(inside);
        self.clauses(&mut cursor)?;
        while !cursor.is_done() {
            self.take_expr(&mut cursor)?;
            if cursor.take_mark(':') || cursor.take(&["value"]) {
                self.take_expr(&mut cursor)?;
            }
            self.clauses(&mut cursor)?;
            if !cursor.take_mark(',') && !cursor.is_done() {
                return Err(cursor.refuse("a clause of JSON that is not understood"));
            }
        }
        Ok(())
    }
}

/// Clauses that hold nothing but words.
fn takes_plain_clause(cursor: &mut Cursor<'_>) -> bool {
    if cursor.take(&["absent", "on", "null"]) || cursor.take(&["null", "on", "null"]) {
        return true;
    }
    if cursor.take(&["keep", "quotes"]) || cursor.take(&["omit", "quotes"]) {
        cursor.take(&["on", "scalar", "string"]);
        return true;
    }
    let mut ahead = cursor.clone();
    if ahead.take_one(&["with", "without"]).is_some() {
        if ahead.take(&["unique"]) {
            ahead.take(&["keys"]);
        } else {
            ahead.take_one(&["conditional", "unconditional"]);
            ahead.take(&["array"]);
            if !ahead.take(&["wrapper"]) {
                return false;
            }
        }
        *cursor = ahead;
        return true;
    }
    let behaviour = match ahead.take_one(&["error", "null", "true", "false", "unknown", "empty"]) {
        None => return false,
        Some("empty") => {
            ahead.take_one(&["array", "object"]);
            true
        }
        Some(_) => true,
    };
    let found = behaviour && takes_event(&mut ahead);
    if found {
        *cursor = ahead;
    }
    found
}

/// `ON EMPTY`, `ON ERROR`.
fn takes_event(cursor: &mut Cursor<'_>) -> bool {
    cursor.take(&["on", "empty"]) || cursor.take(&["on", "error"])
}

/// Whether every argument is an expression and nothing else: a call like any other.
fn is_plain(inside: &[Token]) -> bool {
    comma_separated(inside).into_iter().all(|element| {
        let mut cursor = Cursor::new(element);
        let named = matches!(cursor.kind(1), Some(Kind::Arrow | Kind::ColonEquals));
        named || (extent::expression(&mut cursor).is_some() && cursor.is_done())
    })
}

impl Rewriter<'_> {
    /// Stands on the function's name; false where it is a plain call.
    pub(super) fn json(&mut self, word: &str) -> Result<bool, Unreadable> {
        let mut ahead = self.cursor.clone();
        ahead.advance(1);
        let Some(inside) = ahead.group() else { return self.refuse_here("an unbalanced parenthesis") };
        let mut arguments = Arguments::default();
        let first = Cursor::new(inside).word(0);
        if word == "json_array" && matches!(first, "select" | "values" | "with" | "table") {
            self.query_of_array(inside, &mut arguments)?;
        } else if is_plain(inside) {
            return Ok(false);
        } else {
            arguments.values(inside)?;
        }
        self.cursor = ahead;
        let Arguments { exprs, size, returning } = arguments;
        let aggregate = matches!(word, "json_objectagg" | "json_arrayagg");
        if aggregate {
            // FILTER and OVER may follow, so that it has to look like a call. The type that it returns is read in its
            // arguments, where what makes a value of it is seen.
            let mut exprs = exprs;
            exprs.extend(returning.map(|to| Expr::Cast { expr: Box::new(Expr::Literal(Literal::Null)), to }));
            self.emit_builtin(word);
            self.emit(sqlparser::tokenizer::Token::LParen);
            self.emit_expr(Sized { of: Expr::Row(exprs), size });
            self.emit(sqlparser::tokenizer::Token::RParen);
            return Ok(true);
        }
        let call = Expr::Call(Box::new(Call::plain(QualifiedName::builtin(word), exprs)));
        let of = match returning {
            Some(to) => Expr::Cast { expr: Box::new(call), to },
            None => call,
        };
        self.emit_expr(Sized { of, size: size + 1 });
        Ok(true)
    }

    /// `JSON_ARRAY(query [FORMAT JSON] [RETURNING type])`.
    fn query_of_array(&mut self, inside: &[Token], arguments: &mut Arguments) -> Result<(), Unreadable> {
        let mut cursor = Cursor::new(inside);
        let mut query = cursor.until(&["returning"]);
        // FORMAT JSON stands right before.
        let is_word = |token: &Token, word: &str| matches!(&token.kind, Kind::Word(found) if found == word);
        if let [rest @ .., format, json] = query
            && is_word(format, "format")
            && is_word(json, "json")
        {
            query = rest;
        }
        let found = parse::subquery(SubqueryKind::Scalar, query)?;
        arguments.exprs.push(found.of);
        arguments.size += found.size;
        arguments.clauses(&mut cursor)?;
        if cursor.is_done() { Ok(()) } else { Err(cursor.refuse("a JSON_ARRAY that is not understood")) }
    }

    /// `TREAT(x AS type)` calls the function that bears the type's name.
    pub(super) fn treat(&mut self) -> Result<(), Unreadable> {
        self.cursor.advance(1);
        let Some(inside) = self.cursor.group() else { return self.refuse_here("an unbalanced parenthesis") };
        let mut cursor = Cursor::new(inside);
        let value = parse::sized(cursor.until(&["as"]))?;
        cursor.advance(1);
        let (Some(to), true) = (type_name(&mut cursor), cursor.is_done()) else {
            return Err(cursor.refuse("a type that is not understood"));
        };
        let Some(name) = to.name.parts.last() else { return Err(cursor.refuse("a type that is not understood")) };
        let call = Call::plain(QualifiedName::builtin(name.as_str()), vec![value.of]);
        self.emit_expr(Sized { of: Expr::Call(Box::new(call)), size: value.size + 1 });
        Ok(())
    }

    /// `WITH (OLD AS o, NEW AS n)` behind RETURNING: marks in front of the targets.
    pub(super) fn returning_aliases(&mut self) -> Result<(), Unreadable> {
        if self.cursor.word(0) != "with" || !self.cursor.is_mark(1, '(') {
            return Ok(());
        }
        self.cursor.advance(1);
        let Some(inside) = self.cursor.group() else { return self.refuse_here("an unbalanced parenthesis") };
        for element in comma_separated(inside) {
            let mut cursor = Cursor::new(element);
            let known = cursor.take_one(&["old", "new"]).is_some() && cursor.take(&["as"]);
            match cursor.name() {
                Some(name) if known && cursor.is_done() => {
                    self.emit_name(&marker::with("rowalias", name));
                    self.emit_comma();
                }
                Some(_) | None => return Err(cursor.refuse("an option of RETURNING that is not understood")),
            }
        }
        Ok(())
    }
}
