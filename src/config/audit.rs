//! `[audit]` and `[regions.*.audit]`: where the journal is kept, how surely, how long, and signed by which key.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::files::FileUse;
use super::names::check_name;
use super::reader::Table;
use super::witness::witnesses;
use super::{AuditSettings, ParameterRecording, RegionAudit};
use crate::access::Region;
use crate::audit::{Durability, Kind, Retention};

pub(super) fn audit(root: &Table<'_>, directory: &Path, files: &mut Vec<FileUse>) -> Option<AuditSettings> {
    let table = root.required_table("audit")?;
    table.allow(&["dir", "durability", "retention", "parameters", "signing_key", "origin", "witness", "sink"]);
    let dir = table.required_text("dir");
    let durability = match table.text("durability") {
        Some(text) => text.choose(&[("written", Durability::Written), ("synced", Durability::Synced)]),
        None => Some(Durability::Written),
    };
    let parameters = match table.text("parameters") {
        Some(text) => text.choose(&[
            ("record", ParameterRecording::Record),
            ("hash", ParameterRecording::Hash),
            ("omit", ParameterRecording::Omit),
        ]),
        None => Some(ParameterRecording::Record),
    };
    let retention = retention(&table, &Retention::all(DEFAULT_RETENTION));
    let origin = table.text("origin").map(|text| text.read(check_origin));
    let dir = directory.join(dir?.value);
    let signing_key = match table.text("signing_key") {
        Some(text) => directory.join(text.value),
        None => beside(&dir),
    };
    let regions = regions(root, directory, &retention);
    let witnesses = witnesses(&table, directory, files);
    let (durability, parameters) = (durability?, parameters?);
    let origin = match origin {
        Some(origin) => Some(origin?),
        None => None,
    };
    Some(AuditSettings { dir, durability, signing_key, origin, retention, regions, parameters, witnesses })
}

/// A region without a word on its records has none here.
fn regions(root: &Table<'_>, directory: &Path, default: &Retention) -> BTreeMap<Region, RegionAudit> {
    let mut regions = BTreeMap::new();
    let Some(all) = root.table("regions") else { return regions };
    for name in all.keys() {
        let audit = all.table(name.value).and_then(|entry| entry.table("audit"));
        let (Some(table), Some(region)) = (audit, check_name(name.value).ok().map(Region::new)) else { continue };
        table.allow(&["dir", "retention"]);
        let dir = table.text("dir").map(|dir| directory.join(dir.value));
        regions.insert(region, RegionAudit { dir, retention: retention(&table, default) });
    }
    regions
}

/// One duration for all kinds, or a table with one for each; what it leaves out is as `default` or the table's `default` say.
fn retention(table: &Table<'_>, default: &Retention) -> Retention {
    if !table.is_table("retention") {
        return table.duration("retention").map_or_else(|| default.clone(), Retention::all);
    }
    let Some(kinds) = table.table("retention") else { return default.clone() };
    let mut names = vec!["default"];
    names.extend(Kind::ALL.map(Kind::as_str));
    kinds.allow(&names);
    let default = kinds.duration("default").map_or_else(|| default.clone(), Retention::all);
    let of = |kind: Kind| kinds.duration(kind.as_str()).unwrap_or_else(|| default.of(kind));
    Retention {
        statement: of(Kind::Statement),
        session: of(Kind::Session),
        access: of(Kind::Access),
        service: of(Kind::Service),
    }
}

fn check_origin(text: &str) -> Result<String, String> {
    if crate::audit::is_origin(text) {
        Ok(text.to_owned())
    } else {
        Err("a log's name is neither empty nor has spaces or `+`".to_owned())
    }
}

fn beside(dir: &Path) -> PathBuf {
    let mut name = dir.as_os_str().to_owned();
    name.push(".key");
    name.into()
}

const DEFAULT_RETENTION: Duration = Duration::from_secs(400 * 86_400);
