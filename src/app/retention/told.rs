//! From what retention counts to what the control port answers.

use crate::control::retention::{BlockedView, DataHoldView, PartitionView, PlanView, TouchedView};
use crate::retention::{Hold, Plan, Policy};

pub(super) fn plan(route: &str, scope: Option<String>, plan: Plan) -> PlanView {
    let blocked = plan.blockers.into_iter();
    let partitions = plan.partitions.into_iter();
    let touched = plan.touched.into_iter();
    PlanView {
        policy: plan.policy,
        database: route.to_owned(),
        relation: plan.relation,
        action: plan.action.to_owned(),
        keep: plan.keep,
        cutoff: plan.cutoff,
        overdue: plan.overdue,
        oldest: plan.oldest,
        undated: plan.undated,
        held: plan.held,
        blocked: blocked.map(|one| BlockedView { foreign_key: one.foreign_key, by: one.by, rows: one.rows }).collect(),
        due: plan.due,
        batches: plan.batches,
        partitions: partitions.map(|one| PartitionView { name: one.name, upto: one.upto, rows: one.rows }).collect(),
        touched: touched
            .map(|one| TouchedView {
                foreign_key: one.foreign_key,
                relation: one.relation,
                on_delete: one.on_delete.as_str().to_owned(),
                rows: one.rows,
            })
            .collect(),
        scope,
        advice: plan.advice,
        error: None,
    }
}

/// A policy that cannot be carried out.
pub(super) fn faulty(route: &str, policy: &Policy, error: Option<String>) -> PlanView {
    PlanView {
        policy: policy.name.clone(),
        database: route.to_owned(),
        relation: policy.on.to_string(),
        action: policy.action.as_str().to_owned(),
        keep: policy.keep.to_string(),
        cutoff: String::new(),
        overdue: 0,
        oldest: None,
        undated: 0,
        held: 0,
        blocked: Vec::new(),
        due: 0,
        batches: 0,
        partitions: Vec::new(),
        touched: Vec::new(),
        scope: policy.scope.clone(),
        advice: Vec::new(),
        error,
    }
}

pub(super) fn hold(hold: Hold) -> DataHoldView {
    DataHoldView {
        id: hold.id,
        database: hold.database,
        on: hold.on.to_string(),
        rows: hold.rows,
        reason: hold.reason,
        by: hold.by,
        placed_at: hold.placed,
    }
}
