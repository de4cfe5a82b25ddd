//! Queries: select lists, grouping, set operations, WITH, ORDER BY with its aliases, LIMIT, row locks.

use super::from::names;
use super::schema::Kind;
use super::{Column, Grammar, Source};
use pgward::access::Operation;

use Kind::{Bool, Int, Json, Number, Stamp, Text};

impl Grammar<'_> {
    /// A whole statement.
    pub(super) fn top_query(&mut self) -> String {
        self.level(|grammar| {
            let text = grammar.query().0;
            match grammar.random.below(40) {
                0 => format!("({text})"),
                1 => format!("{text};"),
                2 => format!("/* first */ {text} -- last"),
                _ => text,
            }
        })
    }

    /// A query and its columns.
    pub(super) fn query(&mut self) -> (String, Vec<Column>) {
        self.wanted(None)
    }

    /// A query with these columns, or any.
    fn wanted(&mut self, want: Option<&[Kind]>) -> (String, Vec<Column>) {
        self.level(|grammar| {
            let with = if grammar.random.chance(13) && grammar.spend(6) { grammar.with() } else { String::new() };
            let (body, columns) = match grammar.random.below(100) {
                0..=9 if grammar.spend(6) => grammar.set_operation(want),
                10..=12 => grammar.values_query(want),
                13..=15 if want.is_none() => grammar.table_query(),
                16..=17 => {
                    let (text, columns) = grammar.wanted(want);
                    (format!("({text})"), columns)
                }
                18..=36 if grammar.spend(3) => grammar.grouped(want),
                _ => grammar.select(want),
            };
            let tail = grammar.tail(&columns);
            (format!("{with}{body}{tail}"), columns)
        })
    }

    /// A scalar subquery's text, without parentheses.
    pub(super) fn scalar_subquery(&mut self, kind: Kind) -> String {
        if !self.spend(5) {
            return format!("SELECT {}", self.leaf(kind));
        }
        self.level(|grammar| {
            let from = grammar.list_of_items();
            if grammar.random.chance(50) {
                let value = grammar.aggregate(kind);
                format!("SELECT {value} FROM {from}{}", grammar.filter())
            } else {
                let value = grammar.expr(kind);
                format!("SELECT {value} FROM {from}{} LIMIT 1", grammar.filter())
            }
        })
    }

    pub(super) fn scalar_rows(&mut self, kind: Kind) -> String {
        if !self.spend(5) {
            return format!("SELECT {}", self.leaf(kind));
        }
        self.wanted(Some(&[kind])).0
    }

    pub(super) fn pair_rows(&mut self) -> String {
        if !self.spend(5) {
            return format!("SELECT {}, {}", self.leaf(Int), self.leaf(Text));
        }
        self.wanted(Some(&[Int, Text])).0
    }

    pub(super) fn subquery_rows(&mut self) -> String {
        if !self.spend(5) {
            return "SELECT 1".to_owned();
        }
        self.level(|grammar| {
            let from = grammar.list_of_items();
            let list = grammar.pick(&["1", "", "*", "NULL"]);
            let list = if list == "*" && !grammar.all_open() { "1" } else { list };
            format!("SELECT {list} FROM {from}{}", grammar.filter())
        })
    }

    fn all_open(&mut self) -> bool {
        let open = self.levels.last().is_some_and(|level| level.iter().all(|source| source.open));
        open || self.strays()
    }

    fn filter(&mut self) -> String {
        if self.random.chance(55) { format!(" WHERE {}", self.condition()) } else { String::new() }
    }

    fn wishes(&mut self, want: Option<&[Kind]>) -> Vec<Kind> {
        match want {
            Some(kinds) => kinds.to_vec(),
            None => {
                let count = 1 + self.random.below(4);
                (0..count).map(|_| self.pick(&[Int, Int, Text, Text, Number, Json, Stamp, Bool])).collect()
            }
        }
    }

    fn select(&mut self, want: Option<&[Kind]>) -> (String, Vec<Column>) {
        if self.random.chance(4) {
            // No FROM at all.
            let (list, columns) = self.targets(want);
            return (format!("SELECT {list}"), columns);
        }
        let from = self.list_of_items();
        let outer = std::mem::replace(&mut self.window, self.random.chance(5));
        let (list, columns) = match want {
            None if self.random.chance(14) => self.stars(),
            _ => self.targets(want),
        };
        let distinct = match self.random.below(30) {
            0 => "DISTINCT ".to_owned(),
            1 => format!("DISTINCT ON ({}) ", self.leaf(Int)),
            2 => "ALL ".to_owned(),
            _ => String::new(),
        };
        let filter = self.filter();
        let window = if std::mem::replace(&mut self.window, outer) {
            format!(" WINDOW win AS (PARTITION BY {} ORDER BY {})", self.leaf(Text), self.leaf(Int))
        } else {
            String::new()
        };
        let order = if distinct.is_empty() && self.random.chance(15) {
            format!(" ORDER BY {} {}", self.sort_key(&columns), self.pick(&["", "DESC", "ASC NULLS FIRST", "USING <"]))
        } else {
            String::new()
        };
        let lock = self.lock();
        (format!("SELECT {distinct}{list} FROM {from}{filter}{window}{order}{lock}"), columns)
    }

    fn lock(&mut self) -> String {
        if !self.random.chance(3) {
            return String::new();
        }
        let of = match self.levels.last().and_then(|level| level.first()).map(|source| source.name.clone()) {
            Some(name) if self.random.chance(40) => format!(" OF {}", self.ident(&name)),
            _ => String::new(),
        };
        let strength = self.pick(&["UPDATE", "SHARE", "NO KEY UPDATE", "KEY SHARE"]);
        format!(" FOR {strength}{of}{}", self.pick(&["", " NOWAIT", " SKIP LOCKED"]))
    }

    fn sort_key(&mut self, columns: &[Column]) -> String {
        if !columns.is_empty() && self.random.chance(60) {
            let name = self.random.pick(columns).name.clone();
            return self.ident(&name);
        }
        if self.random.chance(30) { "1".to_owned() } else { self.leaf(Int) }
    }

    /// A select list and the names of its columns.
    pub(super) fn targets(&mut self, want: Option<&[Kind]>) -> (String, Vec<Column>) {
        let (mut list, mut columns) = (Vec::new(), Vec::new());
        for kind in self.wishes(want) {
            let value =
                if self.random.chance(4) && kind != Kind::Bool { self.windowed_as(kind) } else { self.expr(kind) };
            if self.random.chance(70) {
                let hidden = self.pick(&["id", "note", "amount", "status", "x", "total", "name"]);
                let name = if self.random.chance(20) { hidden.to_owned() } else { self.fresh("o") };
                let name =
                    if columns.iter().any(|column: &Column| column.name == name) { self.fresh("o") } else { name };
                let alias = self.ident(&name);
                list.push(format!("{value} {}{alias}", self.pick(&["AS ", "AS ", ""])));
                columns.push(Column { name, kind });
            } else {
                list.push(value);
            }
        }
        (list.join(", "), columns)
    }

    fn windowed_as(&mut self, kind: Kind) -> String {
        if self.window && self.random.chance(70) {
            let call = if self.random.chance(50) {
                "row_number() OVER win"
            } else {
                "count(*) OVER (win RANGE UNBOUNDED PRECEDING)"
            };
            return format!("({call})::text::{}", super::expr::kind_name(kind));
        }
        format!("({})::text::{}", self.windowed(kind), super::expr::kind_name(kind))
    }

    fn stars(&mut self) -> (String, Vec<Column>) {
        let sources = self.levels.last().cloned().unwrap_or_default();
        let all = || sources.iter().flat_map(|source| source.columns.clone()).collect();
        if self.all_open() && self.random.chance(60) {
            return ("*".to_owned(), all());
        }
        let stray = self.strays();
        let Some(source) = sources.iter().find(|source| source.open || stray).cloned() else {
            return self.targets(None);
        };
        let name = self.ident(&source.name);
        match self.random.below(5) {
            0 => (format!("({name}).*"), source.columns),
            1 => {
                let row = self.fresh("r");
                (format!("{name} AS {row}"), Vec::new())
            }
            2 => (format!("{name}.*, 1 AS one"), source.columns),
            _ => (format!("{name}.*"), source.columns),
        }
    }

    fn grouped(&mut self, want: Option<&[Kind]>) -> (String, Vec<Column>) {
        let from = self.list_of_items();
        let key = self.column(Text).unwrap_or_else(|| "1".to_owned());
        let by_key = key != "1" && self.random.chance(70);
        let (mut list, mut columns) = (Vec::new(), Vec::new());
        for kind in self.wishes(want) {
            let value =
                if by_key && kind == Text && self.random.chance(60) { key.clone() } else { self.aggregate(kind) };
            let name = self.fresh("g");
            list.push(format!("{value} AS {name}"));
            columns.push(Column { name, kind });
        }
        let filter = self.filter();
        let group = match (by_key, self.random.below(9)) {
            (false, _) => String::new(),
            (true, 0) => format!(" GROUP BY GROUPING SETS (({key}), ())"),
            (true, 1) => format!(" GROUP BY ROLLUP ({key})"),
            (true, 4) => format!(" GROUP BY {key}, GROUPING SETS (({key}), ({key}))"),
            (true, 5) if list.first().is_some_and(|first| first.starts_with(&key)) => " GROUP BY 1".to_owned(),
            (true, 3) => match columns.iter().position(|column| {
                list[columns.iter().position(|c| c.name == column.name).unwrap_or(0)].starts_with(&format!("{key} AS "))
            }) {
                // By the output's name.
                Some(at) => format!(" GROUP BY {}, {key}", columns[at].name),
                None => format!(" GROUP BY {key}"),
            },
            (true, 2) => format!(" GROUP BY CUBE ({key}), GROUPING SETS (({key}))"),
            (true, _) => format!(" GROUP BY {key}"),
        };
        let having =
            if self.random.chance(15) { format!(" HAVING {} > 0", self.aggregate(Int)) } else { String::new() };
        (format!("SELECT {} FROM {from}{filter}{group}{having}", list.join(", ")), columns)
    }

    fn set_operation(&mut self, want: Option<&[Kind]>) -> (String, Vec<Column>) {
        let kinds = self.wishes(want);
        let (left, columns) = self.level(|grammar| grammar.arm(&kinds));
        let (right, _) = self.level(|grammar| grammar.arm(&kinds));
        let operator = self.pick(&["UNION", "UNION ALL", "INTERSECT", "EXCEPT", "EXCEPT ALL"]);
        let third = if self.random.chance(20) {
            let arm = self.level(|grammar| grammar.arm(&kinds)).0;
            format!(" {} {arm}", self.pick(&["UNION ALL", "INTERSECT"]))
        } else {
            String::new()
        };
        (format!("{left} {operator} {right}{third}"), columns)
    }

    fn arm(&mut self, kinds: &[Kind]) -> (String, Vec<Column>) {
        match self.random.below(10) {
            0 => {
                let (text, columns) = self.wanted(Some(kinds));
                (format!("({text})"), columns)
            }
            1 => self.values_query(Some(kinds)),
            _ => {
                let from = self.list_of_items();
                let (list, columns) = self.plain_targets(kinds);
                (format!("SELECT {list} FROM {from}{}", self.filter()), columns)
            }
        }
    }

    fn plain_targets(&mut self, kinds: &[Kind]) -> (String, Vec<Column>) {
        let mut columns = Vec::new();
        let mut list = Vec::new();
        for kind in kinds {
            let name = self.fresh("o");
            list.push(format!("{} AS {name}", self.expr(*kind)));
            columns.push(Column { name, kind: *kind });
        }
        (list.join(", "), columns)
    }

    fn values_query(&mut self, want: Option<&[Kind]>) -> (String, Vec<Column>) {
        let kinds = self.wishes(want);
        let row = |grammar: &mut Self| {
            let values: Vec<String> = kinds.iter().map(|kind| grammar.expr(*kind)).collect();
            format!("({})", values.join(", "))
        };
        let (first, second) = (row(self), row(self));
        let columns = kinds
            .iter()
            .enumerate()
            .map(|(index, kind)| Column { name: format!("column{}", index + 1), kind: *kind })
            .collect();
        (format!("VALUES {first}, {second}"), columns)
    }

    fn table_query(&mut self) -> (String, Vec<Column>) {
        let table = self.table(Operation::Select);
        let columns = self.usable(table, Operation::Select);
        let name = self.table_name(table);
        (format!("TABLE {name}"), columns)
    }

    fn tail(&mut self, columns: &[Column]) -> String {
        match self.random.below(24) {
            0 if !columns.is_empty() => {
                let name = self.random.pick(columns).name.clone();
                format!(" ORDER BY {}", self.ident(&name))
            }
            1 => " ORDER BY 1 LIMIT 5".to_owned(),
            2 => " LIMIT 3 OFFSET 1".to_owned(),
            3 => " ORDER BY 1 FETCH FIRST 2 ROWS WITH TIES".to_owned(),
            4 => " OFFSET 1 ROW FETCH NEXT ROW ONLY".to_owned(),
            5 => format!(" LIMIT ({})", self.scalar_outside(Int)),
            _ => String::new(),
        }
    }

    /// A subquery that sees nothing of this level.
    fn scalar_outside(&mut self, kind: Kind) -> String {
        let hidden = std::mem::take(&mut self.levels);
        let text = self.scalar_subquery(kind);
        self.levels = hidden;
        text
    }

    pub(super) fn with(&mut self) -> String {
        let hidden = self.levels.last_mut().map(std::mem::take).unwrap_or_default();
        let recursive = self.random.chance(20);
        let mut parts = Vec::new();
        for _ in 0..=self.random.below(2) {
            let name = if self.random.chance(10) { "payroll".to_owned() } else { self.fresh("cte") };
            if self.tables.iter().any(|table| table.name == name) {
                continue;
            }
            let (body, columns) = match self.random.below(10) {
                0 if recursive => self.recursion(&name),
                // Only at the top may a table of WITH write.
                1 | 2 if self.levels.len() <= 2 => self.writing_table(),
                _ => self.query(),
            };
            let list = if self.random.chance(20) && !columns.is_empty() && !body.starts_with("SELECT 1 AS n UNION") {
                Some(self.renamed(&columns))
            } else {
                None
            };
            let shown = list.as_ref().map_or_else(String::new, |list| format!("({})", names(list)));
            let more = match self.random.below(8) {
                0 if body.starts_with("SELECT 1 AS n UNION") => " SEARCH DEPTH FIRST BY n SET sorted",
                1 if body.starts_with("SELECT 1 AS n UNION") => " CYCLE n SET again USING way",
                _ => "",
            };
            let material = self.pick(&["", "", "", "MATERIALIZED ", "NOT MATERIALIZED "]);
            parts.push(format!("{name}{shown} AS {material}({body}){more}"));
            self.tables.push(Source { name, columns: list.unwrap_or(columns), others: Vec::new(), open: true });
        }
        if let Some(level) = self.levels.last_mut() {
            *level = hidden;
        }
        if parts.is_empty() {
            return String::new();
        }
        format!("WITH {}{} ", if recursive { "RECURSIVE " } else { "" }, parts.join(", "))
    }

    fn recursion(&mut self, name: &str) -> (String, Vec<Column>) {
        let columns = vec![Column { name: "n".to_owned(), kind: Int }];
        let more = self.level(|grammar| {
            let relation = grammar.relation();
            let condition = grammar.condition();
            format!("{relation}, {name} r WHERE r.n < 3 AND {condition}")
        });
        (format!("SELECT 1 AS n UNION ALL SELECT r.n + 1 FROM {more}"), columns)
    }
}
