//! Where data lies: columns, foreign tables, partitions, clients, what leaves, what is moved.

use std::collections::BTreeMap;

use super::*;
use crate::access::{Amount, Export, ExportLimit};
use crate::policy::{Exported, RegionRule};

/// A class of `on` with everything that `change` gives it.
fn class(on: &str, change: impl FnOnce(&mut DataClass)) -> DataClass {
    let on = ObjectPattern::parse(on).unwrap();
    let mut class = DataClass { on, columns: None, region: None, clients: None, export: None, labels: Vec::new() };
    change(&mut class);
    class
}

fn limited(rows: u64) -> Option<Export> {
    Some(Export::Limited(ExportLimit { rows: Some(rows), bytes: None }))
}

/// A context whose one grant covers all operations on everything in `regions`.
struct World {
    regions: Vec<&'static str>,
    client: Option<&'static str>,
    data: Vec<DataClass>,
    rules: Vec<(&'static str, RegionRule)>,
    routed: bool,
    exported: Vec<(&'static str, u64)>,
}

impl World {
    fn new(data: Vec<DataClass>) -> Self {
        Self {
            regions: vec!["us", "eu"],
            client: Some("us"),
            data,
            rules: Vec::new(),
            routed: false,
            exported: Vec::new(),
        }
    }

    fn context(&self) -> Context {
        let mut all = scope("all", vec![privilege("*.*", &Operation::ALL, None)]);
        all.regions = self.regions.iter().copied().map(Region::new).collect();
        let grant = grant(all);
        let mut exported = Exported::default();
        for (rule, rows) in &self.exported {
            exported.insert(grant.id.clone(), (*rule).into(), Amount { rows: *rows, bytes: 0 });
        }
        let rules: BTreeMap<Region, RegionRule> =
            self.rules.iter().map(|(name, rule)| (Region::new(*name), rule.clone())).collect();
        Context {
            database: Arc::new(DatabasePolicy {
                name: "shop".to_owned(),
                region: Region::new("us"),
                routed: self.routed,
                data: self.data.clone(),
                rules: Arc::new(rules),
                hidden: Default::default(),
            }),
            client_region: self.client.map(Region::new),
            exported: Arc::new(exported),
            ..context(vec![grant])
        }
    }

    fn decide(&self, footprint: Footprint) -> Result<Vec<String>, Denial> {
        match decide(&statement(Action::CloseCursor(None)), TEXT, &Ok(footprint), &self.context()) {
            Verdict::Allow(permit) => Ok(permit.exports().iter().map(|claim| claim.rule.to_string()).collect()),
            Verdict::Deny(denial) => Err(denial),
        }
    }

    fn rule(&self, footprint: Footprint) -> Result<(), Rule> {
        self.decide(footprint).map(drop).map_err(|denial| denial.rule)
    }
}

fn read(name: &str, columns: &[&str]) -> Footprint {
    reading(vec![touched(name, Operation::Select, columns)])
}

fn eu() -> DataClass {
    class("eu.*", |class| class.region = Some(Region::new("eu")))
}

#[test]
fn a_partition_is_named_with_its_parent() {
    let mut world = World::new(vec![eu()]);
    world.regions = vec!["us"];
    let parent = TouchedRelation { oid: 7, ..touched("public.events", Operation::Select, &["id"]) };
    let child = |name| TouchedRelation { oid: 8, child_of: Some(7), ..touched(name, Operation::Select, &["id"]) };
    let denial = world.decide(reading(vec![parent.clone(), child("eu.events_eu")])).unwrap_err();
    assert_eq!(denial.rule, Rule::Region);
    assert_eq!(denial.message, "permission denied for table eu.events_eu: its data lies in region eu");
    assert!(
        denial.detail.contains("eu.events_eu is read as a partition or child of public.events"),
        "{}",
        denial.detail
    );
    assert!(world.decide(reading(vec![parent, child("public.events_us")])).is_ok());
}

#[test]
fn a_foreign_table_lies_where_a_class_says_and_nowhere_else() {
    let foreign = |on: Option<&str>| {
        let data = on.map(|on| class(on, |class| class.region = Some(Region::new("us")))).into_iter().collect();
        let relation = TouchedRelation {
            kind: RelationKind::ForeignTable,
            ..touched("public.remote", Operation::Select, &["id"])
        };
        World::new(data).rule(reading(vec![relation]))
    };
    assert_eq!(foreign(None), Err(Rule::Region));
    assert_eq!(foreign(Some("*.*")), Err(Rule::Region), "what is said of everything means what lies here");
    assert_eq!(foreign(Some("public.other")), Err(Rule::Region));
    assert_eq!(foreign(Some("public.*")), Ok(()));
    assert_eq!(foreign(Some("public.remote")), Ok(()));
}

#[test]
fn clients_of_the_region_and_of_the_class_both_have_to_hold() {
    let only = |names: &[&'static str]| Some(names.iter().copied().map(Region::new).collect::<Vec<_>>());
    let mut world = World::new(vec![eu(), class("eu.shared", |class| class.clients = only(&["us", "eu"]))]);
    world.rules = vec![("eu", RegionRule { clients: only(&["eu"]), export: None })];
    assert_eq!(world.rule(read("eu.people", &["id"])), Err(Rule::ClientRegion));
    assert_eq!(world.rule(read("eu.shared", &["id"])), Err(Rule::ClientRegion), "a class does not widen");
    assert_eq!(world.rule(read("public.orders", &["id"])), Ok(()));
    world.client = Some("eu");
    assert_eq!(world.rule(read("eu.people", &["id"])), Ok(()));
    world.data.push(class("eu.shared", |class| class.clients = only(&["us"])));
    assert_eq!(world.rule(read("eu.shared", &["id"])), Err(Rule::ClientRegion), "a class narrows");
    world.client = None;
    assert_eq!(world.rule(read("eu.people", &["id"])), Err(Rule::ClientRegion), "who stands nowhere is elsewhere");
}

#[test]
fn columns_have_regions_and_rules_of_their_own() {
    let ssn = class("public.people", |class| {
        class.columns = Some(vec!["ssn".to_owned()]);
        class.region = Some(Region::new("eu"));
    });
    let mut world = World::new(vec![ssn]);
    world.rules = vec![("eu", RegionRule { clients: None, export: limited(5) })];
    assert_eq!(world.decide(read("public.people", &["id"])).unwrap(), Vec::<String>::new());
    assert_eq!(world.decide(read("public.people", &["id", "ssn"])).unwrap(), ["region eu"]);
    assert_eq!(world.decide(read("public.people", &["*"])).unwrap(), ["region eu"]);
    world.regions = vec!["us"];
    assert_eq!(world.rule(read("public.people", &["ssn"])), Err(Rule::Region));
}

#[test]
fn what_leaves_is_claimed_and_refused_once_the_bound_is_reached() {
    let mut world = World::new(vec![eu(), class("eu.people", |class| class.export = limited(10))]);
    world.rules = vec![("eu", RegionRule { clients: None, export: limited(100) })];
    assert_eq!(world.decide(read("eu.people", &["id"])).unwrap(), ["region eu", "data eu.people"]);
    assert_eq!(world.decide(read("eu.numbers", &["id"])).unwrap(), ["region eu"]);
    assert_eq!(world.decide(read("public.orders", &["id"])).unwrap(), Vec::<String>::new());
    let insert = reading(vec![touched("eu.people", Operation::Insert, &["id"])]);
    assert_eq!(world.decide(insert).unwrap(), Vec::<String>::new(), "what comes in does not leave");
    world.exported = vec![("data eu.people", 10), ("region eu", 10)];
    let denial = world.decide(read("eu.people", &["id"])).unwrap_err();
    assert_eq!(denial.rule, Rule::Export);
    assert!(denial.detail.contains("10 rows may leave") && denial.detail.contains("10 rows, 0 bytes have left"));
    assert_eq!(world.rule(read("eu.numbers", &["id"])), Ok(()), "the other counter has room");
    world.client = Some("eu");
    assert_eq!(world.decide(read("eu.people", &["id"])).unwrap(), Vec::<String>::new(), "it stays in its region");
    world.client = None;
    assert_eq!(world.rule(read("eu.people", &["id"])), Err(Rule::Export));
}

#[test]
fn none_is_nothing() {
    let mut world = World::new(vec![eu()]);
    world.rules = vec![("eu", RegionRule { clients: None, export: Some(Export::NONE) })];
    assert_eq!(world.rule(read("eu.people", &[])), Err(Rule::Export));
    world.client = Some("eu");
    assert_eq!(world.rule(read("eu.people", &[])), Ok(()));
}

#[test]
fn data_is_not_moved_to_another_region() {
    let ssn = class("public.people", |class| {
        class.columns = Some(vec!["ssn".to_owned()]);
        class.region = Some(Region::new("eu"));
    });
    let check = |world: &World, source: TouchedRelation, target: TouchedRelation, expected: Result<(), Rule>| {
        let shown = format!("{source:?} -> {target:?}");
        let footprint = Footprint { relations: vec![target, source.clone()], sources: vec![source], ..<_>::default() };
        assert_eq!(world.rule(footprint), expected, "{shown}");
    };
    let from = |name, columns| TouchedRelation { oid: 1, ..touched(name, Operation::Select, columns) };
    let into = |name, columns| TouchedRelation { oid: 2, ..touched(name, Operation::Insert, columns) };
    let mut world = World::new(vec![eu(), ssn]);
    check(&world, from("eu.people", &["id"]), into("public.copy", &["id"]), Err(Rule::Export));
    check(&world, from("eu.people", &["id"]), into("eu.copy", &["id"]), Ok(()));
    check(&world, from("public.orders", &["id"]), into("eu.copy", &["id"]), Ok(()));
    check(&world, from("public.people", &["id"]), into("public.copy", &["id"]), Ok(()));
    check(&world, from("public.people", &["ssn"]), into("public.copy", &["id"]), Err(Rule::Export));
    check(&world, from("eu.people", &["id"]), into("public.people", &["ssn"]), Ok(()));
    check(&world, from("eu.people", &["id"]), into("public.people", &["id", "ssn"]), Err(Rule::Export));
    let created = TouchedRelation { oid: 0, ..touched("public.copy", Operation::Ddl, &[]) };
    check(&world, from("eu.people", &["id"]), created, Err(Rule::Export));
    let updated = TouchedRelation { oid: 2, ..touched("public.copy", Operation::Update, &["note"]) };
    check(&world, from("eu.people", &["id"]), updated, Err(Rule::Export));
    let deleted = TouchedRelation { oid: 2, ..touched("public.copy", Operation::Delete, &[]) };
    check(&world, from("eu.people", &["id"]), deleted, Ok(()));
    // A row of one table whose columns lie in two regions.
    let in_place = |read: &[&str], written: &[&str]| {
        let one = |operation, columns| TouchedRelation { oid: 3, ..touched("public.people", operation, columns) };
        reading(vec![one(Operation::Select, read), one(Operation::Update, written)])
    };
    assert_eq!(world.rule(in_place(&["id"], &["ssn"])), Ok(()));
    assert_eq!(world.rule(in_place(&["ssn"], &["ssn"])), Ok(()));
    assert_eq!(world.rule(in_place(&["ssn"], &["name"])), Err(Rule::Export));
    world.rules = vec![("eu", RegionRule { clients: None, export: Some(Export::Unlimited) })];
    check(&world, from("eu.people", &["id"]), into("public.copy", &["id"]), Ok(()));
    world.rules = vec![("us", RegionRule { clients: Some(vec![Region::new("us")]), export: None })];
    check(&world, from("public.orders", &["id"]), into("eu.copy", &["id"]), Err(Rule::Export));
}

#[test]
fn on_one_of_several_upstreams_only_grants_for_its_region_count() {
    let mut world = World::new(Vec::new());
    world.routed = true;
    world.regions = vec!["eu"];
    assert_eq!(world.rule(Footprint::default()), Err(Rule::Region));
    world.regions = vec!["us"];
    assert_eq!(world.rule(Footprint::default()), Ok(()));
}
