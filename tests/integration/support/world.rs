//! The configuration that the cases share: the policy world's grant, and scopes on a plain database.

use super::Setup;

/// Knobs of [`config`].
#[derive(Debug, Default)]
pub struct Scopes {
    /// Lines for `[proxy]`.
    pub proxy: String,
    /// Lines for each `[[database]]`.
    pub database: String,
    /// Lines at the end.
    pub more: String,
}

/// A `proxy.toml` over both test databases. alice asks, bob approves and administers, carol approves too, dave has
/// nothing to say, billing is an application.
pub fn config(setup: &Setup, scopes: &Scopes) -> String {
    let Setup { port, control_port, upstream_port, certs, dir, .. } = setup;
    let (certs, dir) = (certs.display(), dir.display());
    let users: String =
        [("alice", "dev"), ("bob", "dba"), ("carol", "dba"), ("dave", "guests"), ("erin", "dev"), ("billing", "apps")]
            .iter()
            .map(|(name, group)| {
                format!("[[user]]\nname = \"{name}\"\ngroups = [\"{group}\"]\ntoken_hash = \"{}\"\n", setup.hash(name))
            })
            .collect();
    let query = format!("sslmode=verify-full&sslrootcert={certs}/ca.crt");
    format!(
        r#"[proxy]
listen = "127.0.0.1:{port}"
tls_cert = "{certs}/server.crt"
tls_key = "{certs}/server.key"
{proxy}
[control]
listen = "127.0.0.1:{control_port}"
tls_cert = "{certs}/server.crt"
tls_key = "{certs}/server.key"
admins = ["@dba"]
auditors = ["@dba"]

[store]
url = "sqlite://{dir}/pgward.db"

[audit]
dir = "{dir}/audit"

[regions.us-east]
networks = ["127.0.0.0/8", "::1/128"]
[regions.eu-west]
networks = ["10.20.0.0/16"]

{users}
[[database]]
name = "shop"
upstream = "postgresql://shop_backend@localhost:{upstream_port}/shop?{query}"
password_file = "{dir}/shop_password"
region = "us-east"
{database}
[[database.data]]
on = "eu.*"
region = "eu-west"

[[database]]
name = "plain"
upstream = "postgresql://pgw_admin@localhost:{upstream_port}/plain?{query}"
password_file = "{dir}/admin_password"
region = "us-east"
{database}

[[scope]]
name = "world"
database = "shop"
regions = ["us-east"]
requesters = ["@dev"]
approvers = ["@dba"]
max_duration = "8h"
[[scope.allow]]
on = ["public.orders", "public.products", "public.v_orders"]
do = ["select"]
[[scope.allow]]
on = ["public.customers"]
columns = ["id", "name", "country"]
do = ["select"]

[[scope]]
name = "plain-read"
database = "plain"
regions = ["us-east"]
requesters = ["@dev", "@apps"]
approvers = ["@dba"]
max_duration = "8h"
[[scope.allow]]
on = ["public.*"]
do = ["select"]
[[scope.allow]]
functions = ["pg_catalog.pg_sleep"]

[[scope]]
name = "plain-write"
database = "plain"
regions = ["us-east"]
requesters = ["@dev", "@apps"]
approvers = ["@dba"]
max_duration = "8h"
[[scope.allow]]
on = ["public.*"]
do = ["select", "insert", "update", "delete", "truncate"]
[[scope.allow]]
functions = ["pg_catalog.pg_sleep"]

[[scope]]
name = "plain-two"
database = "plain"
regions = ["us-east"]
requesters = ["@dev", "@dba"]
approvers = ["@dba"]
approvals = 2
max_duration = "1h"
row_limit = 5
[[scope.allow]]
on = ["public.notes"]
columns = ["id", "body"]
do = ["select"]
{more}
"#,
        proxy = scopes.proxy,
        database = scopes.database,
        more = scopes.more,
    )
}
