-- How often each grant has been used that may be used so often. It only grows, but for uses that came to nothing.

CREATE TABLE grant_uses (
    grant_id TEXT PRIMARY KEY REFERENCES grants (id),
    used     INTEGER NOT NULL CHECK (used >= 0)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER use_begun AFTER INSERT ON grant_uses BEGIN
    INSERT INTO grant_changes (grant_id) VALUES (NEW.grant_id);
END;

CREATE TRIGGER use_counted AFTER UPDATE ON grant_uses BEGIN
    INSERT INTO grant_changes (grant_id) VALUES (NEW.grant_id);
END;

-- pgward itself removes none: this is for whoever does it by hand.
CREATE TRIGGER use_removed AFTER DELETE ON grant_uses BEGIN
    INSERT INTO grant_changes (grant_id) VALUES ('');
END;
