-- What scopes demand of requests: further approvers, other waiting times, reviews of what was opened in an emergency.

-- `more` holds what later versions ask for besides, as JSON; what it leaves out has its default.
ALTER TABLE requests ADD COLUMN expires_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE requests ADD COLUMN more TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(more));
UPDATE requests SET expires_at = created_at + 86400000000000;
CREATE INDEX requests_by_expiry ON requests (state, expires_at);

-- Grants themselves are not changed: the trigger that has all of them read again would fire without need.
ALTER TABLE grants ADD COLUMN more TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(more));

-- A request that was edited is decided on anew, by the same people too.
CREATE TABLE decisions (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    request  TEXT NOT NULL REFERENCES requests (id),
    approver TEXT NOT NULL,
    groups   TEXT NOT NULL CHECK (json_valid(groups)),
    decision TEXT NOT NULL CHECK (decision IN ('approve', 'deny')),
    note     TEXT,
    at       INTEGER NOT NULL,
    digest   TEXT NOT NULL,
    UNIQUE (request, approver, digest)
) STRICT;
INSERT INTO decisions (position, request, approver, groups, decision, note, at, digest)
    SELECT position, request, approver, '[]', decision, note, at, digest FROM approvals;
DROP TABLE approvals;
CREATE INDEX decisions_by_age ON decisions (at);

CREATE TABLE reviews (
    grant_id  TEXT PRIMARY KEY REFERENCES grants (id),
    due       INTEGER NOT NULL,
    closed_at INTEGER,
    closed_by TEXT,
    note      TEXT,
    CHECK ((closed_at IS NULL) = (closed_by IS NULL) AND (closed_at IS NULL) = (note IS NULL))
) STRICT;
CREATE INDEX reviews_open ON reviews (closed_at, due);
