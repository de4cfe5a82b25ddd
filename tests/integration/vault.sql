-- Database "vault": what short-lived roles are tried on. Its broker is no superuser and owns nothing.
CREATE ROLE vault_owner;
CREATE ROLE vault_broker LOGIN CREATEROLE PASSWORD 'pgw_admin_pw';
CREATE ROLE vault_nobody LOGIN PASSWORD 'pgw_admin_pw';
CREATE SCHEMA app AUTHORIZATION vault_owner;
CREATE SCHEMA hidden AUTHORIZATION vault_owner;
SET ROLE vault_owner;
CREATE FUNCTION app.order_code(int) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT md5($1::text)';
CREATE FUNCTION app.is_amount(int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 >= 0';
CREATE TABLE app.orders (
 id serial PRIMARY KEY, amount int NOT NULL CHECK (app.is_amount(amount)), code text NOT NULL DEFAULT app.order_code(1));
CREATE TABLE app.people (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, email text NOT NULL DEFAULT 'x');
CREATE TABLE app.secrets (id int, body text);
CREATE TABLE hidden.more (id int);
INSERT INTO app.orders (amount) SELECT generate_series(1, 10);
INSERT INTO app.people (name) VALUES ('ann'), ('ben');
CREATE VIEW app.v_orders AS SELECT id, amount FROM app.orders;
CREATE TABLE app.parts (id int, amount int) PARTITION BY RANGE (id);
CREATE TABLE hidden.part (id int, amount int CHECK (app.is_amount(amount)));
ALTER TABLE app.parts ATTACH PARTITION hidden.part FOR VALUES FROM (0) TO (10);
CREATE FUNCTION app.order_count() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM app.orders';
CREATE FUNCTION app.secret_count() RETURNS bigint LANGUAGE sql STABLE SECURITY DEFINER AS 'SELECT count(*) FROM app.secrets';
RESET ROLE;
REVOKE TEMPORARY ON DATABASE vault FROM PUBLIC;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
REVOKE EXECUTE ON ALL ROUTINES IN SCHEMA app FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA app TO vault_broker WITH GRANT OPTION;
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES ON ALL TABLES IN SCHEMA app TO vault_broker WITH GRANT OPTION;
GRANT SELECT, UPDATE, USAGE ON ALL SEQUENCES IN SCHEMA app TO vault_broker WITH GRANT OPTION;
GRANT EXECUTE ON ALL ROUTINES IN SCHEMA app TO vault_broker WITH GRANT OPTION;
ALTER DEFAULT PRIVILEGES FOR ROLE vault_owner IN SCHEMA app
 GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES ON TABLES TO vault_broker WITH GRANT OPTION;
