//! How deep a statement's tree can become, judged from its tokens, before anything recurses over it.

use super::keywords::is_reserved;
use super::lex::{Kind, Token};
use super::{Limits, Unreadable};

/// What the heaviest statement of a text amounts to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weight {
    depth: usize,
    chain: usize,
    /// Those of the chain at which the parser calls itself: prefix operators, joins, CASE.
    recursion: usize,
}

impl Weight {
    /// Bytes of stack that reading takes at most.
    pub fn stack(self) -> usize {
        STACK_BASE + (self.depth + self.recursion) * STACK_PER_LEVEL + self.chain * STACK_PER_LINK
    }
}

/// Without optimisation, one level of nesting was measured to take up to 70 KiB, and one link of a chain (`a || a || …`) up to
/// 25; with it, half of that.
const STACK_PER_LEVEL: usize = 96 * 1024;
const STACK_PER_LINK: usize = 28 * 1024;
const STACK_BASE: usize = 160 * 1024;

/// POSITION, SUBSTRING and their like, nested: the parser's time doubled with each in older versions of it.
const NESTED_GRAMMAR: usize = 16;

/// Prefix operators but for signs whose operands are open: each operand is read by itself, inside of the one before.
const OPEN_PREFIXES: usize = 64;

/// Links of one level of parentheses.
#[derive(Default)]
struct Level {
    /// Set operations, joins and the like, which commas do not end.
    links: usize,
    /// Operators since the last comma.
    terms: usize,
    /// Of both, those that the parser recurses at; not ended by commas either.
    recursion: usize,
    /// Prefix operators but for signs, since the last comma.
    prefixes: usize,
    grammar: bool,
}

/// Checks every statement against the limits.
pub fn check(statements: &[&[Token]], limits: &Limits) -> Result<Weight, Unreadable> {
    let mut heaviest = Weight::default();
    for statement in statements {
        let weight = weigh(statement, limits)?;
        heaviest.depth = heaviest.depth.max(weight.depth);
        heaviest.chain = heaviest.chain.max(weight.chain);
        heaviest.recursion = heaviest.recursion.max(weight.recursion);
    }
    Ok(heaviest)
}

fn weigh(tokens: &[Token], limits: &Limits) -> Result<Weight, Unreadable> {
    let mut levels = vec![Level::default()];
    let mut weight = Weight::default();
    let (mut chain, mut grammar, mut recursion) = (0_usize, 0_usize, 0_usize);
    let mut prefixes = 0_usize;
    let (mut after_grammar, mut after_operand) = (false, false);
    for token in tokens {
        let refuse = |message: &str| Unreadable { message: message.to_owned(), position: token.range.start };
        let (mut link, mut term) = (0, 0);
        match &token.kind {
            Kind::Mark('(' | '[') => {
                levels.push(Level { grammar: after_grammar, ..Level::default() });
                grammar += usize::from(after_grammar);
            }
            Kind::Mark(')' | ']') => {
                if let Some(level) = levels.pop() {
                    chain -= level.links + level.terms;
                    recursion -= level.recursion;
                    prefixes -= level.prefixes;
                    grammar -= usize::from(level.grammar);
                }
            }
            Kind::Mark(',') => {
                if let Some(level) = levels.last_mut() {
                    chain -= std::mem::take(&mut level.terms);
                    prefixes -= std::mem::take(&mut level.prefixes);
                }
            }
            Kind::Operator(_) | Kind::DoubleColon => term = 1,
            Kind::Word(word) => match word.as_str() {
                "union" | "intersect" | "except" | "join" | "case" | "with" => link = 1,
                "and" | "or" | "not" | "is" | "isnull" | "notnull" | "in" | "between" | "like" | "ilike"
                | "similar" | "collate" | "at" | "operator" | "overlaps" | "only" => term = 1,
                _ => {}
            },
            Kind::Quoted(_)
            | Kind::String(_)
            | Kind::Bit(_)
            | Kind::Integer(_)
            | Kind::Numeric(_)
            | Kind::Parameter(_)
            | Kind::Mark(_)
            | Kind::DoubleDot
            | Kind::ColonEquals
            | Kind::Arrow => {}
        }
        let recurses = match &token.kind {
            Kind::Operator(_) => !after_operand,
            Kind::Word(word) => matches!(word.as_str(), "not" | "join" | "case" | "with" | "variadic"),
            _ => false,
        };
        let prefix = recurses
            && match &token.kind {
                Kind::Operator(symbol) => !matches!(symbol.as_str(), "+" | "-" | "*"),
                Kind::Word(_)
                | Kind::Quoted(_)
                | Kind::String(_)
                | Kind::Bit(_)
                | Kind::Integer(_)
                | Kind::Numeric(_)
                | Kind::Parameter(_)
                | Kind::Mark(_)
                | Kind::DoubleColon
                | Kind::DoubleDot
                | Kind::ColonEquals
                | Kind::Arrow => false,
            };
        let named = matches!(&token.kind, Kind::Word(word) if word == "operator") && !after_operand;
        after_operand = match &token.kind {
            Kind::Word(word) => !is_reserved(word),
            Kind::Mark(mark) => matches!(mark, ')' | ']'),
            Kind::Operator(_) | Kind::DoubleColon | Kind::DoubleDot | Kind::ColonEquals | Kind::Arrow => false,
            Kind::Quoted(_)
            | Kind::String(_)
            | Kind::Bit(_)
            | Kind::Integer(_)
            | Kind::Numeric(_)
            | Kind::Parameter(_) => true,
        };
        after_grammar = matches!(&token.kind, Kind::Word(word) if is_grammar_function(word));
        if let Some(level) = levels.last_mut() {
            level.links += link;
            level.terms += term;
            level.recursion += usize::from(recurses);
            level.prefixes += usize::from(prefix || named);
        }
        recursion += usize::from(recurses);
        prefixes += usize::from(prefix || named);
        if prefixes > OPEN_PREFIXES {
            return Err(refuse("too many prefix operators in one expression"));
        }
        weight.recursion = weight.recursion.max(recursion);
        chain += link + term;
        weight.chain = weight.chain.max(chain);
        weight.depth = weight.depth.max(levels.len());
        if chain > limits.chain {
            return Err(refuse("too many operators in one statement"));
        }
        if grammar > NESTED_GRAMMAR {
            return Err(refuse("functions nested too deeply"));
        }
    }
    Ok(weight)
}

fn is_grammar_function(word: &str) -> bool {
    matches!(
        word,
        "position"
            | "substring"
            | "overlay"
            | "trim"
            | "extract"
            | "cast"
            | "normalize"
            | "ceil"
            | "floor"
            | "exists"
            | "nullif"
            | "treat"
    )
}
