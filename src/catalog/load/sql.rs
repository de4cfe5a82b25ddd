//! The queries that a snapshot is made of. They qualify every name and operator in them, whatever the `search_path` of who asks:
//! nobody's `public.=` runs with the rights of the login. All but [`MARK`], [`SETTINGS`] and [`WITHIN`] have one parameter, the
//! least object identifier that is asked about.

/// Of each catalog that names depend on: how many rows, and a sum over each row's identity and the transaction that
/// wrote it. Temporary objects of other sessions come and go without changing it.
pub(super) const MARK: &str = "
SELECT pg_catalog.concat_ws('|',
 (SELECT pg_catalog.concat(oid, ':', datname, ':', xmin) FROM pg_catalog.pg_database WHERE datname OPERATOR(pg_catalog.=) pg_catalog.current_database()),
 pg_catalog.current_setting('search_path'), pg_catalog.current_schemas(true), pg_catalog.current_setting('server_version_num'),
 (SELECT pg_catalog.concat(pg_catalog.count(*), ':', pg_catalog.sum(pg_catalog.hashint8extended(xmin::pg_catalog.text::pg_catalog.int8, oid::pg_catalog.int8)))
    FROM pg_catalog.pg_class WHERE relpersistence OPERATOR(pg_catalog.<>) 't'),
 (SELECT pg_catalog.concat(pg_catalog.count(*), ':', pg_catalog.sum(pg_catalog.hashint8extended(a.xmin::pg_catalog.text::pg_catalog.int8, (a.attrelid::pg_catalog.int8 OPERATOR(pg_catalog.*) 4096) OPERATOR(pg_catalog.+) a.attnum)))
    FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) a.attrelid WHERE c.relpersistence OPERATOR(pg_catalog.<>) 't'),
 (SELECT pg_catalog.concat(pg_catalog.count(*), ':', pg_catalog.sum(pg_catalog.hashint8extended(xmin::pg_catalog.text::pg_catalog.int8, inhrelid::pg_catalog.int8)))
    FROM pg_catalog.pg_inherits),
 (SELECT pg_catalog.concat(pg_catalog.count(*), ':', pg_catalog.sum(pg_catalog.hashint8extended(xmin::pg_catalog.text::pg_catalog.int8, oid::pg_catalog.int8))) FROM pg_catalog.pg_proc),
 (SELECT pg_catalog.concat(pg_catalog.count(*), ':', pg_catalog.sum(pg_catalog.hashint8extended(xmin::pg_catalog.text::pg_catalog.int8, oid::pg_catalog.int8))) FROM pg_catalog.pg_rewrite),
 (SELECT pg_catalog.concat(pg_catalog.count(*), ':', pg_catalog.sum(pg_catalog.hashint8extended(xmin::pg_catalog.text::pg_catalog.int8, oid::pg_catalog.int8))) FROM pg_catalog.pg_operator),
 (SELECT pg_catalog.concat(pg_catalog.count(*), ':', pg_catalog.sum(pg_catalog.hashint8extended(xmin::pg_catalog.text::pg_catalog.int8, oid::pg_catalog.int8))) FROM pg_catalog.pg_cast),
 (SELECT pg_catalog.concat(pg_catalog.count(*), ':', pg_catalog.sum(pg_catalog.hashint8extended(t.xmin::pg_catalog.text::pg_catalog.int8, t.oid::pg_catalog.int8)))
    FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) t.typnamespace WHERE n.nspname OPERATOR(pg_catalog.!~) '^pg_(toast_)?temp_'),
 (SELECT pg_catalog.concat(pg_catalog.count(*), ':', pg_catalog.sum(pg_catalog.hashint8extended(xmin::pg_catalog.text::pg_catalog.int8, oid::pg_catalog.int8))) FROM pg_catalog.pg_trigger),
 (SELECT pg_catalog.concat(pg_catalog.count(*), ':', pg_catalog.sum(pg_catalog.hashint8extended(xmin::pg_catalog.text::pg_catalog.int8, oid::pg_catalog.int8)))
    FROM pg_catalog.pg_namespace WHERE nspname OPERATOR(pg_catalog.!~) '^pg_(toast_)?temp_'),
 (SELECT pg_catalog.concat(pg_catalog.count(*), ':', pg_catalog.sum(pg_catalog.hashint8extended(xmin::pg_catalog.text::pg_catalog.int8, oid::pg_catalog.int8))) FROM pg_catalog.pg_constraint),
 (SELECT pg_catalog.concat(pg_catalog.count(*), ':', pg_catalog.sum(pg_catalog.hashint8extended(xmin::pg_catalog.text::pg_catalog.int8, oid::pg_catalog.int8))) FROM pg_catalog.pg_attrdef),
 (SELECT pg_catalog.concat(pg_catalog.count(*), ':', pg_catalog.sum(pg_catalog.hashint8extended(xmin::pg_catalog.text::pg_catalog.int8, oid::pg_catalog.int8))) FROM pg_catalog.pg_collation)
)";

/// For the rest of the transaction, where the connection is pgward's own. A second bolt: every operator is qualified.
pub(super) const PIN: &str = "SET LOCAL search_path = pg_catalog";

pub(super) const SETTINGS: &str = "
SELECT pg_catalog.current_database()::pg_catalog.text, session_user::pg_catalog.text,
 pg_catalog.current_setting('search_path'), pg_catalog.current_schemas(true)::pg_catalog.text[],
 pg_catalog.current_setting('server_version_num')::pg_catalog.int4,
 pg_catalog.array_to_string(pg_catalog.current_schemas(false), ', ')";

/// What a transaction of a session's has to say of itself.
pub(super) const WITHIN: &str = "
SELECT pg_catalog.current_schemas(true)::pg_catalog.text[], pg_catalog.current_setting('transaction_isolation')
WHERE $1::pg_catalog.oid IS NOT NULL";

/// All of them: that of `public` came with the server, and may be renamed all the same.
pub(super) const SCHEMAS: &str = "
SELECT oid, nspname::pg_catalog.text FROM pg_catalog.pg_namespace
WHERE nspname OPERATOR(pg_catalog.!~) '^pg_(toast$|temp_|toast_temp_)' AND $1::pg_catalog.oid IS NOT NULL";

pub(super) const RELATIONS: &str = "
SELECT c.oid, c.relnamespace, c.relname::pg_catalog.text, c.relkind::pg_catalog.text, c.reltype, i.indrelid,
 c.relkind OPERATOR(pg_catalog.=) 'v' AND EXISTS (SELECT FROM pg_catalog.pg_options_to_table(c.reloptions)
  WHERE option_name OPERATOR(pg_catalog.=) 'security_invoker' AND option_value::pg_catalog.bool)
FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_index i ON i.indexrelid OPERATOR(pg_catalog.=) c.oid
WHERE c.relpersistence OPERATOR(pg_catalog.<>) 't' AND c.relkind OPERATOR(pg_catalog.<>) 't'
 AND c.oid OPERATOR(pg_catalog.>=) $1";

pub(super) const COLUMNS: &str = "
SELECT a.attrelid, a.attnum, a.attname::pg_catalog.text, a.atttypid
FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) a.attrelid
WHERE a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped AND c.relpersistence OPERATOR(pg_catalog.<>) 't'
 AND c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,v,m,f,c,S}'::pg_catalog.\"char\"[])
 AND c.oid OPERATOR(pg_catalog.>=) $1
ORDER BY a.attrelid, a.attnum";

pub(super) const INHERITANCE: &str =
    "SELECT inhparent, inhrelid FROM pg_catalog.pg_inherits WHERE inhrelid OPERATOR(pg_catalog.>=) $1";

pub(super) const PARTITION_KEYS: &str = "
SELECT partrelid, partattrs::pg_catalog.int2[] FROM pg_catalog.pg_partitioned_table
WHERE partrelid OPERATOR(pg_catalog.>=) $1";

pub(super) const VIEW_RELATIONS: &str = "
SELECT DISTINCT r.ev_class, d.refobjid, d.refobjsubid
FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_depend d
  ON d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_rewrite'::pg_catalog.regclass
 AND d.objid OPERATOR(pg_catalog.=) r.oid
WHERE r.ev_type OPERATOR(pg_catalog.=) '1' AND r.ev_class OPERATOR(pg_catalog.>=) $1
 AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
 AND d.refobjid OPERATOR(pg_catalog.<>) r.ev_class";

/// The views whose definition holds a whole row as one value: of that, `pg_depend` tells the relation and no column.
pub(super) const VIEW_ROWS: &str = "
SELECT ev_class FROM pg_catalog.pg_rewrite
WHERE ev_type OPERATOR(pg_catalog.=) '1' AND ev_class OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
 AND ev_class OPERATOR(pg_catalog.>=) $1 AND ev_action::pg_catalog.text OPERATOR(pg_catalog.~) ':varattno 0 '";

pub(super) const VIEW_FUNCTIONS: &str = "
SELECT DISTINCT r.ev_class, coalesce(o.oprcode::pg_catalog.oid, d.refobjid)
FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_depend d
  ON d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_rewrite'::pg_catalog.regclass
 AND d.objid OPERATOR(pg_catalog.=) r.oid
LEFT JOIN pg_catalog.pg_operator o
  ON d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_operator'::pg_catalog.regclass
 AND o.oid OPERATOR(pg_catalog.=) d.refobjid
WHERE r.ev_type OPERATOR(pg_catalog.=) '1' AND r.ev_class OPERATOR(pg_catalog.>=) $1
 AND (o.oid IS NOT NULL OR d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass)";

pub(super) const TRIGGERS: &str = "
SELECT tgrelid, tgtype, tgfoid FROM pg_catalog.pg_trigger
WHERE NOT tgisinternal AND tgenabled OPERATOR(pg_catalog.<>) 'D' AND tgrelid OPERATOR(pg_catalog.>=) $1";

pub(super) const RULES: &str = "
SELECT DISTINCT ev_class, ev_type::pg_catalog.text FROM pg_catalog.pg_rewrite
WHERE ev_type OPERATOR(pg_catalog.<>) '1' AND ev_class OPERATOR(pg_catalog.>=) $1";

pub(super) const CASCADES: &str = "
SELECT confrelid, conrelid, confdeltype::pg_catalog.text, confupdtype::pg_catalog.text, confkey, conkey
FROM pg_catalog.pg_constraint
WHERE contype OPERATOR(pg_catalog.=) 'f' AND conrelid OPERATOR(pg_catalog.>=) $1
 AND (confdeltype OPERATOR(pg_catalog.=) ANY ('{c,n,d}'::pg_catalog.\"char\"[])
  OR confupdtype OPERATOR(pg_catalog.=) ANY ('{c,n,d}'::pg_catalog.\"char\"[]))";

pub(super) const DEFAULTS: &str = "
SELECT DISTINCT a.adrelid, coalesce(o.oprcode::pg_catalog.oid, d.refobjid)
FROM pg_catalog.pg_attrdef a JOIN pg_catalog.pg_depend d
  ON d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_attrdef'::pg_catalog.regclass
 AND d.objid OPERATOR(pg_catalog.=) a.oid
LEFT JOIN pg_catalog.pg_operator o
  ON d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_operator'::pg_catalog.regclass
 AND o.oid OPERATOR(pg_catalog.=) d.refobjid
WHERE a.adrelid OPERATOR(pg_catalog.>=) $1
 AND (o.oid IS NOT NULL OR d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass)";

pub(super) const DEFAULT_SEQUENCES: &str = "
SELECT DISTINCT a.adrelid, d.refobjid
FROM pg_catalog.pg_attrdef a JOIN pg_catalog.pg_depend d
  ON d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_attrdef'::pg_catalog.regclass
 AND d.objid OPERATOR(pg_catalog.=) a.oid
JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) d.refobjid AND c.relkind OPERATOR(pg_catalog.=) 'S'
WHERE d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
 AND a.adrelid OPERATOR(pg_catalog.>=) $1";

/// What CHECK constraints and index expressions call: PostgreSQL runs it with the rights of who writes the row.
pub(super) const WRITE_FUNCTIONS: &str = "
SELECT w.relation, coalesce(o.oprcode::pg_catalog.oid, d.refobjid)
FROM (
 SELECT conrelid, 'pg_catalog.pg_constraint'::pg_catalog.regclass, oid FROM pg_catalog.pg_constraint
 WHERE contype OPERATOR(pg_catalog.=) 'c' AND conrelid OPERATOR(pg_catalog.<>) 0::pg_catalog.oid
 UNION ALL
 SELECT indrelid, 'pg_catalog.pg_class'::pg_catalog.regclass, indexrelid FROM pg_catalog.pg_index
 WHERE indexprs IS NOT NULL OR indpred IS NOT NULL
) w (relation, class, object)
JOIN pg_catalog.pg_depend d
  ON d.classid OPERATOR(pg_catalog.=) w.class AND d.objid OPERATOR(pg_catalog.=) w.object
LEFT JOIN pg_catalog.pg_operator o
  ON d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_operator'::pg_catalog.regclass
 AND o.oid OPERATOR(pg_catalog.=) d.refobjid
WHERE w.relation OPERATOR(pg_catalog.>=) $1
 AND (o.oid IS NOT NULL OR d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass)";

pub(super) const FUNCTIONS: &str = "
SELECT oid, pronamespace, proname::pg_catalog.text, proargtypes::pg_catalog.oid[], provariadic, pronargdefaults,
 prokind::pg_catalog.text, prorettype, prosecdef, proallargtypes, proargmodes::pg_catalog.text[], proargnames
FROM pg_catalog.pg_proc WHERE oid OPERATOR(pg_catalog.>=) $1";

pub(super) const OPERATORS: &str = "
SELECT oprname::pg_catalog.text, oprnamespace, oprleft, oprright, oprresult, oprcode::pg_catalog.oid
FROM pg_catalog.pg_operator
WHERE oprcode::pg_catalog.oid OPERATOR(pg_catalog.<>) 0::pg_catalog.oid AND oid OPERATOR(pg_catalog.>=) $1";

pub(super) const CASTS: &str = "
SELECT castsource, casttarget, castfunc, castcontext::pg_catalog.text FROM pg_catalog.pg_cast
WHERE oid OPERATOR(pg_catalog.>=) $1";

pub(super) const TYPES: &str = "
SELECT t.oid, t.typnamespace, t.typname::pg_catalog.text, t.typtype::pg_catalog.text, t.typelem, t.typarray,
 t.typbasetype, t.typrelid, t.typcategory::pg_catalog.text, t.typispreferred, t.typinput::pg_catalog.oid,
 coalesce(r.rngcanonical::pg_catalog.oid, 0::pg_catalog.oid)
FROM pg_catalog.pg_type t LEFT JOIN pg_catalog.pg_range r ON r.rngtypid OPERATOR(pg_catalog.=) t.oid
WHERE t.oid OPERATOR(pg_catalog.>=) $1";

pub(super) const DOMAIN_CHECKS: &str = "
SELECT DISTINCT c.contypid, coalesce(o.oprcode::pg_catalog.oid, d.refobjid)
FROM pg_catalog.pg_constraint c JOIN pg_catalog.pg_depend d
  ON d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_constraint'::pg_catalog.regclass
 AND d.objid OPERATOR(pg_catalog.=) c.oid
LEFT JOIN pg_catalog.pg_operator o
  ON d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_operator'::pg_catalog.regclass
 AND o.oid OPERATOR(pg_catalog.=) d.refobjid
WHERE c.contypid OPERATOR(pg_catalog.<>) 0::pg_catalog.oid AND c.contypid OPERATOR(pg_catalog.>=) $1
 AND (o.oid IS NOT NULL OR d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass)";

pub(super) const COLLATIONS: &str = "
SELECT collname::pg_catalog.text, collnamespace FROM pg_catalog.pg_collation WHERE oid OPERATOR(pg_catalog.>=) $1";
