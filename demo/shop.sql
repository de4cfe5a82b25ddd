-- The demo's database: a shop with orders, customers with personal data, and an `eu` schema whose rows must stay there.
\set ON_ERROR_STOP 1
CREATE ROLE pgward LOGIN PASSWORD :'password';
CREATE DATABASE shop OWNER pgward;
\connect shop
SET ROLE pgward;
CREATE SCHEMA eu;

CREATE TABLE public.products (id int PRIMARY KEY, name text NOT NULL, price numeric(10,2) NOT NULL);
INSERT INTO public.products VALUES
  (1, 'Kettle', 39.90), (2, 'Teapot', 24.50), (3, 'Cup', 7.20), (4, 'Darjeeling 250 g', 12.80), (5, 'Assam 250 g', 11.40);

CREATE TABLE public.customers (id int PRIMARY KEY, name text NOT NULL, email text NOT NULL, ssn text NOT NULL, country text NOT NULL);
INSERT INTO public.customers
SELECT g, 'Customer ' || g, 'customer' || g || '@example.com', lpad((g * 7919 % 1000000000)::text, 9, '0'), (ARRAY['US', 'CA', 'MX'])[1 + g % 3]
FROM generate_series(1, 200) g;

CREATE TABLE public.orders (
  id int PRIMARY KEY, customer_id int NOT NULL REFERENCES public.customers(id), product_id int NOT NULL REFERENCES public.products(id),
  quantity int NOT NULL, status text NOT NULL, created_at timestamptz NOT NULL);
INSERT INTO public.orders
SELECT g, 1 + g % 200, 1 + g % 5, 1 + g % 4, (ARRAY['new', 'paid', 'sent'])[1 + g % 3], timestamptz '2026-01-01' + g * interval '37 minutes'
FROM generate_series(1, 5000) g;

CREATE FUNCTION public.order_count() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM public.orders';

CREATE TABLE eu.customers (id int PRIMARY KEY, name text NOT NULL, email text NOT NULL, country text NOT NULL);
INSERT INTO eu.customers
SELECT g, 'Kunde ' || g, 'kunde' || g || '@example.eu', (ARRAY['DE', 'FR', 'ES'])[1 + g % 3] FROM generate_series(1, 50) g;
