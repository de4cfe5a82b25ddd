-- Everything that bears on who reaches which relation of this database, as one JSON document.
WITH acls AS (
    SELECT 'database' AS of, d.oid, 0 AS place, a.grantee, a.privilege_type, a.grantor
    FROM pg_catalog.pg_database d,
         pg_catalog.aclexplode(coalesce(d.datacl, pg_catalog.acldefault('d', d.datdba))) a
    WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
    UNION ALL
    SELECT 'schema', n.oid, 0, a.grantee, a.privilege_type, a.grantor
    FROM pg_catalog.pg_namespace n,
         pg_catalog.aclexplode(coalesce(n.nspacl, pg_catalog.acldefault('n', n.nspowner))) a
    UNION ALL
    SELECT 'relation', c.oid, 0, a.grantee, a.privilege_type, a.grantor
    FROM pg_catalog.pg_class c,
         pg_catalog.aclexplode(coalesce(c.relacl, pg_catalog.acldefault('r', c.relowner))) a
    WHERE c.relkind OPERATOR(pg_catalog.=) ANY (ARRAY['r', 'p', 'v', 'm', 'f']::"char"[])
    UNION ALL
    SELECT 'column', t.attrelid, t.attnum, a.grantee, a.privilege_type, a.grantor
    FROM pg_catalog.pg_attribute t, pg_catalog.aclexplode(t.attacl) a
    WHERE NOT t.attisdropped
    UNION ALL
    SELECT 'function', p.oid, 0, a.grantee, a.privilege_type, a.grantor
    FROM pg_catalog.pg_proc p, pg_catalog.aclexplode(coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))) a
    WHERE p.prosecdef
    UNION ALL
    SELECT 'default', d.oid, 0, a.grantee, a.privilege_type, a.grantor
    FROM pg_catalog.pg_default_acl d, pg_catalog.aclexplode(d.defaclacl) a
), acl AS (
    SELECT of, oid, place,
           pg_catalog.json_agg(pg_catalog.json_build_object('grantee', grantee::pg_catalog.int8, 'privilege', privilege_type, 'grantor', grantor::pg_catalog.int8)) AS list
    FROM acls GROUP BY of, oid, place
), own AS (
    SELECT oid, nspname, nspowner FROM pg_catalog.pg_namespace
    WHERE nspname OPERATOR(pg_catalog.<>) ALL (ARRAY['pg_catalog', 'information_schema', 'pg_toast'])
      AND nspname OPERATOR(pg_catalog.!~) '^pg_(toast_)?temp_'
), roles AS (
    SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
        'oid', oid::pg_catalog.int8, 'name', rolname, 'superuser', rolsuper, 'inherit', rolinherit, 'create_role', rolcreaterole,
        'login', rolcanlogin, 'replication', rolreplication, 'bypass_rls', rolbypassrls,
        'expired', coalesce(rolvaliduntil OPERATOR(pg_catalog.<) pg_catalog.now(), false)) ORDER BY rolname) AS list
    FROM pg_catalog.pg_roles
), memberships AS (
    SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
        'role', m.roleid::pg_catalog.int8, 'member', m.member::pg_catalog.int8, 'grantor', m.grantor::pg_catalog.int8, 'admin', m.admin_option,
        'inherit', pg_catalog.to_jsonb(m) OPERATOR(pg_catalog.->) 'inherit_option',
        'set', pg_catalog.to_jsonb(m) OPERATOR(pg_catalog.->) 'set_option')) AS list
    FROM pg_catalog.pg_auth_members m
), schemas AS (
    SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
        'oid', n.oid::pg_catalog.int8, 'name', n.nspname, 'owner', n.nspowner::pg_catalog.int8,
        'acl', coalesce(acl.list, '[]'))) AS list
    FROM own n LEFT JOIN acl ON acl.of OPERATOR(pg_catalog.=) 'schema' AND acl.oid OPERATOR(pg_catalog.=) n.oid
), reads AS (
    SELECT r.ev_class AS view, pg_catalog.json_agg(DISTINCT d.refobjid::pg_catalog.int8) AS list
    FROM pg_catalog.pg_rewrite r
    JOIN pg_catalog.pg_depend d ON d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_rewrite'::pg_catalog.regclass
        AND d.objid OPERATOR(pg_catalog.=) r.oid
        AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
        AND d.refobjid OPERATOR(pg_catalog.<>) r.ev_class
    JOIN pg_catalog.pg_class v ON v.oid OPERATOR(pg_catalog.=) r.ev_class
        AND v.relkind OPERATOR(pg_catalog.=) ANY (ARRAY['v', 'm']::"char"[])
    GROUP BY r.ev_class
), parents AS (
    SELECT inhrelid, pg_catalog.json_agg(inhparent::pg_catalog.int8) AS list FROM pg_catalog.pg_inherits GROUP BY inhrelid
), columns AS (
    SELECT t.attrelid, pg_catalog.json_agg(pg_catalog.json_build_object('name', t.attname, 'acl', coalesce(acl.list, '[]'))
                                           ORDER BY t.attnum) AS list
    FROM pg_catalog.pg_attribute t
    LEFT JOIN acl ON acl.of OPERATOR(pg_catalog.=) 'column' AND acl.oid OPERATOR(pg_catalog.=) t.attrelid
        AND acl.place OPERATOR(pg_catalog.=) t.attnum
    WHERE t.attnum OPERATOR(pg_catalog.>) 0 AND NOT t.attisdropped GROUP BY t.attrelid
), relations AS (
    SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
        'oid', c.oid::pg_catalog.int8, 'schema', c.relnamespace::pg_catalog.int8, 'name', c.relname, 'kind', c.relkind,
        'owner', c.relowner::pg_catalog.int8, 'acl', coalesce(acl.list, '[]'), 'columns', coalesce(columns.list, '[]'),
        'row_security', c.relrowsecurity, 'forced', c.relforcerowsecurity, 'reads', coalesce(reads.list, '[]'),
        -- A boolean as somebody wrote it.
        'invoker', EXISTS (SELECT FROM pg_catalog.unnest(c.reloptions) o
            WHERE o OPERATOR(pg_catalog.~*) '^security_invoker=(t|tr|tru|true|on|y|ye|yes|1)$'),
        'parents', coalesce(parents.list, '[]'))) AS list
    FROM pg_catalog.pg_class c
    JOIN own ON own.oid OPERATOR(pg_catalog.=) c.relnamespace
    LEFT JOIN acl ON acl.of OPERATOR(pg_catalog.=) 'relation' AND acl.oid OPERATOR(pg_catalog.=) c.oid
    LEFT JOIN columns ON columns.attrelid OPERATOR(pg_catalog.=) c.oid
    LEFT JOIN reads ON reads.view OPERATOR(pg_catalog.=) c.oid
    LEFT JOIN parents ON parents.inhrelid OPERATOR(pg_catalog.=) c.oid
    WHERE c.relkind OPERATOR(pg_catalog.=) ANY (ARRAY['r', 'p', 'v', 'm', 'f']::"char"[])
), functions AS (
    SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
        'oid', p.oid::pg_catalog.int8, 'schema', p.pronamespace::pg_catalog.int8,
        'signature', pg_catalog.quote_ident(p.proname) OPERATOR(pg_catalog.||) '('
            OPERATOR(pg_catalog.||) pg_catalog.pg_get_function_identity_arguments(p.oid) OPERATOR(pg_catalog.||) ')',
        'owner', p.proowner::pg_catalog.int8, 'acl', coalesce(acl.list, '[]'))) AS list
    FROM pg_catalog.pg_proc p
    JOIN own ON own.oid OPERATOR(pg_catalog.=) p.pronamespace
    LEFT JOIN acl ON acl.of OPERATOR(pg_catalog.=) 'function' AND acl.oid OPERATOR(pg_catalog.=) p.oid
    -- Nobody calls a trigger's function.
    WHERE p.prosecdef AND p.prorettype <> ALL (ARRAY['trigger', 'event_trigger']::pg_catalog.regtype[])
), defaults AS (
    SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
        'role', d.defaclrole::pg_catalog.int8,
        'schema', nullif(d.defaclnamespace::pg_catalog.int8, 0), 'kind', d.defaclobjtype, 'acl', coalesce(acl.list, '[]'))) AS list
    FROM pg_catalog.pg_default_acl d
    LEFT JOIN acl ON acl.of OPERATOR(pg_catalog.=) 'default' AND acl.oid OPERATOR(pg_catalog.=) d.oid
)
SELECT pg_catalog.json_build_object(
    'database', pg_catalog.current_database(),
    'database_owner', d.datdba::pg_catalog.int8,
    'database_acl', coalesce((SELECT list FROM acl WHERE of OPERATOR(pg_catalog.=) 'database'), '[]'),
    'version', pg_catalog.current_setting('server_version_num')::pg_catalog.int8,
    'roles', coalesce((SELECT list FROM roles), '[]'), 'memberships', coalesce((SELECT list FROM memberships), '[]'),
    'schemas', coalesce((SELECT list FROM schemas), '[]'), 'relations', coalesce((SELECT list FROM relations), '[]'),
    'functions', coalesce((SELECT list FROM functions), '[]'), 'defaults', coalesce((SELECT list FROM defaults), '[]')
)::pg_catalog.text
FROM pg_catalog.pg_database d WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database();
