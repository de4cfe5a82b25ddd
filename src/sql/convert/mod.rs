//! From sqlparser's tree to ours. Every struct is taken apart whole and every enum matched without a catch-all, so that
//! a field or variant of a new sqlparser is an error at compile time; what we do not carry over is refused.

mod compare;
mod dml;
mod expr;
mod function;
mod operator;
mod query;
mod table;

use sqlparser::ast;

use super::Unreadable;
use super::keywords::is_reserved;
use super::marker;
use super::rewrite::Side;
use super::tree::{Name, QualifiedName, TypeName};

type Result<T> = std::result::Result<T, Unreadable>;

/// How deep our tree may be, so that whoever walks it can do so on a small stack.
const DEEPEST: usize = 160;

/// Converts one statement or expression.
pub struct Converter {
    side: Side,
    /// Where the statement begins: sqlparser's tree has no better position to offer.
    position: usize,
    depth: usize,
    /// Expressions so far, copies included.
    made: usize,
    copied: usize,
}

impl Converter {
    pub fn new(side: Side, position: usize) -> Self {
        Self { side, position, depth: 0, made: 0, copied: 0 }
    }

    /// How many expressions were made.
    pub fn made(&self) -> usize {
        self.made
    }

    fn refuse<T>(&self, what: &str) -> Result<T> {
        Err(Unreadable { message: format!("{what} is not supported"), position: self.position })
    }

    /// Runs a conversion one level down.
    fn deeper<T>(&mut self, convert: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth >= DEEPEST {
            return Err(Unreadable {
                message: "the statement is nested too deeply".to_owned(),
                position: self.position,
            });
        }
        self.depth += 1;
        let converted = convert(self);
        self.depth -= 1;
        converted
    }

    fn name(&self, ident: ast::Ident) -> Result<Name> {
        let ast::Ident { value, quote_style, span: _ } = ident;
        if quote_style == Some('\'') {
            return self.refuse("a string as a name");
        }
        if quote_style.is_none() && is_reserved(&value) {
            return self.refuse(&format!("the reserved word \"{value}\" as a name"));
        }
        if marker::split(&value).is_some() {
            return self.refuse("this syntax");
        }
        Ok(Name::from(value.as_str()))
    }

    fn names(&self, idents: Vec<ast::Ident>) -> Result<Vec<Name>> {
        idents.into_iter().map(|ident| self.name(ident)).collect()
    }

    fn idents(&self, name: ast::ObjectName) -> Result<Vec<ast::Ident>> {
        let ast::ObjectName(parts) = name;
        let ident = |part| match part {
            ast::ObjectNamePart::Identifier(ident) => Ok(ident),
            ast::ObjectNamePart::Function(_) => self.refuse("a function as a name"),
        };
        parts.into_iter().map(ident).collect()
    }

    fn qualified(&self, name: ast::ObjectName) -> Result<QualifiedName> {
        Ok(QualifiedName { parts: self.names(self.idents(name)?)? })
    }

    fn single(&self, name: ast::ObjectName) -> Result<Name> {
        let mut parts = self.qualified(name)?.parts.into_iter();
        match (parts.next(), parts.next()) {
            (Some(name), None) => Ok(name),
            (_, _) => self.refuse("a qualified name here"),
        }
    }

    /// All types are marks: the rewriting read them.
    fn type_name(&self, found: &ast::DataType) -> Result<TypeName> {
        if let Some(index) = type_mark(found).and_then(|mark| marker::payload(mark, "type")?.parse::<usize>().ok())
            && let Some(found) = self.side.types.get(index)
        {
            return Ok(found.clone());
        }
        self.refuse("a type here")
    }
}

/// The name of a type that is a mark.
fn type_mark(found: &ast::DataType) -> Option<&str> {
    let ast::DataType::Custom(ast::ObjectName(parts), modifiers) = found else { return None };
    match parts.as_slice() {
        [ast::ObjectNamePart::Identifier(ident)] if modifiers.is_empty() => Some(&ident.value),
        [..] => None,
    }
}
