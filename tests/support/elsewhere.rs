//! What the control port asks others for that has no part in these tests: they answer that they cannot be asked.

use pgward::control::permissions::{PermissionsError, PermissionsQuestion, Report};
use pgward::control::retention::{
    Asker, DataHoldView, HiddenView, NewDataHold, NewRun, PlanView, Retention, RetentionError, RunView, Selection,
};
use pgward::control::usage::{ResidencyQuestion, ResidencyReport, ScopesQuestion, ScopesReport, Usage, UsageError};
use pgward::control::{Cancels, Permissions};

#[derive(Debug)]
pub struct Elsewhere;

fn nobody() -> RetentionError {
    RetentionError::Unavailable("nobody is there".to_owned())
}

#[async_trait::async_trait]
impl Permissions for Elsewhere {
    async fn permissions(&self, _: &str, _: PermissionsQuestion) -> Result<Report, PermissionsError> {
        Err(PermissionsError::Unavailable("nobody is there".to_owned()))
    }
}

#[async_trait::async_trait]
impl Usage for Elsewhere {
    async fn scopes(&self, _: ScopesQuestion) -> Result<ScopesReport, UsageError> {
        Err(UsageError::Unavailable("nobody is there".to_owned()))
    }

    async fn residency(&self, _: ResidencyQuestion) -> Result<ResidencyReport, UsageError> {
        Err(UsageError::Unavailable("nobody is there".to_owned()))
    }
}

#[async_trait::async_trait]
impl Retention for Elsewhere {
    async fn plan(&self, _: Selection) -> Result<Vec<PlanView>, RetentionError> {
        Err(nobody())
    }

    async fn run(&self, _: NewRun, _: Asker) -> Result<Vec<RunView>, RetentionError> {
        Err(nobody())
    }

    fn runs(&self) -> Vec<RunView> {
        Vec::new()
    }

    async fn stop(&self, _: &str, _: &str) -> Result<RunView, RetentionError> {
        Err(nobody())
    }

    async fn place_hold(&self, _: NewDataHold, _: Asker) -> Result<DataHoldView, RetentionError> {
        Err(nobody())
    }

    async fn hidden(&self, _: Option<&str>) -> Result<Vec<HiddenView>, RetentionError> {
        Err(nobody())
    }

    async fn holds(&self) -> Result<Vec<DataHoldView>, RetentionError> {
        Err(nobody())
    }

    async fn release_hold(&self, _: &str, _: &str, _: Asker) -> Result<DataHoldView, RetentionError> {
        Err(nobody())
    }
}

#[async_trait::async_trait]
impl Cancels for Elsewhere {
    async fn take_cancel(&self, _: &pgward::replicas::HandedCancel) -> bool {
        false
    }
}
