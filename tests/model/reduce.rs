//! A failing script made smaller, while it fails in the same way.

use std::time::{Duration, Instant};

use crate::play::Difference;
use crate::step::{Script, Step};
use crate::worker::Pair;

const LIMIT: Duration = Duration::from_secs(90);
/// What depends on who is faster need not fail each time.
const TRIES: usize = 4;

/// The smallest script found, and how it fails; `None` where it does not fail again by itself.
pub async fn reduce(pair: &Pair, script: Script, kind: &str) -> Option<(Script, Difference)> {
    let began = Instant::now();
    let mut found = fails(pair, &script, kind).await.map(|difference| (script, difference))?;
    'again: while began.elapsed() < LIMIT {
        for smaller in smaller(&found.0) {
            if began.elapsed() > LIMIT {
                break;
            }
            if let Some(difference) = fails(pair, &smaller, kind).await {
                found = (smaller, difference);
                continue 'again;
            }
        }
        break;
    }
    Some(found)
}

async fn fails(pair: &Pair, script: &Script, kind: &str) -> Option<Difference> {
    for _ in 0..TRIES {
        if let Err(difference) = pair.run_alone(script).await
            && difference.kind == kind
        {
            return Some(difference);
        }
    }
    None
}

/// Scripts with something taken away, the largest pieces first.
fn smaller(script: &Script) -> Vec<Script> {
    let mut all = Vec::new();
    let mut add = |change: &dyn Fn(&mut Script)| {
        let mut changed = script.clone();
        change(&mut changed);
        all.push(changed);
    };
    for burst in 0..script.len() {
        add(&|script| drop(script.remove(burst)));
    }
    for (burst, units) in script.iter().enumerate().map(|(index, burst)| (index, &burst.units)) {
        for (unit, steps) in units.iter().enumerate() {
            add(&|script| drop(script[burst].units.remove(unit)));
            // What belongs to a COPY stays together.
            let copies = |step: &Step| matches!(step, Step::CopyData(_) | Step::CopyDone | Step::CopyFail);
            for step in (0..steps.len()).filter(|_| steps.len() > 1 && !steps.iter().any(copies)) {
                add(&|script| drop(script[burst].units[unit].remove(step)));
            }
            for (step, said) in steps.iter().enumerate() {
                for text in (0..said.texts().len()).filter(|_| said.texts().len() > 1 && !steps.iter().any(copies)) {
                    add(&|script| remove_text(&mut script[burst].units[unit][step], text));
                }
            }
        }
    }
    for burst in (0..script.len()).filter(|burst| !script[*burst].cuts.is_empty()) {
        add(&|script| script[burst].cuts.clear());
    }
    all
}

fn remove_text(step: &mut Step, index: usize) {
    if let Step::Query(texts) | Step::Parse { texts, .. } = step {
        texts.remove(index);
    }
}
