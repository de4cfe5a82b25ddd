//! CPU of the proxy per transaction of `pgbench -S`, everything on one CPU, peers taking turns.

use anyhow::Result;

use crate::bench::Bench;
use crate::peers::Name;
use crate::pgbench::{self, Load};
use crate::settings::Settings;
use crate::table::{Aim, Figures, Row};

pub fn rows(settings: &Settings) -> Vec<Row> {
    let mut rows = Vec::new();
    for clients in &settings.clients {
        for protocol in &settings.protocols {
            rows.push(Row::new("1", cpu(protocol, *clients), "µs", Aim::OfPgBouncer(0.95)));
        }
    }
    for clients in &settings.clients {
        for protocol in &settings.protocols {
            rows.push(Row::new("1", throughput(protocol, *clients), "per second", Aim::None));
        }
    }
    rows
}

fn cpu(protocol: &str, clients: u32) -> String {
    format!("CPU per {protocol} transaction, c={clients}")
}

fn throughput(protocol: &str, clients: u32) -> String {
    format!("{protocol} transactions, c={clients}")
}

/// # Errors
/// Where pgbench fails.
pub fn measure(bench: &Bench, figures: &mut Figures) -> Result<()> {
    for round in 0..bench.settings.rounds {
        for clients in &bench.settings.clients {
            for protocol in &bench.settings.protocols {
                for peer in bench.peers() {
                    if round == 0 {
                        pgbench::run(&bench.stage, &bench.server, peer, &Load::seconds(protocol, *clients, 1))?;
                    }
                    let load = Load::seconds(protocol, *clients, bench.settings.seconds);
                    let before = peer.cpu();
                    let run = pgbench::run(&bench.stage, &bench.server, peer, &load)?;
                    if peer.name != Name::Direct {
                        let spent = (peer.cpu() - before) / 1e3 / run.transactions;
                        figures.add(&cpu(protocol, *clients), peer.name, spent);
                    }
                    figures.add(&throughput(protocol, *clients), peer.name, run.per_second);
                }
            }
        }
    }
    Ok(())
}
