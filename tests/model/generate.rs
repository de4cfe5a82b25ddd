//! Scripts by chance, from a seed.

use crate::random::Random;
use crate::step::{Burst, Name, Script, Step, Text, Unit};
use crate::texts::{self, PORTALS, STATEMENTS};

/// The name that FETCH is prepared under: servers crash where that is described and its cursor is gone, so this is not.
const FETCH: &str = "fetch";

/// The name that COPY … FROM STDIN is prepared under: nothing else runs it, since its data has to follow.
const COPY: &str = "copy";

const ROWS: [&str; 4] = ["7\tseven\n", "8\teight\n9\tnine\n", "seven\t7\n", "\\.\n"];

pub fn script(seed: u64) -> Script {
    let mut random = Random::new(seed);
    let bursts = 1 + random.below(5);
    (0..bursts).map(|_| burst(&mut random)).collect()
}

fn chance(random: &mut Random, one_in: usize) -> bool {
    random.below(one_in) == 0
}

fn burst(random: &mut Random) -> Burst {
    let mut units: Vec<Unit> = Vec::new();
    for _ in 0..1 + random.below(6) {
        group(random, &mut units);
    }
    without_confusion(&mut units);
    let cuts = if chance(random, 2) {
        (0..random.below(6)).map(|_| (random.below(1_000) as f64 / 1_000.0, chance(random, 3))).collect()
    } else {
        Vec::new()
    };
    Burst { units, extra: !chance(random, 3), cuts }
}

/// An empty Query behind several Syncs is how the end of a burst is known.
fn without_confusion(units: &mut [Unit]) {
    let mut syncs = 0;
    for step in units.iter_mut().flatten() {
        match step {
            Step::Sync => syncs += 1,
            Step::Query(texts) if texts.is_empty() && syncs > 2 => texts.push(Text::of("SELECT 'not empty'")),
            _ => {}
        }
    }
}

/// One or more units: a Query, a COPY with its data, or some of a segment, with its Sync or without.
fn group(random: &mut Random, units: &mut Vec<Unit>) {
    match random.below(12) {
        0..=4 => units.push(vec![Step::Query(query_texts(random))]),
        5 => units.push(copy_by_query(random)),
        6 if chance(random, 2) => units.push(vec![Step::Call]),
        6 => units.push(copy_with_sync(random)),
        _ => segment(random, units),
    }
}

fn query_texts(random: &mut Random) -> Vec<Text> {
    match random.below(10) {
        0 => vec![],
        1..=6 => vec![texts::any(random)],
        _ => (0..2 + random.below(3)).map(|_| texts::any(random)).collect(),
    }
}

fn segment(random: &mut Random, units: &mut Vec<Unit>) {
    for _ in 0..1 + random.below(5) {
        match random.below(12) {
            0..=4 => units.push(whole(random)),
            5 => units.push(copy_by_execute(random)),
            _ => units.push(vec![single(random)]),
        }
    }
    if !chance(random, 8) {
        units.push(vec![Step::Sync]);
    }
}

/// Parse, Bind, Describe, Execute of one statement.
fn whole(random: &mut Random) -> Unit {
    let portal = portal(random);
    let text = texts::to_parse(random);
    let is_fetch = matches!(text.uses, Some(Name::Portal(_)));
    let name = if is_fetch { FETCH } else { statement(random) };
    let mut unit = vec![];
    if chance(random, 3) {
        unit.push(Step::Close(b'S', name));
    }
    let values = values(random, &text.sql);
    unit.push(Step::Parse { name, texts: vec![text] });
    if !is_fetch && chance(random, 3) {
        unit.push(Step::Describe(b'S', name));
    }
    if chance(random, 4) {
        unit.push(Step::Close(b'P', portal));
    }
    unit.push(Step::Bind { portal, statement: name, values, binary: chance(random, 8) });
    if chance(random, 2) {
        unit.push(Step::Describe(b'P', portal));
    }
    for _ in 0..1 + random.below(2) {
        unit.push(Step::Execute { portal, rows: rows(random) });
    }
    if chance(random, 4) {
        unit.push(Step::Close(if chance(random, 2) { b'S' } else { b'P' }, name));
    }
    unit
}

fn single(random: &mut Random) -> Step {
    match random.below(12) {
        0 | 1 => {
            let several = chance(random, 12);
            let count = if several { 2 } else { usize::from(!chance(random, 10)) };
            let texts: Vec<Text> = (0..count).map(|_| texts::to_parse(random)).collect();
            let is_fetch = texts.iter().any(|text| matches!(text.uses, Some(Name::Portal(_))));
            Step::Parse { name: if is_fetch { FETCH } else { statement(random) }, texts }
        }
        2 | 3 => {
            let values = (0..random.below(2)).map(|_| value(random)).collect();
            Step::Bind { portal: portal(random), statement: statement(random), values, binary: chance(random, 8) }
        }
        4 => Step::Describe(b'S', statement(random)),
        5 => Step::Describe(b'P', portal(random)),
        6 | 7 => Step::Execute { portal: portal(random), rows: rows(random) },
        8 => Step::Close(b'S', statement(random)),
        9 => Step::Close(b'P', portal(random)),
        10 => Step::Flush,
        // Outside of any COPY they are ignored.
        _ => [Step::CopyData("1\tone\n"), Step::CopyDone, Step::CopyFail][random.below(3)].clone(),
    }
}

fn statement(random: &mut Random) -> &'static str {
    STATEMENTS[random.below(STATEMENTS.len())]
}

fn portal(random: &mut Random) -> &'static str {
    PORTALS[random.below(PORTALS.len())]
}

fn rows(random: &mut Random) -> u32 {
    [0, 0, 0, 1, 2, 5][random.below(6)]
}

fn value(random: &mut Random) -> String {
    ["1", "3", "6", "12", "not a number"][random.below(5)].to_owned()
}

/// As many as the text wants, but for some.
fn values(random: &mut Random, sql: &str) -> Vec<String> {
    let wanted = ["$1", "$2"].iter().filter(|parameter| sql.contains(**parameter)).count();
    let wanted = if sql.starts_with("PREPARE") { 0 } else { wanted };
    let count = if chance(random, 20) { random.below(3) } else { wanted };
    (0..count).map(|_| value(random)).collect()
}

fn data(random: &mut Random) -> Unit {
    let mut unit: Unit = (0..random.below(4)).map(|_| Step::CopyData(ROWS[random.below(ROWS.len())])).collect();
    if chance(random, 4) {
        unit.insert(random.below(unit.len() + 1), Step::Flush);
    }
    unit.push(if chance(random, 4) { Step::CopyFail } else { Step::CopyDone });
    unit
}

fn copy_by_query(random: &mut Random) -> Unit {
    let mut all = vec![texts::copy_in(random)];
    let mut both = data(random);
    if chance(random, 4) {
        all.insert(0, not_copying(random));
    }
    if chance(random, 4) {
        all.push(texts::copy_in(random));
        both.extend(data(random));
    }
    if chance(random, 4) {
        all.push(not_copying(random));
    }
    let mut unit = vec![Step::Query(all)];
    unit.extend(both);
    unit
}

/// Whether a COPY in the same text begins must not depend on names that it may run.
fn not_copying(random: &mut Random) -> Text {
    texts::any(random)
}

fn copy_by_execute(random: &mut Random) -> Unit {
    let mut unit = vec![
        Step::Close(b'S', COPY),
        Step::Close(b'P', COPY),
        Step::Parse { name: COPY, texts: vec![texts::copy_in(random)] },
        Step::Bind { portal: COPY, statement: COPY, values: vec![], binary: false },
    ];
    if chance(random, 2) {
        unit.push(Step::Describe(b'P', COPY));
    }
    unit.push(Step::Execute { portal: COPY, rows: 0 });
    unit.extend(data(random));
    unit
}

/// A COPY with Syncs in front of its data, which a server that waits for data ignores: drivers send Bind, Execute and Sync, and
/// the data once they are asked for it. Where the COPY does not begin, they are answered.
fn copy_with_sync(random: &mut Random) -> Unit {
    let mut unit = if chance(random, 2) { copy_by_query(random) } else { copy_by_execute(random) };
    let begins = unit.iter().position(|step| matches!(step, Step::Query(_) | Step::Execute { .. })).unwrap_or(0);
    for _ in 0..1 + random.below(2) {
        unit.insert(begins + 1, Step::Sync);
    }
    unit
}
