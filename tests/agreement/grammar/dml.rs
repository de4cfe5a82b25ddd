//! INSERT, UPDATE, DELETE and MERGE, as statements and inside of WITH.

use super::schema::{Kind, Table};
use super::{Column, Grammar, Source};
use pgward::access::Operation;

impl Grammar<'_> {
    /// A whole data-modifying statement.
    pub(super) fn write(&mut self) -> String {
        self.level(|grammar| {
            let with = if grammar.random.chance(10) { grammar.with() } else { String::new() };
            let (text, _) = grammar.write_body(true);
            format!("{with}{text}")
        })
    }

    /// One for WITH, which gives rows back.
    pub(super) fn writing_table(&mut self) -> (String, Vec<Column>) {
        self.level(|grammar| grammar.write_body(false))
    }

    fn write_body(&mut self, merge: bool) -> (String, Vec<Column>) {
        match self.random.below(if merge { 100 } else { 85 }) {
            0..=32 => self.insert(),
            33..=64 => self.update(),
            65..=84 => self.delete(),
            _ => (self.merge(), Vec::new()),
        }
    }

    fn target(&mut self, operation: Operation) -> &'static Table {
        loop {
            let table = self.table(operation);
            if table.writable || self.random.chance(30) {
                return table;
            }
        }
    }

    /// Adds the target of a statement to what its expressions see, by the columns that may be read.
    fn see(&mut self, table: &Table, alias: Option<&str>) {
        let readable = self.spec.columns(&table.path(), Operation::Select).is_some() || self.strays();
        let columns = if readable { self.usable(table, Operation::Select) } else { Vec::new() };
        let open = self.is_open(table);
        let others = Self::others(table, &columns);
        self.add(Source { name: alias.unwrap_or(table.name).to_owned(), columns, others, open });
    }

    fn alias(&mut self, percent: usize) -> (Option<String>, String) {
        if !self.random.chance(percent) {
            return (None, String::new());
        }
        let alias = self.fresh("x");
        let shown = format!(" AS {alias}");
        (Some(alias), shown)
    }

    fn insert(&mut self) -> (String, Vec<Column>) {
        let table = self.target(Operation::Insert);
        let mut columns = self.usable(table, Operation::Insert);
        self.random.shuffle(&mut columns);
        columns.truncate(1 + self.random.below(4));
        let (alias, shown) = self.alias(20);
        let name = self.table_name(table);
        if columns.is_empty() || self.random.chance(3) {
            return (format!("INSERT INTO {name}{shown} DEFAULT VALUES"), Vec::new());
        }
        let kinds: Vec<Kind> = columns.iter().map(|column| column.kind).collect();
        let spelled: Vec<String> = columns.iter().map(|column| self.ident(&column.name)).collect();
        let mut list = format!(" ({})", spelled.join(", "));
        let source = if self.random.chance(60) {
            let values: Vec<String> = kinds
                .iter()
                .map(|kind| {
                    if self.random.chance(8) { "DEFAULT".to_owned() } else { self.level(|grammar| grammar.expr(*kind)) }
                })
                .collect();
            format!("VALUES ({})", values.join(", "))
        } else {
            self.level(|grammar| {
                let from = grammar.list_of_items();
                let values: Vec<String> = kinds.iter().map(|kind| grammar.expr(*kind)).collect();
                format!("SELECT {} FROM {from}", values.join(", "))
            })
        };
        let source = if self.random.chance(4) {
            list = String::new();
            let full: Vec<String> = table
                .columns
                .iter()
                .take(1 + self.random.below(table.columns.len()))
                .map(|(_, kind)| self.level(|g| g.leaf(*kind)))
                .collect();
            format!("VALUES ({})", full.join(", "))
        } else {
            source
        };
        let overriding = if self.random.chance(2) { " OVERRIDING USER VALUE" } else { "" };
        self.see(table, alias.as_deref());
        let conflict = if self.random.chance(18) { self.on_conflict(table) } else { String::new() };
        let (returning, given) = self.returning();
        (format!("INSERT INTO {name}{shown}{list}{overriding} {source}{conflict}{returning}"), given)
    }

    fn on_conflict(&mut self, table: &Table) -> String {
        let target = match self.random.below(8) {
            0 => " ON CONSTRAINT people_name_key".to_owned(),
            1 => format!(" ON CONSTRAINT {}_pkey", table.name.replace(' ', "_")),
            2 => String::new(),
            3 => " (name)".to_owned(),
            _ => " (id)".to_owned(),
        };
        if target.is_empty() || self.random.chance(40) {
            return format!(" ON CONFLICT{target} DO NOTHING");
        }
        let sets = self.assignments(table);
        let condition = if self.random.chance(30) { format!(" WHERE {}", self.condition()) } else { String::new() };
        format!(" ON CONFLICT{target} DO UPDATE SET {sets}{condition}")
    }

    fn assignments(&mut self, table: &Table) -> String {
        let mut columns = self.usable(table, Operation::Update);
        self.random.shuffle(&mut columns);
        columns.truncate(1 + self.random.below(2));
        if columns.is_empty() {
            columns.push(Column { name: table.columns[0].0.to_owned(), kind: table.columns[0].1 });
        }
        if columns.len() == 2 && self.random.chance(30) {
            let (one, other) = (columns[0].clone(), columns[1].clone());
            let left = format!("({}, {})", self.ident(&one.name), self.ident(&other.name));
            return match self.random.below(3) {
                0 => format!("{left} = ROW({}, {})", self.expr(one.kind), self.expr(other.kind)),
                1 => format!("{left} = (SELECT {}, {})", self.expr(one.kind), self.expr(other.kind)),
                _ => format!("{left} = ({}, DEFAULT)", self.expr(one.kind)),
            };
        }
        let mut sets = Vec::new();
        for column in columns {
            let name = self.ident(&column.name);
            sets.push(match column.kind {
                _ if self.random.chance(5) => format!("{name} = DEFAULT"),
                Kind::Address if self.random.chance(50) => format!("{name}.zip = {}", self.leaf(Kind::Text)),
                Kind::Texts if self.random.chance(40) => format!("{name}[1] = {}", self.leaf(Kind::Text)),
                kind => format!("{name} = {}", self.expr(kind)),
            });
        }
        sets.join(", ")
    }

    fn update(&mut self) -> (String, Vec<Column>) {
        let table = self.target(Operation::Update);
        let (alias, shown) = self.alias(35);
        let name = self.table_name(table);
        let only = if self.random.chance(5) { "ONLY " } else { "" };
        let from = if self.random.chance(30) && self.spend(4) {
            format!(" FROM {}", self.list_of_items())
        } else {
            String::new()
        };
        self.see(table, alias.as_deref());
        let sets = self.assignments(table);
        let condition = self.condition_of_write();
        let (returning, given) = self.returning();
        (format!("UPDATE {only}{name}{shown} SET {sets}{from}{condition}{returning}"), given)
    }

    fn delete(&mut self) -> (String, Vec<Column>) {
        let table = self.target(Operation::Delete);
        let (alias, shown) = self.alias(35);
        let name = self.table_name(table);
        let only = if self.random.chance(5) { "ONLY " } else { "" };
        let using = if self.random.chance(30) && self.spend(4) {
            format!(" USING {}", self.list_of_items())
        } else {
            String::new()
        };
        self.see(table, alias.as_deref());
        let condition = self.condition_of_write();
        let (returning, given) = self.returning();
        (format!("DELETE FROM {only}{name}{shown}{using}{condition}{returning}"), given)
    }

    fn condition_of_write(&mut self) -> String {
        match self.random.below(20) {
            0..=4 => String::new(),
            5 => " WHERE CURRENT OF nowhere".to_owned(),
            _ => format!(" WHERE {}", self.condition()),
        }
    }

    fn returning(&mut self) -> (String, Vec<Column>) {
        if !self.random.chance(35) {
            return (String::new(), Vec::new());
        }
        let open = self.levels.last().is_some_and(|level| level.iter().all(|source| source.open));
        if (open || self.strays()) && self.random.chance(40) {
            let columns = self
                .levels
                .last()
                .map_or_else(Vec::new, |level| level.iter().flat_map(|source| source.columns.clone()).collect());
            return (" RETURNING *".to_owned(), columns);
        }
        let (list, columns) = self.targets(None);
        (format!(" RETURNING {list}"), columns)
    }

    fn merge(&mut self) -> String {
        let operation = self.pick(&[Operation::Update, Operation::Insert, Operation::Delete]);
        let table = self.target(operation);
        let (alias, shown) = self.alias(60);
        let name = self.table_name(table);
        let source = self.one_item();
        let sources = self.levels.last().cloned().unwrap_or_default();
        self.see(table, alias.as_deref());
        let on = format!("{} = {}", self.leaf(Kind::Int), self.leaf(Kind::Int));
        let mut whens = String::new();
        for _ in 0..=self.random.below(2) {
            let condition = if self.random.chance(30) { format!(" AND {}", self.condition()) } else { String::new() };
            let when = match self.random.below(4) {
                0 => format!(" WHEN MATCHED{condition} THEN DELETE"),
                1 => format!(" WHEN MATCHED{condition} THEN UPDATE SET {}", self.assignments(table)),
                2 => {
                    let both = std::mem::replace(self.levels.last_mut().expect("a level"), sources.clone());
                    let mut columns = self.usable(table, Operation::Insert);
                    columns.truncate(1 + self.random.below(3));
                    let names: Vec<String> = columns.iter().map(|column| self.ident(&column.name)).collect();
                    let values: Vec<String> = columns.iter().map(|column| self.expr(column.kind)).collect();
                    *self.levels.last_mut().expect("a level") = both;
                    if columns.is_empty() {
                        " WHEN NOT MATCHED THEN INSERT DEFAULT VALUES".to_owned()
                    } else {
                        format!(" WHEN NOT MATCHED THEN INSERT ({}) VALUES ({})", names.join(", "), values.join(", "))
                    }
                }
                _ => " WHEN NOT MATCHED THEN DO NOTHING".to_owned(),
            };
            whens.push_str(&when);
        }
        format!("MERGE INTO {name}{shown} USING {source} ON {on}{whens}")
    }

    fn one_item(&mut self) -> String {
        if self.random.chance(30) {
            let (query, columns) = self.query();
            let alias = self.fresh("s");
            self.add(Source { name: alias.clone(), columns, others: Vec::new(), open: true });
            return format!("({query}) AS {alias}");
        }
        self.relation()
    }
}
