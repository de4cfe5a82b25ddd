//! Whether a policy can be carried out on the tables that there are. What is found here is told by `pgward check`, with the
//! line, and keeps the policy from running.

use super::facts::{Facts, OnDelete, Table};
use super::policy::{Action, Change, Policy};

/// What is wrong with one policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The policy's name.
    pub policy: String,
    /// The key of the configuration.
    pub key: &'static str,
    pub message: String,
}

/// Everything that keeps these policies from being carried out.
#[must_use]
pub fn check(policies: &[Policy], facts: &Facts) -> Vec<Fault> {
    policies.iter().flat_map(|policy| Checked { policy, facts, faults: Vec::new() }.all()).collect()
}

struct Checked<'a> {
    policy: &'a Policy,
    facts: &'a Facts,
    faults: Vec<Fault>,
}

const TIMES: [&str; 3] = ["timestamp with time zone", "timestamp without time zone", "date"];
const TEXTS: [&str; 3] = ["text", "character varying", "character"];

impl Checked<'_> {
    fn all(mut self) -> Vec<Fault> {
        let Some(table) = self.facts.table(&self.policy.on) else {
            self.refuse("on", format!("there is no table {}", self.policy.on));
            return self.faults;
        };
        self.table(table);
        self.column(table);
        self.privileges(table);
        match &self.policy.action {
            Action::Report => {}
            Action::Delete { drop_partitions } => {
                self.cycle(table);
                if *drop_partitions {
                    self.partitions(table);
                }
            }
            Action::Anonymise(changes) => {
                for (column, change) in changes {
                    self.change(table, column, change);
                }
            }
        }
        self.faults
    }

    fn refuse(&mut self, key: &'static str, message: String) {
        self.faults.push(Fault { policy: self.policy.name.clone(), key, message });
    }

    fn table(&mut self, table: &Table) {
        let on = &self.policy.on;
        if !["r", "p"].contains(&table.kind.as_str()) {
            self.refuse("on", format!("{on} is no table: rows are kept, and go, in tables"));
        } else if table.is_partition {
            self.refuse(
                "on",
                format!("{on} is a partition: name the table that it is part of, whose holds and keys count"),
            );
        } else if table.inherits {
            self.refuse("on", format!("{on} takes part in inheritance: what a row of it is, is not decided"));
        } else if table.key.is_none() && self.policy.action != Action::Report {
            let reason = "no primary key, and no unique index on columns that are never null";
            self.refuse("on", format!("{on} has {reason}: no batch of its rows can be named"));
        }
    }

    fn column(&mut self, table: &Table) {
        let name = &self.policy.column;
        match table.column(name) {
            None => self.refuse("column", format!("{} has no column {name}", self.policy.on)),
            Some(column) if !TIMES.contains(&column.base.as_str()) => {
                let kind = &column.kind;
                self.refuse(
                    "column",
                    format!("{name} is of type {kind}, which is no time: timestamptz, timestamp or date"),
                );
            }
            Some(_) => {}
        }
    }

    fn privileges(&mut self, table: &Table) {
        let needed: &[&str] = match self.policy.action {
            Action::Report => &["SELECT"],
            Action::Anonymise(_) => &["SELECT", "UPDATE"],
            // Rows are locked before they go, and that is UPDATE's to do.
            Action::Delete { .. } => &["SELECT", "UPDATE", "DELETE"],
        };
        let lacking: Vec<&str> = needed.iter().copied().filter(|p| !table.may.iter().any(|may| may == p)).collect();
        if !lacking.is_empty() {
            let (on, lacking) = (self.policy.on.sql(), lacking.join(", "));
            self.refuse("on", format!("the upstream's account lacks {lacking}; run: GRANT {lacking} ON {on} TO …"));
        }
    }

    fn change(&mut self, table: &Table, name: &str, change: &Change) {
        let key = "set";
        let Some(column) = table.column(name) else {
            return self.refuse(key, format!("{} has no column {name}", self.policy.on));
        };
        if column.generated {
            self.refuse(key, format!("{name} gets its values from PostgreSQL alone"));
        }
        if *name == self.policy.column {
            self.refuse(key, format!("{name} is what says that a row is overdue"));
        }
        if table.key.iter().flatten().any(|part| part == name) {
            self.refuse(key, format!("{name} is part of what names a row"));
        }
        let is_text = TEXTS.contains(&column.base.as_str());
        let is_unique = table.unique_columns.iter().flatten().any(|unique| unique == name);
        match change {
            Change::Null if column.not_null => self.refuse(key, format!("{name} is NOT NULL")),
            Change::Default if column.default.is_none() && column.not_null => {
                self.refuse(key, format!("{name} is NOT NULL and has no default"));
            }
            Change::Default if column.default.as_deref().is_some_and(|text| text.contains('(')) => {
                self.refuse(
                    key,
                    format!("the default of {name} is no constant: it could not be told what was done already"),
                );
            }
            Change::Constant(_) | Change::Default if is_unique => {
                self.refuse(key, format!("{name} is unique: two rows cannot have the same value"));
            }
            Change::Random | Change::First(_) if !is_text => {
                self.refuse(key, format!("{name} is of type {}, which is no text", column.kind));
            }
            Change::First(_) if is_unique => {
                self.refuse(key, format!("{name} is unique: two rows may begin alike"));
            }
            Change::Null | Change::Default | Change::Constant(_) | Change::Random | Change::First(_) => {}
        }
    }

    /// Dropping a partition is its owner's to do, and which ones are past is told by their bounds.
    fn partitions(&mut self, table: &Table) {
        let key = "partitions";
        let on = &self.policy.on;
        if table.kind != "p" {
            self.refuse(key, format!("{on} is not partitioned"));
        } else if table.partitioned_by.as_deref() != Some(&self.policy.column) {
            self.refuse(key, format!("{on} is not partitioned by ranges of {}", self.policy.column));
        } else if !table.owned || table.partitions.iter().any(|partition| !partition.owned) {
            self.refuse(key, format!("the upstream's account does not own {on} and its partitions: it may drop none"));
        }
        if self.policy.only.is_some() {
            self.refuse(key, "goes with no condition: what \"where\" leaves would go with the partition".to_owned());
        }
    }

    /// Rows that refer to each other in a circle have no first one to go.
    fn cycle(&mut self, table: &Table) {
        let mut path = Vec::new();
        if let Some(cycle) = self.circle(table, &mut path) {
            self.refuse("on", format!("foreign keys go in a circle, so that no row can go first: {cycle}"));
        }
    }

    fn circle(&self, table: &Table, path: &mut Vec<(i64, String)>) -> Option<String> {
        if let Some(start) = path.iter().position(|(oid, _)| *oid == table.oid) {
            let steps: Vec<&str> = path.iter().skip(start).map(|(_, step)| step.as_str()).collect();
            return Some(steps.join(", "));
        }
        for (key, child) in self.facts.referring(table) {
            match key.on_delete {
                OnDelete::SetNull | OnDelete::SetDefault => continue,
                OnDelete::NoAction | OnDelete::Restrict | OnDelete::Cascade => {}
            }
            let step = format!("{} of {} refers to {}", key.name, child.relation(), table.relation());
            path.push((table.oid, step));
            let found = self.circle(child, path);
            path.pop();
            if found.is_some() {
                return found;
            }
        }
        None
    }
}
