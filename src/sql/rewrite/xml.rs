//! The functions of SQL/XML, whose arguments gram.y spells in ways of their own. They become calls of what `pg_catalog`
//! would call them, with every expression that they hold, and a cast wherever PostgreSQL coerces an argument.

use super::{Rewriter, Sized};
use crate::sql::Unreadable;
use crate::sql::cursor::{Cursor, comma_separated};
use crate::sql::lex::{Kind, Token};
use crate::sql::marker;
use crate::sql::parse;
use crate::sql::tree::{Call, Expr, QualifiedName, TypeName};
use crate::sql::types::type_name;

/// The arguments of a call, and how much they are made of.
struct Arguments {
    exprs: Vec<Expr>,
    size: usize,
}

impl Arguments {
    fn expr(&mut self, tokens: &[Token]) -> Result<(), Unreadable> {
        let found = parse::sized(tokens)?;
        self.exprs.push(found.of);
        self.size += found.size;
        Ok(())
    }

    /// An argument that is coerced to a type.
    fn coerced(&mut self, tokens: &[Token], to: &str) -> Result<(), Unreadable> {
        let found = parse::sized(tokens)?;
        let to = TypeName { name: QualifiedName::builtin(to), array: false };
        self.exprs.push(Expr::Cast { expr: Box::new(found.of), to });
        self.size += found.size + 1;
        Ok(())
    }

    /// `x [AS name], …`
    fn named(&mut self, tokens: &[Token]) -> Result<(), Unreadable> {
        for element in comma_separated(tokens) {
            let mut cursor = Cursor::new(element);
            let value = cursor.until(&["as"]);
            if cursor.take(&["as"]) && cursor.label().is_none() || !cursor.is_done() {
                return Err(cursor.refuse("an XML attribute that is not understood"));
            }
            self.expr(value)?;
        }
        Ok(())
    }
}

impl Rewriter<'_> {
    /// Stands on the function's name.
    pub(super) fn xml(&mut self, word: &str) -> Result<(), Unreadable> {
        self.cursor.advance(1);
        let Some(inside) = self.cursor.group() else { return self.refuse_here("an unbalanced parenthesis") };
        let mut arguments = Arguments { exprs: Vec::new(), size: 1 };
        let mut result = None;
        match word {
            "xmlelement" => element(inside, &mut arguments)?,
            "xmlforest" => arguments.named(inside)?,
            "xmlparse" => {
                let mut cursor = Cursor::new(inside);
                if cursor.take_one(&["document", "content"]).is_none() {
                    return Err(cursor.refuse("XMLPARSE without DOCUMENT or CONTENT"));
                }
                arguments.coerced(without_space(cursor.rest()), "text")?;
            }
            "xmlpi" => {
                let mut cursor = Cursor::new(inside);
                name(&mut cursor)?;
                if cursor.take_mark(',') {
                    arguments.coerced(cursor.rest(), "text")?;
                } else if !cursor.is_done() {
                    return Err(cursor.refuse("an XMLPI that is not understood"));
                }
            }
            "xmlroot" => root(inside, &mut arguments)?,
            "xmlexists" => {
                let mut cursor = Cursor::new(inside);
                arguments.coerced(cursor.until(&["passing"]), "text")?;
                cursor.advance(1);
                passing_mechanism(&mut cursor);
                let value = cursor.until(&["by"]);
                passing_mechanism(&mut cursor);
                if !cursor.is_done() {
                    return Err(cursor.refuse("an XMLEXISTS that is not understood"));
                }
                arguments.coerced(value, "xml")?;
            }
            _ => {
                // XMLSERIALIZE ({DOCUMENT|CONTENT} x AS type)
                let mut cursor = Cursor::new(inside);
                if cursor.take_one(&["document", "content"]).is_none() {
                    return Err(cursor.refuse("XMLSERIALIZE without DOCUMENT or CONTENT"));
                }
                arguments.coerced(cursor.until(&["as"]), "xml")?;
                cursor.advance(1);
                result = type_name(&mut cursor);
                cursor.take(&["no"]);
                cursor.take(&["indent"]);
                if result.is_none() || !cursor.is_done() {
                    return Err(cursor.refuse("a type that is not understood"));
                }
            }
        }
        let Arguments { exprs, size } = arguments;
        let call = Expr::Call(Box::new(Call::plain(QualifiedName::builtin(word), exprs)));
        let of = match result {
            Some(to) => Expr::Cast { expr: Box::new(call), to },
            None => call,
        };
        self.side.exprs.push(Sized { of, size });
        self.emit_name(&marker::with("expr", self.side.exprs.len() - 1));
        Ok(())
    }
}

/// `NAME name [, XMLATTRIBUTES (…)] [, x, …]`
fn element(inside: &[Token], arguments: &mut Arguments) -> Result<(), Unreadable> {
    for (index, part) in comma_separated(inside).into_iter().enumerate() {
        let mut cursor = Cursor::new(part);
        if index == 0 {
            name(&mut cursor)?;
            if !cursor.is_done() {
                return Err(cursor.refuse("an XMLELEMENT that is not understood"));
            }
        } else if index == 1 && cursor.word(0) == "xmlattributes" && cursor.is_mark(1, '(') {
            cursor.advance(1);
            let Some(attributes) = cursor.group() else { return Err(cursor.refuse("an unbalanced parenthesis")) };
            if !cursor.is_done() {
                return Err(cursor.refuse("an XMLELEMENT that is not understood"));
            }
            arguments.named(attributes)?;
        } else {
            arguments.expr(part)?;
        }
    }
    Ok(())
}

/// `x, VERSION {y | NO VALUE} [, STANDALONE {YES | NO | NO VALUE}]`
fn root(inside: &[Token], arguments: &mut Arguments) -> Result<(), Unreadable> {
    let mut parts = comma_separated(inside).into_iter();
    arguments.coerced(parts.next().unwrap_or_default(), "xml")?;
    let mut version = Cursor::new(parts.next().unwrap_or_default());
    if !version.take(&["version"]) {
        return Err(version.refuse("XMLROOT without VERSION"));
    }
    if !(version.word(0) == "no" && version.word(1) == "value") {
        arguments.coerced(version.rest(), "text")?;
    }
    if let Some(standalone) = parts.next() {
        let mut cursor = Cursor::new(standalone);
        let known = cursor.take(&["standalone", "yes"])
            || cursor.take(&["standalone", "no", "value"])
            || cursor.take(&["standalone", "no"]);
        if !known || !cursor.is_done() {
            return Err(cursor.refuse("an XMLROOT that is not understood"));
        }
    }
    match parts.next() {
        None => Ok(()),
        Some(rest) => Err(Cursor::new(rest).refuse("an XMLROOT that is not understood")),
    }
}

fn name(cursor: &mut Cursor<'_>) -> Result<(), Unreadable> {
    if cursor.take(&["name"]) && cursor.label().is_some() {
        Ok(())
    } else {
        Err(cursor.refuse("an XML function without NAME"))
    }
}

fn passing_mechanism(cursor: &mut Cursor<'_>) {
    if !cursor.take(&["by", "ref"]) {
        cursor.take(&["by", "value"]);
    }
}

/// Without PRESERVE WHITESPACE or STRIP WHITESPACE at the end.
fn without_space(tokens: &[Token]) -> &[Token] {
    let word =
        |token: &Token, words: &[&str]| matches!(&token.kind, Kind::Word(word) if words.contains(&word.as_str()));
    match tokens {
        [rest @ .., how, space] if word(how, &["preserve", "strip"]) && word(space, &["whitespace"]) => rest,
        all => all,
    }
}
