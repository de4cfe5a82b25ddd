//! FROM clauses: tables in all their spellings, subqueries, joins, functions.

use super::schema::Kind;
use super::{Column, Grammar, Source};
use pgward::access::Operation;

impl Grammar<'_> {
    /// A FROM list, whose items are added to the innermost level.
    pub(super) fn list_of_items(&mut self) -> String {
        let mut items = vec![self.item(true)];
        while self.random.chance(14) && self.spend(4) {
            items.push(self.item(true));
        }
        items.join(", ")
    }

    fn item(&mut self, joins: bool) -> String {
        match self.random.below(100) {
            0..=26 if joins && self.spend(4) => self.join(),
            27..=36 if self.spend(6) => self.derived(),
            37..=42 if !self.tables.is_empty() => self.common_table(),
            43..=48 => self.function(),
            49..=50 => self.values(),
            _ if !self.tables.is_empty() && self.random.chance(35) => self.common_table(),
            _ => self.relation(),
        }
    }

    pub(super) fn relation(&mut self) -> String {
        let table = self.table(Operation::Select);
        let mut columns = self.usable(table, Operation::Select);
        let open = self.is_open(table);
        let name = self.table_name(table);
        let only = match self.random.below(30) {
            0 => "ONLY ",
            _ => "",
        };
        let star = if only.is_empty() && self.random.below(300) == 0 { " *" } else { "" };
        let others = Self::others(table, &columns);
        let sample = if table.writable && self.random.chance(1) { " TABLESAMPLE BERNOULLI (50)" } else { "" };
        let text = format!("{only}{name}{star}");
        let taken = self.levels.last().is_some_and(|level| level.iter().any(|source| source.name == table.name));
        let (alias, named) = if taken || self.random.chance(60) {
            let alias = self.fresh("t");
            let shown = format!(" {}{alias}", self.pick(&["", "AS "]));
            (shown, alias)
        } else {
            (String::new(), table.name.to_owned())
        };
        let mut list = String::new();
        if !alias.is_empty() && self.random.chance(10) && columns.len() == table.columns.len() {
            let renamed: Vec<String> = (0..=self.random.below(columns.len())).map(|_| self.fresh("c")).collect();
            for (column, name) in columns.iter_mut().zip(&renamed) {
                column.name.clone_from(name);
            }
            list = format!("({})", renamed.join(", "));
        }
        self.add(Source { name: named, columns, others, open });
        format!("{text}{alias}{list}{sample}")
    }

    fn common_table(&mut self) -> String {
        let source = self.random.pick(&self.tables.clone()).clone();
        let alias = self.fresh("w");
        self.add(Source { name: alias.clone(), ..source.clone() });
        format!("{} AS {alias}", source.name)
    }

    fn derived(&mut self) -> String {
        let lateral = self.random.chance(35);
        let hidden = if lateral { None } else { self.levels.last_mut().map(std::mem::take) };
        let (query, columns) = self.query();
        if let (Some(hidden), Some(level)) = (hidden, self.levels.last_mut()) {
            *level = hidden;
        }
        let alias = self.fresh("s");
        let list = if self.random.chance(15) && !columns.is_empty() { Some(self.renamed(&columns)) } else { None };
        let shown = list.as_ref().map_or_else(String::new, |list| format!("({})", names(list)));
        self.add(Source { name: alias.clone(), columns: list.unwrap_or(columns), others: Vec::new(), open: true });
        format!("{}({query}) AS {alias}{shown}", if lateral { "LATERAL " } else { "" })
    }

    pub(super) fn renamed(&mut self, columns: &[Column]) -> Vec<Column> {
        columns.iter().map(|column| Column { name: self.fresh("c"), kind: column.kind }).collect()
    }

    fn values(&mut self) -> String {
        let alias = self.fresh("v");
        let (a, b) = (self.fresh("c"), self.fresh("c"));
        let columns = vec![Column { name: a.clone(), kind: Kind::Int }, Column { name: b.clone(), kind: Kind::Text }];
        let text =
            format!("(VALUES (1, 'a'), (2, {})) AS {alias}({a}, {b})", self.pick(&["'b'", "upper('b')", "NULL"]));
        self.add(Source { name: alias, columns, others: Vec::new(), open: true });
        text
    }

    fn function(&mut self) -> String {
        let alias = self.fresh("f");
        let one = |name: &str, kind| vec![Column { name: name.to_owned(), kind }];
        let (text, columns) = match self.random.below(9) {
            0 => (format!("generate_series(1, {}) AS {alias}", self.leaf(Kind::Int)), one(&alias, Kind::Int)),
            1 => (format!("unnest({}) AS {alias}(c)", self.leaf(Kind::Texts)), one("c", Kind::Text)),
            2 => {
                let columns =
                    vec![Column { name: "c".into(), kind: Kind::Text }, Column { name: "n".into(), kind: Kind::Int }];
                (format!("unnest({}) WITH ORDINALITY AS {alias}(c, n)", self.leaf(Kind::Texts)), columns)
            }
            3 => (
                format!("jsonb_each_text({}) AS {alias}", self.leaf(Kind::Json)),
                vec![
                    Column { name: "key".into(), kind: Kind::Text },
                    Column { name: "value".into(), kind: Kind::Text },
                ],
            ),
            4 => (
                format!("ROWS FROM (generate_series(1, 2), unnest({})) AS {alias}(a, b)", self.leaf(Kind::Texts)),
                vec![Column { name: "a".into(), kind: Kind::Int }, Column { name: "b".into(), kind: Kind::Text }],
            ),
            5 => (
                format!("jsonb_to_recordset({}) AS {alias}(a int, b text)", self.leaf(Kind::Json)),
                vec![Column { name: "a".into(), kind: Kind::Int }, Column { name: "b".into(), kind: Kind::Text }],
            ),
            6 if self.strays() => (
                format!("peek_salaries() AS {alias}"),
                vec![
                    Column { name: "emp_name".into(), kind: Kind::Text },
                    Column { name: "amount".into(), kind: Kind::Int },
                ],
            ),
            7 if self.strays() => {
                let name = self.pick(&["order_count()", "public.order_count()", "upper(1)", "pg_ls_dir('.')"]);
                (format!("{name} AS {alias}"), one(&alias, Kind::Text))
            }
            _ => (format!("regexp_split_to_table({}, ',') {alias}", self.leaf(Kind::Text)), one(&alias, Kind::Text)),
        };
        self.add(Source { name: alias, columns, others: Vec::new(), open: true });
        text
    }

    fn join(&mut self) -> String {
        let before = self.levels.last().map_or(0, Vec::len);
        let left = self.item(true);
        let middle = self.levels.last().map_or(0, Vec::len);
        let right = self.item(true);
        let bare_join = !right.starts_with('(') && right.contains(" JOIN ");
        let right = if bare_join && !self.random.chance(3) { format!("({right})") } else { right };
        let side = |from: usize, to: usize, grammar: &Self| -> Vec<Column> {
            let level = grammar.levels.last().map_or(&[] as &[Source], Vec::as_slice);
            level[from.min(level.len())..to.min(level.len())].iter().flat_map(|source| source.columns.clone()).collect()
        };
        let after = self.levels.last().map_or(0, Vec::len);
        let (lefts, rights) = (side(before, middle, self), side(middle, after, self));
        let once = |name: &str, columns: &[Column]| columns.iter().filter(|column| column.name == name).count() == 1;
        let shared: Vec<Column> = lefts
            .iter()
            .filter(|column| {
                once(&column.name, &lefts)
                    && once(&column.name, &rights)
                    && rights.iter().any(|other| other.name == column.name && other.kind == column.kind)
            })
            .cloned()
            .collect();
        let kind =
            self.pick(&["JOIN", "INNER JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "LEFT OUTER JOIN", "CROSS JOIN"]);
        let text = match self.random.below(10) {
            _ if kind == "CROSS JOIN" => format!("{left} CROSS JOIN {right}"),
            0..=2 if !shared.is_empty() => {
                let column = self.random.pick(&shared).name.clone();
                let column = self.ident(&column);
                let using = if self.random.chance(15) { format!(" AS {}", self.fresh("u")) } else { String::new() };
                format!("{left} {kind} {right} USING ({column}){using}")
            }
            3 if !shared.is_empty() || self.strays() => format!("{left} NATURAL {kind} {right}"),
            _ => {
                // ON sees the two sides alone.
                let outside =
                    self.levels.last_mut().map(|level| level.drain(..before.min(level.len())).collect::<Vec<_>>());
                let condition = if kind == "FULL JOIN" {
                    "true".to_owned()
                } else if self.random.chance(80) {
                    let (one, other) = (self.leaf(Kind::Int), self.leaf(Kind::Int));
                    format!("{one} = {other}")
                } else {
                    self.condition()
                };
                if let (Some(mut outside), Some(level)) = (outside, self.levels.last_mut()) {
                    outside.append(level);
                    *level = outside;
                }
                format!("{left} {kind} {right} ON {condition}")
            }
        };
        if self.random.chance(8) {
            let alias = self.fresh("j");
            let open = self
                .levels
                .last()
                .is_some_and(|level| level[before.min(level.len())..].iter().all(|source| source.open));
            if let Some(level) = self.levels.last_mut() {
                level.truncate(before);
                let columns = lefts.into_iter().chain(rights).collect();
                level.push(Source { name: alias.clone(), columns, others: Vec::new(), open });
            }
            return format!("({text}) AS {alias}");
        }
        if self.random.chance(12) { format!("({text})") } else { text }
    }
}

pub(super) fn names(columns: &[Column]) -> String {
    columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ")
}
