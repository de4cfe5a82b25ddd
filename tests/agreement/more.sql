-- What the agreement test adds to the policy world: the kinds of objects that it lacks.
SET client_min_messages = warning;
CREATE SCHEMA app;
CREATE SCHEMA build;
CREATE TABLE public.a_name_that_is_exactly_as_long_as_postgresql_lets_a_name_be_123 (id int, note text, secret text);
CREATE TABLE public."Mixed Case" (id int, "Note" text, secret text);
CREATE TYPE app.address AS (street text, zip text);
CREATE TABLE app.people (id int PRIMARY KEY, name text, home app.address, age int DEFAULT 3,
  doubled int GENERATED ALWAYS AS (age * 2) STORED, secret text, UNIQUE (name));
INSERT INTO app.people (id, name, home, secret) SELECT g, 'person ' || g, ROW('street', 'zip')::app.address, 'CANARY' FROM generate_series(1, 4) g;
CREATE TABLE app.staff (badge int, payload jsonb) INHERITS (app.people);
CREATE TABLE app.parts (id int, region text, amount numeric, note text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE app.parts_a PARTITION OF app.parts FOR VALUES IN ('a') PARTITION BY RANGE (id);
CREATE TABLE app.parts_a_low PARTITION OF app.parts_a FOR VALUES FROM (0) TO (100);
CREATE TABLE app.parts_a_high PARTITION OF app.parts_a FOR VALUES FROM (100) TO (1000);
CREATE TABLE app.parts_rest PARTITION OF app.parts DEFAULT;
INSERT INTO app.parts SELECT g, CASE WHEN g % 2 = 0 THEN 'a' ELSE 'b' END, g, 'note' FROM generate_series(1, 120, 17) g;
CREATE VIEW app.v_people AS SELECT id, name, secret FROM app.people;
CREATE VIEW app.v_invoker WITH (security_invoker) AS SELECT id, name FROM app.people;
CREATE VIEW app.v_invoker_rows WITH (security_invoker) AS SELECT p.id, p AS person FROM app.people p;
CREATE VIEW app.v_nested AS SELECT i.id, i.name FROM app.v_invoker i;
CREATE VIEW app.v_barrier WITH (security_barrier) AS SELECT id, name, age FROM app.people WHERE age > 1;
CREATE TABLE build.staging (id int PRIMARY KEY, note text, amount numeric);
CREATE TABLE build.spare (id int, note text);
CREATE INDEX staging_note ON build.staging (note);
CREATE VIEW build.v_staging AS SELECT id, note FROM build.staging;
CREATE SEQUENCE build.counter;
ANALYZE;
