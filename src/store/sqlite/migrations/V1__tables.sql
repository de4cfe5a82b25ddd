-- Instants and durations are whole nanoseconds (instants since 1970-01-01T00:00:00Z): a request's digest speaks of the exact
-- instant, so none may be rounded. For a reader: datetime(created_at / 1000000000, 'unixepoch').
-- Scopes are frozen as JSON: what was approved is what was asked, whatever the configuration says later.

CREATE TABLE requests (
    id          TEXT PRIMARY KEY,
    principal   TEXT NOT NULL,
    groups      TEXT NOT NULL CHECK (json_valid(groups)),
    home_region TEXT,
    database    TEXT NOT NULL,
    scope_name  TEXT NOT NULL,
    scope       TEXT NOT NULL CHECK (json_valid(scope)),
    reason      TEXT NOT NULL,
    ticket      TEXT,
    duration    INTEGER NOT NULL CHECK (duration > 0),
    starts      INTEGER,
    statement   TEXT,
    state       TEXT NOT NULL CHECK (state IN ('pending', 'approved', 'denied', 'withdrawn', 'expired')),
    created_at  INTEGER NOT NULL
) STRICT;

CREATE INDEX requests_by_state ON requests (state, created_at);
CREATE INDEX requests_by_principal ON requests (principal, database);
CREATE INDEX requests_by_age ON requests (created_at);

CREATE TABLE approvals (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    request  TEXT NOT NULL REFERENCES requests (id),
    approver TEXT NOT NULL,
    decision TEXT NOT NULL CHECK (decision IN ('approve', 'deny')),
    note     TEXT,
    at       INTEGER NOT NULL,
    digest   TEXT NOT NULL,
    UNIQUE (request, approver)
) STRICT;

CREATE INDEX approvals_by_age ON approvals (at);

-- One request makes at most one grant, whatever two approvers do at once.
CREATE TABLE grants (
    id         TEXT PRIMARY KEY,
    request    TEXT NOT NULL UNIQUE REFERENCES requests (id),
    principal  TEXT NOT NULL,
    database   TEXT NOT NULL,
    scope_name TEXT NOT NULL,
    scope      TEXT NOT NULL CHECK (json_valid(scope)),
    statement  TEXT,
    reason     TEXT NOT NULL,
    ticket     TEXT,
    approvers  TEXT NOT NULL CHECK (json_valid(approvers)),
    not_before INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;

CREATE INDEX grants_by_end ON grants (expires_at);
CREATE INDEX grants_by_principal ON grants (principal, database);

CREATE TABLE revocations (
    grant_id TEXT PRIMARY KEY REFERENCES grants (id),
    at       INTEGER NOT NULL,
    by       TEXT NOT NULL,
    reason   TEXT
) STRICT;

CREATE INDEX revocations_by_age ON revocations (at);

CREATE TABLE credentials (
    position   INTEGER PRIMARY KEY AUTOINCREMENT,
    principal  TEXT NOT NULL,
    database   TEXT NOT NULL,
    verifier   TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;

CREATE INDEX credentials_by_principal ON credentials (principal, database, expires_at);
CREATE INDEX credentials_by_age ON credentials (created_at);
