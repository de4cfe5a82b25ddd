//! Data that one statement reads in one region and writes into a relation of another: it leaves as surely as it does to a
//! client, and nobody counts it. Refused where the data is classified or its region has rules, unless what it may leave by
//! is said to be unlimited.

use super::place::{base, base_export, of_columns, whole};
use super::{Misplaced, holds_rows, lies_somewhere, refuse};
use crate::access::{Export, Operation, Region};
use crate::catalog::{Columns, Footprint, TouchedRelation};
use crate::policy::context::{DataClass, DatabasePolicy, RegionRule};
use crate::policy::denial::Refusal;

/// Whether data stays in its region, as far as the statement itself moves any.
pub(super) fn check(footprint: &Footprint, database: &DatabasePolicy) -> Result<(), Refusal> {
    for target in footprint.relations.iter().filter(|target| is_written(target)) {
        let into = written(target, database);
        let sources = footprint.sources.iter().filter(|source| lies_somewhere(source));
        for source in sources {
            refuse_if_elsewhere(source, bound(source, database), target, &into)?;
        }
        // A row that is updated in place stays where it is, but for columns that lie elsewhere than their table.
        let is_same = |read: &&TouchedRelation| read.oid == target.oid && read.operation == Operation::Select;
        for source in footprint.relations.iter().filter(is_same).filter(|_| target.operation == Operation::Update) {
            refuse_if_elsewhere(source, bound_columns(source, database), target, &into)?;
        }
    }
    Ok(())
}

fn refuse_if_elsewhere(
    source: &TouchedRelation,
    regions: Vec<&Region>,
    target: &TouchedRelation,
    into: &[&Region],
) -> Result<(), Refusal> {
    for region in regions {
        if let Some(to) = into.iter().find(|to| **to != region) {
            return Err(refuse(Misplaced::Moved {
                from: source.clone(),
                region: region.clone(),
                into: target.clone(),
                to: (*to).clone(),
            }));
        }
    }
    Ok(())
}

/// Whether data ends up in the relation. Rows that are locked count as updated ones without any column.
fn is_written(touched: &TouchedRelation) -> bool {
    lies_somewhere(touched)
        && match touched.operation {
            Operation::Insert | Operation::Update => touched.columns != Columns::None,
            // CREATE TABLE AS and the like; a REFRESH. Without a query there is nothing that they would read.
            Operation::Ddl => holds_rows(touched.kind),
            Operation::Select | Operation::Delete | Operation::Truncate => false,
        }
}

/// The regions that written columns lie in.
fn written<'p>(target: &TouchedRelation, database: &'p DatabasePolicy) -> Vec<&'p Region> {
    let classes: Vec<&DataClass> =
        of_columns(target, &target.columns, database).filter(|class| class.region.is_some()).collect();
    let mut regions: Vec<&Region> = classes.iter().filter_map(|class| class.region.as_ref()).collect();
    let has_class = |name: &String| classes.iter().any(|class| class.columns.iter().flatten().any(|c| c == name));
    let rest = match &target.columns {
        Columns::Named(names) => names.iter().any(|name| !has_class(name)),
        Columns::None | Columns::WholeRow => true,
    };
    // Where a foreign table's rows go nobody has said: that was refused before.
    regions.extend(base(target, database).filter(|_| rest).map(|(region, _)| region));
    regions
}

/// The regions that what is read may not be carried out of.
fn bound<'p>(source: &TouchedRelation, database: &'p DatabasePolicy) -> Vec<&'p Region> {
    let mut regions = bound_columns(source, database);
    let Some((region, _)) = base(source, database) else { return regions };
    let rule = database.rules.get(region);
    let is_ruled = rule.is_some_and(|rule| rule.clients.is_some() || rule.export.is_some());
    if (is_ruled || whole(source, database, is_classified).is_some()) && !is_free(base_export(source, database), rule) {
        regions.push(region);
    }
    regions
}

/// The same for single columns that have a class of their own.
fn bound_columns<'p>(source: &TouchedRelation, database: &'p DatabasePolicy) -> Vec<&'p Region> {
    let base = base(source, database).map(|(region, _)| region);
    of_columns(source, &source.columns, database)
        .filter(|class| is_classified(class))
        .filter_map(|class| {
            let region = class.region.as_ref().or(base)?;
            (!is_free(class.export.as_ref(), database.rules.get(region))).then_some(region)
        })
        .collect()
}

fn is_classified(class: &DataClass) -> bool {
    class.region.is_some() || class.clients.is_some() || class.export.is_some()
}

/// Whether data may go anywhere: by the word of its class, else by that of its region.
fn is_free(of_class: Option<&Export>, of_region: Option<&RegionRule>) -> bool {
    of_class.or_else(|| of_region?.export.as_ref()) == Some(&Export::Unlimited)
}
