//! What a proxy adds to the latency of one client: percentiles of pgbench's own log, less those of TLS straight to
//! PostgreSQL.

use anyhow::Result;

use crate::bench::Bench;
use crate::peers::{Name, Peer};
use crate::pgbench::{self, Load};
use crate::settings::Settings;
use crate::table::{Aim, Figures, Row};

const PERCENTILES: [(u32, Aim); 3] = [(50, Aim::AtMost(7.0)), (90, Aim::None), (99, Aim::AtMost(12.0))];

pub fn rows(settings: &Settings) -> Vec<Row> {
    let mut rows = Vec::new();
    for protocol in &settings.protocols {
        for (percentile, aim) in PERCENTILES {
            rows.push(Row::new("2", added(protocol, percentile), "µs", aim));
        }
        for (percentile, _) in PERCENTILES {
            rows.push(Row::new("2", whole(protocol, percentile), "µs", Aim::None));
        }
    }
    rows
}

fn added(protocol: &str, percentile: u32) -> String {
    format!("{protocol}, c=1: added latency, p{percentile}")
}

fn whole(protocol: &str, percentile: u32) -> String {
    format!("{protocol}, c=1: latency, p{percentile}")
}

/// # Errors
/// Where pgbench fails.
pub fn measure(bench: &Bench, figures: &mut Figures) -> Result<()> {
    for _ in 0..bench.settings.rounds {
        for protocol in &bench.settings.protocols {
            let mut direct = [0.0; 3];
            for peer in bench.peers() {
                let measured = percentiles(bench, peer, protocol)?;
                for (index, (percentile, _)) in PERCENTILES.into_iter().enumerate() {
                    figures.add(&whole(protocol, percentile), peer.name, measured[index]);
                    match peer.name {
                        Name::Direct => direct[index] = measured[index],
                        Name::Relay | Name::PgBouncer | Name::Pgward if direct[index] > 0.0 => {
                            figures.add(&added(protocol, percentile), peer.name, measured[index] - direct[index]);
                        }
                        Name::Relay | Name::PgBouncer | Name::Pgward => {}
                    }
                }
            }
        }
    }
    Ok(())
}

fn percentiles(bench: &Bench, peer: &Peer, protocol: &str) -> Result<[f64; 3]> {
    let directory = bench.stage.path("latency");
    std::fs::create_dir_all(&directory)?;
    let prefix = format!("--log-prefix={}/log", directory.display());
    pgbench::run(&bench.stage, &bench.server, peer, &Load::transactions(protocol, 1, 500))?;
    let load = Load::seconds(protocol, 1, bench.settings.seconds).with(&["-l", &prefix]);
    pgbench::run(&bench.stage, &bench.server, peer, &load)?;
    let mut times: Vec<u64> = Vec::new();
    for entry in std::fs::read_dir(&directory)?.flatten() {
        let text = std::fs::read_to_string(entry.path())?;
        times.extend(text.lines().filter_map(|line| line.split(' ').nth(2)?.parse::<u64>().ok()));
    }
    std::fs::remove_dir_all(&directory)?;
    times.sort_unstable();
    Ok(PERCENTILES.map(|(percentile, _)| spread(&times, percentile)))
}

/// pgbench logs whole microseconds: within those that took the same number of them, the percentile is taken as if they
/// were spread evenly over that microsecond.
fn spread(times: &[u64], percentile: u32) -> f64 {
    let position = (times.len() - 1) * percentile as usize / 100;
    let value = times[position];
    let first = times.partition_point(|time| *time < value);
    let after = times.partition_point(|time| *time <= value);
    value as f64 + (position - first) as f64 / (after - first) as f64
}
