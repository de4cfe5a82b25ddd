//! Operators, parentheses, dots and the other marks.

use sqlparser::tokenizer::Token as Core;

use super::prefix::operator_name;
use super::{Frame, Mode, Rewriter};
use crate::sql::lex::Kind;
use crate::sql::marker;
use crate::sql::types::type_name;
use crate::sql::{Unreadable, cursor::Cursor};

impl Rewriter<'_> {
    pub(super) fn symbol(&mut self) -> Result<(), Unreadable> {
        match self.cursor.kind(0) {
            Some(Kind::Operator(symbol)) => return self.operator(symbol),
            Some(Kind::Mark('(')) => return self.open(),
            Some(Kind::Mark(')')) => self.close(),
            Some(Kind::Mark('[')) => {
                self.frames.push(Frame::new(Mode::Plain));
                self.emit(Core::LBracket);
                self.operand = false;
            }
            Some(Kind::Mark(']')) => {
                self.frames.pop();
                self.emit(Core::RBracket);
                self.operand = true;
            }
            Some(Kind::Mark('.')) => return self.dot(),
            Some(Kind::Mark(',')) => {
                self.emit_comma();
                self.cursor.advance(1);
                return self.assignment_target();
            }
            Some(Kind::Mark(':')) => {
                self.emit(Core::Colon);
                self.operand = false;
            }
            Some(Kind::DoubleColon) => return self.double_colon(),
            Some(Kind::ColonEquals | Kind::Arrow) => {
                self.emit(Core::RArrow);
                self.operand = false;
            }
            _ => return self.refuse_here("a symbol that has no place here"),
        }
        self.cursor.advance(1);
        Ok(())
    }

    fn open(&mut self) -> Result<(), Unreadable> {
        if self.pending.is_none() && (self.definitions()? || self.insert_columns()?) {
            return Ok(());
        }
        let mode = self.pending.take().unwrap_or(Mode::Plain);
        if self.mode() == Mode::Grouping && self.cursor.is_mark(1, ')') {
            // The empty grouping set.
            self.emit_keyword("null");
            self.cursor.advance(2);
            return Ok(());
        }
        let nested = mode == Mode::Plain && self.mode() == Mode::Grouping && !self.operand;
        self.frames.push(Frame::new(if nested { Mode::Grouping } else { mode }));
        self.emit(Core::LParen);
        if mode == Mode::Doubled {
            self.emit(Core::LParen);
        }
        self.operand = false;
        self.cursor.advance(1);
        Ok(())
    }

    fn close(&mut self) {
        let mode = self.frames.pop().map(|frame| frame.mode);
        match mode {
            Some(Mode::Doubled) => self.emit(Core::RParen),
            Some(Mode::JoinUsing) if self.cursor.word(1) == "as" => {
                let mut ahead = Cursor::at(self.tokens, self.cursor.index() + 2);
                if let Some(alias) = ahead.name() {
                    self.emit_comma();
                    self.emit_name(&marker::with("alias", alias));
                    self.cursor.advance(2);
                }
            }
            Some(_) | None => {}
        }
        self.emit(Core::RParen);
        self.operand = mode != Some(Mode::DistinctOn);
    }

    /// `.` and, with it, `.*` in its three meanings: a target, the row of a relation, the fields of a value.
    fn dot(&mut self) -> Result<(), Unreadable> {
        self.emit(Core::Period);
        self.operand = false;
        self.cursor.advance(1);
        if self.cursor.is_operator(0, "*") {
            let field = matches!(self.kind_before(2), Some(Kind::Mark(')' | ']')));
            if field {
                self.emit_name(&marker::plain("star"));
            } else if self.ends_target(1) {
                self.emit(Core::Mul);
            } else {
                self.emit_name(&marker::plain("row"));
            }
            self.operand = true;
            self.cursor.advance(1);
        } else if let Some(label) = self.cursor.label() {
            self.emit_name(label.as_str());
        } else {
            return self.refuse_here("a dot without a name after it");
        }
        Ok(())
    }

    /// Whether nothing that belongs to the same expression stands `ahead`.
    fn ends_target(&self, ahead: usize) -> bool {
        match self.cursor.kind(ahead) {
            None | Some(Kind::Mark(',' | ')')) => true,
            Some(Kind::Word(word)) => matches!(
                word.as_str(),
                "from"
                    | "into"
                    | "where"
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

    fn double_colon(&mut self) -> Result<(), Unreadable> {
        self.cursor.advance(1);
        let position = self.cursor.clone();
        match type_name(&mut self.cursor) {
            Some(found) => {
                self.side.types.push(found);
                self.emit_postfix(&marker::with("type", self.side.types.len() - 1));
                Ok(())
            }
            None => Err(position.refuse("a cast to a type that is not understood")),
        }
    }

    fn operator(&mut self, symbol: &str) -> Result<(), Unreadable> {
        let token = if symbol == "*" && !self.operand {
            self.emit(Core::Mul);
            self.operand = true;
            self.cursor.advance(1);
            return Ok(());
        } else if symbol == "*" && self.ends_relation() {
            self.cursor.advance(1);
            return Ok(());
        } else if self.operand {
            infix(symbol)
        } else if !matches!(symbol, "+" | "-") {
            return self.prefix_operator();
        } else if self.sign_binds_tighter() {
            return self.signed();
        } else if symbol == "+" {
            Core::Plus
        } else {
            Core::Minus
        };
        self.emit(token);
        self.operand = false;
        self.cursor.advance(1);
        Ok(())
    }

    /// Whether the star here is that of `FROM t *`, which asks for what is asked for anyway: nothing follows to multiply by.
    fn ends_relation(&self) -> bool {
        let mut back = 1;
        while matches!(self.kind_before(back), Some(Kind::Word(_) | Kind::Quoted(_)))
            && self.kind_before(back + 1) == Some(&Kind::Mark('.'))
        {
            back += 2;
        }
        let name = matches!(self.kind_before(back), Some(Kind::Word(_) | Kind::Quoted(_)));
        let from = self.frames.last().is_some_and(|frame| frame.from);
        name && match self.kind_before(back + 1) {
            Some(Kind::Word(word)) => match word.as_str() {
                "from" => self.before(back + 2) != "distinct" && self.mode() == super::Mode::Plain,
                "join" | "update" | "into" | "table" => true,
                "using" => self.frames.len() == 1,
                _ => false,
            },
            Some(Kind::Mark(',')) => from,
            Some(Kind::Mark('(')) => matches!(self.before(back + 2), "from" | "join") && self.ends_target(1),
            Some(_) | None => false,
        }
    }

    /// `OPERATOR(schema.symbol)`; binds like any operator that is not arithmetic or comparison.
    pub(super) fn qualified_operator(&mut self) -> Result<(), Unreadable> {
        if !self.operand {
            return self.prefix_operator();
        }
        self.cursor.advance(1);
        let Some(name) = self.cursor.group().and_then(operator_name) else {
            return self.refuse_here("an operator name that is not understood");
        };
        self.emit(Core::CustomBinaryOperator(match name.schema {
            Some(schema) => marker::with(&name.symbol, schema),
            None => name.symbol.into(),
        }));
        self.operand = false;
        Ok(())
    }
}

/// The operators with a precedence of their own; all others share one.
fn infix(symbol: &str) -> Core {
    match symbol {
        "+" => Core::Plus,
        "-" => Core::Minus,
        "*" => Core::Mul,
        "/" => Core::Div,
        "%" => Core::Mod,
        "^" => Core::Caret,
        "=" => Core::Eq,
        "<>" => Core::Neq,
        "<" => Core::Lt,
        ">" => Core::Gt,
        "<=" => Core::LtEq,
        ">=" => Core::GtEq,
        other => Core::CustomBinaryOperator(other.to_owned()),
    }
}
