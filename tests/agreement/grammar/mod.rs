//! A grammar of SQL over the world: statements as people and tools write them, most of them valid, some of them reaching
//! for what the grant does not give, a few of them broken.

mod aggregate;
mod dml;
mod expr;
mod from;
mod query;
pub mod schema;
mod utility;

use crate::grants::Spec;
use crate::oracle::Case;
use crate::random::Random;
use pgward::access::Operation;
use schema::{Kind, TABLES, Table};

/// How far a statement strays from its grant.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mood {
    /// Only what is granted.
    Faithful,
    /// Mostly what is granted.
    Tempted,
    /// Anything.
    Wild,
}

#[derive(Clone, Debug)]
pub struct Column {
    pub name: String,
    pub kind: Kind,
}

/// A FROM item that expressions may refer to.
#[derive(Clone, Debug)]
pub struct Source {
    pub name: String,
    pub columns: Vec<Column>,
    /// The columns that it has besides, which make names ambiguous.
    pub others: Vec<String>,
    /// Its rows may be referred to as wholes without touching a hidden column.
    pub open: bool,
}

pub struct Grammar<'s> {
    pub random: Random,
    spec: &'s Spec,
    mood: Mood,
    /// FROM items by query level, the innermost last.
    levels: Vec<Vec<Source>>,
    /// Tables of WITH.
    tables: Vec<Source>,
    /// What is left to spend on this statement.
    fuel: i32,
    names: usize,
    /// Whether the query that is being made has a window called `win`.
    window: bool,
}

impl<'s> Grammar<'s> {
    pub fn new(seed: u64, spec: &'s Spec) -> Self {
        Self {
            random: Random::new(seed),
            spec,
            mood: Mood::Faithful,
            levels: Vec::new(),
            tables: Vec::new(),
            fuel: 0,
            names: 0,
            window: false,
        }
    }

    /// The next statement.
    pub fn case(&mut self) -> Case {
        self.levels.clear();
        self.tables.clear();
        self.names = 0;
        self.mood = match self.random.below(10) {
            0..=5 => Mood::Faithful,
            6..=8 => Mood::Tempted,
            _ => Mood::Wild,
        };
        self.fuel = [8, 20, 40, 80][self.random.below(4)];
        match self.random.below(100) {
            0..=57 => {
                let text = self.top_query();
                Case::explained(text)
            }
            58..=81 => Case::explained(self.write()),
            _ => self.utility(),
        }
    }

    fn spend(&mut self, amount: i32) -> bool {
        self.fuel -= amount;
        self.fuel > 0
    }

    fn fresh(&mut self, stem: &str) -> String {
        self.names += 1;
        format!("{stem}{}", self.names)
    }

    /// Whether to reach outside the grant at this point.
    fn strays(&mut self) -> bool {
        match self.mood {
            Mood::Faithful => false,
            Mood::Tempted => self.random.chance(8),
            Mood::Wild => self.random.chance(60),
        }
    }

    /// A relation to use with `operation`.
    fn table(&mut self, operation: Operation) -> &'static Table {
        let stray = self.strays();
        let granted: Vec<&'static Table> =
            TABLES.iter().filter(|table| self.spec.columns(&table.path(), operation).is_some()).collect();
        if stray || granted.is_empty() {
            return self.random.pick(TABLES);
        }
        let chosen: &&'static Table = self.random.pick(&granted);
        chosen
    }

    /// The columns of `table` that a statement may use for `operation` in its present mood.
    fn usable(&mut self, table: &Table, operation: Operation) -> Vec<Column> {
        let granted = self.spec.columns(&table.path(), operation).flatten();
        let mut columns = Vec::new();
        for (name, kind) in table.columns {
            let allowed = granted.as_ref().is_none_or(|names| names.contains(name));
            if allowed || self.strays() {
                columns.push(Column { name: (*name).to_owned(), kind: *kind });
            }
        }
        columns
    }

    /// The columns of `table` that `usable` left out.
    fn others(table: &Table, usable: &[Column]) -> Vec<String> {
        let left_out = |name: &&str| usable.iter().all(|column| column.name != **name);
        table.columns.iter().map(|(name, _)| *name).filter(left_out).map(ToOwned::to_owned).collect()
    }

    /// Whether every column of `table` is granted for reading.
    fn is_open(&self, table: &Table) -> bool {
        self.spec.columns(&table.path(), Operation::Select) == Some(None)
    }

    /// An identifier in one of its spellings.
    fn ident(&mut self, name: &str) -> String {
        let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        if !plain {
            return format!("\"{name}\"");
        }
        if name.len() == 63 && self.random.chance(40) {
            return format!("{name}_and_what_is_cut_off");
        }
        match self.random.below(40) {
            0..=2 => format!("\"{name}\""),
            3 => name.to_ascii_uppercase(),
            4 => {
                let (first, rest) = name.split_at(1);
                format!("{}{rest}", first.to_ascii_uppercase())
            }
            5 if name.len() > 2 => {
                let code = name.as_bytes()[1];
                format!("U&\"{}\\00{code:02x}{}\"", &name[..1], &name[2..])
            }
            _ => name.to_owned(),
        }
    }

    /// A relation's name, in one of its spellings.
    fn table_name(&mut self, table: &Table) -> String {
        let name = self.ident(table.name);
        let bare = table.schema == "public" && self.random.chance(65);
        if bare {
            return name;
        }
        let schema = self.ident(table.schema);
        match self.random.below(30) {
            0 => format!("shop.{schema}.{name}"),
            1 => format!("{schema} . {name}"),
            2 => format!("{schema}./* dot */{name}"),
            _ => format!("{schema}.{name}"),
        }
    }

    fn level<T>(&mut self, body: impl FnOnce(&mut Self) -> T) -> T {
        let tables = self.tables.len();
        self.levels.push(Vec::new());
        let result = body(self);
        self.levels.pop();
        self.tables.truncate(tables);
        result
    }

    fn add(&mut self, source: Source) {
        self.levels.last_mut().expect("a level").push(source);
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        *self.random.pick(choices)
    }
}
