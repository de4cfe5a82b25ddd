//! Why pgward refuses what PostgreSQL would let the same grant do: each difference by name, each by a predicate of its own.

use crate::grants::Spec;
use crate::judge::Judgement;
use crate::oracle::Case;

/// One statement that PostgreSQL allows and pgward does not.
pub struct Difference<'d> {
    pub spec: &'d Spec,
    pub case: &'d Case,
    pub judgement: &'d Judgement,
}

pub struct Rule {
    pub name: &'static str,
    pub explains: fn(&Difference<'_>) -> bool,
}

/// The first rule that explains a difference.
pub fn explain(difference: &Difference<'_>) -> Option<&'static str> {
    RULES.iter().find(|rule| (rule.explains)(difference)).map(|rule| rule.name)
}

pub const RULES: &[Rule] = &[];
