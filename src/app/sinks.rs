//! From `[[audit.sink]]` to what the sinks are told, with every secret and certificate read.

use std::path::Path;

use anyhow::Context as _;

use super::settings::proof;
use crate::access::{Region, Secret};
use crate::config::{ArchiveLocation, Config, PasswordSource, Sink, SinkFormat, SinkKind, SinkStart, UpstreamHost};
use crate::sinks::{
    Archive, ArchivePlace, Body, Kind, Otlp, Pem, Postgresql, Regions, S3, Selection, Settings, Start, Syslog, Webhook,
};

/// All sinks, as they are now configured.
///
/// # Errors
/// Where a secret or a certificate cannot be read.
pub fn settings(config: &Config) -> anyhow::Result<Vec<Settings>> {
    // What a region keeps in a directory of its own goes nowhere else unless it is said.
    let regions = config.audit.regions.iter();
    let kept: Vec<Region> =
        regions.filter(|(_, audit)| audit.dir.is_some()).map(|(region, _)| region.clone()).collect();
    config.sinks.iter().map(|sink| of(sink, &kept).with_context(|| format!("sink \"{}\"", sink.name))).collect()
}

fn of(sink: &Sink, kept: &[Region]) -> anyhow::Result<Settings> {
    let regions = match &sink.regions {
        Some(named) => Regions::Only(named.clone()),
        None => Regions::AllBut(kept.to_vec()),
    };
    Ok(Settings {
        name: sink.name.clone(),
        selection: Selection { regions, events: sink.events.clone() },
        start: match sink.start {
            SinkStart::Oldest => Start::Oldest,
            SinkStart::Now => Start::Now,
        },
        batch_records: sink.batch_records,
        batch_bytes: sink.batch_bytes,
        alarm_after: sink.alarm_after,
        kind: kind(&sink.kind)?,
    })
}

fn kind(kind: &SinkKind) -> anyhow::Result<Kind> {
    Ok(match kind {
        SinkKind::Postgresql { place, url, password, table, create_table, format } => Kind::Postgresql(Postgresql {
            host: match &place.host {
                UpstreamHost::Tcp(host) => host.clone(),
                UpstreamHost::Unix(directory) => directory.display().to_string(),
            },
            port: place.port,
            user: url.user.clone(),
            database: url.database.clone(),
            password: password.read().map_err(anyhow::Error::msg)?,
            proof: proof(url),
            ca: match &place.host {
                UpstreamHost::Tcp(_) => pem(url.sslrootcert.as_deref())?,
                UpstreamHost::Unix(_) => None,
            },
            table: table.clone(),
            create_table: *create_table,
            body: body(*format),
        }),
        SinkKind::Syslog { host, port, ca, client, hostname, enterprise_id, format } => Kind::Syslog(Syslog {
            host: host.clone(),
            port: *port,
            ca: Pem::read(ca)?,
            client: match client {
                Some((cert, key)) => Some((Pem::read(cert)?, Pem::read(key)?)),
                None => None,
            },
            hostname: hostname.clone().unwrap_or_else(own_hostname),
            enterprise_id: *enterprise_id,
            body: body(*format),
        }),
        SinkKind::Webhook { url, ca, secret, allow_private, format } => Kind::Webhook(Webhook {
            url: url.clone(),
            ca: pem(ca.as_deref())?,
            secret: required(secret)?,
            allow_private: *allow_private,
            body: body(*format),
        }),
        SinkKind::Otlp { url, ca, headers, allow_private } => Kind::Otlp(Otlp {
            url: url.clone(),
            ca: pem(ca.as_deref())?,
            headers: headers
                .iter()
                .map(|(name, value)| Ok((name.clone(), required(value)?)))
                .collect::<anyhow::Result<_>>()?,
            allow_private: *allow_private,
            instance: own_hostname(),
        }),
        SinkKind::ObjectStorage { place, prefix } => {
            Kind::Archive(Archive { place: archive_place(place)?, prefix: prefix.clone() })
        }
    })
}

fn archive_place(place: &ArchiveLocation) -> anyhow::Result<ArchivePlace> {
    Ok(match place {
        ArchiveLocation::Directory(path) => ArchivePlace::Directory(path.clone()),
        ArchiveLocation::S3 { endpoint, region, bucket, access_key_id, secret_access_key, ca } => {
            ArchivePlace::S3(S3 {
                endpoint: endpoint.clone(),
                region: region.clone(),
                bucket: bucket.clone(),
                access_key_id: required(access_key_id)?,
                secret_access_key: required(secret_access_key)?,
                ca: pem(ca.as_deref())?,
            })
        }
    })
}

fn body(format: SinkFormat) -> Body {
    match format {
        SinkFormat::Jsonl => Body::Jsonl,
        SinkFormat::Ocsf => Body::Ocsf,
    }
}

fn pem(path: Option<&Path>) -> anyhow::Result<Option<Pem>> {
    Ok(path.map(Pem::read).transpose()?)
}

fn required(source: &PasswordSource) -> anyhow::Result<Secret> {
    source.read().map_err(anyhow::Error::msg)?.context("a secret is missing")
}

/// What this machine calls itself.
fn own_hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name: String = name.trim().chars().filter(char::is_ascii_graphic).take(255).collect();
    if name.is_empty() { "-".to_owned() } else { name }
}
