#!/bin/sh
# Run once by PostgreSQL's image, when the store's volume is new: pgward's role, and a database of its own.
set -eu
psql --no-psqlrc -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres <<'SQL'
\set password `cat /run/secrets/store-role`
CREATE ROLE pgward LOGIN PASSWORD :'password';
CREATE DATABASE pgward_store OWNER pgward;
REVOKE ALL ON DATABASE pgward_store FROM PUBLIC;
SQL
