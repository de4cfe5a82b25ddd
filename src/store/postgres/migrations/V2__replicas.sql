-- The replicas that work on this store, what each of them holds, and what only one of them may do.

-- `incarnation` is made anew with each start: what an earlier one held is nobody's. `journal` is the identity of its journal,
-- which one process alone can have open. Instants are this server's own.
CREATE TABLE replicas (
    name        text PRIMARY KEY,
    incarnation text NOT NULL UNIQUE,
    journal     text NOT NULL,
    address     text NOT NULL,
    certificate text NOT NULL,
    token_hash  text NOT NULL,
    number      integer NOT NULL UNIQUE CHECK (number BETWEEN 1 AND 1023),
    version     text NOT NULL,
    policy      text NOT NULL DEFAULT '',
    started_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    lease       interval NOT NULL
);

-- Open sessions: for bounds that hold over all replicas. Those of a replica that is not seen any more count for nothing.
CREATE TABLE seats (
    session     text PRIMARY KEY,
    incarnation text NOT NULL,
    principal   text NOT NULL,
    taken_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX seats_by_principal ON seats (principal);
CREATE INDEX seats_by_incarnation ON seats (incarnation);

-- Takes a place, unless the principal has as many as may be on the replicas that are there. One at a time for each principal.
CREATE FUNCTION take_seat(by_incarnation text, for_session text, of_principal text, most bigint) RETURNS boolean
    LANGUAGE plpgsql SET search_path = pgward, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(of_principal, 21));
    IF (SELECT count(*) FROM seats JOIN replicas USING (incarnation)
        WHERE principal = of_principal AND seen_at > clock_timestamp() - lease) >= most THEN
        RETURN false;
    END IF;
    INSERT INTO seats (session, incarnation, principal) VALUES (for_session, by_incarnation, of_principal);
    RETURN true;
END $$;

-- What one replica does for all: who does it, until when, how far it is done and since when.
CREATE TABLE jobs (
    name        text PRIMARY KEY,
    incarnation text NOT NULL,
    until       timestamptz NOT NULL,
    done_at     timestamptz,
    mark        text
);

-- The newest signed checkpoint of each journal, by the place it is kept in.
CREATE TABLE checkpoints (
    journal      text NOT NULL,
    place        text NOT NULL,
    replica      text NOT NULL,
    verifier     text NOT NULL,
    size         bigint NOT NULL CHECK (size >= 0),
    checkpoint   text NOT NULL,
    published_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (journal, place)
);

CREATE FUNCTION replica_told() RETURNS trigger LANGUAGE plpgsql SET search_path = pgward, pg_temp AS $$
BEGIN
    PERFORM pg_notify('pgward_replicas', '');
    RETURN NULL;
END $$;
CREATE TRIGGER told AFTER INSERT OR DELETE ON replicas EXECUTE FUNCTION replica_told();
