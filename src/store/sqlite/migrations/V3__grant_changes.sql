-- Which grants were made or changed, in order, by whomever: who has read so far asks for those alone. An empty name says that
-- all are to be read again. The last ten thousand are kept; who is further behind reads all.

CREATE TABLE grant_changes (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    grant_id TEXT NOT NULL
) STRICT;

CREATE TRIGGER grant_changes_kept AFTER INSERT ON grant_changes BEGIN
    DELETE FROM grant_changes WHERE position <= NEW.position - 10000;
END;

CREATE TRIGGER grant_made AFTER INSERT ON grants BEGIN
    INSERT INTO grant_changes (grant_id) VALUES (NEW.id);
END;

-- pgward itself changes and removes no grant: this is for whoever does it by hand.
CREATE TRIGGER grant_edited AFTER UPDATE ON grants BEGIN
    INSERT INTO grant_changes (grant_id) VALUES ('');
END;

CREATE TRIGGER grant_removed AFTER DELETE ON grants BEGIN
    INSERT INTO grant_changes (grant_id) VALUES ('');
END;

CREATE TRIGGER grant_revoked AFTER INSERT ON revocations BEGIN
    INSERT INTO grant_changes (grant_id) VALUES (NEW.grant_id);
END;

CREATE TRIGGER revocation_edited AFTER UPDATE ON revocations BEGIN
    INSERT INTO grant_changes (grant_id) VALUES ('');
END;

CREATE TRIGGER revocation_removed AFTER DELETE ON revocations BEGIN
    INSERT INTO grant_changes (grant_id) VALUES ('');
END;
