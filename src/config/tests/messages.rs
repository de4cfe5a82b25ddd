//! Bad inputs, each with the exact words that are told of it.

use super::{GOOD, check, parse, told};

#[test]
fn missing_sections_are_all_told() {
    assert_eq!(
        parse("").unwrap_err().to_string(),
        "proxy.toml:1:1: the section [proxy] is required
proxy.toml:1:1: the section [control] is required
proxy.toml:1:1: the section [store] is required
proxy.toml:1:1: the section [audit] is required"
    );
}

#[test]
fn all_problems_are_told_in_order() {
    let text = GOOD
        .replace("tls_cert = \"certs/server.crt\"\ntls_key", "tls_cret = 1\ntls_key")
        .replace("[\"@dba\"]\n[store]", "[\"@dab\"]\n[store]")
        .replace("do = [\"select\"]", "do = [\"selct\"]");
    assert_eq!(
        parse(&text).unwrap_err().to_string(),
        "proxy.toml:1:1: proxy.tls_cert: is required
proxy.toml:3:1: proxy.tls_cret: unknown key; did you mean \"tls_cert\"?
proxy.toml:5:1: control.tls_cert: is required
proxy.toml:7:1: control.tls_cret: unknown key; did you mean \"tls_cert\"?
proxy.toml:9:11: control.admins: unknown group \"@dab\"; did you mean \"@dba\"?
proxy.toml:36:7: scope[0].allow[0].do: unknown operation \"selct\"; one of select, insert, update, delete, truncate, ddl, all"
    );
}

#[test]
fn wrong_types_and_keys() {
    check(&[
        ("[proxy]\n", "[proxy]\nlisten2 = 1\n", "proxy.toml:2:1: proxy.listen2: unknown key; did you mean \"listen\"?"),
        ("[store]\n", "[strore]\n[store]\n", "proxy.toml:10:2: strore: unknown key; did you mean \"store\"?"),
        ("\"127.0.0.1:6432\"", "6432", "proxy.toml:2:10: proxy.listen: expected a string, found a whole number"),
        (
            "groups = [\"dev\"]",
            "groups = \"dev\"\nregion = \"us\"",
            "proxy.toml:20:10: user[0].groups: expected a list of strings, found a string",
        ),
        (
            "max_duration = \"1h\"",
            "max_duration = 1",
            "proxy.toml:33:16: scope[0].max_duration: expected a string, found a whole number",
        ),
        (
            "max_duration = \"1h\"",
            "max_duration = \"1 hour\"",
            "proxy.toml:33:16: scope[0].max_duration: \"1 hour\" is not a duration, such as \"30m\", \"1h30m\" or \"400d\"",
        ),
        (
            "max_duration = \"1h\"",
            "max_duration = \"0s\"",
            "proxy.toml:33:16: scope[0].max_duration: must be longer than nothing",
        ),
        ("[[database]]", "[database]", "proxy.toml:24:1: database: expected a list of tables, written [[database]]"),
    ]);
}

#[test]
fn addresses_and_limits() {
    check(&[
        (
            "\"127.0.0.1:6432\"",
            "\"localhost\"",
            "proxy.toml:2:10: proxy.listen: \"localhost\" is not an address and port, such as \"127.0.0.1:6432\"",
        ),
        (
            "\"127.0.0.1:6443\"",
            "\"127.0.0.1:6432\"",
            "proxy.toml:6:10: control.listen: 127.0.0.1:6432 is the address of [proxy] already",
        ),
        (
            "[control]\n",
            "handshake_timeout = \"2m\"\n[control]\n",
            "proxy.toml:5:21: proxy.handshake_timeout: must be \"60s\" or less",
        ),
        (
            "[control]\n",
            "max_connections = 0\n[control]\n",
            "proxy.toml:5:19: proxy.max_connections: must be 1 to 1000000",
        ),
        (
            "[control]\n",
            "max_connections_per_address = 2001\n[control]\n",
            "proxy.toml:5:31: proxy.max_connections_per_address: must be 2000 (max_connections) or less",
        ),
        (
            "[control]\n",
            "max_connections = 10\nmax_connections_per_principal = 11\n[control]\n",
            "proxy.toml:6:33: proxy.max_connections_per_principal: must be 10 (max_connections) or less",
        ),
        (
            "[control]\n",
            "max_connections = 10\nmax_handshakes = 11\n[control]\n",
            "proxy.toml:6:18: proxy.max_handshakes: must be 10 (max_connections) or less",
        ),
        (
            "[control]\n",
            "max_handshakes = 5\nmax_handshakes_per_address = 6\n[control]\n",
            "proxy.toml:6:30: proxy.max_handshakes_per_address: must be 5 (max_handshakes) or less",
        ),
        (
            "[control]\n",
            "max_failed_logins = 601\n[control]\n",
            "proxy.toml:5:21: proxy.max_failed_logins: must be 600 (max_failed_logins_per_address) or less",
        ),
        ("[control]\n", "max_pipelined = 1\n[control]\n", "proxy.toml:5:17: proxy.max_pipelined: must be 2 to 1000000"),
        (
            "[control]\n",
            "max_unread_bytes = \"1KiB\"\n[control]\n",
            "proxy.toml:5:20: proxy.max_unread_bytes: must be \"16KiB\" to \"64MiB\"",
        ),
        (
            "[control]\n",
            "client_write_timeout = \"2d\"\n[control]\n",
            "proxy.toml:5:24: proxy.client_write_timeout: must be \"1s\" to \"1d\"",
        ),
        ("[control]\n", "public_port = 70000\n[control]\n", "proxy.toml:5:15: proxy.public_port: must be 1 to 65535"),
        (
            "[control]\n",
            "public_port = 1.5\n[control]\n",
            "proxy.toml:5:15: proxy.public_port: expected a whole number, found a number with a fraction",
        ),
        (
            "[control]\n",
            "max_message_bytes = 1000000000000\n[control]\n",
            "proxy.toml:5:21: proxy.max_message_bytes: must be 1024 to 1073741823",
        ),
        (
            "sqlite://var/pgward.db",
            "postgresql://u@h/d",
            "proxy.toml:11:7: store.url: the upstream's certificate is to be verified: name the authority's file, sslrootcert=…",
        ),
        (
            "sqlite://var/pgward.db",
            "var/pgward.db",
            "proxy.toml:11:7: store.url: expected a URL such as \"sqlite://var/pgward.db\" or \"postgresql://pgward@host/pgward\"",
        ),
        ("sqlite://var/pgward.db", "sqlite://", "proxy.toml:11:7: store.url: \"\" is not the path of a file"),
        (
            "dir = \"var/audit\"",
            "dir = \"a\"\ndurability = \"fast\"",
            "proxy.toml:14:14: audit.durability: unknown value \"fast\"; one of \"written\", \"synced\"",
        ),
        (
            "dir = \"var/audit\"",
            "dir = \"a\"\nparameters = \"none\"",
            "proxy.toml:14:14: audit.parameters: unknown value \"none\"; one of \"record\", \"hash\", \"omit\"",
        ),
        (
            "region = \"us\"\n[[scope]]",
            "region = \"us\"\nsecond_opinion = \"yes\"\n[[scope]]",
            "proxy.toml:28:18: database[0].second_opinion: unknown value \"yes\"; one of \"off\", \"on\", \"required\"",
        ),
        (
            "region = \"us\"\n[[scope]]",
            "region = \"us\"\nsecond_opinion = true\n[[scope]]",
            "proxy.toml:28:18: database[0].second_opinion: expected a string, found true or false",
        ),
        (
            "\"certs/server.key\"\n[control]",
            "\"\"\n[control]",
            "proxy.toml:4:11: proxy.tls_key: \"\" is not the path of a file",
        ),
    ]);
}

#[test]
fn regions_and_networks() {
    check(&[
        (
            "[\"127.0.0.0/8\"",
            "[\"10.20.0.0/16\"",
            "proxy.toml:17:13: regions.us.networks: 10.20.0.0/16 is a network of region \"eu\" already, in line 15",
        ),
        (
            "[\"127.0.0.0/8\"",
            "[\"127.0.0.1/8\"",
            "proxy.toml:17:13: regions.us.networks: \"127.0.0.1/8\" has bits set past its prefix; did you mean \"127.0.0.0/8\"?",
        ),
        (
            "[\"127.0.0.0/8\"",
            "[\"127.0.0.1\"",
            "proxy.toml:17:13: regions.us.networks: \"127.0.0.1\" is an address; write the network \"127.0.0.1/32\"",
        ),
        (
            "[\"127.0.0.0/8\"",
            "[\"::ffff:127.0.0.0/104\"",
            "proxy.toml:17:13: regions.us.networks: \"::ffff:127.0.0.0/104\" holds IPv4 addresses; write it as an IPv4 network",
        ),
        (
            "[\"127.0.0.0/8\"",
            "[\"home\"",
            "proxy.toml:17:13: regions.us.networks: \"home\" is not a network, such as \"10.20.0.0/16\" or \"fd00::/8\"",
        ),
        (
            "region = \"us\"",
            "region = \"uss\"",
            "proxy.toml:27:10: database[0].region: unknown region \"uss\"; did you mean \"us\"?",
        ),
        (
            "region = \"us\"",
            "region = \"asia\"",
            "proxy.toml:27:10: database[0].region: unknown region \"asia\"; one of eu, us",
        ),
        (
            "[\"10.20.0.0/16\"]",
            "[\"10.20.0.0/16\"]\nnetwork = []",
            "proxy.toml:16:1: regions.eu.network: unknown key; did you mean \"networks\"?",
        ),
    ]);
}

#[test]
fn users() {
    let hash = format!("sha256:{}", "0".repeat(64));
    let verifier = "expected a verifier as in pg_authid.rolpassword: SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey";
    let bad_scram = format!("proxy.toml:20:9: user[0].scram: {verifier}");
    check(&[
        (
            "name = \"alice\"",
            "name = \"bob\"",
            "proxy.toml:22:8: user[1].name: \"bob\" is declared already, in line 19\nproxy.toml:32:13: scope[0].approvers: only the requester would be left to approve, and nobody decides on their own request",
        ),
        ("name = \"alice\"", "name = \"\"", "proxy.toml:19:8: user[0].name: \"\" is not a name: it is empty"),
        (
            "name = \"alice\"",
            "name = \"a\\nb\"",
            "proxy.toml:19:8: user[0].name: \"a\\nb\" is not a name: it holds control characters",
        ),
        (
            "name = \"alice\"",
            "name = \"@alice\"",
            "proxy.toml:19:8: user[0].name: \"@alice\" is not a name: it begins with @, which marks groups where users and groups are listed",
        ),
        ("name = \"alice\"", "", "proxy.toml:18:1: user[0].name: is required"),
        (
            "groups = [\"dev\"]",
            "groups = [\"dev\"]\ntoken_hash = \"abc\"",
            "proxy.toml:21:14: user[0].token_hash: expected sha256: and 64 hexadecimal digits, as `pgward token` prints",
        ),
        (
            "groups = [\"dev\"]",
            "groups = [\"dev\"]\ntoken_hash = \"pgw_secret\"",
            "proxy.toml:21:14: user[0].token_hash: this is a token, not its hash; take a new one with `pgward token` and put its hash here",
        ),
        ("name = \"alice\"", "name = \"alice\"\nscram = \"md5abc\"", &bad_scram),
        ("name = \"alice\"", "name = \"alice\"\nscram = \"SCRAM-SHA-256$4096:c2FsdA==$c2hvcnQ=:c2hvcnQ=\"", &bad_scram),
        (
            "name = \"alice\"",
            "name = \"alice\"\npassword = \"x\"",
            "proxy.toml:20:1: user[0].password: unknown key; one of email, groups, issuer, login, name, region, scram, token_hash",
        ),
    ]);
    let long = "x".repeat(64);
    let expected = format!("proxy.toml:19:8: user[0].name: \"{long}\" is not a name: it is longer than 63 bytes");
    assert_eq!(told("name = \"alice\"", &format!("name = \"{long}\"")), expected);
    let twice = GOOD.replace("[[user]]\n", &format!("[[user]]\ntoken_hash = \"{hash}\"\n"));
    let expected = "proxy.toml:23:14: user[1].token_hash: this token is another user's already, in line 19";
    assert_eq!(parse(&twice).unwrap_err().to_string(), expected);
}

#[test]
fn databases() {
    let second = "[[database]]\nname = \"shop\"\nupstream = \"postgresql://u@localhost/d?sslmode=disable\"\nregion = \"us\"\n[[scope]]";
    check(&[
        ("[[scope]]", second, "proxy.toml:29:8: database[1].name: \"shop\" is declared already, in line 25"),
        ("region = \"us\"", "", "proxy.toml:24:1: database[0].region: is required"),
        (
            "region = \"us\"",
            "region = \"us\"\npassword = \"x\"",
            "proxy.toml:28:1: database[0].password: unknown key; one of data, name, password_env, password_file, provision, region, retention, role_idle_in_transaction_timeout, role_statement_timeout, second_opinion, upstream, upstreams",
        ),
        (
            "region = \"us\"",
            "region = \"us\"\npassword_file = \"a\"\npassword_env = \"B\"",
            "proxy.toml:29:16: database[0].password_env: password_file is there too; keep one of them",
        ),
        (
            "region = \"us\"",
            "region = \"us\"\npassword_env = \"\"",
            "proxy.toml:28:16: database[0].password_env: \"\" is not the name of a variable",
        ),
        (
            "pgward@127.0.0.1",
            "pgward:pw@127.0.0.1",
            "proxy.toml:26:12: database[0].upstream: the URL holds a password; use password_file or password_env",
        ),
        (
            "region = \"us\"",
            "region = \"us\"\n[[database.data]]\nregion = \"eu\"",
            "proxy.toml:28:1: database[0].data[0].on: is required",
        ),
        (
            "region = \"us\"",
            "region = \"us\"\n[[database.data]]\non = \"eu.*\"",
            "proxy.toml:28:1: database[0].data[0]: says nothing of this data; give it a region, clients, export or labels",
        ),
        (
            "region = \"us\"",
            "region = \"us\"\n[[database.data]]\non = \"a.b.c\"\nregion = \"eu\"",
            "proxy.toml:29:6: database[0].data[0].on: `a.b.c` is not schema.name or schema.*",
        ),
        (
            "region = \"us\"",
            "region = \"us\"\n[[database.data]]\non = \"a.b\"\nclients = [\"ue\"]",
            "proxy.toml:30:12: database[0].data[0].clients: unknown region \"ue\"; did you mean \"eu\"?",
        ),
        (
            "region = \"us\"",
            "region = \"us\"\n[[database.data]]\non = \"a.b\"\nclients = []",
            "proxy.toml:30:11: database[0].data[0].clients: is empty; leave it out or name something",
        ),
        (
            "region = \"us\"",
            "region = \"us\"\n[[database.data]]\non = \"a.b\"\nlabels = [\"pii\"]\ncolumns = [\"*\"]",
            "proxy.toml:31:12: database[0].data[0].columns: \"*\" is not a column; leave `columns` out to mean all of them",
        ),
    ]);
}

#[test]
fn scopes() {
    check(&[
        (
            "database = \"shop\"",
            "database = \"shpo\"",
            "proxy.toml:30:12: scope[0].database: unknown database \"shpo\"; did you mean \"shop\"?",
        ),
        (
            "requesters = [\"@dev\"]",
            "requesters = []",
            "proxy.toml:31:14: scope[0].requesters: is empty; leave it out or name something",
        ),
        ("approvers = [\"@dba\"]", "", "proxy.toml:28:1: scope[0].approvers: is required"),
        (
            "approvers = [\"@dba\"]",
            "approvers = [\"bbo\"]",
            "proxy.toml:32:14: scope[0].approvers: unknown user \"bbo\"; did you mean \"bob\"?",
        ),
        (
            "approvers = [\"@dba\"]",
            "approvers = [\"alice\"]",
            "proxy.toml:32:13: scope[0].approvers: only the requester would be left to approve, and nobody decides on their own request",
        ),
        (
            "max_duration = \"1h\"",
            "max_duration = \"1h\"\napprovals = 2",
            "proxy.toml:34:13: scope[0].approvals: 2 are needed, but no request could get more than 1",
        ),
        (
            "max_duration = \"1h\"",
            "max_duration = \"1h\"\napprovals = 0",
            "proxy.toml:34:13: scope[0].approvals: must be 1 to 100",
        ),
        (
            "max_duration = \"1h\"",
            "max_duration = \"1h\"\nrow_limit = 0",
            "proxy.toml:34:13: scope[0].row_limit: must be 1 or more",
        ),
        (
            "max_duration = \"1h\"",
            "max_duration = \"1h\"\nbyte_limit = \"10M\"",
            "proxy.toml:34:14: scope[0].byte_limit: \"10M\" is not an amount of bytes, such as \"512kB\", \"10MB\" or \"1GiB\"",
        ),
        (
            "max_duration = \"1h\"",
            "max_duration = \"1h\"\nbyte_limit = \"0MB\"",
            "proxy.toml:34:14: scope[0].byte_limit: must be more than nothing",
        ),
        (
            "max_duration = \"1h\"",
            "max_duration = \"1h\"\nbyte_limit = 0",
            "proxy.toml:34:14: scope[0].byte_limit: must be 1 or more",
        ),
        (
            "max_duration = \"1h\"",
            "max_duration = \"1h\"\nstatement_timeout = \"0s\"",
            "proxy.toml:34:21: scope[0].statement_timeout: must be longer than nothing",
        ),
        (
            "max_duration = \"1h\"",
            "max_duration = \"1h\"\nrequire_reason = \"yes\"",
            "proxy.toml:34:18: scope[0].require_reason: expected true or false, found a string",
        ),
        (
            "do = [\"select\"]",
            "do = [\"select\", \"update\"]\n[[scope]]\nname = \"notes\"\ndatabase = \"shop\"\nrequesters = [\"@dev\"]\napprovers = [\"@dba\"]\nmax_duration = \"1h\"\nread_only = true\nallow = [{ on = [\"notes\"], do = [\"insert\"] }]",
            "proxy.toml:43:13: scope[1].read_only: the scope allows operations that write; leave it out, or allow `select` alone",
        ),
        (
            "max_duration = \"1h\"",
            "max_duration = \"1h\"\nhold = \"2h\"",
            "proxy.toml:34:8: scope[0].hold: at most 1h: a client waits all that time",
        ),
        (
            "max_duration = \"1h\"",
            "max_duration = \"1h\"\nauto_approve = \"0s\"",
            "proxy.toml:34:16: scope[0].auto_approve: must be longer than nothing",
        ),
        (
            "max_duration = \"1h\"\n",
            "max_duration = \"1h\"\nauto_approve = \"5m\"\n[[scope.allow]]\nfunctions = [\"public.f\"]\n",
            "proxy.toml:34:16: scope[0].auto_approve: the scope names functions, and what they touch is not known: people have to approve",
        ),
        (
            "max_duration = \"1h\"",
            "max_duration = \"1h\"\nrule = [{ over = \"30m\", approvers = [\"@privcay\"] }]",
            "proxy.toml:34:38: scope[0].rule[0].approvers: unknown group \"@privcay\"; one of @dba, @dev, alice, bob",
        ),
        (
            "max_duration = \"1h\"",
            "max_duration = \"1h\"\nrule = [{ outside = \"Mon-Fri 8-18\", approvers = [\"@dba\"] }]",
            "proxy.toml:34:21: scope[0].rule[0].outside: \"Mon-Fri 8-18\" are not hours, such as \"Mon-Fri 08:00-18:00 Europe/Berlin\"",
        ),
        (
            "max_duration = \"1h\"",
            "max_duration = \"1h\"\nrule = [{ labels = [\"pii\"], approvers = [\"@dba\"] }]",
            "proxy.toml:34:21: scope[0].rule[0].labels: unknown label \"pii\"; none is declared",
        ),
        (
            "max_duration = \"1h\"",
            "max_duration = \"1h\"\nbreak_glass = { max_duration = \"10m\" }",
            "proxy.toml:34:15: scope[0].break_glass.who: is required",
        ),
        ("max_duration = \"1h\"", "", "proxy.toml:28:1: scope[0].max_duration: is required"),
        (
            "do = [\"select\"]",
            "",
            "proxy.toml:34:1: scope[0].allow[0].do: is required beside `on`: what may be done there",
        ),
        (
            "on = [\"public.orders\"]",
            "",
            "proxy.toml:34:1: scope[0].allow[0].on: is required beside `do`: where it may be done",
        ),
        (
            "on = [\"public.orders\"]\ndo = [\"select\"]",
            "",
            "proxy.toml:34:1: scope[0].allow[0]: allows nothing; name `on` and `do`, or `functions`",
        ),
        (
            "on = [\"public.orders\"]\ndo = [\"select\"]",
            "functions = [\"f\"]\ncolumns = [\"a\"]",
            "proxy.toml:36:11: scope[0].allow[0].columns: are those of the relations in `on`, and there is no `on`",
        ),
        (
            "do = [\"select\"]",
            "do = [\"all\", \"SELECT\"]",
            "proxy.toml:36:14: scope[0].allow[0].do: unknown operation \"SELECT\"; one of select, insert, update, delete, truncate, ddl, all",
        ),
        (
            "[[scope.allow]]\non = [\"public.orders\"]\ndo = [\"select\"]",
            "",
            "proxy.toml:28:1: scope[0].allow: is required: a scope that allows nothing is of no use",
        ),
        (
            "[[scope]]\n",
            "[[scope]]\nname = \"orders\"\ndatabase = \"shop\"\nrequesters = [\"@dev\"]\napprovers = [\"@dba\"]\nmax_duration = \"1h\"\nallow = [{ functions = [\"f\"] }]\n[[scope]]\n",
            "proxy.toml:36:8: scope[1].name: \"orders\" is declared already, in line 29",
        ),
    ]);
}
