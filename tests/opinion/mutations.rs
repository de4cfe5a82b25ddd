//! Statements that nobody wrote: pieces of others put together. Whatever our reader takes and PostgreSQL takes too, they must
//! agree on. Which ones are tried follows from a number, the same on every run.

use pgward::catalog::opinion::{AskError, Parameters, Question, ask};
use pgward::catalog::resolve_with;
use pgward::sql::{self, Limits};

use super::Bench;
use super::agreement::STATEMENTS;

/// What syntax is made of, and names of everything there is to touch.
const PIECES: &[&str] = &[
    "ONLY",
    "*",
    "TABLE",
    "AS",
    "(",
    ")",
    ",",
    ".",
    "'x'",
    "1",
    "NULL",
    "::text",
    "::int",
    "AND",
    "OR",
    "NOT",
    "IN",
    "=",
    "<>",
    "LIKE",
    "BETWEEN 1 AND 2",
    "IS NULL",
    "COLLATE \"C\"",
    "ANY (ARRAY[1,2])",
    "EXISTS (SELECT FROM payroll)",
    "(SELECT amount FROM payroll)",
    "(SELECT emp_name FROM payroll LIMIT 1)",
    "payroll",
    "hr.salaries",
    "secret",
    "orders",
    "orders o",
    "customers c",
    "products p",
    "pairs",
    "v_pairs",
    "shapes",
    "events",
    "id",
    "o.id",
    "c.ssn",
    "email",
    "ssn",
    "amount",
    "o",
    "c",
    "p",
    "o.*",
    "c.*",
    "p.*",
    "orders.*",
    "customers.name",
    "ctid",
    "tableoid",
    "contact(c)",
    "c.contact",
    "reveal(o)",
    "o.reveal",
    "(c).email",
    "(o).reveal",
    "upper(1)",
    "upper('x')",
    "boom(1)",
    "count(*)",
    "max(amount)",
    "row_to_json(c)",
    "to_jsonb(o)",
    "ROW(o.*)",
    "ROW(1, c)",
    "c::text",
    "o::text",
    "1 @#@ 2",
    "id @#@ id",
    "OPERATOR(public.+)",
    "OPERATOR(pg_catalog.+)",
    "+",
    "-",
    "||",
    "CASE WHEN true THEN 1 END",
    "COALESCE(email, '')",
    "NULLIF(id, 1)",
    "GREATEST(id, 2)",
    "EXTRACT(year FROM now())",
    "JOIN",
    "LEFT JOIN",
    "NATURAL JOIN",
    "CROSS JOIN",
    "USING (id)",
    "ON true",
    "ON o.customer_id = c.id",
    "LATERAL",
    "FROM",
    "FROM customers",
    "FROM payroll",
    "WHERE",
    "WHERE id = 1",
    "GROUP BY id",
    "GROUP BY 1",
    "HAVING true",
    "ORDER BY id",
    "ORDER BY 1",
    "ORDER BY ssn",
    "LIMIT 1",
    "OFFSET 1",
    "FOR UPDATE",
    "FOR SHARE OF o",
    "UNION ALL TABLE payroll",
    "UNION SELECT id FROM payroll",
    "EXCEPT",
    "INTERSECT ALL",
    "VALUES (1)",
    "WITH w AS (SELECT * FROM customers)",
    "w",
    "SELECT",
    "SELECT * FROM w",
    "DISTINCT",
    "ALL",
    "RETURNING *",
    "RETURNING id, ssn",
    "RETURNING pairs",
    "SET a = 1",
    "SET b = (SELECT email FROM customers LIMIT 1)",
    "ON CONFLICT DO NOTHING",
    "ON CONFLICT (id) DO UPDATE SET a = excluded.a",
    "ON CONFLICT (id) WHERE a > 1 DO NOTHING",
    "DEFAULT",
    "OVERRIDING USER VALUE",
    "OVER ()",
    "OVER (PARTITION BY email)",
    "FILTER (WHERE ssn IS NULL)",
    "WITHIN GROUP (ORDER BY id)",
    "TABLESAMPLE bernoulli (1)",
    "WITH ORDINALITY",
    "generate_series(1, id)",
    "unnest(many)",
    "(at).x",
    "many[1]",
    "many[1:2]",
    "VARIADIC",
    "INTERVAL '1 day'",
    "date '2020-01-01'",
    "DATE",
    "END",
    "THEN",
    "ELSE",
    "AS ssn",
    "AS x(a, b)",
    "AS id",
    "\"id\"",
    "\"Orders\"",
    "U&\"\\0073sn\"",
    "E'\\''",
    "$$x$$",
    "/* ' */",
    "-- x\n",
    "AT TIME ZONE 'UTC'",
    "SIMILAR TO 'x'",
    "IS DISTINCT FROM c",
    "IS DOCUMENT",
    "ISNULL",
    "NOTNULL",
    "GROUPING SETS ((id), ())",
    "ROLLUP (id)",
    "CUBE (id, ssn)",
    "WINDOW win AS (ORDER BY ssn)",
    "OVER win",
    "CAST(c AS text)",
    "CAST(id AS raising)",
    "ARRAY(SELECT ssn FROM customers)",
    "ARRAY[c.ssn]",
    "ROWS FROM (generate_series(1, 2))",
    "jsonb_populate_record(NULL::customers, '{}')",
    "OVERLAPS",
    "SYMMETRIC",
    "NULLS FIRST",
    "FETCH FIRST 1 ROW ONLY",
    "USING orders o",
    "INSERT INTO pairs (id)",
    "DELETE FROM pairs",
    "UPDATE pairs",
    "x",
    "$1",
    "public",
    "public.",
];

/// Statements to take apart besides the others.
const SEEDS: &[&str] = &[
    "SELECT o.id, c.name FROM orders o JOIN customers c ON c.id = o.customer_id WHERE o.amount > 1 ORDER BY c.name",
    "SELECT c.id, c.name, o.amount FROM customers c LEFT JOIN orders o ON o.customer_id = c.id GROUP BY c.id, o.amount",
    "SELECT id FROM customers c WHERE (SELECT count(*) FROM orders o WHERE o.customer_id = c.id) > 1",
    "SELECT x.id FROM (SELECT id, name AS ssn FROM customers) x WHERE x.ssn = 'a'",
    "WITH w AS (SELECT id, amount FROM orders) SELECT w.id, w FROM w, products p",
    "SELECT s.at, s.many FROM shapes s, pairs",
    "INSERT INTO pairs (id, a) SELECT id, id FROM orders o RETURNING id",
    "UPDATE pairs p SET a = o.id FROM orders o WHERE o.id = p.id RETURNING o.id",
    "DELETE FROM pairs p USING customers c WHERE c.id = p.id",
];

const TRIALS: usize = 6_000;

/// `splitmix64`.
pub struct Chance(u64);

impl Chance {
    pub fn from_setting() -> Self {
        Self(u64::try_from(setting("PGWARD_TEST_SEED", 1)).unwrap())
    }

    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) % u64::try_from(bound.max(1)).unwrap()).unwrap()
    }

    fn of<'a>(&mut self, among: &[&'a str]) -> &'a str {
        among[self.below(among.len())]
    }
}

#[tokio::test]
async fn both_agree_on_statements_that_nobody_wrote() {
    let trials = setting("PGWARD_TEST_TRIALS", TRIALS);
    let mut chance = Chance::from_setting();
    let bench = Bench::start().await;
    let seeds: Vec<&str> = STATEMENTS.iter().chain(SEEDS).copied().collect();
    let agreed = try_all(&bench, (0..trials).map(|_| mutated(&mut chance, &seeds))).await;
    assert!(agreed * 40 > trials, "{agreed} of {trials}: too few to mean anything");
}

/// Longer or other runs by hand: `PGWARD_TEST_TRIALS` and `PGWARD_TEST_SEED`.
pub fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// Tries each text that our reader takes on PostgreSQL; answers how many both agree on.
pub async fn try_all(bench: &Bench, texts: impl Iterator<Item = String>) -> usize {
    let (mut agreed, mut wrong) = (0, Vec::new());
    for text in texts {
        let Ok(statements) = sql::read(&text, &Limits::default()) else { continue };
        let [statement] = statements.as_slice() else { continue };
        let Ok(footprint) = resolve_with(&bench.shop, &statement.action, &[]) else { continue };
        if statement.query != Some(statement.range.clone()) {
            continue;
        }
        let question = Question { text: &text, parameters: Parameters::Declared(&[]) };
        match ask(&bench.side, &bench.shop, question).await {
            Ok(opinion) => match bench.compared(&footprint, &opinion).as_slice() {
                [] => agreed += 1,
                differences => wrong.push(format!("{differences:?}: {text}")),
            },
            Err(AskError::Refused { .. }) => {}
            Err(error) => wrong.push(format!("{error}: {text}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    agreed
}

/// A seed with a few changes: pieces put in, taken out, exchanged, and the end of another.
fn mutated(chance: &mut Chance, seeds: &[&str]) -> String {
    let mut parts = cut(chance.of(seeds));
    for _ in 0..=chance.below(3) {
        let at = chance.below(parts.len() + 1);
        match chance.below(5) {
            0 | 1 => parts.insert(at, chance.of(PIECES).to_owned()),
            2 if at < parts.len() => parts[at] = chance.of(PIECES).to_owned(),
            3 if at < parts.len() => {
                parts.remove(at);
            }
            _end_of_another => {
                let other = cut(chance.of(seeds));
                let from = chance.below(other.len() + 1);
                parts.truncate(at);
                parts.extend_from_slice(&other[from..]);
            }
        }
    }
    parts.join(" ")
}

/// Words and everything between them.
fn cut(text: &str) -> Vec<String> {
    text.split_inclusive([' ', ',', '(', ')'])
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}
