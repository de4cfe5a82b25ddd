//! Aggregates and window functions.

use super::Grammar;
use super::schema::Kind;

use Kind::{Address, Bool, Int, Json, Number, Stamp, Text, Texts};

impl Grammar<'_> {
    /// An aggregate of that kind over what is in scope.
    pub(super) fn aggregate(&mut self, kind: Kind) -> String {
        let filter =
            if self.random.chance(15) { format!(" FILTER (WHERE {})", self.condition()) } else { String::new() };
        let call = match kind {
            Int => match self.random.below(5) {
                0 => "count(*)::int".to_owned(),
                1 => return format!("count({}){filter}::int", self.expr(Text)),
                2 => return format!("count(DISTINCT {}){filter}::int", self.expr(Int)),
                3 => match self.whole_row() {
                    Some(row) => return format!("count({row}){filter}::int"),
                    None => "count(*)::int".to_owned(),
                },
                _ => format!("max({})", self.expr(Int)),
            },
            Number => format!("{}({})", self.pick(&["sum", "avg", "max"]), self.expr(Number)),
            Text => match self.random.below(3) {
                0 => format!("string_agg({}, ',' ORDER BY {})", self.expr(Text), self.leaf(Int)),
                1 => format!("mode() WITHIN GROUP (ORDER BY {})", self.leaf(Text)),
                _ => format!("min({})", self.expr(Text)),
            },
            Bool => format!("bool_and({})", self.expr(Bool)),
            Json => match self.whole_row() {
                Some(row) => format!("jsonb_agg({row})"),
                None => format!("jsonb_agg({})", self.expr(Int)),
            },
            Stamp => format!("max({})", self.expr(Stamp)),
            Texts => format!("array_agg({})", self.expr(Text)),
            Address => return "NULL::app.address".to_owned(),
        };
        if call.ends_with("::int") { call } else { format!("{call}{filter}") }
    }

    /// A window function of that kind.
    pub(super) fn windowed(&mut self, kind: Kind) -> String {
        let call = match (kind, self.random.below(4)) {
            (Int, 0) => "row_number()".to_owned(),
            (Int, 1) => "ntile(3)".to_owned(),
            (Int, _) => format!("sum({})", self.leaf(Int)),
            (_, 0) => format!("lag({}, 1)", self.leaf(kind)),
            (_, 1) => format!("first_value({})", self.leaf(kind)),
            (Number, _) => format!("avg({})", self.leaf(Number)),
            (_, _) => format!("max({}::text)", self.leaf(kind)),
        };
        let partition =
            if self.random.chance(60) { format!("PARTITION BY {} ", self.leaf(Text)) } else { String::new() };
        let frame = self.pick(&[
            "",
            "",
            "ROWS BETWEEN 1 PRECEDING AND CURRENT ROW",
            "RANGE UNBOUNDED PRECEDING",
            "GROUPS BETWEEN CURRENT ROW AND 2 FOLLOWING",
            "ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING EXCLUDE CURRENT ROW",
        ]);
        format!("{call} OVER ({partition}ORDER BY {} {frame})", self.leaf(Int))
    }
}
