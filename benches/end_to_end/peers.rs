//! Whom a client may speak to: PostgreSQL itself, a relay that does nothing, PgBouncer, pgward.

use anyhow::{Result, bail};

use crate::cpu;
use crate::process::{Program, Stage};

/// The password of the account `bench` everywhere but at pgward, which mints its own.
pub const PASSWORD: &str = "bench_password";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    Direct,
    Relay,
    PgBouncer,
    Pgward,
}

impl Name {
    pub const ALL: [Self; 4] = [Self::Direct, Self::Relay, Self::PgBouncer, Self::Pgward];

    pub fn text(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Relay => "relay",
            Self::PgBouncer => "pgbouncer",
            Self::Pgward => "pgward",
        }
    }

    /// # Errors
    /// Where no peer has this name.
    pub fn from_text(text: &str) -> Result<Self> {
        match Self::ALL.into_iter().find(|name| name.text() == text) {
            Some(name) => Ok(name),
            None => bail!("PEERS: {text} is none of direct, relay, pgbouncer, pgward"),
        }
    }
}

/// Somebody to connect to, and the process whose cost is counted.
#[derive(Debug)]
pub struct Peer {
    pub name: Name,
    pub port: u16,
    pub user: String,
    pub password: String,
    pub database: String,
    /// None for PostgreSQL itself.
    pub program: Option<Program>,
}

impl Peer {
    pub fn pid(&self) -> Option<u32> {
        self.program.as_ref().map(Program::pid)
    }

    /// CPU that the process has used, in nanoseconds; zero for PostgreSQL itself.
    pub fn cpu(&self) -> f64 {
        self.pid().map_or(0.0, cpu::used)
    }

    /// A program of PostgreSQL's that connects to this peer over TLS.
    pub fn client(&self, stage: &Stage, program: &std::path::Path) -> std::process::Command {
        let mut command = stage.command(program);
        command.env("PGPASSWORD", &self.password).env("PGSSLMODE", "require").env("PGGSSENCMODE", "disable");
        command.args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", &self.user]);
        command
    }
}
