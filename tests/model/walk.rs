//! Which step of a burst each answer is for.

use pgward::wire::backend;

use crate::bench::Said;
use crate::step::Step;

/// The answers to each step, and those to the burst's end.
pub struct Walked {
    pub steps: Vec<Vec<Said>>,
    pub ending: Vec<Said>,
}

struct Walk<'a> {
    said: std::slice::Iter<'a, Said>,
    skipping: bool,
    /// A COPY has begun that reads what follows, up to its data at least.
    copying: bool,
}

/// # Errors
/// Where an answer is for nothing that was asked.
pub fn walk(steps: &[Step], said: &[Said]) -> Result<Walked, String> {
    let mut walk = Walk { said: said.iter(), skipping: false, copying: false };
    let mut all = Vec::new();
    for step in steps {
        let answers = walk.step(step).map_err(|why| format!("{why}, at {step}"))?;
        all.push(answers.into_iter().cloned().collect());
    }
    Ok(Walked { steps: all, ending: walk.said.as_slice().to_vec() })
}

impl<'a> Walk<'a> {
    fn step(&mut self, step: &Step) -> Result<Vec<&'a Said>, String> {
        match step {
            // One within COPY is not answered.
            Step::Sync if self.copying => Ok(Vec::new()),
            Step::Sync => {
                self.skipping = false;
                self.until(b"Z")
            }
            Step::Flush => Ok(Vec::new()),
            Step::CopyData(_) | Step::CopyDone | Step::CopyFail => {
                self.copying = false;
                Ok(Vec::new())
            }
            _ if self.skipping => Ok(Vec::new()),
            Step::Query(_) | Step::Call | Step::Failing(crate::step::Failing::Query(_)) => self.until(b"Z"),
            Step::Parse { .. } | Step::Failing(crate::step::Failing::Parse(_)) => self.failing(b"1"),
            Step::Bind { .. } | Step::Failing(crate::step::Failing::Bind) => self.failing(b"2"),
            Step::Describe(..) | Step::Failing(crate::step::Failing::Describe) => self.failing(b"Tn"),
            Step::Close(..) => self.failing(b"3"),
            Step::Execute { .. } | Step::Failing(crate::step::Failing::Execute) => self.failing(b"CsI"),
        }
    }

    /// To one of these or an error, after which all is skipped.
    fn failing(&mut self, ends: &[u8]) -> Result<Vec<&'a Said>, String> {
        let answers = self.until(&[ends, b"E"].concat())?;
        self.skipping = answers.last().is_some_and(|said| said.tag == b'E');
        Ok(answers)
    }

    fn until(&mut self, ends: &[u8]) -> Result<Vec<&'a Said>, String> {
        let mut answers = Vec::new();
        for said in self.said.by_ref() {
            answers.push(said);
            self.copying |= said.tag == b'G';
            if ends.contains(&said.tag) {
                return Ok(answers);
            }
            // What may stand within the answer to one step.
            if said.tag == b'Z' {
                break;
            }
        }
        Err(format!("no {:?} comes, but {answers:?}", String::from_utf8_lossy(ends)))
    }
}

/// The message of an error that is pgward's own: the server's say where in its sources they come from.
pub fn refusal(answers: &[Said]) -> Option<String> {
    let error = answers.iter().find(|said| said.tag == b'E')?;
    let from_the_server = error.body.split(|byte| *byte == 0).any(|field| field.first() == Some(&b'R'));
    if from_the_server {
        return None;
    }
    Some(field(error, b'M'))
}

/// The sqlstate of the first error.
pub fn sqlstate(answers: &[Said]) -> Option<String> {
    let error = answers.iter().find(|said| said.tag == b'E')?;
    Some(backend::error_fields(&error.body).unwrap().sqlstate)
}

/// One field of an error.
pub fn field(error: &Said, wanted: u8) -> String {
    let found = error.body.split(|byte| *byte == 0).find(|field| field.first() == Some(&wanted));
    found.map(|field| String::from_utf8_lossy(&field[1..]).into_owned()).unwrap_or_default()
}
