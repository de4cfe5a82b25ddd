//! pgward's verdicts against PostgreSQL's own. Statements by the thousand, made by a grammar and by changing what real
//! clients sent, are judged by pgward under a grant and asked of PostgreSQL as a role that holds exactly that grant's
//! privileges:
//!
//! - nothing that PostgreSQL refuses for want of privilege is allowed by pgward;
//! - whatever pgward refuses beyond that is explained by a rule with a name ([`rules`]);
//! - whatever PostgreSQL records as used by a statement is in its footprint ([`lineage`]).
//!
//! `PGWARD_AGREEMENT` is the number of statements (4,000 without it), `PGWARD_AGREEMENT_SEED` another seed,
//! `PGWARD_AGREEMENT_GRANT` one grant alone.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_debug_implementations,
    reason = "tests"
)]

mod compare;
mod grammar;
mod grants;
mod judge;
mod lineage;
mod mutate;
mod oracle;
#[path = "../support/policy.rs"]
mod policy;
#[path = "../support/postgres.rs"]
mod postgres;
mod random;
mod rules;
mod syntax;
mod wire;
mod world;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = libtest_mimic::Arguments::from_args();
    let trial = libtest_mimic::Trial::test("pgward_and_postgresql_agree", agree);
    libtest_mimic::run(&arguments, vec![trial]).exit_code()
}

fn agree() -> Result<(), libtest_mimic::Failed> {
    let statements = number("PGWARD_AGREEMENT").unwrap_or(4_000);
    let seed = number("PGWARD_AGREEMENT_SEED").unwrap_or(1) as u64;
    let world = world::World::start();
    let began = std::time::Instant::now();
    let tally = compare::run(&world, statements, seed);
    report(&tally, began.elapsed());
    let lineage = &tally.lineage;
    let wrong = [&tally.looser, &tally.unexplained, &lineage.missing, &lineage.unexplained];
    let [looser, unexplained, missing, more] = wrong.map(Vec::len);
    if looser + unexplained + missing + more == 0 {
        return Ok(());
    }
    Err(format!("{looser} looser, {unexplained} unexplained; footprints: {missing} lack something, {more} unexplained")
        .into())
}

fn number(name: &str) -> Option<usize> {
    std::env::var(name).ok()?.parse().ok()
}

fn report(tally: &compare::Tally, took: std::time::Duration) {
    println!("\nstatements                             {:>7}   in {took:.1?}", tally.statements);
    println!("both allow                             {:>7}", tally.both_allow);
    println!("both refuse                            {:>7}", tally.both_refuse);
    println!("PostgreSQL fails otherwise, allowed    {:>7}", tally.fails_allowed);
    println!("PostgreSQL fails otherwise, refused    {:>7}", tally.fails_denied);
    println!("pgward allows, PostgreSQL refuses      {:>7}", tally.looser.len());
    println!("names looked up in other schemas       {:>7}", tally.lookups);
    println!("pgward refuses more                    {:>7}", tally.stricter.values().sum::<usize>());
    for (rule, count) in &tally.stricter {
        println!("  {rule:<63}{count:>7}");
    }
    println!("pgward refuses more, without a rule    {:>7}", tally.unexplained.len());
    let lineage = &tally.lineage;
    println!("footprints compared with pg_depend     {:>7}", lineage.statements);
    println!("  equal                                {:>7}", lineage.equal);
    println!("  PostgreSQL records more              {:>7}", lineage.missing.len());
    for (reason, count) in lineage.more.iter().chain(&lineage.unresolved) {
        println!("  {reason:<53}{count:>7}");
    }
    println!("  without a reason                     {:>7}", lineage.unexplained.len());
    for line in &lineage.missing {
        println!("MISSING {line}");
    }
    for line in &lineage.unexplained {
        println!("LINEAGE {line}");
    }
    for line in &tally.looser {
        println!("LOOSER {line}");
    }
    for line in &tally.unexplained {
        println!("UNEXPLAINED {line}");
    }
}
