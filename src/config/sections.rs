//! The sections that stand once: `[proxy]`, `[control]`, `[store]`, `[regions.*]`.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use ipnet::IpNet;

use super::bounds;
use super::export::export;
use super::files::{FileKind, FileUse};
use super::names::{Names, check_name};
use super::oidc;
use super::reader::{Table, Text};
use super::{ControlSettings, ProxySettings, TlsFiles};
use crate::access::{Region, RegionNetworks};
use crate::policy::RegionRule;

const DAY: Duration = Duration::from_secs(86_400);

pub(super) fn proxy(root: &Table<'_>, directory: &Path, files: &mut Vec<FileUse>) -> Option<ProxySettings> {
    let table = root.required_table("proxy")?;
    let own = [
        "listen",
        "tls_cert",
        "tls_key",
        "client_ca",
        "client_crl",
        "certificate",
        "public_host",
        "public_port",
        "workers",
        "drain",
        "linger",
        "proxy_protocol_from",
    ];
    table.allow(&[own.as_slice(), &bounds::KEYS].concat());
    let listen = listen_address(&table);
    let tls = tls_files(&table, directory, files);
    let client_ca = table.text("client_ca").map(|text| FileUse::add(files, &text, directory, FileKind::Plain));
    let client_crl = table.texts("client_crl").unwrap_or_default();
    let client_crl: Vec<_> =
        client_crl.iter().map(|text| FileUse::add(files, text, directory, FileKind::Plain)).collect();
    if client_ca.is_none() && !client_crl.is_empty() {
        table.refuse("client_crl", "says which of client_ca's certificates were revoked; there is no client_ca");
    }
    let certificates = table.tables("certificate");
    let certificates = certificates.iter().filter_map(|certificate| {
        certificate.allow(&["tls_cert", "tls_key"]);
        tls_files(certificate, directory, files)
    });
    let certificates: Vec<_> = certificates.collect();
    let public_host = table.text("public_host").and_then(|text| text.read(check_host));
    let public_port = table.integer("public_port", 1, u64::from(u16::MAX));
    let bounds = bounds::bounds(&table);
    let balancers = table.texts("proxy_protocol_from").unwrap_or_default();
    let proxy_protocol_from = balancers.iter().filter_map(|text| text.read(parse_network)).collect();
    let listen = listen?;
    Some(ProxySettings {
        listen,
        public_host: public_host.unwrap_or_else(|| reachable_host(listen.ip())),
        public_port: public_port.and_then(|port| u16::try_from(port).ok()).unwrap_or(listen.port()),
        tls: tls?,
        certificates,
        client_ca,
        client_crl,
        workers: table.integer("workers", 1, 1_024).and_then(|count| usize::try_from(count).ok()),
        drain: pause(&table, "drain", Duration::from_secs(5)),
        linger: pause(&table, "linger", Duration::ZERO),
        bounds,
        proxy_protocol_from,
    })
}

pub(super) fn control(
    root: &Table<'_>,
    directory: &Path,
    names: &Names,
    files: &mut Vec<FileUse>,
) -> Option<ControlSettings> {
    let table = root.required_table("control")?;
    table.allow(&["listen", "tls_cert", "tls_key", "admins", "auditors", "credential_ttl", "oidc"]);
    let listen = listen_address(&table);
    let tls = tls_files(&table, directory, files);
    let admins = table.texts("admins").map(|texts| names.subjects(texts)).unwrap_or_default();
    let auditors = table.texts("auditors").map(|texts| names.subjects(texts)).unwrap_or_default();
    let credential_ttl = table.duration("credential_ttl").unwrap_or(DAY / 2);
    let oidc = oidc::oidc(&table, directory, files);
    Some(ControlSettings { listen: listen?, tls: tls?, admins, auditors, credential_ttl, oidc })
}

/// `[regions.*]`
#[derive(Debug, Default)]
pub(super) struct Regions {
    pub declared: Vec<Region>,
    pub networks: RegionNetworks,
    pub rules: BTreeMap<Region, RegionRule>,
}

pub(super) fn regions(root: &Table<'_>, names: &Names) -> Regions {
    let Some(table) = root.table("regions") else { return Regions::default() };
    let mut rules = BTreeMap::new();
    let mut regions = Vec::new();
    let mut networks: Vec<(IpNet, Region, usize)> = Vec::new();
    for name in table.keys() {
        let Some(region) = name.read(check_name).map(Region::new) else { continue };
        let Some(entry) = table.table(name.value) else { continue };
        entry.allow(&["networks", "clients", "export", "audit"]);
        let clients = entry.some_texts("clients").map(|texts| names.regions_of(&texts));
        let rule = RegionRule { clients, export: export(&entry) };
        if rule != RegionRule::default() {
            rules.insert(region.clone(), rule);
        }
        for text in entry.texts("networks").unwrap_or_default() {
            let Some(network) = text.read(parse_network) else { continue };
            match networks.iter().find(|(earlier, ..)| *earlier == network) {
                Some((_, other, line)) => {
                    text.place.refuse(format!("{network} is a network of region \"{other}\" already, in line {line}"));
                }
                None => networks.push((network, region.clone(), text.place.line())),
            }
        }
        regions.push(region);
    }
    let networks = networks.into_iter().map(|(network, region, _)| (network, region)).collect();
    Regions { declared: regions, networks: RegionNetworks::new(networks), rules }
}

fn listen_address(table: &Table<'_>) -> Option<SocketAddr> {
    table.required_text("listen")?.read(|text| {
        text.parse().map_err(|_| format!("\"{text}\" is not an address and port, such as \"127.0.0.1:6432\""))
    })
}

fn tls_files(table: &Table<'_>, directory: &Path, files: &mut Vec<FileUse>) -> Option<TlsFiles> {
    let cert = table.required_text("tls_cert");
    let key = table.required_text("tls_key");
    let cert = cert.map(|text| FileUse::add(files, &text, directory, FileKind::Plain));
    let key = key.map(|text| FileUse::add(files, &text, directory, FileKind::Secret));
    Some(TlsFiles { cert: cert?, key: key? })
}

/// A pause on the way to the end.
fn pause(table: &Table<'_>, key: &str, default: Duration) -> Duration {
    let pause = table.duration(key).unwrap_or(default);
    if pause > Duration::from_secs(3600) {
        table.refuse(key, "must be \"1h\" or less");
    }
    pause
}

fn check_host(text: &str) -> Result<String, String> {
    let is_host = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:".contains(c));
    if is_host { Ok(text.to_owned()) } else { Err(format!("{text:?} is not a host name or address")) }
}

/// A host by which a client on the same network reaches a listener on `address`.
fn reachable_host(address: IpAddr) -> String {
    if address.is_unspecified() { "localhost".to_owned() } else { address.to_string() }
}

fn parse_network(text: &str) -> Result<IpNet, String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Err(format!("\"{text}\" is an address; write the network \"{}\"", IpNet::from(address)));
    }
    let network: IpNet =
        text.parse().map_err(|_| format!("\"{text}\" is not a network, such as \"10.20.0.0/16\" or \"fd00::/8\""))?;
    if network.trunc() != network {
        return Err(format!("\"{text}\" has bits set past its prefix; did you mean \"{}\"?", network.trunc()));
    }
    match network {
        IpNet::V6(v6) if v6.addr().to_ipv4_mapped().is_some() => {
            Err(format!("\"{text}\" holds IPv4 addresses; write it as an IPv4 network"))
        }
        IpNet::V4(_) | IpNet::V6(_) => Ok(network),
    }
}

/// Used by the readers of `[[database]]` too.
pub(super) fn region_of(table: &Table<'_>, names: &Names) -> Option<Region> {
    let text: Text<'_> = table.text("region")?;
    names.region(&text)
}
