-- Twenty tables whose rows are of all ages, with foreign keys of every kind, partitions and rows that are to be held.
-- `n` in the table `size` says how many rows there are in all, more or less.

CREATE TABLE customers (id bigint PRIMARY KEY, email text UNIQUE NOT NULL, name text NOT NULL, phone text, postcode text, closed_at timestamptz);
CREATE TABLE addresses (id bigint PRIMARY KEY, customer_id bigint NOT NULL REFERENCES customers ON DELETE CASCADE, street text);
CREATE TABLE devices (id bigint PRIMARY KEY, customer_id bigint REFERENCES customers ON DELETE SET NULL, seen_at timestamptz);
CREATE TABLE orders (id bigint PRIMARY KEY, customer_id bigint NOT NULL REFERENCES customers, status text NOT NULL, placed_at timestamptz);
CREATE TABLE order_items (id bigint PRIMARY KEY, order_id bigint NOT NULL REFERENCES orders ON DELETE CASCADE, amount int NOT NULL);
CREATE TABLE item_notes (id bigint PRIMARY KEY, item_id bigint NOT NULL REFERENCES order_items ON DELETE CASCADE, body text);
CREATE TABLE payments (id bigint PRIMARY KEY, order_id bigint NOT NULL REFERENCES orders, paid_at timestamptz NOT NULL);
CREATE TABLE refunds (id bigint PRIMARY KEY, payment_id bigint NOT NULL REFERENCES payments ON DELETE CASCADE);
CREATE TABLE shipments (id bigint PRIMARY KEY, order_id bigint REFERENCES orders ON DELETE SET NULL, sent_at timestamptz);
CREATE TABLE invoices (id bigint PRIMARY KEY, order_id bigint NOT NULL REFERENCES orders ON DELETE RESTRICT);
CREATE TABLE logs (id bigint PRIMARY KEY, line text, at timestamp NOT NULL);
CREATE TABLE visits (id uuid PRIMARY KEY, on_day date NOT NULL);
CREATE TABLE messages (room int, seq int, body text, sent_at timestamptz NOT NULL, PRIMARY KEY (room, seq));
CREATE TABLE attachments (id bigint PRIMARY KEY, room int, seq int, FOREIGN KEY (room, seq) REFERENCES messages ON DELETE CASCADE);
CREATE TABLE tickets (id bigint PRIMARY KEY, state text, opened_at timestamptz NOT NULL);
CREATE TABLE comments (id bigint PRIMARY KEY, ticket_id bigint NOT NULL REFERENCES tickets ON DELETE CASCADE, secret boolean NOT NULL);
CREATE TABLE trail (id bigint PRIMARY KEY, at timestamptz NOT NULL);
CREATE TABLE events (id bigint, at timestamptz NOT NULL, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE clicks (id bigint, at timestamptz NOT NULL, who int NOT NULL, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE "Odd ""Name" (id bigint PRIMARY KEY, "at when" timestamptz NOT NULL);

-- One month each, three years back and two ahead.
DO $$
DECLARE month timestamptz; parent text;
BEGIN
    FOREACH parent IN ARRAY ARRAY['events', 'clicks'] LOOP
        FOR back IN -2..36 LOOP
            month := date_trunc('month', now()) - make_interval(months => back);
            EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)',
                parent || '_' || to_char(month, 'YYYY_MM'), parent, month, month + interval '1 month');
        END LOOP;
    END LOOP;
END $$;

-- Ages are spread evenly over three years, the same with each run.
CREATE FUNCTION age_of(i bigint) RETURNS interval LANGUAGE sql IMMUTABLE
    RETURN make_interval(secs => ((i * 7919) % 100000) * 946.08);

INSERT INTO customers SELECT i, 'c' || i || '@example.com', 'Customer ' || i, '+49 ' || i, 'D-' || i, CASE WHEN i % 4 = 0 THEN now() - age_of(i) END
    FROM size, generate_series(1, n / 20) i;
INSERT INTO addresses SELECT i, i, 'Street ' || i FROM size, generate_series(1, n / 20) i;
INSERT INTO devices SELECT i, 1 + i % (n / 20), now() FROM size, generate_series(1, n / 40) i;
INSERT INTO orders SELECT i, 1 + i % (n / 20), CASE WHEN i % 5 = 0 THEN 'open' ELSE 'closed' END, CASE WHEN i % 1000 <> 0 THEN now() - age_of(i) END
    FROM size, generate_series(1, n / 10) i;
INSERT INTO order_items SELECT i, 1 + i % (n / 10), i % 100 FROM size, generate_series(1, n / 5) i;
INSERT INTO item_notes SELECT i, 1 + i % (n / 5), 'note' FROM size, generate_series(1, n / 50) i;
-- Paid soon after it was placed, but for one in fifty that is paid now: that keeps its order.
INSERT INTO payments SELECT i, i, CASE WHEN i % 50 = 0 THEN now() ELSE coalesce(placed_at, now()) + interval '1 hour' END
    FROM size CROSS JOIN generate_series(1, n / 20) i JOIN orders o ON o.id = i;
INSERT INTO refunds SELECT i, i FROM size, generate_series(1, n / 40) i;
INSERT INTO shipments SELECT i, i, now() FROM size, generate_series(1, n / 20) i;
INSERT INTO invoices SELECT i, i * 30 + 1 FROM size, generate_series(1, n / 400) i;
INSERT INTO logs SELECT i, 'line ' || i, (now() - age_of(i)) AT TIME ZONE 'UTC' FROM size, generate_series(1, n / 10) i;
INSERT INTO visits SELECT md5(i::text)::uuid, (now() - age_of(i))::date FROM size, generate_series(1, n / 20) i;
INSERT INTO messages SELECT i % 50, i, 'hello', now() - age_of(i) FROM size, generate_series(1, n / 20) i;
INSERT INTO attachments SELECT i, i % 50, i FROM size, generate_series(1, n / 40) i;
INSERT INTO tickets SELECT i, CASE WHEN i % 3 = 0 THEN 'waiting' ELSE 'done' END, now() - age_of(i) FROM size, generate_series(1, n / 40) i;
INSERT INTO comments SELECT i, 1 + i % (n / 40), i % 400 = 0 FROM size, generate_series(1, n / 20) i;
INSERT INTO trail SELECT i, now() - age_of(i) FROM size, generate_series(1, n / 40) i;
INSERT INTO events SELECT i, now() - age_of(i) FROM size, generate_series(1, n / 10) i;
INSERT INTO clicks SELECT i, now() - age_of(i), i % 1000 FROM size, generate_series(1, n / 20) i;
INSERT INTO "Odd ""Name" SELECT i, now() - age_of(i) FROM size, generate_series(1, n / 100) i;

CREATE INDEX ON addresses (customer_id); CREATE INDEX ON devices (customer_id); CREATE INDEX ON orders (customer_id);
CREATE INDEX ON order_items (order_id); CREATE INDEX ON item_notes (item_id); CREATE INDEX ON payments (order_id);
CREATE INDEX ON refunds (payment_id); CREATE INDEX ON shipments (order_id); CREATE INDEX ON invoices (order_id);
CREATE INDEX ON attachments (room, seq); CREATE INDEX ON comments (ticket_id);
CREATE INDEX ON orders (placed_at); CREATE INDEX ON logs (at); CREATE INDEX ON payments (paid_at);
ANALYZE;
