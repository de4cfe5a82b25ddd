//! The comparison: one thread for each grant makes statements, judges them, and asks PostgreSQL about them.

use std::collections::BTreeMap;

use pgward::policy::Context;

use crate::grammar::Grammar;
use crate::grants::{SPECS, Spec};
use crate::judge::{Judgement, judge};
use crate::lineage::{Lineage, Recorder};
use crate::mutate::Mutations;
use crate::oracle::{Case, Opinion, Oracle};
use crate::rules::{self, Difference};
use crate::syntax;
use crate::world::World;

/// What a run found.
#[derive(Debug, Default)]
pub struct Tally {
    pub statements: usize,
    pub both_allow: usize,
    pub both_refuse: usize,
    /// PostgreSQL fails for a reason of its own; pgward let it through, or did not.
    pub fails_allowed: usize,
    pub fails_denied: usize,
    /// pgward refuses what PostgreSQL allows, by the rule that explains it.
    pub stricter: BTreeMap<&'static str, usize>,
    /// pgward allows what PostgreSQL refuses: there must be none.
    pub looser: Vec<String>,
    /// Names that are looked up in schemas outside of the grant ([`rules::is_lookup_of_a_name`]).
    pub lookups: usize,
    pub unexplained: Vec<String>,
    pub lineage: Lineage,
}

impl Tally {
    pub fn add(&mut self, other: Tally) {
        self.statements += other.statements;
        self.both_allow += other.both_allow;
        self.both_refuse += other.both_refuse;
        self.fails_allowed += other.fails_allowed;
        self.fails_denied += other.fails_denied;
        for (rule, count) in other.stricter {
            *self.stricter.entry(rule).or_default() += count;
        }
        self.lookups += other.lookups;
        self.looser.extend(other.looser);
        self.unexplained.extend(other.unexplained);
        self.lineage.add(other.lineage);
    }
}

/// The two that are asked: the role, and the superuser who has statements recorded.
struct Servers {
    oracle: Oracle,
    recorder: Recorder,
}

/// Statements that are asked about before the next are made.
const CHUNK: usize = 500;

/// Compares `statements` statements, spread over all grants.
pub fn run(world: &World, statements: usize, seed: u64) -> Tally {
    let only = std::env::var("PGWARD_AGREEMENT_GRANT").ok();
    let specs: Vec<&Spec> = SPECS.iter().filter(|spec| only.as_ref().is_none_or(|only| spec.name == only)).collect();
    let each = statements.div_ceil(specs.len());
    let mut total = Tally::default();
    // Two at a time: PostgreSQL has a process for each.
    for pair in specs.chunks(2) {
        std::thread::scope(|scope| {
            let threads: Vec<_> = pair.iter().map(|spec| scope.spawn(move || grant(world, spec, each, seed))).collect();
            for thread in threads {
                total.add(thread.join().expect("a comparison"));
            }
        });
    }
    total
}

fn grant(world: &World, spec: &Spec, count: usize, seed: u64) -> Tally {
    let context = spec.context(&world.snapshot);
    let mut servers = Servers {
        oracle: Oracle::open(&world.directory(), world.port(), &spec.role()),
        recorder: Recorder::open(&world.directory(), world.port()),
    };
    let number = SPECS.iter().position(|other| other.name == spec.name).unwrap_or(0) as u64;
    let mut grammar = Grammar::new(seed * 1000 + number, spec);
    let mut mutations = Mutations::new(seed * 2000 + number, spec);
    let mut tally = Tally::default();
    while tally.statements < count {
        let wanted = CHUNK.min(count - tally.statements);
        let cases: Vec<Case> =
            (0..wanted).map(|index| if index % 4 == 3 { mutations.case() } else { grammar.case() }).collect();
        servers.recorder.compare(&world.snapshot, &cases, &mut tally.lineage);
        chunk(world, spec, &context, &mut servers, cases, &mut tally);
    }
    tally
}

fn chunk(world: &World, spec: &Spec, context: &Context, servers: &mut Servers, cases: Vec<Case>, tally: &mut Tally) {
    let opinions = servers.oracle.ask(&cases.iter().collect::<Vec<_>>(), false);
    let mut agreed = Vec::new();
    for (case, opinion) in cases.into_iter().zip(opinions) {
        tally.statements += 1;
        let judgement = judge(&case.text, &world.snapshot, context);
        match (&judgement, &opinion) {
            (Judgement::Allows, Opinion::Allows) => agreed.push(case),
            (Judgement::Allows, Opinion::Refuses(why)) if rules::is_lookup_of_a_name(&case.text, why) => {
                tally.lookups += 1;
            }
            (Judgement::Allows, Opinion::Refuses(why)) => {
                tally.looser.push(format!("[{}] {why}: {}", spec.name, case.text));
            }
            (Judgement::Allows, Opinion::Fails) => {
                tally.fails_allowed += 1;
            }
            (Judgement::Denies { .. } | Judgement::Unreadable(_), Opinion::Refuses(_)) => tally.both_refuse += 1,
            (Judgement::Denies { .. } | Judgement::Unreadable(_), Opinion::Fails) => {
                tally.fails_denied += 1;
            }
            (Judgement::Denies { .. } | Judgement::Unreadable(_), Opinion::Allows) => {
                stricter(world, spec, context, &case, &judgement, servers, tally);
            }
        }
    }
    // What EXPLAIN lets through has to run, too, as far as privileges go.
    let ran = servers.oracle.ask(&agreed.iter().collect::<Vec<_>>(), true);
    for (case, opinion) in agreed.into_iter().zip(ran) {
        tally.both_allow += 1;
        if let Opinion::Refuses(why) = opinion
            && !rules::is_lookup_of_a_name(&case.text, &why)
        {
            tally.looser.push(format!("[{}] when run: {why}: {}", spec.name, case.text));
        }
    }
}

/// Looks for the rule behind a difference; the plan is asked for only where nothing else tells.
fn stricter(
    world: &World,
    spec: &Spec,
    context: &Context,
    case: &Case,
    judgement: &Judgement,
    servers: &mut Servers,
    tally: &mut Tally,
) {
    let without = Difference { spec, case, judgement, plan: None, uses: &[], allowed_without_unreferenced: false };
    let rule = rules::explain(&without).or_else(|| {
        let plan = servers.oracle.plan(case);
        let uses = servers.recorder.uses(case);
        let reduced = syntax::without_unreferenced(&case.text);
        let allowed = reduced.is_some_and(|text| matches!(judge(&text, &world.snapshot, context), Judgement::Allows));
        rules::explain(&Difference {
            plan: plan.as_deref(),
            uses: &uses,
            allowed_without_unreferenced: allowed,
            ..without
        })
    });
    match rule {
        Some(rule) => *tally.stricter.entry(rule).or_default() += 1,
        None => tally.unexplained.push(format!("[{}] {}: {}", spec.name, said(judgement), case.text)),
    }
}

/// What pgward said, for a report.
pub fn said(judgement: &Judgement) -> String {
    match judgement {
        Judgement::Allows => "allowed".to_owned(),
        Judgement::Denies { denial, .. } => format!("{}: {}", denial.rule.as_str(), denial.message),
        Judgement::Unreadable(unreadable) => format!("unreadable: {}", unreadable.message),
    }
}
