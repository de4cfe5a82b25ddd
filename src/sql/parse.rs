//! Expressions, queries and data-modifying statements: rewritten, read by sqlparser, converted.

use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::{Parser, ParserError};

use super::Unreadable;
use super::convert::Converter;
use super::cursor::{Cursor, comma_separated};
use super::keywords::is_reserved;
use super::lex::{Kind, Token};
use super::rewrite::{Side, Sized, rewrite};
use super::tree::{Action, Expr, Query, Subquery, SubqueryKind};

/// How deep sqlparser may recurse. The nesting of the text is bounded before; each level of it costs a few of these.
const RECURSION: usize = 600;

/// An expression that takes up all of the tokens.
pub fn expression(tokens: &[Token]) -> Result<Expr, Unreadable> {
    sized(tokens).map(|found| found.of)
}

/// [`expression`], and how much it is made of: whoever copies it has to count that.
pub fn sized(tokens: &[Token]) -> Result<Sized<Expr>, Unreadable> {
    let (expr, side) = run(tokens, |parser| parser.parse_expr())?;
    let mut converter = Converter::new(side, start(tokens));
    let of = converter.expr(expr)?;
    Ok(Sized { of, size: converter.made() })
}

/// Several expressions with their size in all.
pub fn sized_list(lists: Vec<&[Token]>) -> Result<Sized<Vec<Expr>>, Unreadable> {
    let mut all = Sized { of: Vec::with_capacity(lists.len()), size: 0 };
    for tokens in lists {
        let found = sized(tokens)?;
        all.of.push(found.of);
        all.size += found.size;
    }
    Ok(all)
}

/// SELECT, VALUES, TABLE, INSERT, UPDATE, DELETE, MERGE and the WITH before them.
pub fn statement(tokens: &[Token]) -> Result<Action, Unreadable> {
    let (statement, side) = run(tokens, |parser| parser.parse_statement())?;
    Converter::new(side, start(tokens)).statement(statement)
}

/// A query as an expression, with its size.
pub fn subquery(kind: SubqueryKind, tokens: &[Token]) -> Result<Sized<Expr>, Unreadable> {
    let (statement, side) = run(tokens, |parser| parser.parse_statement())?;
    let mut converter = Converter::new(side, start(tokens));
    match converter.statement(statement)? {
        Action::Query(query) => {
            let of = Expr::Subquery(Box::new(Subquery { kind, query: *query }));
            Ok(Sized { of, size: converter.made() + 1 })
        }
        _ => Err(Unreadable { message: "a query was expected".to_owned(), position: start(tokens) }),
    }
}

/// A statement that must be a query.
pub fn query(tokens: &[Token]) -> Result<Query, Unreadable> {
    match statement(tokens)? {
        Action::Query(query) => Ok(*query),
        _ => Err(Unreadable { message: "a query was expected".to_owned(), position: start(tokens) }),
    }
}

/// The elements of an index or of ON CONFLICT: an expression each, then collation, operator class and order, which hold
/// nothing that is run with the statement.
pub fn index_elements(tokens: &[Token]) -> Result<Vec<Expr>, Unreadable> {
    sized_index_elements(tokens).map(|found| found.of)
}

/// [`index_elements`] with their size.
pub fn sized_index_elements(tokens: &[Token]) -> Result<Sized<Vec<Expr>>, Unreadable> {
    let expressions = comma_separated(tokens).into_iter().map(index_element).collect::<Result<_, _>>()?;
    sized_list(expressions)
}

fn index_element(tokens: &[Token]) -> Result<&[Token], Unreadable> {
    let mut cursor = Cursor::new(tokens);
    if cursor.is_mark(0, '(') {
        cursor.group().ok_or_else(|| cursor.refuse("an unbalanced parenthesis"))?;
    } else {
        let function = is_reserved(cursor.word(0)) && cursor.is_mark(1, '(');
        if function {
            cursor.advance(1);
        } else {
            cursor.qualified_name().ok_or_else(|| cursor.refuse("a column or an expression was expected"))?;
        }
        if cursor.is_mark(0, '(') {
            cursor.group().ok_or_else(|| cursor.refuse("an unbalanced parenthesis"))?;
        }
    }
    let expr = tokens.get(..cursor.index()).unwrap_or_default();
    if cursor.take(&["collate"]) && cursor.qualified_name().is_none() {
        return Err(cursor.refuse("COLLATE without a collation"));
    }
    if !matches!(cursor.word(0), "asc" | "desc" | "nulls")
        && cursor.qualified_name().is_some()
        && cursor.is_mark(0, '(')
    {
        cursor.group();
    }
    cursor.take_one(&["asc", "desc"]);
    if cursor.take(&["nulls"]) {
        cursor.take_one(&["first", "last"]);
    }
    if cursor.is_done() { Ok(expr) } else { Err(cursor.refuse("an index element that is not understood")) }
}

fn start(tokens: &[Token]) -> usize {
    tokens.first().map_or(0, |token| token.range.start)
}

fn run<T>(
    tokens: &[Token],
    read: impl FnOnce(&mut Parser<'_>) -> Result<T, ParserError>,
) -> Result<(T, Side), Unreadable> {
    let (rewritten, side) = rewrite(tokens)?;
    let dialect = PostgreSqlDialect {};
    let mut parser = Parser::new(&dialect).with_recursion_limit(RECURSION).with_tokens_with_locations(rewritten);
    let found = read(&mut parser);
    let next = parser.peek_token();
    let position = |column: u64| {
        let index = usize::try_from(column).unwrap_or(usize::MAX).saturating_sub(1);
        let end = tokens.last().map_or(0, |token| token.range.end);
        tokens.get(index).map_or(end, |token| token.range.start)
    };
    let column = if next.token == sqlparser::tokenizer::Token::EOF { u64::MAX } else { next.span.start.column };
    match found {
        Ok(found) if next.token == sqlparser::tokenizer::Token::EOF => Ok((found, side)),
        Ok(_) => Err(Unreadable { message: near(tokens, column), position: position(column) }),
        Err(ParserError::RecursionLimitExceeded) => {
            Err(Unreadable { message: "the statement is nested too deeply".to_owned(), position: start(tokens) })
        }
        Err(ParserError::ParserError(_) | ParserError::TokenizerError(_)) => {
            Err(Unreadable { message: near(tokens, column), position: position(column) })
        }
    }
}

/// sqlparser's own messages would show marks; the token at which it stopped says as much.
fn near(tokens: &[Token], column: u64) -> String {
    let index = usize::try_from(column).unwrap_or(usize::MAX).saturating_sub(1);
    match tokens.get(index).map(|token| &token.kind) {
        None => "syntax that is not supported at the end of the statement".to_owned(),
        Some(Kind::Word(word) | Kind::Quoted(word)) => format!("syntax that is not supported near \"{word}\""),
        Some(Kind::Operator(symbol)) => format!("syntax that is not supported near \"{symbol}\""),
        Some(Kind::Mark(mark)) => format!("syntax that is not supported near \"{mark}\""),
        Some(_) => "syntax that is not supported near a constant".to_owned(),
    }
}
