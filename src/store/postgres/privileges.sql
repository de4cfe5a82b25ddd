-- What the role needs that pgward works as, and no more: it can neither change nor remove a request's decisions, a grant or a
-- revocation, nor the tables themselves. To be run by their owner, with the role's name for {role}.
GRANT USAGE ON SCHEMA pgward TO {role};
GRANT SELECT ON ALL TABLES IN SCHEMA pgward TO {role};
GRANT INSERT ON requests, decisions, grants, revocations, credentials, exports, reviews, grant_uses, data_holds, grant_changes,
    replicas, seats, jobs, checkpoints TO {role};
GRANT UPDATE (reason, ticket, duration, starts, statement, state, more, version) ON requests TO {role};
GRANT UPDATE (rows, bytes) ON exports TO {role};
GRANT UPDATE (closed_at, closed_by, note) ON reviews TO {role};
GRANT UPDATE (used) ON grant_uses TO {role};
GRANT UPDATE (released_at) ON data_holds TO {role};
GRANT UPDATE (position) ON grant_position TO {role};
GRANT UPDATE ON replicas, jobs, checkpoints TO {role};
GRANT DELETE ON credentials, grant_changes, replicas, seats TO {role};
