//! Queries made by a small grammar: joins, subqueries, whole rows, attribute notation, set operations, window functions and
//! writes, nested in each other and most of them valid. Which ones follows from a number, the same on every run.

use super::Bench;
use super::mutations::{Chance, setting, try_all};

const TRIALS: usize = 1_200;
const MAX_DEPTH: usize = 3;

#[tokio::test]
async fn both_agree_on_generated_queries() {
    let trials = setting("PGWARD_TEST_TRIALS", TRIALS);
    let mut maker = Maker { chance: Chance::from_setting(), aliases: 0 };
    let bench = Bench::start().await;
    let agreed = try_all(&bench, (0..trials).map(|_| maker.statement())).await;
    assert!(agreed * 10 > trials, "{agreed} of {trials}: too few to mean anything");
}

/// A relation in scope: its name there, and its columns.
#[derive(Clone)]
struct Scope {
    name: String,
    columns: Vec<String>,
}

const TABLES: &[(&str, &[&str])] = &[
    ("orders", &["id", "customer_id", "amount", "status"]),
    ("customers", &["id", "name", "email", "ssn", "country"]),
    ("products", &["id", "name", "price", "tags"]),
    ("payroll", &["id", "emp_name", "amount"]),
    ("pairs", &["id", "a", "b", "d"]),
    ("v_pairs", &["id", "a"]),
    ("v_contacts", &["id", "name"]),
    ("hr.salaries", &["id", "emp_name", "amount", "note"]),
    ("eu.customers", &["id", "name", "ssn"]),
    ("events", &["id", "region", "body"]),
    ("shapes", &["id", "at", "many"]),
    ("pg_class", &["oid", "relname", "relkind"]),
];

struct Maker {
    chance: Chance,
    aliases: usize,
}

impl Maker {
    fn statement(&mut self) -> String {
        match self.chance.below(10) {
            0 => self.insert(),
            1 => self.update(),
            2 => self.delete(),
            3 => {
                let name = self.alias();
                let inner = self.query(1, &[]);
                let scope = Scope { name: name.clone(), columns: vec!["k0".to_owned(), "k1".to_owned()] };
                let item = self.one_of(&["", "JOIN orders z ON true", "NATURAL JOIN pairs z"]);
                let target = self.target(&scope);
                format!("WITH {name} (k0, k1) AS ({inner}) SELECT {target} FROM {name} {item}")
            }
            _reads => self.query(0, &[]),
        }
    }

    /// A query of two columns.
    fn query(&mut self, depth: usize, outer: &[Scope]) -> String {
        if depth < MAX_DEPTH && self.chance.below(8) == 0 {
            let operation = self.one_of(&["UNION", "UNION ALL", "INTERSECT", "EXCEPT ALL"]);
            let (left, right) = (self.select(depth + 1, outer), self.select(depth + 1, outer));
            return format!("({left}) {operation} ({right})");
        }
        self.select(depth, outer)
    }

    fn select(&mut self, depth: usize, outer: &[Scope]) -> String {
        let mut scopes = Vec::new();
        let from = self.from(depth, &mut scopes);
        let mut all = scopes.clone();
        all.extend_from_slice(outer);
        let (one, two) = (self.expression(depth, &all), self.expression(depth, &all));
        let named = self.one_of(&["", " AS id", " AS ssn", " AS amount"]);
        let condition =
            if self.chance.below(2) == 0 { format!(" WHERE {}", self.condition(depth, &all)) } else { String::new() };
        let tail = match self.chance.below(9) {
            0 => format!(" ORDER BY {}", self.text(depth, &all)),
            1 => " ORDER BY id".to_owned(),
            2 => " ORDER BY ssn".to_owned(),
            3 => " ORDER BY 1, 2".to_owned(),
            4 => format!(" LIMIT (SELECT count(*) FROM {})", self.table().0),
            5 => " FOR UPDATE".to_owned(),
            6 => format!(" GROUP BY {one}, {two}, 1"),
            _none => String::new(),
        };
        let distinct = self.one_of(&["", "", "", "DISTINCT "]);
        format!("SELECT {distinct}({one})::text{named}, ({two})::text FROM {from}{condition}{tail}")
    }

    fn from(&mut self, depth: usize, scopes: &mut Vec<Scope>) -> String {
        let mut from = self.item(depth, scopes);
        for _ in 0..self.chance.below(3) {
            let before = scopes.clone();
            let join = self.one_of(&["JOIN", "LEFT JOIN", "CROSS JOIN", "NATURAL JOIN", "FULL JOIN", ",", ", LATERAL"]);
            let right = if join == ", LATERAL" {
                let name = self.alias();
                let inner = self.query(depth + 2, &before);
                scopes.push(Scope { name: name.clone(), columns: vec!["m0".into(), "m1".into()] });
                format!("({inner}) {name} (m0, m1)")
            } else {
                self.item(depth, scopes)
            };
            let constraint = match join {
                "JOIN" | "LEFT JOIN" | "FULL JOIN" => {
                    self.one_of(&[" USING (id)", " ON true", " USING (id) AS merged", " USING (id, amount)"])
                }
                _other => "",
            };
            from = format!("{from} {join} {right}{constraint}");
        }
        from
    }

    fn item(&mut self, depth: usize, scopes: &mut Vec<Scope>) -> String {
        let name = self.alias();
        if depth < MAX_DEPTH && self.chance.below(4) == 0 {
            let inner = self.query(depth + 1, &[]);
            scopes.push(Scope { name: name.clone(), columns: vec!["k0".into(), "k1".into()] });
            return format!("({inner}) {name} (k0, k1)");
        }
        match self.chance.below(12) {
            0 => {
                scopes.push(Scope { name: name.clone(), columns: vec![name.clone()] });
                format!("generate_series(1, 3) {name}")
            }
            1 => {
                scopes.push(Scope { name: name.clone(), columns: vec!["id".into(), "name".into()] });
                format!("jsonb_populate_record(NULL::products, '{{}}') {name}")
            }
            2 => {
                scopes.push(Scope { name: name.clone(), columns: vec!["r1".into(), "r2".into()] });
                let (table, _) = self.table();
                format!("{table} {name} (r1, r2)")
            }
            kind => {
                let (table, columns) = self.table();
                let only = if kind == 3 { "ONLY " } else { "" };
                let columns = columns.iter().map(ToString::to_string).collect();
                scopes.push(Scope { name: name.clone(), columns });
                format!("{only}{table} {name}")
            }
        }
    }

    fn column(&mut self, scopes: &[Scope]) -> String {
        let Some(scope) = (!scopes.is_empty()).then(|| scopes[self.chance.below(scopes.len())].clone()) else {
            return "1".to_owned();
        };
        let column = &scope.columns[self.chance.below(scope.columns.len())];
        match self.chance.below(8) {
            0 => column.clone(),
            1 => scope.name.clone(),
            2 => format!("({}).{column}", scope.name),
            3 => format!("{}.*::text", scope.name),
            4 => format!("{}.tableoid", scope.name),
            _usual => format!("{}.{column}", scope.name),
        }
    }

    /// An expression of some type.
    fn expression(&mut self, depth: usize, scopes: &[Scope]) -> String {
        match self.chance.below(16) {
            0 => format!("count({})", self.column(scopes)),
            1 => format!("row_to_json({})", self.row(scopes)),
            2 => format!("CASE WHEN {} THEN {} END", self.condition(depth, scopes), self.text(depth, scopes)),
            3 => format!("COALESCE({}, {})", self.text(depth, scopes), self.text(depth, scopes)),
            4 if depth < MAX_DEPTH => format!("ARRAY({})", self.single(depth, scopes)),
            5 if depth < MAX_DEPTH => format!("({} LIMIT 1)", self.single(depth, scopes)),
            6 => format!(
                "row_number() OVER (PARTITION BY {} ORDER BY {})",
                self.text(depth, scopes),
                self.column(scopes)
            ),
            7 => format!("max({}) FILTER (WHERE {})", self.text(depth, scopes), self.condition(depth, scopes)),
            8 => format!("ROW({}, {})", self.row(scopes), self.column(scopes)),
            9 => format!("upper({})", self.text(depth, scopes)),
            10 => self
                .one_of(&["reveal(NULL)", "contact(NULL)", "1 @#@ 2", "order_count()", "2::raising", "boom(1)"])
                .to_owned(),
            11 => format!("string_agg({0}, ',' ORDER BY {0})", self.text(depth, scopes)),
            _column => self.column(scopes),
        }
    }

    fn text(&mut self, depth: usize, scopes: &[Scope]) -> String {
        if depth < MAX_DEPTH && self.chance.below(9) == 0 {
            return format!("({} LIMIT 1)", self.single(depth, scopes));
        }
        format!("({})::text", self.column(scopes))
    }

    fn condition(&mut self, depth: usize, scopes: &[Scope]) -> String {
        match self.chance.below(8) {
            0 if depth < MAX_DEPTH => format!("EXISTS ({})", self.query(depth + 1, scopes)),
            1 if depth < MAX_DEPTH => format!("{} IN ({})", self.text(depth, scopes), self.single(depth, scopes)),
            2 if depth < MAX_DEPTH => {
                format!("({}, 'x') = ANY ({})", self.text(depth, scopes), self.query(depth + 1, scopes))
            }
            3 => format!("{} IS NOT NULL", self.row(scopes)),
            4 => format!("{} IS DISTINCT FROM NULL OR NOT {} LIKE 'a'", self.column(scopes), self.text(depth, scopes)),
            _equal => format!("{} = {}", self.text(depth, scopes), self.text(depth, scopes)),
        }
    }

    /// A query of one text column.
    fn single(&mut self, depth: usize, scopes: &[Scope]) -> String {
        let name = self.alias();
        let inner = self.query(depth + 1, scopes);
        format!("SELECT {name}.s0 FROM ({inner}) {name} (s0)")
    }

    fn row(&mut self, scopes: &[Scope]) -> String {
        if scopes.is_empty() { "NULL".to_owned() } else { scopes[self.chance.below(scopes.len())].name.clone() }
    }

    fn target(&mut self, scope: &Scope) -> String {
        match self.chance.below(4) {
            0 => "*".to_owned(),
            1 => format!("{}.*", scope.name),
            2 => scope.name.clone(),
            _named => format!("{}.{}", scope.name, scope.columns[0]),
        }
    }

    fn insert(&mut self) -> String {
        let inner = self.query(1, &[]);
        let conflict = self.one_of(&[
            "",
            "ON CONFLICT DO NOTHING",
            "ON CONFLICT (id) DO UPDATE SET a = excluded.a",
            "ON CONFLICT (id) DO UPDATE SET b = p.b || excluded.b WHERE p.a > excluded.id",
            "ON CONFLICT (id) DO UPDATE SET b = (SELECT max(ssn) FROM customers)",
        ]);
        let returning = self.returning("p");
        format!("INSERT INTO pairs AS p (id, b) SELECT length(k0), k1 FROM ({inner}) q (k0, k1) {conflict} {returning}")
    }

    fn update(&mut self) -> String {
        let mut scopes = vec![Scope { name: "p".into(), columns: vec!["id".into(), "a".into(), "b".into()] }];
        let from =
            if self.chance.below(2) == 0 { format!("FROM {}", self.from(1, &mut scopes)) } else { String::new() };
        let set = match self.chance.below(3) {
            0 => format!("b = {}", self.text(1, &scopes)),
            1 => format!("(b, a) = (SELECT u0, 1 FROM ({}) u (u0))", self.query(2, &scopes)),
            _default => "a = a + 1, d = DEFAULT".to_owned(),
        };
        let condition = self.condition(1, &scopes);
        let returning = self.returning("p");
        format!("UPDATE pairs p SET {set} {from} WHERE {condition} {returning}")
    }

    fn delete(&mut self) -> String {
        let mut scopes = vec![Scope { name: "p".into(), columns: vec!["id".into(), "a".into()] }];
        let using =
            if self.chance.below(2) == 0 { format!("USING {}", self.from(1, &mut scopes)) } else { String::new() };
        let condition = self.condition(1, &scopes);
        let returning = self.returning("p");
        format!("DELETE FROM pairs p {using} WHERE {condition} {returning}")
    }

    fn returning(&mut self, name: &str) -> String {
        match self.chance.below(5) {
            0 => "RETURNING *".to_owned(),
            1 => format!("RETURNING {name}"),
            2 => "RETURNING id".to_owned(),
            _none => String::new(),
        }
    }

    fn table(&mut self) -> (&'static str, &'static [&'static str]) {
        TABLES[self.chance.below(TABLES.len())]
    }

    fn alias(&mut self) -> String {
        self.aliases += 1;
        format!("t{}", self.aliases % 97)
    }

    fn one_of(&mut self, among: &[&'static str]) -> &'static str {
        among[self.chance.below(among.len())]
    }
}
