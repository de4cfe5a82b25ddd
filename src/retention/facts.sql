-- Tables, their keys, their foreign keys and partitions, as one JSON document. Read by any role: it is in catalogs that everybody reads.
WITH usable AS (
    SELECT c.oid, n.nspname, c.relname, c.relkind, c.relowner, c.relispartition, c.relrowsecurity, c.reltuples
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't'
      AND n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema'
), base AS (
    -- What a domain is over, however deep.
    WITH RECURSIVE down AS (
        SELECT t.oid AS top, t.oid, t.typtype, t.typbasetype FROM pg_type t
        UNION ALL
        SELECT d.top, t.oid, t.typtype, t.typbasetype FROM down d JOIN pg_type t ON t.oid = d.typbasetype
        WHERE d.typtype = 'd'
    )
    SELECT top, oid AS base FROM down WHERE typtype <> 'd'
), keyed AS (
    -- One unique index for each table that names a row: its primary key, or else one on columns that are never null.
    SELECT DISTINCT ON (i.indrelid) i.indrelid,
        ARRAY(SELECT a.attname::text FROM unnest(i.indkey::int2[]) WITH ORDINALITY k(num, place)
              JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.num
              WHERE k.place <= i.indnkeyatts ORDER BY k.place) AS columns
    FROM pg_index i
    WHERE i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL
      AND NOT EXISTS (SELECT FROM unnest(i.indkey::int2[]) WITH ORDINALITY k(num, place)
                      JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.num
                      WHERE k.place <= i.indnkeyatts AND NOT a.attnotnull)
    ORDER BY i.indrelid, i.indisprimary DESC, i.indnkeyatts, i.indexrelid
), unique_columns AS (
    SELECT i.indrelid, array_agg(DISTINCT a.attname::text) AS columns
    FROM pg_index i CROSS JOIN unnest(i.indkey::int2[]) k(num)
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.num
    WHERE i.indisunique GROUP BY i.indrelid
), btrees AS (
    -- With which columns, in which order, some index begins that is there for every row.
    SELECT i.indrelid, jsonb_agg(DISTINCT to_jsonb(ARRAY(
        SELECT a.attname::text FROM unnest(i.indkey::int2[]) WITH ORDINALITY k(num, place)
        JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.num
        WHERE k.place <= i.indnkeyatts ORDER BY k.place))) AS indexes
    FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam
    WHERE i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL AND m.amname = 'btree'
    GROUP BY i.indrelid
)
SELECT jsonb_build_object(
    'tables', (SELECT coalesce(jsonb_agg(jsonb_build_object(
        'oid', u.oid::bigint, 'schema', u.nspname, 'name', u.relname, 'kind', u.relkind, 'estimate', u.reltuples,
        'is_partition', u.relispartition, 'row_security', u.relrowsecurity,
        'owned', pg_has_role(u.relowner, 'USAGE'),
        'may', (SELECT coalesce(jsonb_agg(p), '[]') FROM unnest(ARRAY['SELECT', 'UPDATE', 'DELETE']) p
                WHERE has_table_privilege(u.oid, p)),
        'inherits', NOT u.relispartition AND u.relkind = 'r' AND EXISTS (
            SELECT FROM pg_inherits h WHERE h.inhparent = u.oid OR h.inhrelid = u.oid),
        'partitioned_by', (SELECT a.attname FROM pg_partitioned_table p
            JOIN pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = p.partattrs[0]
            WHERE p.partrelid = u.oid AND p.partstrat = 'r' AND p.partnatts = 1),
        'partitions', (SELECT coalesce(jsonb_agg(jsonb_build_object(
                'schema', pn.nspname, 'name', pc.relname, 'owned', pg_has_role(pc.relowner, 'USAGE'),
                'bound', pg_get_expr(pc.relpartbound, pc.oid)) ORDER BY pn.nspname, pc.relname), '[]')
            FROM pg_inherits h JOIN pg_class pc ON pc.oid = h.inhrelid JOIN pg_namespace pn ON pn.oid = pc.relnamespace
            WHERE h.inhparent = u.oid AND u.relkind = 'p'),
        'key', (SELECT to_jsonb(k.columns) FROM keyed k WHERE k.indrelid = u.oid),
        'unique_columns', (SELECT to_jsonb(k.columns) FROM unique_columns k WHERE k.indrelid = u.oid),
        'indexes', (SELECT l.indexes FROM btrees l WHERE l.indrelid = u.oid),
        'columns', (SELECT jsonb_agg(jsonb_build_object(
                'name', a.attname, 'type', format_type(a.atttypid, a.atttypmod), 'base', format_type(b.base, NULL),
                'not_null', a.attnotnull OR t.typnotnull, 'generated', a.attgenerated <> '' OR a.attidentity = 'a',
                'default', pg_get_expr(d.adbin, d.adrelid)) ORDER BY a.attnum)
            FROM pg_attribute a JOIN base b ON b.top = a.atttypid JOIN pg_type t ON t.oid = a.atttypid
            LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
            WHERE a.attrelid = u.oid AND a.attnum > 0 AND NOT a.attisdropped)
    )), '[]') FROM usable u),
    'foreign_keys', (SELECT coalesce(jsonb_agg(jsonb_build_object(
        'name', f.conname, 'child', f.conrelid::bigint, 'parent', f.confrelid::bigint, 'on_delete', f.confdeltype,
        'child_columns', ARRAY(SELECT a.attname::text FROM unnest(f.conkey) WITH ORDINALITY k(num, place)
            JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.num ORDER BY k.place),
        'parent_columns', ARRAY(SELECT a.attname::text FROM unnest(f.confkey) WITH ORDINALITY k(num, place)
            JOIN pg_attribute a ON a.attrelid = f.confrelid AND a.attnum = k.num ORDER BY k.place)
        ) ORDER BY f.conname, f.oid), '[]')
        FROM pg_constraint f WHERE f.contype = 'f' AND f.conparentid = 0)
)::text
