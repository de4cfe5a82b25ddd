-- Legal holds on rows of the databases: what retention leaves where it is. A hold that was released stays, for who asks later.

CREATE TABLE data_holds (
    id          TEXT PRIMARY KEY,
    database    TEXT NOT NULL,
    hold        TEXT NOT NULL CHECK (json_valid(hold)),
    placed_at   INTEGER NOT NULL,
    released_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX data_holds_standing ON data_holds (database) WHERE released_at IS NULL;
