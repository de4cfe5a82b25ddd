-- What the captured clients found in their database, as far as their statements tell.
CREATE SCHEMA sales;
CREATE SCHEMA hr;
CREATE TABLE public.customers (id bigserial PRIMARY KEY, name text, email text, region text, ssn text, balance numeric,
  meta jsonb, tags text[], addr text, created timestamptz);
CREATE TYPE sales.status AS ENUM ('new', 'paid');
CREATE TABLE sales.orders (id bigserial PRIMARY KEY, customer_id bigint REFERENCES public.customers, st sales.status,
  total numeric, placed timestamptz, note text GENERATED ALWAYS AS ('x') STORED);
CREATE TABLE sales.events (id bigint, ts timestamptz, payload jsonb) PARTITION BY RANGE (ts);
CREATE TABLE sales.events_2025 PARTITION OF sales.events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE sales.events_def PARTITION OF sales.events DEFAULT;
CREATE UNLOGGED TABLE sales.ul (x int);
CREATE SEQUENCE sales.sq;
CREATE MATERIALIZED VIEW sales.mv AS SELECT id FROM sales.orders;
CREATE TABLE hr.emp (id int PRIMARY KEY, mgr int REFERENCES hr.emp, name text, salary numeric, during tstzrange);
CREATE TABLE hr.contractor (rate numeric) INHERITS (hr.emp);
CREATE TABLE public.datdba_only ();
CREATE TABLE public.vacuum_l (lo oid);

-- What clients renamed to, or made in ways that are not replayed.
ALTER TABLE sales.orders ADD COLUMN tsv tsvector;
CREATE FUNCTION sales.f(int, int) RETURNS int LANGUAGE sql AS 'SELECT $1';
CREATE TABLE public.typeorm_metadata (type varchar, database varchar, schema varchar, "table" varchar, name varchar, value text);
CREATE TABLE public.al_t2 (id int, xx text, y int);
CREATE TABLE public.app_label2 (id bigint PRIMARY KEY, label varchar(50));
CREATE TABLE public.kn_c2 (id bigserial PRIMARY KEY, t_id int);
CREATE TYPE public."enum_SqAs_e" AS ENUM ('x', 'y');
