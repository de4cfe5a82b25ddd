//! Where the touched rows lie, and what follows: the grant must cover every region, the client must stand where the data
//! may be touched, and what leaves its region is bounded. The rows decide, not the name that was asked for.

mod misplaced;
mod moves;
mod place;

use std::collections::BTreeSet;

use super::context::{Context, DatabasePolicy};
use super::denial::Refusal;
use super::export::ExportClaim;
use crate::access::{Export, Grant, Operation, Region};
use crate::catalog::{Columns, Footprint, RelationKind, TouchedRelation};

pub(super) use misplaced::Misplaced;
use place::{Placed, place};

/// Whether the regions of everything that a statement touches agree with grant and client; answers what its rows count
/// against.
pub(super) fn check(footprint: &Footprint, grant: &Grant, context: &Context) -> Result<Vec<ExportClaim>, Refusal> {
    let database = &context.database;
    if database.routed && !grant.scope.regions.contains(&database.region) {
        return Err(refuse(Misplaced::Upstream(database.region.clone())));
    }
    let mut claims: Vec<ExportClaim> = Vec::new();
    for touched in footprint.relations.iter().filter(|touched| lies_somewhere(touched)) {
        // A change of what is there concerns all its columns.
        let is_altered = touched.operation == Operation::Ddl && touched.oid != 0;
        let columns = if is_altered { &Columns::WholeRow } else { &touched.columns };
        let Some(placed) = place(touched, columns, database) else {
            return Err(refuse(Misplaced::Unknown { relation: touched.clone(), way: way(touched, footprint) }));
        };
        if let Some(region) = placed.regions.iter().find(|region| !grant.scope.regions.contains(region)) {
            let (relation, region) = (touched.clone(), (*region).clone());
            return Err(refuse(Misplaced::Region { relation, region, way: way(touched, footprint) }));
        }
        clients(touched, &placed, context, footprint)?;
        if touched.operation == Operation::Select {
            exports(touched, &placed, grant, context, &mut claims)?;
        }
    }
    moves::check(footprint, database)?;
    Ok(claims)
}

/// The region whose data a statement touches, where that is not the database's own: the first by name, if several are. Its
/// text may hold what it asks for, so its record belongs there.
#[must_use]
pub fn data_region(footprint: &Footprint, database: &DatabasePolicy) -> Option<Region> {
    if database.data.iter().all(|class| class.region.is_none()) {
        return None;
    }
    let touched = footprint.relations.iter().filter(|touched| lies_somewhere(touched));
    let placed = touched.filter_map(|touched| place(touched, &touched.columns, database));
    let regions = placed.flat_map(|placed| placed.regions);
    regions.filter(|region| **region != database.region).min().cloned()
}

/// Every region whose data a statement touches, by name.
pub(super) fn regions<'p>(footprint: &Footprint, database: &'p DatabasePolicy) -> BTreeSet<&'p Region> {
    let touched = footprint.relations.iter().filter(|touched| lies_somewhere(touched));
    touched.filter_map(|touched| place(touched, &touched.columns, database)).flat_map(|placed| placed.regions).collect()
}

fn refuse(misplaced: Misplaced) -> Refusal {
    Refusal::Residency(Box::new(misplaced))
}

/// Every rule about clients has to hold: those of the data's regions and those of its classes.
fn clients(
    touched: &TouchedRelation,
    placed: &Placed<'_>,
    context: &Context,
    footprint: &Footprint,
) -> Result<(), Refusal> {
    let of_regions = placed.regions.iter().filter_map(|region| context.database.rules.get(*region)?.clients.as_deref());
    for allowed in of_regions.chain(placed.clients.iter().copied()) {
        if context.client_region.as_ref().is_none_or(|client| !allowed.contains(client)) {
            let (relation, client) = (touched.clone(), context.client_region.clone());
            return Err(refuse(Misplaced::Client { relation, client, way: way(touched, footprint) }));
        }
    }
    Ok(())
}

/// What is read for a client elsewhere leaves its region: it must be allowed to, and is counted.
fn exports(
    touched: &TouchedRelation,
    placed: &Placed<'_>,
    grant: &Grant,
    context: &Context,
    claims: &mut Vec<ExportClaim>,
) -> Result<(), Refusal> {
    for (rule, region, export) in rules_of_leaving(placed, &context.database) {
        let Export::Limited(limit) = *export else { continue };
        if context.client_region.as_ref() == Some(region) || claims.iter().any(|claim| claim.rule == rule) {
            continue;
        }
        let claim = ExportClaim { rule, region: region.clone(), limit };
        let used = context.exported.of(&grant.id, &claim.rule);
        if limit.is_reached(used) {
            let client = context.client_region.clone();
            return Err(refuse(Misplaced::Exported { relation: touched.clone(), claim, used, client }));
        }
        claims.push(claim);
    }
    Ok(())
}

/// The rules about leaving that speak of a placed relation: by name, with the region that they are about.
fn rules_of_leaving<'p>(
    placed: &Placed<'p>,
    database: &'p DatabasePolicy,
) -> Vec<(std::sync::Arc<str>, &'p Region, &'p Export)> {
    let mut rules: Vec<_> = placed
        .regions
        .iter()
        .filter_map(|region| {
            let export = database.rules.get(*region)?.export.as_ref()?;
            Some((format!("region {region}").into(), *region, export))
        })
        .collect();
    rules.extend(placed.exports.iter().map(|(class, region, export)| (place::name_of(class).into(), *region, *export)));
    rules
}

/// Whether the relation holds rows of its own outside of the system catalogs.
fn lies_somewhere(touched: &TouchedRelation) -> bool {
    !super::catalogs::is_catalog(&touched.schema) && holds_rows(touched.kind)
}

fn holds_rows(kind: RelationKind) -> bool {
    match kind {
        RelationKind::Table
        | RelationKind::Partitioned
        | RelationKind::MaterializedView
        | RelationKind::Sequence
        | RelationKind::ForeignTable
        | RelationKind::Toast => true,
        RelationKind::View | RelationKind::Composite | RelationKind::Index => false,
    }
}

/// How a relation that the statement does not name is reached from one that it does.
fn way(touched: &TouchedRelation, footprint: &Footprint) -> Option<String> {
    let name = |oid| {
        let found = footprint.relations.iter().find(|relation| relation.oid == oid)?;
        Some(format!("{}.{}", found.schema, found.name))
    };
    let this = format!("{}.{}", touched.schema, touched.name);
    match (touched.child_of.map(name), touched.through.map(name)) {
        (None, None) => None,
        (Some(parent), None) => {
            Some(format!("{this} is read as a partition or child of {}", parent.unwrap_or_else(|| "its parent".into())))
        }
        (_, Some(view)) => Some(format!("{this} lies behind {}", view.unwrap_or_else(|| "a view".into()))),
    }
}
