//! Expressions of a wanted kind.

use super::schema::Kind;
use super::{Grammar, Mood};

use Kind::{Address, Bool, Int, Json, Number, Stamp, Text, Texts};

impl Grammar<'_> {
    /// An expression of `kind` over what is in scope.
    pub(super) fn expr(&mut self, kind: Kind) -> String {
        if !self.spend(1) {
            return self.leaf(kind);
        }
        match self.random.below(100) {
            0..=44 => self.leaf(kind),
            45..=52 => self.shaped(kind),
            _ => match kind {
                Int => self.int(),
                Number => self.number(),
                Text => self.text(),
                Bool => self.condition(),
                Json => self.json(),
                Stamp => self.stamp(),
                Texts => self.texts(),
                Address => self.leaf(kind),
            },
        }
    }

    /// A column or a literal.
    pub(super) fn leaf(&mut self, kind: Kind) -> String {
        if self.random.chance(85)
            && let Some(column) = self.column(kind)
        {
            return column;
        }
        self.literal(kind)
    }

    fn literal(&mut self, kind: Kind) -> String {
        let choices: &[&str] = match kind {
            Int => &["1", "2", "42", "(-3)", "'7'::int", "int '5'", "NULL::int"],
            Number => &["1.5", "2e3", "'3.25'::numeric", "10"],
            Text => {
                &["'x'::text", "text 'new'", "E'a\\'b'::text", "$$paid$$::text", "$q$it's$q$::text", "U&'\\0061'::text"]
            }
            Bool => &["true", "false", "NULL::bool", "'t'::boolean"],
            Json => &["'{\"k\": 1}'::jsonb", "jsonb '[1, 2]'"],
            Stamp => {
                &["now()", "timestamptz '2026-01-01 00:00:00+00'", "current_timestamp", "'2026-02-03'::timestamptz"]
            }
            Texts => &["ARRAY['a', 'b']", "'{a,b}'::text[]", "ARRAY['x'::text]"],
            Address => &["ROW('a', 'b')::app.address", "NULL::app.address"],
        };
        self.pick(choices).to_owned()
    }

    /// A column of that kind from what is in scope: mostly of the innermost level, mostly qualified.
    pub(super) fn column(&mut self, kind: Kind) -> Option<String> {
        let depth = self.levels.len();
        let inner = self.random.chance(85);
        let from = if inner { depth.saturating_sub(1) } else { 0 };
        let mut found = Vec::new();
        for level in &self.levels[from..] {
            for source in level {
                for column in source.columns.iter().filter(|column| column.kind == kind) {
                    found.push((source.name.clone(), column.name.clone()));
                }
            }
        }
        if found.is_empty() {
            return None;
        }
        let (source, column) = self.random.pick(&found).clone();
        let innermost = self.levels.last().map_or(&[] as &[_], Vec::as_slice);
        let bears = |source: &super::Source| {
            source.columns.iter().any(|other| other.name == column) || source.others.contains(&column)
        };
        let bearers = innermost.iter().filter(|source| bears(source)).count();
        let spelled = self.ident(&column);
        let bare = if bearers <= 1 { 50 } else { 3 };
        if inner && self.random.chance(bare) {
            return Some(spelled);
        }
        let source = self.ident(&source);
        Some(match self.random.below(60) {
            0 if self.mood != Mood::Faithful => format!("({source}).{spelled}"),
            1 if self.mood != Mood::Faithful => format!("({source}.*).{spelled}"),
            2 => format!("{source} . {spelled}"),
            _ => format!("{source}.{spelled}"),
        })
    }

    /// Forms that any kind takes.
    fn shaped(&mut self, kind: Kind) -> String {
        match self.random.below(9) {
            0 => format!("coalesce({}, {})", self.expr(kind), self.expr(kind)),
            1 => format!("CASE WHEN {} THEN {} ELSE {} END", self.expr(Bool), self.expr(kind), self.expr(kind)),
            2 => {
                let of = self.pick(&[Int, Text]);
                let operand = self.expr(of);
                format!(
                    "CASE {operand} WHEN {} THEN {} WHEN {} THEN {} END",
                    self.leaf(of),
                    self.expr(kind),
                    self.leaf(of),
                    self.expr(kind)
                )
            }
            3 => format!("({})", self.scalar_subquery(kind)),
            4 => format!("({})", self.expr(kind)),
            5 if kind != Bool => format!("nullif({}, {})", self.expr(kind), self.leaf(kind)),
            6 if matches!(kind, Int | Number | Text | Stamp) => {
                let name = self.pick(&["greatest", "least"]);
                format!("{name}({}, {})", self.expr(kind), self.expr(kind))
            }
            7 => format!("(ARRAY[{}, {}])[{}]", self.expr(kind), self.leaf(kind), self.pick(&["1", "2"])),
            _ => format!("CAST({} AS {})", self.expr(kind), kind_name(kind)),
        }
    }

    fn int(&mut self) -> String {
        match self.random.below(22) {
            0 => format!("{} + {}", self.expr(Int), self.leaf(Int)),
            1 => format!("{} * {}", self.leaf(Int), self.expr(Int)),
            2 => format!("{} OPERATOR(pg_catalog.+) {}", self.leaf(Int), self.leaf(Int)),
            3 => format!("length({})", self.expr(Text)),
            4 => format!("abs({})", self.expr(Int)),
            5 => format!("extract(year from {})::int", self.expr(Stamp)),
            6 => format!("array_length({}, 1)", self.expr(Texts)),
            7 => format!("cardinality({})", self.expr(Texts)),
            8 => format!("position({} in {})", self.leaf(Text), self.expr(Text)),
            9 => format!("({})::int", self.expr(Number)),
            10 => format!("- {}", self.leaf(Int)),
            11 => format!("mod({}, 7)", self.expr(Int)),
            12 => format!("({} ->> 'k')::int", self.leaf(Json)),
            13 => format!("ascii({})", self.expr(Text)),
            14 => format!("({} % 5)", self.expr(Int)),
            15 => format!("(({}) -> 'k')::text::int", self.expr(Json)),
            16 => format!("num_nulls({}, {})", self.leaf(Text), self.leaf(Int)),
            17 => format!("pg_catalog.int4({})", self.leaf(Number)),
            18 => format!("({} & {})", self.leaf(Int), self.leaf(Int)),
            19 => self.whole_row().map_or_else(|| "1".to_owned(), |row| format!("num_nulls({row})")),
            20 if self.strays() => self.odd_call(),
            _ => format!("({} - {})", self.expr(Int), self.leaf(Int)),
        }
    }

    /// Calls that no grant, or only some, let through.
    fn odd_call(&mut self) -> String {
        let choices: &[&str] = &[
            "public.order_count()::int",
            "order_count()::int",
            "top_salary()",
            "length(public.run_sql('SELECT 1'))",
            "nextval('public.orders_id_seq')::int",
            "nextval('secret_seq')::int",
            "length(upper(1))",
            "(1 @#@ 2)::int",
            "(1 OPERATOR(public.+) 2)::int",
            "1::public.traced_int",
            "leak_agg(1)::int",
            "pg_backend_pid()",
            "length(current_setting('work_mem'))",
            "length(current_setting('data_directory'))",
            "txid_current()::int",
            "pg_advisory_xact_lock(1)::text::int",
            "(SELECT count(*) FROM peek_salaries())::int",
            "length(set_config('work_mem', '1MB', true))",
            "pg_relation_size('public.orders')::int",
            "length(pg_get_viewdef('public.v_orders'))",
            "lo_get(4242)::text::int",
            "length(query_to_xml('SELECT 1', true, true, '')::text)",
            "length(has_table_privilege('public.payroll', 'select')::text)",
        ];
        self.pick(choices).to_owned()
    }

    fn number(&mut self) -> String {
        match self.random.below(8) {
            0 => format!("{} + {}", self.expr(Number), self.leaf(Number)),
            1 => format!("round({}, 2)", self.expr(Number)),
            2 => format!("{}::numeric", self.leaf(Int)),
            3 => format!("({} * 1.1)", self.expr(Number)),
            4 => format!("({}) / 2.0", self.expr(Int)),
            5 => format!("trunc({})", self.expr(Number)),
            6 => format!("({} ->> 'k')::numeric", self.leaf(Json)),
            _ => format!("extract(epoch from {})", self.expr(Stamp)),
        }
    }

    fn text(&mut self) -> String {
        match self.random.below(32) {
            0 => format!("upper({})", self.expr(Text)),
            1 => format!("{} || {}", self.expr(Text), self.leaf(Text)),
            2 => format!("concat_ws('-', {}, {})", self.expr(Text), self.leaf(Int)),
            3 => format!("substring({} from 1 for 2)", self.expr(Text)),
            4 => format!("trim(both ' ' from {})", self.expr(Text)),
            5 => format!("{} COLLATE \"C\"", self.leaf(Text)),
            6 => format!("to_char({}, 'YYYY')", self.expr(Stamp)),
            7 => format!("format('%s', {})", self.expr(Int)),
            8 => format!("overlay({} placing 'x' from 1)", self.leaf(Text)),
            9 => format!("{}::text", self.leaf(Int)),
            10 => format!("({} ->> 'k')", self.leaf(Json)),
            11 => format!("({})[1]", self.leaf(Texts)),
            12 => "current_user::text".to_owned(),
            13 => format!("left({}, 3)", self.expr(Text)),
            14 => format!("replace({}, 'a', {})", self.leaf(Text), self.leaf(Text)),
            15 => format!("md5({})", self.expr(Text)),
            16 => format!("array_to_string({}, ',')", self.expr(Texts)),
            17 => format!("(({}).street)", self.leaf(Address)),
            18 => self.whole_row().map_or_else(|| "'y'::text".to_owned(), |row| format!("{row}::text")),
            19 => self.attribute(),
            20 => format!("split_part({}, '-', 1)", self.leaf(Text)),
            21 => format!("lower({} COLLATE pg_catalog.\"C\")", self.leaf(Text)),
            22 => format!("quote_literal({})", self.leaf(Text)),
            23 => format!("pg_typeof({})::text", self.leaf(Int)),
            24 => format!("jsonb_typeof({})", self.leaf(Json)),
            25 => format!("xmlelement(name x, xmlattributes({} AS a), {})::text", self.leaf(Text), self.leaf(Int)),
            26 => format!("xmlforest({} AS a)::text", self.leaf(Text)),
            27 => format!("(ROW({}, {})).f1::text", self.leaf(Text), self.leaf(Int)),
            28 => format!("ROW({}, {})::text", self.expr(Text), self.leaf(Int)),
            29 => self.functional(),
            _ => format!("lower({})", self.expr(Text)),
        }
    }

    /// `t.f`: a column, or a function of the row.
    fn attribute(&mut self) -> String {
        let Some(source) = self.levels.last().and_then(|level| level.first()).cloned() else {
            return "'z'::text".to_owned();
        };
        if !self.strays() {
            return self.leaf(Text);
        }
        let name = self.pick(&[
            "reveal",
            "contact",
            "nothing",
            "cast_leak::text",
            "name::text",
            "tableoid::text",
            "ctid::text",
            "xmin::text",
        ]);
        format!("{}.{name}", source.name)
    }

    /// `name(t)` for `t.name`.
    fn functional(&mut self) -> String {
        let Some(source) = self.levels.last().and_then(|level| level.first()).cloned() else {
            return "'w'::text".to_owned();
        };
        let Some(column) = source.columns.iter().find(|column| column.kind == Text) else {
            return "'w'::text".to_owned();
        };
        if source.open && self.random.chance(20) {
            return format!("{}({})", column.name, source.name);
        }
        format!("{}.{}", source.name, column.name)
    }

    /// A reference to the row of something in FROM.
    pub(super) fn whole_row(&mut self) -> Option<String> {
        let stray = self.strays();
        let sources = self.levels.last()?;
        let fitting: Vec<String> =
            sources.iter().filter(|source| source.open || stray).map(|source| source.name.clone()).collect();
        if fitting.is_empty() {
            return None;
        }
        let name = self.random.pick(&fitting).clone();
        let name = self.ident(&name);
        Some(if self.random.chance(30) { format!("({name}.*)") } else { name })
    }

    fn json(&mut self) -> String {
        match self.random.below(8) {
            0 => format!("jsonb_build_object('a', {}, 'b', {})", self.expr(Int), self.expr(Text)),
            1 => self.whole_row().map_or_else(|| "'{}'::jsonb".to_owned(), |row| format!("to_jsonb({row})")),
            2 => self.whole_row().map_or_else(|| "'[]'::jsonb".to_owned(), |row| format!("row_to_json({row})::jsonb")),
            3 => format!("({} -> 'l')", self.leaf(Json)),
            4 => format!("({} || {})", self.leaf(Json), self.expr(Json)),
            5 => format!("to_jsonb({})", self.expr(Text)),
            6 => format!("({} #> '{{tags,0}}')", self.leaf(Json)),
            _ => format!("({})['k']", self.leaf(Json)),
        }
    }

    fn stamp(&mut self) -> String {
        match self.random.below(6) {
            0 => format!("date_trunc('day', {})", self.expr(Stamp)),
            1 => format!("{} + interval '1 day'", self.expr(Stamp)),
            2 => format!("({} AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'", self.leaf(Stamp)),
            3 => format!("to_timestamp({})", self.expr(Int)),
            4 => format!("({}::date)::timestamptz", self.leaf(Stamp)),
            _ => format!("({} - make_interval(days => {}))", self.leaf(Stamp), self.leaf(Int)),
        }
    }

    fn texts(&mut self) -> String {
        match self.random.below(6) {
            0 => format!("ARRAY[{}, {}]", self.expr(Text), self.leaf(Text)),
            1 => format!("array_append({}, {})", self.leaf(Texts), self.leaf(Text)),
            2 => format!("string_to_array({}, ',')", self.expr(Text)),
            3 => format!("ARRAY({})", self.scalar_rows(Text)),
            4 => format!("({})[1:2]", self.leaf(Texts)),
            _ => format!("({} || {})", self.leaf(Texts), self.leaf(Texts)),
        }
    }

    pub(super) fn condition(&mut self) -> String {
        if !self.spend(1) {
            return format!("{} IS NOT NULL", self.leaf(Int));
        }
        let of = self.pick(&[Int, Text, Number, Stamp, Int, Text]);
        match self.random.below(31) {
            0..=4 => {
                let operator = self.pick(&["=", "<>", "<", ">", "<=", ">=", "!=", "OPERATOR(pg_catalog.=)"]);
                format!("{} {operator} {}", self.leaf(of), self.expr(of))
            }
            5 => format!("{} IN ({}, {})", self.expr(of), self.leaf(of), self.leaf(of)),
            6 | 7 => format!("{} {} ({})", self.leaf(of), self.pick(&["IN", "NOT IN"]), self.scalar_rows(of)),
            8 | 9 => format!("{} ({})", self.pick(&["EXISTS", "NOT EXISTS"]), self.subquery_rows()),
            10 => {
                let quantifier = self.pick(&["ANY", "ALL", "SOME"]);
                let operator = self.pick(&["=", "<>", "<", ">="]);
                format!("{} {operator} {quantifier} ({})", self.leaf(of), self.scalar_rows(of))
            }
            11 => format!("{} = ANY ({})", self.leaf(Text), self.expr(Texts)),
            12 => {
                let symmetric = self.pick(&["", "", "SYMMETRIC "]);
                format!("{} BETWEEN {symmetric}{} AND {}", self.leaf(of), self.leaf(of), self.leaf(of))
            }
            13 => format!(
                "{} {} 'a%'",
                self.leaf(Text),
                self.pick(&["LIKE", "ILIKE", "NOT LIKE", "SIMILAR TO", "~", "!~*", "~~"])
            ),
            14 => format!("{} IS {}NULL", self.expr(of), self.pick(&["", "NOT "])),
            15 => format!("{} IS {}DISTINCT FROM {}", self.leaf(of), self.pick(&["", "NOT "]), self.leaf(of)),
            16 => format!("({} AND {})", self.expr(Bool), self.expr(Bool)),
            17 => format!("({} OR {})", self.expr(Bool), self.expr(Bool)),
            18 => format!("NOT ({})", self.expr(Bool)),
            19 => format!(
                "({}, {}) {} ({}, {})",
                self.leaf(Int),
                self.leaf(Text),
                self.pick(&["=", "<", "<>"]),
                self.leaf(Int),
                self.leaf(Text)
            ),
            20 => format!("({}, {}) IN ({})", self.leaf(Int), self.leaf(Text), self.pair_rows()),
            21 => format!("({}) IS {}", self.expr(Bool), self.pick(&["TRUE", "NOT FALSE", "UNKNOWN"])),
            22 => format!("{} ? 'k'", self.leaf(Json)),
            23 => format!("{} @> {}", self.leaf(Json), self.leaf(Json)),
            24 => format!("{} && {}", self.leaf(Texts), self.leaf(Texts)),
            25 => format!(
                "({}, {}) OVERLAPS ({}, {})",
                self.leaf(Stamp),
                self.leaf(Stamp),
                self.leaf(Stamp),
                self.leaf(Stamp)
            ),
            26 => match (self.whole_row(), self.whole_row()) {
                (Some(one), Some(other)) => format!("{one} IS DISTINCT FROM {other}"),
                _ => "true".to_owned(),
            },
            27 => format!("{} IN (VALUES ({}), ({}))", self.leaf(of), self.leaf(of), self.leaf(of)),
            28 => format!("({}, {}) = ANY ({})", self.leaf(Int), self.leaf(Text), self.pair_rows()),
            29 => {
                format!("ROW({}, {}) < ROW({}, {})", self.leaf(Int), self.leaf(Text), self.leaf(Int), self.leaf(Text))
            }
            _ => self.whole_row().map_or_else(|| "true".to_owned(), |row| format!("{row} IS NOT NULL")),
        }
    }
}

pub(super) fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Int => "int",
        Number => "numeric",
        Text => "text",
        Bool => "boolean",
        Json => "jsonb",
        Stamp => "timestamptz",
        Texts => "text[]",
        Address => "app.address",
    }
}
