//! The regions of what is touched of one relation, and the classes that speak of it.

use crate::access::{Export, Region};
use crate::catalog::{Columns, RelationKind, TouchedRelation};
use crate::policy::context::{DataClass, DatabasePolicy};

/// What the configuration says of the touched part of one relation.
pub(super) struct Placed<'p> {
    /// Every region that it lies in: the relation's own first, then those of single columns.
    pub regions: Vec<&'p Region>,
    /// Each list has to hold.
    pub clients: Vec<&'p [Region]>,
    /// Each bound has to hold; with the region that it is about.
    pub exports: Vec<(&'p DataClass, &'p Region, &'p Export)>,
}

/// Where the relation lies by whole classes: the region, and the class that says so, if one does. `None` where nobody
/// says where a foreign table's rows are: not in this upstream.
pub(super) fn base<'p>(
    touched: &TouchedRelation,
    database: &'p DatabasePolicy,
) -> Option<(&'p Region, Option<&'p DataClass>)> {
    let class = whole(touched, database, |class| class.region.is_some());
    match class.and_then(|class| class.region.as_ref()) {
        Some(region) => Some((region, class)),
        None if touched.kind == RelationKind::ForeignTable => None,
        None => Some((&database.region, None)),
    }
}

/// What the classes of the whole relation say about leaving its region.
pub(super) fn base_export<'p>(touched: &TouchedRelation, database: &'p DatabasePolicy) -> Option<&'p Export> {
    export_class(touched, database).and_then(|class| class.export.as_ref())
}

/// A class that gives a region and no bound takes back the bound of a less specific one.
fn export_class<'p>(touched: &TouchedRelation, database: &'p DatabasePolicy) -> Option<&'p DataClass> {
    whole(touched, database, |class| class.region.is_some() || class.export.is_some())
}

/// What is said of `columns` of the relation; `None` as in [`base`].
pub(super) fn place<'p>(
    touched: &TouchedRelation,
    columns: &Columns,
    database: &'p DatabasePolicy,
) -> Option<Placed<'p>> {
    let (region, _) = base(touched, database)?;
    let mut placed = Placed { regions: vec![region], clients: Vec::new(), exports: Vec::new() };
    let clients = whole(touched, database, |class| class.region.is_some() || class.clients.is_some());
    placed.clients.extend(clients.and_then(|class| class.clients.as_deref()));
    placed
        .exports
        .extend(export_class(touched, database).and_then(|class| Some((class, region, class.export.as_ref()?))));
    for class in of_columns(touched, columns, database) {
        let region = class.region.as_ref().unwrap_or(region);
        if !placed.regions.contains(&region) {
            placed.regions.push(region);
        }
        placed.clients.extend(class.clients.as_deref());
        placed.exports.extend(class.export.as_ref().map(|export| (class, region, export)));
    }
    Some(placed)
}

/// The classes of single columns, as far as `columns` holds one of theirs.
pub(super) fn of_columns<'p>(
    touched: &TouchedRelation,
    columns: &Columns,
    database: &'p DatabasePolicy,
) -> impl Iterator<Item = &'p DataClass> {
    matching(touched, database).filter(|class| touches(columns, class.columns.as_deref()))
}

/// Names a class in counters, messages and records.
pub(super) fn name_of(class: &DataClass) -> String {
    match &class.columns {
        None => format!("data {}", class.on),
        Some(columns) => format!("data {} ({})", class.on, columns.join(", ")),
    }
}

/// The class of whole relations that decides, of those that are `wanted`. Of several that are equally specific the last
/// one counts, as a later line amends an earlier one.
pub(super) fn whole<'p>(
    touched: &TouchedRelation,
    database: &'p DatabasePolicy,
    wanted: fn(&DataClass) -> bool,
) -> Option<&'p DataClass> {
    matching(touched, database)
        .filter(|class| class.columns.is_none() && wanted(class))
        .max_by_key(|class| class.on.specificity())
}

fn matching<'p>(touched: &TouchedRelation, database: &'p DatabasePolicy) -> impl Iterator<Item = &'p DataClass> {
    // A foreign table lies where its server is: what is said of all schemas does not mean it.
    let is_foreign = touched.kind == RelationKind::ForeignTable;
    let (schema, name) = (touched.schema.clone(), touched.name.clone());
    database.data.iter().filter(move |class| {
        class.on.matches(&schema, &name) && (!is_foreign || class.on.schema.is_some() || class.on.name.is_some())
    })
}

/// Whether a use touches one of a class's columns. A class without columns is none that this asks about.
fn touches(columns: &Columns, class: Option<&[String]>) -> bool {
    match (columns, class) {
        (_, None) | (Columns::None, Some(_)) => false,
        (Columns::WholeRow, Some(_)) => true,
        (Columns::Named(names), Some(class)) => names.iter().any(|name| class.contains(name)),
    }
}
