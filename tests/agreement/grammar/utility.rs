//! Statements that are no plain query: COPY, EXPLAIN, PREPARE, cursors, TRUNCATE, LOCK, schema changes, settings.

use super::Grammar;
use super::schema::Table;
use crate::oracle::{Case, Probe};
use pgward::access::Operation;

impl Grammar<'_> {
    pub(super) fn utility(&mut self) -> Case {
        match self.random.below(100) {
            _ if self.spec.owns.is_some() && self.random.chance(40) => self.ddl(),
            0..=17 => self.copy(),
            18..=29 => self.explain(),
            30..=41 => self.prepare(),
            42..=52 => self.cursor(),
            53..=61 => self.truncate(),
            62..=71 => self.creating_query(),
            72..=76 => self.lock_table(),
            77..=91 => self.ddl(),
            _ => self.session(),
        }
    }

    fn copy(&mut self) -> Case {
        match self.random.below(10) {
            0..=3 => {
                let query = self.any_statement();
                Case::run(format!("COPY ({query}) TO STDOUT"))
            }
            4..=7 => {
                let table = self.table(Operation::Select);
                let list = self.column_list(table, Operation::Select);
                let name = self.table_name(table);
                let options = self.pick(&["", " WITH (FORMAT csv, HEADER)", " (DELIMITER '|')", " CSV"]);
                Case::run(format!("COPY {name}{list} TO STDOUT{options}"))
            }
            8 => Case::run(format!("COPY {} TO '/tmp/nowhere'", self.pick(&["public.orders", "(SELECT 1)"]))),
            _ => {
                let table = self.table(Operation::Insert);
                let list = self.column_list(table, Operation::Insert);
                let name = self.table_name(table);
                let condition = if self.random.chance(20) { " WHERE id > 1" } else { "" };
                Case { probe: Probe::CopyFrom, ..Case::run(format!("COPY {name}{list} FROM STDIN{condition}")) }
            }
        }
    }

    fn column_list(&mut self, table: &Table, operation: Operation) -> String {
        let granted = self.spec.columns(&table.path(), operation);
        if granted == Some(None) && self.random.chance(50) || self.strays() {
            return String::new();
        }
        let columns = self.usable(table, operation);
        let kept: Vec<String> = columns.iter().map(|column| self.ident(&column.name)).collect();
        if kept.is_empty() { String::new() } else { format!(" ({})", kept.join(", ")) }
    }

    fn any_statement(&mut self) -> String {
        if self.random.chance(75) { self.level(|grammar| grammar.query().0) } else { self.write() }
    }

    fn explain(&mut self) -> Case {
        let options =
            self.pick(&["", "VERBOSE ", "(COSTS OFF) ", "ANALYZE ", "(ANALYZE, TIMING OFF) ", "(FORMAT json) "]);
        let statement = self.any_statement();
        Case::run(format!("EXPLAIN {options}{statement}"))
    }

    fn prepare(&mut self) -> Case {
        let name = self.pick(&["q", "plan", "\"Plan\""]);
        let statement = self.any_statement();
        let text = format!("PREPARE {name} AS {statement}");
        Case { probe: Probe::Prepared(format!("EXPLAIN EXECUTE {name}")), ..Case::run(text) }
    }

    fn cursor(&mut self) -> Case {
        let options = self.pick(&["", "NO SCROLL ", "SCROLL ", "INSENSITIVE ", "BINARY "]);
        let hold = self.pick(&["", "", " WITHOUT HOLD", " WITH HOLD"]);
        let query = self.level(|grammar| grammar.query().0);
        Case::run(format!("DECLARE c {options}CURSOR{hold} FOR {query}"))
    }

    fn truncate(&mut self) -> Case {
        let table = self.table(Operation::Truncate);
        let name = self.table_name(table);
        let only = if self.random.chance(10) { "ONLY " } else { "" };
        let keyword = self.pick(&["TABLE ", ""]);
        let tail = self.pick(&["", "", " RESTART IDENTITY", " CONTINUE IDENTITY", " CASCADE"]);
        Case::run(format!("TRUNCATE {keyword}{only}{name}{tail}"))
    }

    fn creating_query(&mut self) -> Case {
        let name = self.new_name();
        let text = match self.random.below(6) {
            0 | 1 => {
                let query = self.level(|grammar| grammar.query().0);
                format!("CREATE TABLE {name} AS {query}")
            }
            2 => {
                let query = self.level(|grammar| grammar.query().0);
                format!("CREATE TABLE {name} AS {query} WITH NO DATA")
            }
            3 => {
                let query = self.level(|grammar| grammar.query().0);
                format!("CREATE MATERIALIZED VIEW {name} AS {query}")
            }
            4 => {
                let query = self.level(|grammar| grammar.query().0);
                format!("CREATE VIEW {name} AS {query}")
            }
            _ => self.level(|grammar| {
                let from = grammar.list_of_items();
                let (list, _) = grammar.targets(None);
                format!("SELECT {list} INTO {name} FROM {from}")
            }),
        };
        Case::run(text)
    }

    fn new_name(&mut self) -> String {
        self.pick(&["build.fresh", "build.fresh", "build.\"Fresh\"", "public.fresh", "fresh", "app.fresh"]).to_owned()
    }

    fn lock_table(&mut self) -> Case {
        let operation = self.pick(&[Operation::Select, Operation::Update]);
        let table = self.table(operation);
        let name = self.table_name(table);
        let mode = self.pick(&[
            "",
            " IN ACCESS SHARE MODE",
            " IN ROW EXCLUSIVE MODE",
            " IN SHARE MODE NOWAIT",
            " IN EXCLUSIVE MODE",
        ]);
        Case::run(format!("LOCK TABLE {name}{mode}"))
    }

    fn ddl(&mut self) -> Case {
        let table = self.table(Operation::Ddl);
        let name = self.table_name(table);
        let fresh = self.new_name();
        let text = match self.random.below(51) {
            0 => format!("DROP TABLE {name}"),
            1 => format!("DROP TABLE IF EXISTS {name} CASCADE"),
            2 => format!("ALTER TABLE {name} ADD COLUMN extra int DEFAULT 1"),
            3 => format!("ALTER TABLE {name} RENAME COLUMN note TO remark"),
            4 => format!("CREATE INDEX ON {name} (id)"),
            5 => format!("CREATE TABLE {fresh} (id int PRIMARY KEY, note text DEFAULT 'x')"),
            6 => format!("CREATE TABLE {fresh} (LIKE {name})"),
            7 => format!("CREATE TABLE {fresh} (id int REFERENCES {name} (id))"),
            8 => format!("ALTER TABLE {name} ALTER COLUMN id SET NOT NULL"),
            9 => "CREATE TEMP TABLE passing (id int)".to_owned(),
            10 => format!("CREATE SEQUENCE {fresh}"),
            11 => "DROP INDEX build.staging_note".to_owned(),
            12 => format!("ALTER TABLE {name} DROP COLUMN note"),
            13 => format!("COMMENT ON TABLE {name} IS 'words'"),
            14 => format!("CREATE TABLE {fresh} (more int) INHERITS ({name})"),
            15 => format!("ALTER TABLE {name} RENAME TO renamed"),
            16 => format!("ALTER TABLE {name} SET SCHEMA app"),
            17 => format!("ALTER TABLE {name} OWNER TO postgres"),
            18 => format!("ALTER TABLE build.spare INHERIT {name}"),
            19 => format!("ALTER TABLE app.parts ATTACH PARTITION {name} FOR VALUES IN ('z')"),
            20 => format!("CREATE TABLE {fresh} PARTITION OF app.parts FOR VALUES IN ('y')"),
            21 => format!("CREATE OR REPLACE VIEW build.v_staging AS SELECT id, note FROM {name}"),
            22 => format!("DROP VIEW {}", self.pick(&["build.v_staging", "public.v_orders", "app.v_people"])),
            23 => "DROP SEQUENCE build.counter".to_owned(),
            24 => format!("DROP SCHEMA {}", self.pick(&["build", "build CASCADE", "app", "hr CASCADE"])),
            25 => format!("CREATE SCHEMA {}", self.pick(&["fresh", "build", "IF NOT EXISTS build"])),
            26 => format!("CREATE TABLE {fresh} (id int DEFAULT nextval('build.counter'), g hr.salaries)"),
            27 => format!("CREATE TABLE {fresh} (id int CHECK (public.dom_check(id)))"),
            28 => format!("CREATE TABLE {fresh} (id public.traced_int)"),
            29 => format!("ALTER TABLE {name} ADD CONSTRAINT kept FOREIGN KEY (id) REFERENCES public.orders (id)"),
            30 => format!("CREATE UNIQUE INDEX fresh_index ON {name} (lower(note)) WHERE id > 1"),
            31 => format!("ALTER TABLE {name} ALTER COLUMN note TYPE varchar(10) USING upper(note)"),
            32 => format!("ALTER TABLE {name} ENABLE ROW LEVEL SECURITY"),
            33 => format!("ALTER TABLE {name} DISABLE TRIGGER ALL"),
            34 => format!("DROP TABLE build.spare, {name}"),
            35 => "ALTER INDEX build.staging_note RENAME TO other".to_owned(),
            36 => format!("CREATE TABLE {fresh} AS TABLE {name}"),
            37 => format!("CREATE MATERIALIZED VIEW {fresh} AS SELECT id FROM {name} WITH NO DATA"),
            38 => format!("CREATE RULE nothing AS ON INSERT TO {name} DO NOTHING"),
            39 => format!("CREATE TRIGGER t AFTER INSERT ON {name} EXECUTE FUNCTION public.on_order()"),
            40 => format!("REINDEX TABLE {name}"),
            41 => format!("CLUSTER {name}"),
            42 => format!("CREATE STATISTICS build.s ON id, note FROM {name}"),
            43 => format!("ALTER TABLE {name} ADD COLUMN extra int DEFAULT public.order_count()"),
            44 => format!("CREATE SEQUENCE IF NOT EXISTS {fresh} AS int INCREMENT BY -1 NO MAXVALUE"),
            45 => format!("CREATE SEQUENCE {fresh} OWNED BY {name}.id"),
            46 => format!("ALTER SEQUENCE build.counter OWNED BY {name}.id"),
            47 => {
                let change =
                    ["RESTART WITH 5", "AS smallint", "OWNER TO postgres", "RENAME TO renamed", "SET SCHEMA app"];
                format!(
                    "ALTER SEQUENCE {} {}",
                    self.pick(&["build.counter", "public.orders_id_seq"]),
                    self.pick(&change)
                )
            }
            48 => "CREATE TEMP SEQUENCE passing".to_owned(),
            _ => format!("CREATE VIEW {fresh} AS SELECT * FROM {name}"),
        };
        Case::run(text)
    }

    fn session(&mut self) -> Case {
        let choices: &[&str] = &[
            "SET work_mem = '1MB'",
            "SET statement_timeout = 100",
            "SET search_path = public",
            "SET search_path = hr, public",
            "SET LOCAL application_name = 'x'",
            "RESET work_mem",
            "SHOW work_mem",
            "SHOW ALL",
            "SHOW data_directory",
            "SHOW search_path",
            "SET TIME ZONE 'UTC'",
            "SET CONSTRAINTS ALL DEFERRED",
            "SELECT set_config('search_path', 'hr', false)",
            "SET standard_conforming_strings = off",
            "SET session_replication_role = replica",
            "CALL public.wipe()",
            "CLOSE nowhere",
            "DEALLOCATE nothing",
            "VACUUM public.orders",
            "ANALYZE public.orders",
            "REFRESH MATERIALIZED VIEW public.mv_pay",
            "COMMENT ON TABLE public.orders IS 'x'",
            "GRANT SELECT ON public.orders TO PUBLIC",
            "CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "CREATE SCHEMA mine",
            "CREATE EXTENSION citext",
            "ALTER SYSTEM SET work_mem = '1MB'",
            "SECURITY LABEL ON TABLE public.orders IS 'x'",
            "SET ROLE victim",
            "LISTEN something",
            "NOTIFY something",
        ];
        Case::run(self.pick(choices).to_owned())
    }
}
