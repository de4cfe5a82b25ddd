//! The grants under which statements are judged, each in two forms that are made apart: as pgward's scope, and as what a
//! role of PostgreSQL holds.

use std::collections::BTreeSet;

use pgward::access::{ObjectPattern, Operation, OperationSet, Privilege};
use pgward::catalog::Snapshot;
use pgward::policy::Context;

use super::policy;

use Operation::{Ddl, Delete, Insert, Select, Truncate, Update};

/// One line of a grant: operations on one object, of some columns or of all.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    pub on: &'static str,
    pub columns: Option<&'static [&'static str]>,
    pub operations: &'static [Operation],
}

#[derive(Clone, Copy, Debug)]
pub struct Spec {
    pub name: &'static str,
    pub regions: &'static [&'static str],
    pub lines: &'static [Line],
    /// Names with their argument types, as GRANT wants them.
    pub functions: &'static [&'static str],
    /// A schema in which the role owns everything and may create: what `ddl` on `schema.*` comes to.
    pub owns: Option<&'static str>,
}

const fn all(on: &'static str, operations: &'static [Operation]) -> Line {
    Line { on, columns: None, operations }
}

const fn some(on: &'static str, columns: &'static [&'static str], operations: &'static [Operation]) -> Line {
    Line { on, columns: Some(columns), operations }
}

pub const SPECS: &[Spec] = &[
    Spec {
        name: "tables",
        regions: &["us-east"],
        lines: &[
            all("public.orders", &[Select]),
            all("public.products", &[Select]),
            all("public.v_orders", &[Select]),
            some("public.customers", &["id", "name", "country"], &[Select]),
            all("app.people", &[Select]),
            all("app.v_invoker", &[Select]),
        ],
        functions: &[],
        owns: None,
    },
    Spec {
        name: "columns",
        regions: &["us-east", "eu-west"],
        lines: &[
            some("public.orders", &["id", "status", "amount", "customer_id"], &[Select]),
            some("public.customers", &["id", "name"], &[Select]),
            some("public.events", &["id", "body"], &[Select]),
            some("public.v_contacts", &["id"], &[Select]),
            some("app.people", &["id", "name", "age"], &[Select]),
            some("app.parts", &["id", "amount"], &[Select]),
            some("app.v_people", &["id", "name"], &[Select]),
            some("app.v_nested", &["id", "name"], &[Select]),
            some("public.\"Mixed Case\"", &["id", "Note"], &[Select]),
            some("public.a_name_that_is_exactly_as_long_as_postgresql_lets_a_name_be_123", &["id", "note"], &[Select]),
        ],
        functions: &[],
        owns: None,
    },
    Spec {
        name: "views",
        regions: &["us-east", "eu-west"],
        lines: &[
            all("public.v_orders", &[Select, Insert, Update, Delete]),
            all("public.v_salaries", &[Select]),
            all("public.v_eu", &[Select]),
            all("public.v_contacts", &[Select]),
            all("public.mv_pay", &[Select]),
            all("app.v_people", &[Select]),
            all("app.v_invoker", &[Select]),
            all("app.v_invoker_rows", &[Select]),
            all("app.v_nested", &[Select]),
            all("app.v_barrier", &[Select, Update]),
        ],
        functions: &[],
        owns: None,
    },
    Spec {
        name: "writes",
        regions: &["us-east", "eu-west"],
        lines: &[
            all("public.orders", &[Select, Delete]),
            some("public.orders", &["id", "customer_id", "product_id", "amount", "status"], &[Insert]),
            some("public.orders", &["status", "note"], &[Update]),
            some("public.customers", &["id", "name"], &[Select]),
            some("public.customers", &["name"], &[Update]),
            all("public.products", &[Select, Insert, Update]),
            all("public.logbook", &[Insert]),
            all("public.inbox", &[Select, Insert, Delete]),
            all("public.events", &[Select, Insert, Update, Delete]),
            some("app.people", &["id", "name", "age"], &[Select, Insert]),
            some("app.people", &["name", "home"], &[Update]),
            all("app.parts", &[Select, Insert, Update, Delete]),
            all("app.v_people", &[Select, Insert, Update, Delete]),
        ],
        functions: &[],
        owns: None,
    },
    Spec {
        name: "functions",
        regions: &["us-east"],
        lines: &[
            all("public.orders", &[Select]),
            all("public.products", &[Select]),
            some("public.customers", &["id", "name", "email"], &[Select]),
        ],
        functions: &[
            "public.order_count()",
            "public.peek_salaries()",
            "public.reveal(public.orders)",
            "public.op_peek(int, int)",
            "public.contact(public.customers)",
        ],
        owns: None,
    },
    Spec {
        name: "schema-changes",
        regions: &["us-east"],
        lines: &[
            all("build.*", &[Select, Insert, Ddl, Truncate]),
            all("public.orders", &[Select]),
            all("public.logbook", &[Truncate]),
            all("app.parts", &[Select, Truncate]),
        ],
        functions: &[],
        owns: Some("build"),
    },
    Spec {
        name: "two-regions",
        regions: &["us-east", "eu-west"],
        lines: &[
            all("public.orders", &[Select]),
            all("public.customers", &[Select]),
            all("public.events", &[Select, Update]),
            all("eu.customers", &[Select]),
            all("public.v_eu", &[Select]),
            all("public.customers_archive", &[Select]),
        ],
        functions: &[],
        owns: None,
    },
    Spec {
        name: "one-region",
        regions: &["us-east"],
        lines: &[
            all("public.orders", &[Select]),
            all("public.customers", &[Select]),
            all("public.events", &[Select, Update]),
            all("eu.customers", &[Select]),
            all("public.v_eu", &[Select]),
        ],
        functions: &[],
        owns: None,
    },
];

impl Spec {
    /// The role that stands for the grant.
    pub fn role(&self) -> String {
        format!("agreement_{}", self.name.replace('-', "_"))
    }

    /// The statements that make the role, to be run as superuser in the world's database.
    pub fn make_role(&self) -> Vec<String> {
        let role = self.role();
        let mut made = vec![format!("CREATE ROLE {role} LOGIN NOSUPERUSER NOINHERIT")];
        let mut schemas = BTreeSet::new();
        for line in self.lines {
            let (schema, name) = line.on.split_once('.').unwrap();
            schemas.insert(schema);
            for operation in line.operations.iter().filter(|operation| **operation != Ddl) {
                let columns = match line.columns {
                    Some(names) => {
                        let quoted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
                        format!("({})", quoted.join(", "))
                    }
                    None => String::new(),
                };
                if name != "*" {
                    made.push(format!("GRANT {operation} {columns} ON {} TO {role}", line.on));
                }
                // Who may insert may take the default keys.
                let sequence = match line.on {
                    "public.orders" | "public.v_orders" => Some("public.orders_id_seq"),
                    "public.logbook" => Some("public.logbook_id_seq"),
                    _ => None,
                };
                if let (Some(sequence), Insert) = (sequence, operation) {
                    made.push(format!("GRANT USAGE ON SEQUENCE {sequence} TO {role}"));
                }
            }
        }
        schemas.extend(self.functions.iter().map(|function| function.split_once('.').unwrap().0));
        made.extend(schemas.iter().map(|schema| format!("GRANT USAGE ON SCHEMA {schema} TO {role}")));
        made.extend(self.functions.iter().map(|function| format!("GRANT EXECUTE ON FUNCTION {function} TO {role}")));
        if let Some(schema) = self.owns {
            made.push(format!("GRANT CREATE ON SCHEMA {schema} TO {role}"));
            for (kind, name) in
                [("TABLE", "staging"), ("TABLE", "spare"), ("VIEW", "v_staging"), ("SEQUENCE", "counter")]
            {
                made.push(format!("ALTER {kind} {schema}.{name} OWNER TO {role}"));
                made.push(format!("REVOKE ALL ON {schema}.{name} FROM {role}"));
                if kind != "SEQUENCE" {
                    made.push(format!(
                        "GRANT SELECT, INSERT, TRUNCATE, REFERENCES, TRIGGER ON {schema}.{name} TO {role}"
                    ));
                }
            }
        }
        made
    }

    /// The columns of `on` that `operation` is granted for; `Some(None)` is all of them.
    pub fn columns(&self, on: &str, operation: Operation) -> Option<Option<Vec<&'static str>>> {
        let matching: Vec<&Line> = self
            .lines
            .iter()
            .filter(|line| line.operations.contains(&operation))
            .filter(|line| {
                line.on.replace('"', "") == on || line.on.strip_suffix('*').is_some_and(|s| on.starts_with(s))
            })
            .collect();
        if matching.is_empty() {
            return None;
        }
        if matching.iter().any(|line| line.columns.is_none()) {
            return Some(None);
        }
        Some(Some(matching.iter().flat_map(|line| line.columns.unwrap_or(&[])).copied().collect()))
    }

    pub fn context(&self, snapshot: &Snapshot) -> Context {
        let mut allow: Vec<Privilege> = self
            .lines
            .iter()
            .map(|line| Privilege {
                on: vec![ObjectPattern::parse(line.on).unwrap()],
                columns: line.columns.map(|names| names.iter().map(ToString::to_string).collect()),
                operations: OperationSet::of(line.operations),
                functions: Vec::new(),
            })
            .collect();
        let named = |function: &str| ObjectPattern::parse(function.split_once('(').unwrap().0).unwrap();
        allow.push(Privilege {
            on: Vec::new(),
            columns: None,
            operations: OperationSet::default(),
            functions: self.functions.iter().map(|function| named(function)).collect(),
        });
        policy::context(snapshot, self.regions, allow, vec![policy::lies_in("eu.*", "eu-west")])
    }
}
