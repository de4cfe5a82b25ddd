//! One script, spoken through pgward and to the server itself, and what must be the same.
//!
//! pgward is asked first. What it refuses has to be something that it may refuse ([`Judge::may_refuse`]); the server is then
//! asked the same with those steps replaced by ones that fail there. After that every answer has to be the same, byte by byte,
//! but for the errors of the refused steps.

use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::client::TlsStream;

use crate::bench::Said;
use crate::step::{Burst, Denied, Failing, Name, Step, Text};
use crate::texts::{EXTRA, HIDDEN};
use crate::walk::{field, refusal, sqlstate, walk};
use crate::wire::Wire;

pub struct Both {
    pub guarded: Wire<TlsStream<TcpStream>>,
    pub plain: Wire<UnixStream>,
}

/// What differs, in a few words, and in many.
#[derive(Debug)]
pub struct Difference {
    pub kind: &'static str,
    pub detail: String,
}

fn differs(kind: &'static str, detail: String) -> Difference {
    Difference { kind, detail }
}

/// What of a script came before.
#[derive(Default)]
pub struct Before {
    /// Something in it may be run by name that needs the second grant.
    names_extra: bool,
    /// The last state that the server told.
    status: u8,
    /// A Query was refused for a name that means nothing, in a block that is failed since. The server itself has made an unnamed
    /// portal for it before it failed; behind pgward, where it did not get that far, there is none or an older one.
    leaves_portal: bool,
}

/// How a burst went on both sides alike.
#[derive(Debug, PartialEq)]
pub enum Alike {
    GoesOn,
    /// The server itself ended the session, and so did pgward.
    Ended,
}

pub async fn burst(both: &mut Both, burst: &Burst, before: &mut Before) -> Result<Alike, Difference> {
    let steps: Vec<Step> = burst.steps().cloned().collect();
    let names_extra = steps.iter().flat_map(Step::texts).any(|text| text.denied == Denied::WithoutExtra);
    before.names_extra |= names_extra;
    let ours = match both.guarded.play(burst, &steps).await {
        Ok(ours) => ours,
        Err((why, said)) if is_the_servers_end(&said) => return ended(both, burst, &steps, (why, said)).await,
        Err((why, said)) => return Err(differs("pgward broke off", format!("{why}, after {said:?}"))),
    };
    let walked =
        walk(&steps, &ours).map_err(|why| differs("pgward's answers fit no steps", format!("{why}: {ours:?}")))?;
    no_secrets(&walked.steps, burst)?;
    let judge = Judge { steps: &steps, extra: burst.extra, before };
    let known = if judge.asks_names(&walked.steps) { known_names(&mut both.plain).await } else { Vec::new() };
    let mut instead = steps.clone();
    let mut leaves_portal = before.leaves_portal;
    for (index, answers) in walked.steps.iter().enumerate() {
        judge.must_refuse(index, answers)?;
        if (leaves_portal && is_of_no_portal(&steps[index], answers)) || is_of_no_cursor(&steps[index], answers) {
            instead[index] = Step::Failing(Failing::Describe);
        }
        if let Some(message) = refusal(answers) {
            judge.may_refuse(index, &message, &known)?;
            if judge.fails_by_itself(index, &message) {
                leaves_portal |= matches!(steps[index], Step::Query(_));
            } else {
                instead[index] = failing(&steps[index]);
            }
        }
        leaves_portal &= !answers.iter().any(|said| said.tag == b'Z' && said.body != b"E");
    }
    let theirs = both
        .plain
        .play(burst, &instead)
        .await
        .map_err(|(why, said)| differs("the server broke off", format!("{why}, after {said:?}")))?;
    let shown = || format!("through pgward: {ours:?}\nthe server itself: {theirs:?}");
    let plain = walk(&instead, &theirs)
        .map_err(|why| differs("the server's answers fit no steps", format!("{why}\n{}", shown())))?;
    for (index, (ours, theirs)) in walked.steps.iter().zip(&plain.steps).enumerate() {
        if instead[index] == Step::Failing(Failing::Describe) && theirs.iter().all(|said| said.tag == b'E') {
            continue;
        }
        same(ours, theirs, judge.fails_by_itself(index, &refusal(ours).unwrap_or_default()))
            .map_err(|why| differs(why, format!("at {}:\n  {ours:?}\n  {theirs:?}\n{}", steps[index], shown())))?;
    }
    same(&walked.ending, &plain.ending, false).map_err(|why| differs(why, format!("at the end:\n{}", shown())))?;
    before.leaves_portal = leaves_portal;
    before.status = ours.last().and_then(|said| said.body.first()).copied().unwrap_or(b'I');
    Ok(Alike::GoesOn)
}

/// Whether a Describe of the unnamed portal has failed at the server.
fn is_of_no_portal(step: &Step, answers: &[Said]) -> bool {
    *step == Step::Describe(b'P', "") && matches!(sqlstate(answers).as_deref(), Some("34000" | "25P02"))
}

/// Whether what is to be described fetches from a cursor that pgward had the server look for, and that there is not: one that is
/// gone, or one that stands for a statement that executes itself. The server says NoData where it never knew of rows, and crashes
/// where it did. It says 26000 itself of a statement that there is not.
fn is_of_no_cursor(step: &Step, answers: &[Said]) -> bool {
    let (Step::Describe(kind, name), [said]) = (step, answers) else { return false };
    let is_of_another = *kind == b'S' || field(said, b'M') != format!("portal \"{name}\" does not exist");
    said.tag == b'E' && sqlstate(answers).as_deref() == Some("34000") && is_of_another
}

/// Whether the last word is a FATAL error that the server itself gave: savepoints in a pipeline outside of a transaction
/// block make some versions of it fail so.
fn is_the_servers_end(said: &[Said]) -> bool {
    said.last()
        .is_some_and(|said| said.tag == b'E' && said.holds("SFATAL") && refusal(std::slice::from_ref(said)).is_none())
}

/// Then the server has to end the plain session with the same words.
async fn ended(both: &mut Both, burst: &Burst, steps: &[Step], ours: (String, Vec<Said>)) -> Result<Alike, Difference> {
    let (why, ours) = ours;
    if ours.iter().any(|said| refusal(std::slice::from_ref(said)).is_some()) {
        // Which steps to replace is not known: what can be compared is the end.
        return Ok(Alike::Ended);
    }
    match both.plain.play(burst, steps).await {
        Err((_, theirs)) if theirs == ours => Ok(Alike::Ended),
        theirs => Err(differs("pgward broke off", format!("{why}, after {ours:?}; the server itself: {theirs:?}"))),
    }
}

/// The same answers; of a refusal only that both fail.
fn same(ours: &[Said], theirs: &[Said], by_itself: bool) -> Result<(), &'static str> {
    let is_refused = refusal(ours).is_some();
    if is_refused && by_itself {
        match sqlstate(theirs).as_deref() {
            Some("26000" | "34000" | "25P02" | "55000") => {}
            Some(_) | None => return Err("refused for a name that there is"),
        }
    }
    // In a block that has failed the server says so of most things, and of some names that they mean nothing.
    let is_of_a_failed_block = sqlstate(ours).as_deref() == Some("25P02")
        && matches!(sqlstate(theirs).as_deref(), Some("25P02" | "26000" | "34000"));
    if is_refused && !is_of_a_failed_block && !matches!(sqlstate(ours).as_deref(), Some("42501" | "0A000")) {
        return Err("refused with another sqlstate");
    }
    if ours.len() != theirs.len() {
        return Err("the number of answers differs");
    }
    let fits =
        |(ours, theirs): (&Said, &Said)| ours == theirs || (is_refused && ours.tag == b'E' && theirs.tag == b'E');
    if ours.iter().zip(theirs).all(fits) { Ok(()) } else { Err("answers differ") }
}

/// What may not be seen is in no answer.
fn no_secrets(steps: &[Vec<Said>], burst: &Burst) -> Result<(), Difference> {
    for said in steps.iter().flatten().filter(|said| matches!(said.tag, b'D' | b'd')) {
        if said.holds(HIDDEN) || (!burst.extra && said.holds(EXTRA)) {
            return Err(differs("a secret was told", format!("{said:?}")));
        }
    }
    Ok(())
}

/// What stands in for a refused step on the server. The savepoints that a text begins with are set all the same, where
/// the text can be read at all.
fn failing(step: &Step) -> Step {
    match step {
        Step::Query(texts) => {
            let readable = texts.iter().all(|text| text.sql != "SELEC 1");
            let savepoints = texts.iter().take_while(|text| readable && text.sql.starts_with("SAVEPOINT"));
            Step::Failing(Failing::Query(savepoints.map(|text| text.sql.clone()).collect()))
        }
        Step::Parse { name, .. } => Step::Failing(Failing::Parse(name)),
        Step::Bind { .. } => Step::Failing(Failing::Bind),
        Step::Execute { .. } => Step::Failing(Failing::Execute),
        other => other.clone(),
    }
}

struct Judge<'a> {
    steps: &'a [Step],
    extra: bool,
    before: &'a Before,
}

impl Judge<'_> {
    fn is_denied(&self, text: &Text) -> bool {
        match text.denied {
            Denied::Never => false,
            Denied::Always => true,
            Denied::WithoutExtra => !self.extra,
        }
    }

    /// What no grant allows must not get through, where it was not skipped.
    fn must_refuse(&self, index: usize, answers: &[Said]) -> Result<(), Difference> {
        let step = &self.steps[index];
        let must = *step == Step::Call || step.texts().iter().any(|text| self.is_denied(text));
        if must && !answers.is_empty() && refusal(answers).is_none() {
            return Err(differs("not refused", format!("{step}: {answers:?}")));
        }
        Ok(())
    }

    /// The documented reasons: policy; a name that means nothing; a name whose meaning an unanswered message changes.
    fn may_refuse(&self, index: usize, message: &str, known: &[String]) -> Result<(), Difference> {
        let step = &self.steps[index];
        let by_policy = *step == Step::Call || step.texts().iter().any(|text| self.is_denied(text));
        let by_name = !self.extra && self.before.names_extra && !self.names_used(index).is_empty();
        let is_unsettled = unsettled(message).is_some_and(|name| self.changes_before(index, name));
        let is_unknown = names_nothing(message)
            && (self.fails_by_itself(index, message) || self.before.status == b'E' || self.is_unknown(index, known));
        // A prepared statement that executes itself: the server would go on until its stack is full.
        let is_too_deep = message == "names refer to names too deeply";
        // A prepared statement that is empty: there is nothing to judge.
        let is_empty = message == "the name stands for no statement";
        // An unknown name in a block that has failed; what the server says of it is compared where answers are.
        let is_failed = message.starts_with("current transaction is aborted");
        if by_policy || by_name || is_unsettled || is_unknown || is_too_deep || is_empty || is_failed {
            return Ok(());
        }
        Err(differs("refused without a reason", format!("{step}: {message}; known names: {known:?}")))
    }

    /// Where a step does nothing but run what a name means, the server refuses it too if the name means nothing.
    fn fails_by_itself(&self, index: usize, message: &str) -> bool {
        if !names_nothing(message) {
            return false;
        }
        match &self.steps[index] {
            Step::Query(texts) => texts.len() == 1 && texts[0].uses.is_some(),
            // Of a simple Query that failed an unnamed portal is left in a failed transaction, at which the server itself
            // crashes: it is not asked for that one.
            Step::Execute { portal, .. } => !portal.is_empty(),
            _ => false,
        }
    }

    fn asks_names(&self, answers: &[Vec<Said>]) -> bool {
        let is_asked = |(index, answers): (usize, &Vec<Said>)| {
            refusal(answers).is_some_and(|message| names_nothing(&message) && !self.fails_by_itself(index, &message))
        };
        self.before.status != b'E' && answers.iter().enumerate().any(is_asked)
    }

    fn names_used(&self, index: usize) -> Vec<Name> {
        match &self.steps[index] {
            Step::Bind { statement, .. } => vec![Name::Statement(statement)],
            Step::Execute { portal, .. } => vec![Name::Portal(portal)],
            step => step.texts().iter().filter_map(|text| text.uses).collect(),
        }
    }

    /// Whether some step in an earlier segment of the same burst may give this name another meaning. What the step runs may run
    /// it in its turn, so the name need not stand in the step.
    fn changes_before(&self, index: usize, name: &str) -> bool {
        let ends = |step: &Step| matches!(step, Step::Sync | Step::Query(_) | Step::Call);
        let Some(segment) = self.steps[..index].iter().rposition(ends) else { return false };
        let used = !self.names_used(index).is_empty();
        let given = self.steps[..=segment]
            .iter()
            .flat_map(|step| step.texts().iter().filter_map(|text| text.gives).chain(step.gives()));
        used && given.map(|(Name::Statement(given) | Name::Portal(given))| given).any(|given| given == name)
    }

    /// Whether a name that this step uses may mean nothing: the server knew none at the burst's beginning, or something
    /// since has taken it away, and nothing just before gives it.
    fn is_unknown(&self, index: usize, known: &[String]) -> bool {
        self.names_used(index).iter().any(|name| {
            let (Name::Statement(text) | Name::Portal(text)) = name;
            // In the same text only what stands in front.
            let own = self.steps[index].texts().iter().take_while(|text| text.uses.as_ref() != Some(name));
            // What is refused gives none, and neither does what stands beside it.
            let passed =
                || self.steps[..index].iter().filter(|step| !step.texts().iter().any(|text| self.is_denied(text)));
            let texts_give = passed().flat_map(Step::texts).chain(own).any(|text| text.gives.as_ref() == Some(name));
            let is_given = texts_give || passed().any(|step| step.gives().as_ref() == Some(name));
            let is_taken = self.steps[..=index].iter().any(|step| {
                matches!(step, Step::Close(..) | Step::Sync) || step.texts().iter().any(|text| takes_names(&text.sql))
            });
            is_taken || !(is_given || known.iter().any(|known| known == text))
        })
    }
}

/// The name that pgward says is not settled.
fn unsettled(message: &str) -> Option<&str> {
    message.strip_prefix("what \"")?.strip_suffix("\" stands for is not settled yet")
}

/// What pgward says of a name that has no meaning.
fn names_nothing(message: &str) -> bool {
    message.ends_with("is not known to pgward")
        || (message.starts_with("portal ") && message.ends_with("does not exist"))
}

fn takes_names(sql: &str) -> bool {
    ["DEALLOCATE", "CLOSE", "DISCARD", "COMMIT", "END", "ROLLBACK", "ABORT"].iter().any(|word| sql.starts_with(word))
}

/// The names that the server knows, asked so that the unnamed ones stay.
async fn known_names(plain: &mut Wire<UnixStream>) -> Vec<String> {
    let name = "asks_for_names";
    let sql = "SELECT name FROM pg_prepared_statements UNION ALL SELECT name FROM pg_cursors";
    let steps = [
        Step::Parse { name, texts: vec![Text { sql: sql.to_owned(), ..Text::default() }] },
        Step::Bind { portal: name, statement: name, values: vec![], binary: false },
        Step::Execute { portal: name, rows: 0 },
        Step::Close(b'P', name),
        Step::Close(b'S', name),
        Step::Sync,
    ];
    let said = plain.ask(&steps).await;
    let rows = said.iter().filter(|said| said.tag == b'D');
    rows.map(|row| String::from_utf8_lossy(&row.body[6..]).into_owned()).collect()
}
