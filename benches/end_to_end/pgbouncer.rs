//! PgBouncer as a peer: session pooling, TLS to its clients, plain TCP to PostgreSQL.

use anyhow::Result;
use rustix::process::Signal;

use crate::peers::{Name, PASSWORD, Peer};
use crate::postgres::{Postgres, give_to_postgres};
use crate::process::{Stage, free_port};
use crate::settings::Settings;

/// # Errors
/// Where it does not start.
pub fn start(stage: &Stage, settings: &Settings, server: &Postgres, wrapper: &[String]) -> Result<Peer> {
    let (port, directory) = (free_port()?, stage.path("pgbouncer"));
    std::fs::create_dir_all(&directory)?;
    for file in ["server.crt", "server.key"] {
        std::fs::copy(stage.path("certs").join(file), directory.join(file))?;
    }
    // The verifier rather than the password: PgBouncer would derive one at every login.
    let verifier = server.sql("postgres", "SELECT rolpassword FROM pg_authid WHERE rolname = 'bench'")?;
    std::fs::write(directory.join("users.txt"), format!("\"bench\" \"{}\"\n", verifier.trim()))?;
    let ini = directory.join("pgbouncer.ini");
    let here = directory.display();
    std::fs::write(
        &ini,
        format!(
            "[databases]\nbench = host=127.0.0.1 port={upstream} dbname=bench\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             auth_type = scram-sha-256\nauth_file = {here}/users.txt\n\
             pool_mode = session\nmax_client_conn = 12000\ndefault_pool_size = 1100\nserver_idle_timeout = 2\n\
             client_tls_sslmode = require\nclient_tls_cert_file = {here}/server.crt\nclient_tls_key_file = {here}/server.key\n\
             server_tls_sslmode = disable\nignore_startup_parameters = extra_float_digits\nunix_socket_dir =\n\
             log_connections = 0\nlog_disconnections = 0\n",
            upstream = server.port,
        ),
    )?;
    give_to_postgres(stage, &directory)?;
    let mut command = stage.unprivileged_wrapped(wrapper, &settings.pgbouncer);
    command.arg("-q").arg(&ini);
    let mut program = stage.start("pgbouncer", command, Signal::TERM)?;
    program.wait_for_port(port)?;
    Ok(Peer {
        name: Name::PgBouncer,
        port,
        user: "bench".to_owned(),
        password: PASSWORD.to_owned(),
        database: "bench".to_owned(),
        program: Some(program),
    })
}
