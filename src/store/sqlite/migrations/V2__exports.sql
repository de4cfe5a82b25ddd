-- What has left a region under a grant, by the rule of the configuration that bounds it. What a process has reserved and not
-- used yet counts as having left, so that one that crashes never gives more than is allowed.

CREATE TABLE exports (
    grant_id TEXT NOT NULL REFERENCES grants (id) ON DELETE CASCADE,
    rule     TEXT NOT NULL,
    rows     INTEGER NOT NULL CHECK (rows >= 0),
    bytes    INTEGER NOT NULL CHECK (bytes >= 0),
    PRIMARY KEY (grant_id, rule)
) STRICT, WITHOUT ROWID;
