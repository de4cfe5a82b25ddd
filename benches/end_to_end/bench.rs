//! What the parts share: the server with its tables, and the peers before it.

use anyhow::Result;

use crate::peers::{Name, PASSWORD, Peer};
use crate::pgward::Pgward;
use crate::postgres::Postgres;
use crate::process::Stage;
use crate::settings::Settings;
use crate::{pgbouncer, relay};

// Declared so that the peers end before the server, and the server before the directory.
#[derive(Debug)]
pub struct Bench {
    others: Vec<Peer>,
    pub pgward: Pgward,
    pub server: Postgres,
    pub settings: Settings,
    pub stage: Stage,
}

impl Bench {
    /// # Errors
    /// Where something does not start.
    pub fn start(stage: &Stage, settings: &Settings) -> Result<Self> {
        crate::pgward::certificates(stage, settings)?;
        eprintln!("starting PostgreSQL and filling it");
        let server = Postgres::start(stage)?;
        server.fill(settings)?;
        let mut others = vec![direct(&server)];
        others.push(relay::start(stage, server.port, &[])?);
        others.push(pgbouncer::start(stage, settings, &server, &[])?);
        let pgward = Pgward::start(stage, settings, "pgward", server.port, &[])?;
        Ok(Self { others, pgward, server, settings: settings.clone(), stage: stage.clone() })
    }

    /// The chosen peers, in turn.
    pub fn peers(&self) -> impl Iterator<Item = &Peer> {
        let all = self.others.iter().chain([&self.pgward.peer]);
        all.filter(|peer| self.settings.peers.contains(&peer.name))
    }

    /// Those that are programs of their own: all but PostgreSQL.
    pub fn proxies(&self) -> impl Iterator<Item = (&Peer, u32)> {
        self.peers().filter_map(|peer| Some((peer, peer.pid()?)))
    }
}

fn direct(server: &Postgres) -> Peer {
    Peer {
        name: Name::Direct,
        port: server.port,
        user: "bench".to_owned(),
        password: PASSWORD.to_owned(),
        database: "bench".to_owned(),
        program: None,
    }
}
