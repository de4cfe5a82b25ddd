//! The second opinion in a verdict: a statement that policy allows is one that PostgreSQL has been asked about, where that is
//! configured. Asked once for each version of the catalogs, kept with what the statement touches.

use std::borrow::Cow;
use std::sync::Arc;

use super::{Database, Evidence, Judge, Judged, MAX_DEPTH, Reference, Refused, decide, other_path, reference};
use crate::catalog::opinion::{Depth, Parameters, Question, stand_in};
use crate::catalog::{Footprint, Snapshot};
use crate::policy::{Denial, Rule};
use crate::session::analysis::{Analysis, Meaning, Part};
use crate::session::names::Names;
use crate::session::opinions::{Finding, Opinions, Reason, Unasked, unasked};
use crate::session::settings::SecondOpinion;
use crate::sql::tree::Action;

impl Judge {
    /// Decides on a statement, and asks PostgreSQL about one that is allowed. Where that refuses it and the catalogs have changed
    /// meanwhile, both look again.
    pub(super) async fn confirmed(
        &mut self,
        meaning: &Meaning,
        names: &Names,
        snapshot: &Snapshot,
    ) -> Result<Judged, Refused> {
        let judged = self.decided(meaning, names, snapshot)?;
        let Err(refused) = self.second_opinion(meaning, names, snapshot).await else { return Ok(judged) };
        let newer = self.snapshot(true).await.ok().filter(|newer| newer.version != snapshot.version);
        let Some(newer) = newer else { return Err(refused) };
        let judged = self.decided(meaning, names, &newer)?;
        self.second_opinion(meaning, names, &newer).await?;
        Ok(judged)
    }

    fn decided(&self, meaning: &Meaning, names: &Names, snapshot: &Snapshot) -> Result<Judged, Refused> {
        let refused = |denial| Refused { denial, footprint: Evidence::None };
        // Names were resolved along another path than the one that the upstream would go.
        if self.search_paths.first() != Some(&snapshot.search_path) {
            let ours = self.search_paths.first().map_or("", String::as_str);
            return Err(refused(other_path(ours, &snapshot.search_path)));
        }
        decide(meaning, names, snapshot, &self.view.context, 0)
    }

    /// Refuses what PostgreSQL disagrees on; and, where a second opinion is required, what it could not be asked about.
    async fn second_opinion(&self, meaning: &Meaning, names: &Names, snapshot: &Snapshot) -> Result<(), Refused> {
        let opinions = &self.database.opinions;
        if opinions.mode == SecondOpinion::Off {
            return Ok(());
        }
        // Another connection sees nothing of what this transaction has made.
        let is_uncommitted = self.uncommitted.sees_own();
        if is_uncommitted && opinions.mode == SecondOpinion::On {
            return Ok(());
        }
        let mut all = vec![(Arc::clone(&meaning.analysis), meaning.part)];
        referred(meaning, names, 0, &mut all);
        for (analysis, part) in all {
            let finding = match is_uncommitted {
                true => unasked_in_transaction(&analysis, part, snapshot),
                false => consult(opinions, &analysis, part, snapshot).await,
            };
            let Some(denial) = finding.as_ref().and_then(|finding| denial(finding, opinions.mode)) else { continue };
            let footprint = Evidence::Resolved(analysis.resolved(snapshot), part);
            return Err(Refused { denial, footprint });
        }
        Ok(())
    }
}

/// Everything that a statement runs by name.
fn referred(meaning: &Meaning, names: &Names, depth: usize, found: &mut Vec<(Arc<Analysis>, Part)>) {
    let Some(statement) = meaning.statement().filter(|_| depth < MAX_DEPTH) else { return };
    let meanings: Vec<Arc<Meaning>> = match reference(&statement.action) {
        None => Vec::new(),
        Some(Reference::Prepared(name)) => names.statements(name.as_str()).map(Arc::clone).collect(),
        Some(Reference::Cursor(name)) => {
            names.portals(name.as_str()).flat_map(|portal| portal.meanings.iter().map(Arc::clone)).collect()
        }
    };
    for meaning in meanings {
        found.push((Arc::clone(&meaning.analysis), meaning.part));
        referred(&meaning, names, depth + 1, found);
    }
}

/// The finding on one statement, from memory or by asking; `None` where there is nothing to ask.
pub async fn consult(opinions: &Opinions, analysis: &Analysis, part: Part, snapshot: &Snapshot) -> Option<Finding> {
    let statement = analysis.statement(part)?;
    let resolved = analysis.resolved(snapshot);
    let Some(Ok(footprint)) = resolved.footprint(part) else { return None };
    let question: Option<(Cow<'_, str>, Depth)> = match (&statement.query, stand_in(&statement.action)) {
        // A query whose place in the text is not known is one that cannot be asked about.
        (Some(_), _) => analysis.query_text(part).map(|text| (text.into(), Depth::Full)),
        (None, Some((text, depth))) => Some((text.into(), depth)),
        (None, None) if passes_unasked(&statement.action, footprint) => return None,
        (None, None) => None,
    };
    let ask = || async {
        let finding = match &question {
            Some((text, depth)) => {
                let question = Question { text, parameters: parameters(analysis, part) };
                opinions.ask(snapshot, footprint, question, *depth).await
            }
            None => opinions.cannot_ask(unasked(Reason::Kind, "this kind of statement cannot be asked about")),
        };
        match &finding {
            Finding::Unasked(unasked) if !unasked.reason.lasts() => Err(finding),
            Finding::Agree | Finding::Disagree(_) | Finding::Unasked(_) => Ok(finding),
        }
    };
    let Some(kept) = resolved.finding(part) else { return Some(ask().await.unwrap_or_else(|passing| passing)) };
    match kept.get_or_try_init(ask).await {
        Ok(finding) => Some(finding.clone()),
        Err(passing) => Some(passing),
    }
}

/// What stands for an opinion that cannot be had, where one would be asked for.
fn unasked_in_transaction(analysis: &Analysis, part: Part, snapshot: &Snapshot) -> Option<Finding> {
    let statement = analysis.statement(part)?;
    let resolved = analysis.resolved(snapshot);
    let Some(Ok(footprint)) = resolved.footprint(part) else { return None };
    let nothing = statement.query.is_none() && passes_unasked(&statement.action, footprint);
    let detail = "its transaction has changed the schema, which nobody else sees before COMMIT";
    (!nothing).then(|| Finding::Unasked(unasked(Reason::Uncommitted, detail)))
}

/// The types that the client declared: those of a PREPARE stand in the statement itself.
fn parameters(analysis: &Analysis, part: Part) -> Parameters<'_> {
    let whole = match part {
        Part::Whole(index) | Part::Prepared(index) => analysis.statement(Part::Whole(index)),
        Part::Empty => None,
    };
    if let Some(Action::Prepare { types, .. }) = whole.map(|statement| &statement.action) {
        return Parameters::Named(types);
    }
    Parameters::Declared(analysis.types().unwrap_or_default())
}

/// Statements without a query in them are read by readers of their own. They pass where they touch no relation of users', or
/// change the schema: that takes a privilege of its own.
fn passes_unasked(action: &Action, footprint: &Footprint) -> bool {
    let is_server_s = |schema: &str| schema == "pg_catalog" || schema == "information_schema";
    matches!(action, Action::Ddl(_)) || footprint.relations.iter().all(|touched| is_server_s(&touched.schema))
}

/// What `pgward explain` tells of the second opinion on one statement.
#[derive(Debug)]
pub struct Explained {
    pub step: String,
    /// Where it refuses the statement.
    pub denial: Option<Denial>,
}

/// The second opinion on each statement of a text, as sessions would have it.
pub async fn explain(database: &Database, text: &str, snapshot: &Snapshot) -> Vec<Explained> {
    let analysis = database.analyses.analyse(text, None).await;
    let mut explained = Vec::new();
    for index in 0..analysis.statements().len() {
        let finding = consult(&database.opinions, &analysis, Part::Whole(index), snapshot).await;
        let step = match &finding {
            Some(Finding::Agree) => "PostgreSQL says that it touches nothing else".to_owned(),
            Some(Finding::Disagree(what)) => format!("PostgreSQL says that it also touches {what}"),
            Some(Finding::Unasked(unasked)) => format!("PostgreSQL could not be asked: {}", unasked.detail),
            None => "PostgreSQL was not asked: there is nothing to ask about".to_owned(),
        };
        let denial = finding.as_ref().and_then(|finding| denial(finding, database.opinions.mode));
        explained.push(Explained { step, denial });
    }
    explained
}

/// What a finding refuses.
fn denial(finding: &Finding, mode: SecondOpinion) -> Option<Denial> {
    match (finding, mode) {
        (_, SecondOpinion::Off) | (Finding::Agree, _) | (Finding::Unasked(_), SecondOpinion::On) => None,
        (Finding::Disagree(what), SecondOpinion::On | SecondOpinion::Required) => Some(disagreement(what)),
        (Finding::Unasked(unasked), SecondOpinion::Required) => Some(not_asked(unasked)),
    }
}

fn disagreement(what: &str) -> Denial {
    Denial {
        rule: Rule::SecondOpinion,
        message: "permission denied: PostgreSQL reads this statement otherwise than pgward".to_owned(),
        detail: format!(
            "PostgreSQL says that it touches {what}, which pgward did not find in it (rule second-opinion)."
        ),
        hint: Some(
            "The statement was not run. Tell those who run pgward: the difference is a fault to be mended.".to_owned(),
        ),
    }
}

fn not_asked(unasked: &Unasked) -> Denial {
    let hint = match unasked.reason {
        Reason::Lock => "Try again when the lock is released; a transaction of this session may hold it.",
        Reason::Timeout | Reason::Busy | Reason::Connection => "Try again.",
        Reason::Temporary => "An administrator may GRANT TEMPORARY ON DATABASE to the upstream's account.",
        Reason::Refused => "Correct the statement.",
        Reason::Uncommitted => "Change the schema in a transaction of its own.",
        Reason::Kind | Reason::Size | Reason::Parameters => "Write the statement in a simpler way.",
        Reason::Version | Reason::Standby | Reason::Answer => "Tell those who run pgward.",
    };
    Denial {
        rule: Rule::SecondOpinion,
        message: "permission denied: PostgreSQL could not be asked about this statement".to_owned(),
        detail: format!("This database requires a second opinion, and {} (rule second-opinion).", unasked.detail),
        hint: Some(hint.to_owned()),
    }
}
