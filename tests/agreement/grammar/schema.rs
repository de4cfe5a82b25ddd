//! The world as the grammar knows it: relations, their columns, and what kind of value each holds.

/// A rough type: enough to put an expression where PostgreSQL takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Int,
    Number,
    Text,
    Bool,
    Json,
    Stamp,
    Texts,
    Address,
}

pub struct Table {
    pub schema: &'static str,
    pub name: &'static str,
    pub columns: &'static [(&'static str, Kind)],
    /// Rows can be written to it (by somebody).
    pub writable: bool,
}

use Kind::{Address, Int, Json, Number, Stamp, Text, Texts};

pub const LONG: &str = "a_name_that_is_exactly_as_long_as_postgresql_lets_a_name_be_123";

const ORDERS: &[(&str, Kind)] = &[
    ("id", Int),
    ("customer_id", Int),
    ("product_id", Int),
    ("amount", Number),
    ("status", Text),
    ("note", Text),
    ("payload", Json),
    ("created_at", Stamp),
];
const CUSTOMERS: &[(&str, Kind)] = &[("id", Int), ("name", Text), ("email", Text), ("ssn", Text), ("country", Text)];
const EVENTS: &[(&str, Kind)] = &[("id", Int), ("region", Text), ("body", Text)];
const PARTS: &[(&str, Kind)] = &[("id", Int), ("region", Text), ("amount", Number), ("note", Text)];
const PEOPLE: &[(&str, Kind)] =
    &[("id", Int), ("name", Text), ("home", Address), ("age", Int), ("doubled", Int), ("secret", Text)];

macro_rules! table {
    ($schema:literal, $name:expr, $columns:expr) => {
        Table { schema: $schema, name: $name, columns: $columns, writable: true }
    };
    ($schema:literal, $name:expr, $columns:expr, view) => {
        Table { schema: $schema, name: $name, columns: $columns, writable: false }
    };
}

pub const TABLES: &[Table] = &[
    table!("public", "orders", ORDERS),
    table!("public", "products", &[("id", Int), ("name", Text), ("price", Number), ("tags", Texts), ("attrs", Json)]),
    table!("public", "customers", CUSTOMERS),
    table!("public", "customers_archive", CUSTOMERS),
    table!("public", "payroll", &[("id", Int), ("emp_name", Text), ("amount", Int)]),
    table!("public", "logbook", &[("id", Int), ("at", Text), ("what", Text)]),
    table!("public", "inbox", &[("id", Int), ("body", Text)]),
    table!("public", "events", EVENTS),
    table!("public", "events_us", EVENTS),
    table!("eu", "events_eu", EVENTS),
    table!("eu", "customers", CUSTOMERS),
    table!("hr", "salaries", &[("id", Int), ("emp_name", Text), ("amount", Int), ("note", Text)]),
    table!("hr", "orders", &[("id", Int), ("secret", Text), ("note", Text)]),
    table!("public", "Orders", &[("id", Int), ("secret", Text)]),
    table!("public", "hr.salaries", &[("id", Int), ("secret", Text)]),
    table!("audit_internal", "trail", &[("id", Int), ("entry", Text)]),
    table!("public", "v_orders", &[("id", Int), ("customer_id", Int), ("amount", Number), ("status", Text)], view),
    table!("public", "v_salaries", &[("id", Int), ("emp_name", Text), ("amount", Int), ("note", Text)], view),
    table!("public", "v_eu", &[("id", Int), ("name", Text), ("country", Text)], view),
    table!("public", "v_contacts", &[("id", Int), ("name", Text)], view),
    table!("public", "mv_pay", &[("emp_name", Text), ("amount", Int)], view),
    table!("public", LONG, &[("id", Int), ("note", Text), ("secret", Text)]),
    table!("public", "Mixed Case", &[("id", Int), ("Note", Text), ("secret", Text)]),
    table!("app", "people", PEOPLE),
    table!("app", "staff", PEOPLE),
    table!("app", "parts", PARTS),
    table!("app", "parts_a", PARTS),
    table!("app", "parts_a_low", PARTS),
    table!("app", "v_people", &[("id", Int), ("name", Text), ("secret", Text)], view),
    table!("app", "v_invoker", &[("id", Int), ("name", Text)], view),
    table!("app", "v_invoker_rows", &[("id", Int)], view),
    table!("app", "v_nested", &[("id", Int), ("name", Text)], view),
    table!("app", "v_barrier", &[("id", Int), ("name", Text), ("age", Int)], view),
    table!("build", "staging", &[("id", Int), ("note", Text), ("amount", Number)]),
    table!("build", "spare", &[("id", Int), ("note", Text)]),
    table!("build", "v_staging", &[("id", Int), ("note", Text)], view),
];

impl Table {
    /// `schema.name`, as the grants write it.
    pub fn path(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }
}
