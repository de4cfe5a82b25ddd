-- The tables as the SQLite store has them, and what several replicas need besides. Instants and durations are whole
-- nanoseconds (instants since 1970-01-01T00:00:00Z): a request's digest speaks of the exact instant, so none may be rounded.
-- For a reader: to_timestamp(created_at / 1e9). Scopes are frozen as JSON, byte by byte, hence text.

-- The oldest program, by its newest migration, that may work on these tables still.
CREATE TABLE compatible (
    since integer NOT NULL,
    one   boolean PRIMARY KEY DEFAULT true CHECK (one)
);
INSERT INTO compatible (since) VALUES (1);

CREATE TABLE requests (
    position    bigint GENERATED ALWAYS AS IDENTITY,
    id          text PRIMARY KEY,
    principal   text NOT NULL,
    groups      text NOT NULL,
    home_region text,
    database    text NOT NULL,
    scope_name  text NOT NULL,
    scope       text NOT NULL,
    reason      text NOT NULL,
    ticket      text,
    duration    bigint NOT NULL CHECK (duration > 0),
    starts      bigint,
    statement   text,
    state       text NOT NULL CHECK (state IN ('pending', 'approved', 'denied', 'withdrawn', 'expired')),
    created_at  bigint NOT NULL,
    expires_at  bigint NOT NULL,
    more        text NOT NULL DEFAULT '{}',
    -- Grows with every change: who changes a request says which version was read, so that of two at once one wins.
    version     bigint NOT NULL DEFAULT 1
);
CREATE INDEX requests_by_state ON requests (state, created_at);
CREATE INDEX requests_by_principal ON requests (principal, database);
CREATE INDEX requests_by_age ON requests (created_at);
CREATE INDEX requests_pending ON requests (principal, expires_at) WHERE state = 'pending';

CREATE TABLE decisions (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    request  text NOT NULL REFERENCES requests (id),
    approver text NOT NULL,
    groups   text NOT NULL,
    decision text NOT NULL CHECK (decision IN ('approve', 'deny')),
    note     text,
    at       bigint NOT NULL,
    digest   text NOT NULL,
    UNIQUE (request, approver, digest)
);
CREATE INDEX decisions_by_age ON decisions (at);

-- One request makes at most one grant, whatever two approvers do at once.
CREATE TABLE grants (
    position   bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    id         text PRIMARY KEY,
    request    text NOT NULL UNIQUE REFERENCES requests (id),
    principal  text NOT NULL,
    database   text NOT NULL,
    scope_name text NOT NULL,
    scope      text NOT NULL,
    statement  text,
    reason     text NOT NULL,
    ticket     text,
    approvers  text NOT NULL,
    not_before bigint NOT NULL,
    expires_at bigint NOT NULL,
    more       text NOT NULL DEFAULT '{}'
);
CREATE INDEX grants_by_end ON grants (expires_at);
CREATE INDEX grants_by_principal ON grants (principal, database);

CREATE TABLE revocations (
    grant_id text PRIMARY KEY REFERENCES grants (id),
    at       bigint NOT NULL,
    by       text NOT NULL,
    reason   text
);
CREATE INDEX revocations_by_age ON revocations (at);

CREATE TABLE credentials (
    position   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    principal  text NOT NULL,
    database   text NOT NULL,
    verifier   text NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL
);
CREATE INDEX credentials_by_principal ON credentials (principal, database, expires_at);
CREATE INDEX credentials_by_age ON credentials (created_at);

-- What has left a region under a grant, by the rule that bounds it; what is reserved and not used yet counts.
CREATE TABLE exports (
    grant_id text NOT NULL REFERENCES grants (id),
    rule     text NOT NULL,
    rows     bigint NOT NULL CHECK (rows >= 0),
    bytes    bigint NOT NULL CHECK (bytes >= 0),
    PRIMARY KEY (grant_id, rule)
);

CREATE TABLE reviews (
    position  bigint GENERATED ALWAYS AS IDENTITY,
    grant_id  text PRIMARY KEY REFERENCES grants (id),
    due       bigint NOT NULL,
    closed_at bigint,
    closed_by text,
    note      text,
    CHECK ((closed_at IS NULL) = (closed_by IS NULL) AND (closed_at IS NULL) = (note IS NULL))
);
CREATE INDEX reviews_open ON reviews (closed_at, due);

CREATE TABLE grant_uses (
    grant_id text PRIMARY KEY REFERENCES grants (id),
    used     integer NOT NULL CHECK (used >= 0)
);

CREATE TABLE data_holds (
    id          text PRIMARY KEY,
    database    text NOT NULL,
    hold        text NOT NULL,
    placed_at   bigint NOT NULL,
    released_at bigint
);
CREATE INDEX data_holds_standing ON data_holds (database) WHERE released_at IS NULL;

-- Which grants were made or changed, in the order in which that was committed: the one row of `grant_position` is locked from a
-- change to its commit, so that no position comes to be seen after a later one. An empty name says that all are to be read
-- again. The last ten thousand are kept; who is further behind reads all.
CREATE TABLE grant_position (
    position bigint NOT NULL,
    one      boolean PRIMARY KEY DEFAULT true CHECK (one)
);
INSERT INTO grant_position (position) VALUES (0);

CREATE TABLE grant_changes (
    position bigint PRIMARY KEY,
    grant_id text NOT NULL
);

CREATE FUNCTION note_change(changed text) RETURNS void LANGUAGE plpgsql SET search_path = pgward, pg_temp AS $$
DECLARE
    next bigint;
BEGIN
    UPDATE grant_position SET position = position + 1 RETURNING position INTO STRICT next;
    INSERT INTO grant_changes (position, grant_id) VALUES (next, changed);
    IF next % 100 = 0 THEN
        DELETE FROM grant_changes WHERE position <= next - 10000;
    END IF;
    -- A hint, that nobody relies on.
    PERFORM pg_notify('pgward_grants', '');
END $$;

CREATE FUNCTION grant_made() RETURNS trigger LANGUAGE plpgsql SET search_path = pgward, pg_temp AS $$
BEGIN
    PERFORM note_change(NEW.id);
    RETURN NULL;
END $$;
CREATE FUNCTION of_grant_made() RETURNS trigger LANGUAGE plpgsql SET search_path = pgward, pg_temp AS $$
BEGIN
    PERFORM note_change(NEW.grant_id);
    RETURN NULL;
END $$;
CREATE FUNCTION anything_changed() RETURNS trigger LANGUAGE plpgsql SET search_path = pgward, pg_temp AS $$
BEGIN
    PERFORM note_change('');
    RETURN NULL;
END $$;

CREATE TRIGGER made AFTER INSERT ON grants FOR EACH ROW EXECUTE FUNCTION grant_made();
CREATE TRIGGER revoked AFTER INSERT ON revocations FOR EACH ROW EXECUTE FUNCTION of_grant_made();
CREATE TRIGGER used AFTER INSERT OR UPDATE ON grant_uses FOR EACH ROW EXECUTE FUNCTION of_grant_made();
-- pgward itself does none of these: this is for whoever does it by hand.
CREATE TRIGGER edited AFTER UPDATE OR DELETE OR TRUNCATE ON grants EXECUTE FUNCTION anything_changed();
CREATE TRIGGER edited AFTER UPDATE OR DELETE OR TRUNCATE ON revocations EXECUTE FUNCTION anything_changed();
CREATE TRIGGER edited AFTER DELETE OR TRUNCATE ON grant_uses EXECUTE FUNCTION anything_changed();
