-- Standing access of every kind, each with what is to be found: `-- expect ROLE RELATION PATH`. Nobody else reaches anything.
CREATE ROLE owners NOLOGIN;
CREATE ROLE readers NOLOGIN;
CREATE ROLE writers NOLOGIN;
CREATE ROLE hidden_root NOLOGIN SUPERUSER;
REVOKE CONNECT ON DATABASE standing FROM PUBLIC;
CREATE ROLE can_connect NOLOGIN;
GRANT CONNECT ON DATABASE standing TO can_connect;
CREATE SCHEMA app AUTHORIZATION owners;
CREATE SCHEMA shut AUTHORIZATION owners;
CREATE SCHEMA open AUTHORIZATION owners;
GRANT USAGE ON SCHEMA open TO PUBLIC;
SET ROLE owners;
CREATE TABLE app.people (id int, name text, email text);
CREATE TABLE app.orders (id int, total numeric);
CREATE TABLE app.rows (id int, whose name);
ALTER TABLE app.rows ENABLE ROW LEVEL SECURITY;
CREATE TABLE app.parted (id int, at date) PARTITION BY RANGE (at);
CREATE TABLE app.parted_2026 PARTITION OF app.parted FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE app.parent (id int);
CREATE TABLE app.child (extra text) INHERITS (app.parent);
CREATE TABLE shut.secrets (id int);
CREATE TABLE open.notices (id int);
CREATE TABLE open.mine (id int);
RESET ROLE;

-- 1. a plain privilege
CREATE ROLE plain LOGIN IN ROLE can_connect;
GRANT USAGE ON SCHEMA app TO plain; GRANT SELECT ON app.people TO plain;
-- expect plain app.people privilege
-- 2. without USAGE on the schema it is nothing
CREATE ROLE no_usage LOGIN IN ROLE can_connect;
GRANT SELECT ON app.people TO no_usage;
-- 3. columns alone
CREATE ROLE some_columns LOGIN IN ROLE can_connect;
GRANT USAGE ON SCHEMA app TO some_columns; GRANT SELECT (name) ON app.people TO some_columns;
-- expect some_columns app.people privilege
-- 4. writing alone
CREATE ROLE only_writes LOGIN IN ROLE can_connect;
GRANT USAGE ON SCHEMA app TO only_writes; GRANT INSERT, TRUNCATE ON app.orders TO only_writes;
-- expect only_writes app.orders privilege
-- 5. REFERENCES and TRIGGER read nothing
CREATE ROLE refers LOGIN IN ROLE can_connect;
GRANT USAGE ON SCHEMA app TO refers; GRANT REFERENCES, TRIGGER ON app.people TO refers;
-- 6. a group
GRANT USAGE ON SCHEMA app TO readers; GRANT SELECT ON app.orders TO readers;
CREATE ROLE member LOGIN IN ROLE can_connect, readers;
-- expect member app.orders privilege
-- 7. a chain of three
CREATE ROLE middle NOLOGIN IN ROLE readers; CREATE ROLE outer_group NOLOGIN IN ROLE middle;
CREATE ROLE chained LOGIN IN ROLE can_connect, outer_group;
-- expect chained app.orders privilege
-- 8. a member that does not inherit becomes it by SET ROLE; and may connect by itself
CREATE ROLE sets LOGIN NOINHERIT IN ROLE readers; GRANT CONNECT ON DATABASE standing TO sets;
-- expect sets app.orders privilege
-- 9. one that neither inherits nor may connect
CREATE ROLE shut_out LOGIN NOINHERIT IN ROLE readers, can_connect;
-- 10. the owner
CREATE ROLE table_owner LOGIN IN ROLE can_connect;
ALTER TABLE open.mine OWNER TO table_owner;
-- expect table_owner open.mine owner
-- 11. a member of the owner
CREATE ROLE of_owners LOGIN IN ROLE can_connect, owners;
-- expect of_owners app.people owner
-- expect of_owners app.orders owner
-- expect of_owners app.rows owner
-- expect of_owners app.parted owner
-- expect of_owners app.parted_2026 owner
-- expect of_owners app.parent owner
-- expect of_owners app.child owner
-- expect of_owners shut.secrets owner
-- expect of_owners open.notices owner
-- expect of_owners shut.secrets privilege
-- 12. PUBLIC, for all who may connect
GRANT SELECT ON open.notices TO PUBLIC;
-- expect-all open.notices privilege
-- 13. PUBLIC on a table in a schema that is shut
GRANT SELECT ON shut.secrets TO PUBLIC;
-- 14. a superuser, whom nothing stops, not even CONNECT
CREATE ROLE root LOGIN SUPERUSER;
-- expect-everything root superuser
-- 15. a superuser behind SET ROLE, who passes nothing on by inheritance
CREATE ROLE becomes_root LOGIN IN ROLE can_connect, hidden_root;
-- expect-everything becomes_root superuser
-- 16. pg_read_all_data
CREATE ROLE reads_all LOGIN IN ROLE can_connect, pg_read_all_data;
-- expect-everything reads_all alldata
-- expect reads_all shut.secrets privilege
-- 17. pg_write_all_data
CREATE ROLE writes_all LOGIN IN ROLE can_connect, pg_write_all_data;
-- expect-everything writes_all alldata
-- expect writes_all shut.secrets privilege
-- 18. the server's files
CREATE ROLE files LOGIN IN ROLE can_connect, pg_read_server_files;
-- expect-everything files server
-- 19. the server's programs, through a group
CREATE ROLE ops NOLOGIN IN ROLE pg_execute_server_program;
CREATE ROLE programs LOGIN IN ROLE can_connect, ops;
-- expect-everything programs server
-- 20. replication
CREATE ROLE copies LOGIN REPLICATION IN ROLE can_connect;
-- expect-everything copies replication
-- 21. a view with its owner's rights
SET ROLE owners; CREATE VIEW open.v_people AS SELECT name FROM app.people; RESET ROLE;
CREATE ROLE by_view LOGIN IN ROLE can_connect;
GRANT SELECT ON open.v_people TO by_view;
-- expect by_view app.people view
-- 22. a view upon a view
SET ROLE owners; CREATE VIEW open.v_names AS SELECT name FROM open.v_people; RESET ROLE;
CREATE ROLE by_views LOGIN IN ROLE can_connect;
GRANT SELECT ON open.v_names TO by_views;
-- expect by_views app.people view
-- 23. a view that reads with the rights of whoever asks shows nothing
SET ROLE owners; CREATE VIEW open.v_asks WITH (security_invoker = true) AS SELECT * FROM app.orders; RESET ROLE;
CREATE ROLE by_invoker LOGIN IN ROLE can_connect;
GRANT SELECT ON open.v_asks TO by_invoker;
-- 24. a materialized view holds a copy
SET ROLE owners; CREATE MATERIALIZED VIEW open.m_orders AS SELECT * FROM app.orders; RESET ROLE;
CREATE ROLE by_copy LOGIN IN ROLE can_connect;
GRANT SELECT ON open.m_orders TO by_copy;
-- expect by_copy app.orders view
-- 25. a view shows what its owner may read, here what everybody may, though nobody may look into the schema
CREATE ROLE poor_owner NOLOGIN;
SET ROLE owners; CREATE VIEW open.v_dead AS SELECT * FROM shut.secrets; RESET ROLE;
ALTER VIEW open.v_dead OWNER TO poor_owner;
CREATE ROLE by_dead LOGIN IN ROLE can_connect;
GRANT SELECT ON open.v_dead TO by_dead;
-- expect by_dead shut.secrets view
-- 26. a function with its owner's rights
CREATE FUNCTION open.peek() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM shut.secrets';
CREATE ROLE lender NOLOGIN; GRANT USAGE ON SCHEMA shut TO lender; 
ALTER FUNCTION open.peek() OWNER TO lender;
REVOKE EXECUTE ON FUNCTION open.peek() FROM PUBLIC;
CREATE ROLE by_function LOGIN IN ROLE can_connect;
GRANT EXECUTE ON FUNCTION open.peek() TO by_function;
-- expect by_function shut.secrets definer
-- expect by_function open.notices definer
-- 27. a privilege on a partitioned table opens its partitions
CREATE ROLE by_parent LOGIN IN ROLE can_connect;
GRANT USAGE ON SCHEMA app TO by_parent; GRANT SELECT ON app.parted TO by_parent;
-- expect by_parent app.parted privilege
-- expect by_parent app.parted_2026 parent
-- 28. and one on a table that others inherit from
CREATE ROLE by_ancestor LOGIN IN ROLE can_connect;
GRANT USAGE ON SCHEMA app TO by_ancestor; GRANT SELECT ON app.parent TO by_ancestor;
-- expect by_ancestor app.parent privilege
-- expect by_ancestor app.child parent
-- 29. row security leaves some rows, but not to who bypasses it
CREATE ROLE some_rows LOGIN IN ROLE can_connect; GRANT USAGE ON SCHEMA app TO some_rows; GRANT SELECT ON app.rows TO some_rows;
CREATE ROLE all_rows LOGIN BYPASSRLS IN ROLE can_connect; GRANT USAGE ON SCHEMA app TO all_rows; GRANT SELECT ON app.rows TO all_rows;
-- expect some_rows app.rows privilege some-rows
-- expect all_rows app.rows privilege
-- 30. a role whose password is no longer good, which other ways to log in do not ask for; and one that cannot log in
CREATE ROLE expired LOGIN IN ROLE can_connect, readers VALID UNTIL '2020-01-01';
CREATE ROLE asleep NOLOGIN IN ROLE can_connect, readers;
-- expect expired app.orders privilege
-- 31. CREATEROLE, before 16
CREATE ROLE makes_roles LOGIN CREATEROLE IN ROLE can_connect;
-- expect-everything-before-16 makes_roles createrole
-- 32. ADMIN OPTION without inheriting
CREATE ROLE admins LOGIN NOINHERIT; GRANT CONNECT ON DATABASE standing TO admins;
GRANT readers TO admins WITH ADMIN OPTION;
-- expect admins app.orders privilege
-- 33. what others will be given on tables to come
ALTER DEFAULT PRIVILEGES FOR ROLE owners IN SCHEMA app GRANT SELECT ON TABLES TO readers;
ALTER DEFAULT PRIVILEGES FOR ROLE owners GRANT ALL ON TABLES TO writers;
-- expect-future owners app readers
-- expect-future owners - writers
-- 34. a part in a schema that is shut, of a whole in one that is open
SET ROLE owners;
CREATE TABLE open.whole (id int) PARTITION BY LIST (id); CREATE TABLE shut.part PARTITION OF open.whole FOR VALUES IN (1);
RESET ROLE;
CREATE ROLE by_whole LOGIN IN ROLE can_connect;
GRANT SELECT ON open.whole TO by_whole;
-- expect by_whole open.whole privilege
-- expect by_whole shut.part parent
-- 35. one column of the whole
CREATE ROLE by_column LOGIN IN ROLE can_connect;
GRANT SELECT (id) ON open.whole TO by_column;
-- expect by_column open.whole privilege
-- expect by_column shut.part parent
-- 36. a view of which one column is given, and one that is only written through
SET ROLE owners; CREATE TABLE shut.seen (id int); CREATE VIEW open.v_seen AS SELECT id FROM shut.seen; RESET ROLE;
CREATE ROLE by_view_column LOGIN IN ROLE can_connect; GRANT SELECT (id) ON open.v_seen TO by_view_column;
-- expect by_view_column shut.seen view
CREATE ROLE by_view_write LOGIN IN ROLE can_connect; GRANT INSERT ON open.v_seen TO by_view_write;
-- expect by_view_write shut.seen view
-- 37. a view whose owner may not look into the schema any more: it has found its table already
CREATE ROLE view_maker NOLOGIN; GRANT USAGE ON SCHEMA shut TO view_maker; GRANT CREATE, USAGE ON SCHEMA open TO view_maker;
SET ROLE owners; CREATE TABLE shut.found (id int); GRANT SELECT ON shut.found TO view_maker; RESET ROLE;
SET ROLE view_maker; CREATE VIEW open.v_found AS SELECT * FROM shut.found; RESET ROLE;
REVOKE USAGE ON SCHEMA shut FROM view_maker;
CREATE ROLE by_found LOGIN IN ROLE can_connect; GRANT SELECT ON open.v_found TO by_found;
-- expect by_found shut.found view
-- 38. a privilege that somebody passed on, by an option to
CREATE ROLE passes_on LOGIN IN ROLE can_connect;
SET ROLE owners; CREATE TABLE open.passed (id int); GRANT SELECT ON open.passed TO passes_on WITH GRANT OPTION; RESET ROLE;
-- expect passes_on open.passed privilege
CREATE ROLE has_passed LOGIN IN ROLE can_connect;
SET ROLE passes_on; GRANT SELECT ON open.passed TO has_passed; RESET ROLE;
-- expect has_passed open.passed privilege
-- 39. a procedure that runs as its owner
CREATE ROLE proc_maker NOLOGIN; GRANT CREATE, USAGE ON SCHEMA open TO proc_maker; GRANT USAGE ON SCHEMA shut TO proc_maker;
SET ROLE owners; CREATE TABLE shut.done (id int); GRANT SELECT, INSERT ON shut.done TO proc_maker; RESET ROLE;
SET ROLE proc_maker;
CREATE PROCEDURE open.does() LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN INSERT INTO shut.done VALUES (1); END';
REVOKE EXECUTE ON PROCEDURE open.does() FROM PUBLIC; RESET ROLE;
CREATE ROLE by_procedure LOGIN IN ROLE can_connect; GRANT EXECUTE ON PROCEDURE open.does() TO by_procedure;
-- expect by_procedure shut.done definer
-- expect by_procedure open.notices definer
-- expect by_procedure shut.secrets definer
-- 40. a trigger's function is nobody's to call
SET ROLE owners;
CREATE FUNCTION open.fires() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN RETURN NEW; END'; RESET ROLE;
-- expect of_owners open.passed owner
-- expect of_owners open.whole owner
-- expect of_owners shut.done owner
-- expect of_owners shut.found owner
-- expect of_owners shut.part owner
-- expect of_owners shut.seen owner
-- 41. a view whose owner may read nothing of it shows nothing
SET ROLE owners; CREATE VIEW open.v_poor AS SELECT * FROM app.orders; RESET ROLE;
ALTER VIEW open.v_poor OWNER TO poor_owner;
CREATE ROLE by_poor LOGIN IN ROLE can_connect; GRANT SELECT ON open.v_poor TO by_poor;
