//! Items of FROM in a grammar of their own: XMLTABLE, JSON_TABLE, and the functions of ROWS FROM with their columns.

use sqlparser::tokenizer::Token as Core;

use super::json::Arguments;
use super::{Rewriter, extent};
use crate::sql::Unreadable;
use crate::sql::cursor::{Cursor, comma_separated};
use crate::sql::lex::{Kind, Token};
use crate::sql::marker;
use crate::sql::parse;
use crate::sql::tree::{Call, Expr, Name, QualifiedName, TypeName};
use crate::sql::types::type_name;

/// Names and types of columns.
pub type Definitions = Vec<(Name, TypeName)>;

/// Functions side by side, and the columns that are defined for each.
#[derive(Debug, Default)]
pub struct Source {
    pub calls: Vec<Call>,
    pub definitions: Vec<Definitions>,
    /// How many expressions it is made of.
    pub size: usize,
}

impl Rewriter<'_> {
    pub(super) fn emit_source(&mut self, source: Source) {
        self.side.sources.push(source);
        self.emit_name(&marker::with("source", self.side.sources.len() - 1));
        // With parentheses it may stand behind LATERAL.
        self.emit(Core::LParen);
        self.emit(Core::RParen);
        self.operand = true;
    }

    fn table_of(&mut self, name: &str, arguments: Arguments, definitions: Definitions) {
        let Arguments { exprs, size, returning: _ } = arguments;
        let call = Call::plain(QualifiedName::builtin(name), exprs);
        self.emit_source(Source { calls: vec![call], definitions: vec![definitions], size: size + 1 });
    }

    /// `ROWS FROM (f(…) [AS (name type, …)], …)`. Stands on ROWS.
    pub(super) fn rows_from(&mut self) -> Result<(), Unreadable> {
        self.cursor.advance(2);
        let Some(inside) = self.cursor.group() else { return self.refuse_here("an unbalanced parenthesis") };
        let mut source = Source::default();
        for element in comma_separated(inside) {
            let mut cursor = Cursor::new(element);
            let found = parse::sized(cursor.until(&["as"]))?;
            let definitions = if cursor.take(&["as"]) {
                match cursor.group().and_then(definitions) {
                    Some(found) if cursor.is_done() => found,
                    Some(_) | None => return Err(cursor.refuse("column definitions that are not understood")),
                }
            } else {
                Vec::new()
            };
            source.calls.push(called(found.of));
            source.definitions.push(definitions);
            source.size += found.size;
        }
        self.emit_source(source);
        Ok(())
    }

    /// `XMLTABLE([XMLNAMESPACES(…),] row PASSING document COLUMNS …)`. Stands on the word.
    pub(super) fn xml_table(&mut self) -> Result<(), Unreadable> {
        self.cursor.advance(1);
        let Some(inside) = self.cursor.group() else { return self.refuse_here("an unbalanced parenthesis") };
        let mut cursor = Cursor::new(inside);
        let mut arguments = Arguments::default();
        if cursor.word(0) == "xmlnamespaces" && cursor.is_mark(1, '(') {
            cursor.advance(1);
            for element in comma_separated(cursor.group().unwrap_or_default()) {
                let mut namespace = Cursor::new(element);
                namespace.take(&["default"]);
                coerced(&mut arguments, namespace.until(&["as"]), &text())?;
            }
            if !cursor.take_mark(',') {
                return Err(cursor.refuse("an XMLTABLE that is not understood"));
            }
        }
        coerced(&mut arguments, cursor.until(&["passing"]), &text())?;
        cursor.advance(1);
        passing_mechanism(&mut cursor);
        let start = cursor.clone();
        if extent::primary(&mut cursor).is_none() {
            return Err(start.refuse("XMLTABLE without a document"));
        }
        let document = start.rest().get(..cursor.index() - start.index()).unwrap_or_default();
        coerced(&mut arguments, document, &builtin("xml"))?;
        passing_mechanism(&mut cursor);
        if !cursor.take(&["columns"]) {
            return Err(cursor.refuse("XMLTABLE without COLUMNS"));
        }
        let mut columns = Vec::new();
        for element in comma_separated(cursor.rest()) {
            columns.push(xml_column(element, &mut arguments)?);
        }
        self.table_of("xmltable", arguments, columns);
        Ok(())
    }

    /// `JSON_TABLE(context, path [AS name] [PASSING …] COLUMNS (…) [… ON ERROR])`. Stands on the word; false where it is
    /// a plain call.
    pub(super) fn json_table(&mut self) -> Result<bool, Unreadable> {
        let mut ahead = self.cursor.clone();
        ahead.advance(1);
        let Some(inside) = ahead.group() else { return self.refuse_here("an unbalanced parenthesis") };
        let mut cursor = Cursor::new(inside);
        cursor.until(&["columns"]);
        if cursor.is_done() {
            return Ok(false);
        }
        let mut cursor = Cursor::new(inside);
        let mut arguments = Arguments::default();
        arguments.take_expr(&mut cursor)?;
        arguments.clauses(&mut cursor)?;
        if !cursor.take_mark(',') {
            return Err(cursor.refuse("JSON_TABLE without a path"));
        }
        arguments.take_expr(&mut cursor)?;
        if cursor.take(&["as"]) && cursor.name().is_none() {
            return Err(cursor.refuse("a path without a name"));
        }
        arguments.clauses(&mut cursor)?;
        if !cursor.take(&["columns"]) {
            return Err(cursor.refuse("JSON_TABLE without COLUMNS"));
        }
        let columns = json_columns(&mut cursor, &mut arguments)?;
        arguments.clauses(&mut cursor)?;
        if !cursor.is_done() {
            return Err(cursor.refuse("a JSON_TABLE that is not understood"));
        }
        self.cursor = ahead;
        self.table_of("json_table", arguments, columns);
        Ok(true)
    }
}

fn builtin(name: &str) -> TypeName {
    TypeName { name: QualifiedName::builtin(name), array: false }
}

fn text() -> TypeName {
    builtin("text")
}

/// What ROWS FROM calls; grammar that is no call stands as the argument of one.
fn called(found: Expr) -> Call {
    match found {
        Expr::Call(call) => *call,
        other => Call::plain(QualifiedName::builtin("coalesce"), vec![other]),
    }
}

fn coerced(arguments: &mut Arguments, tokens: &[Token], to: &TypeName) -> Result<(), Unreadable> {
    let found = parse::sized(tokens)?;
    arguments.exprs.push(Expr::Cast { expr: Box::new(found.of), to: to.clone() });
    arguments.size += found.size + 1;
    Ok(())
}

fn passing_mechanism(cursor: &mut Cursor<'_>) {
    if !cursor.take(&["by", "ref"]) {
        cursor.take(&["by", "value"]);
    }
}

/// `name type …, …`, all of it.
pub(super) fn definitions(tokens: &[Token]) -> Option<Definitions> {
    let mut columns = Vec::new();
    for element in comma_separated(tokens) {
        let mut cursor = Cursor::new(element);
        let name = cursor.name()?;
        let found = type_name(&mut cursor)?;
        if cursor.take(&["collate"]) && cursor.qualified_name().is_none() || !cursor.is_done() {
            return None;
        }
        columns.push((name, found));
    }
    (!columns.is_empty()).then_some(columns)
}

/// `name type [PATH x] [DEFAULT x] [NOT NULL]`, or `name FOR ORDINALITY`.
fn xml_column(tokens: &[Token], arguments: &mut Arguments) -> Result<(Name, TypeName), Unreadable> {
    let mut cursor = Cursor::new(tokens);
    let Some(name) = cursor.name() else { return Err(cursor.refuse("a column of XMLTABLE without a name")) };
    if cursor.take(&["for", "ordinality"]) && cursor.is_done() {
        return Ok((name, builtin("int4")));
    }
    let Some(of) = type_name(&mut cursor) else { return Err(cursor.refuse("a type that is not understood")) };
    while !cursor.is_done() {
        if cursor.take(&["not", "null"]) || cursor.take(&["null"]) {
            continue;
        }
        let to = match cursor.take_one(&["path", "default"]) {
            Some("default") => of.clone(),
            Some(_) => text(),
            None => return Err(cursor.refuse("a column of XMLTABLE that is not understood")),
        };
        let start = cursor.clone();
        if extent::expression(&mut cursor).is_none() {
            return Err(start.refuse("an expression was expected"));
        }
        coerced(arguments, start.rest().get(..cursor.index() - start.index()).unwrap_or_default(), &to)?;
    }
    Ok((name, of))
}

/// The columns of JSON_TABLE, those of nested paths behind the others, as PostgreSQL orders them.
fn json_columns(cursor: &mut Cursor<'_>, arguments: &mut Arguments) -> Result<Definitions, Unreadable> {
    if !cursor.is_mark(0, '(') {
        return Err(cursor.refuse("COLUMNS without a parenthesis"));
    }
    let Some(inside) = cursor.group() else { return Err(cursor.refuse("an unbalanced parenthesis")) };
    let (mut columns, mut nested) = (Vec::new(), Vec::new());
    for element in comma_separated(inside) {
        let mut column = Cursor::new(element);
        let path = |ahead: usize| matches!(column.kind(ahead), Some(Kind::String(_)));
        if column.word(0) == "nested" && (path(1) || (column.word(1) == "path" && path(2))) {
            column.until(&["columns"]);
            if !column.take(&["columns"]) {
                return Err(column.refuse("a nested path without COLUMNS"));
            }
            nested.append(&mut json_columns(&mut column, arguments)?);
        } else {
            columns.push(json_column(&mut column, arguments)?);
        }
        if !column.is_done() {
            return Err(column.refuse("a column of JSON_TABLE that is not understood"));
        }
    }
    columns.append(&mut nested);
    Ok(columns)
}

fn json_column(cursor: &mut Cursor<'_>, arguments: &mut Arguments) -> Result<(Name, TypeName), Unreadable> {
    let Some(name) = cursor.name() else { return Err(cursor.refuse("a column of JSON_TABLE without a name")) };
    if cursor.take(&["for", "ordinality"]) {
        return Ok((name, builtin("int4")));
    }
    let Some(of) = type_name(cursor) else { return Err(cursor.refuse("a type that is not understood")) };
    arguments.clauses(cursor)?;
    cursor.take(&["exists"]);
    if cursor.take(&["path"]) {
        match cursor.kind(0) {
            Some(Kind::String(_)) => cursor.advance(1),
            Some(_) | None => return Err(cursor.refuse("PATH without a text")),
        }
    }
    arguments.clauses(cursor)?;
    Ok((name, of))
}
