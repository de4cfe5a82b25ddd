//! The rules and their thresholds.

use std::time::Duration;

/// What is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// A relation that the principal has not touched before.
    FirstRelation,
    /// Far more rows than it reads.
    ManyRows,
    /// An hour of the day at which it never worked.
    OddHour,
    /// A network that it never came from.
    NewNetwork,
    /// Statement after statement refused.
    DenialBurst,
    /// A grant that lay idle for long.
    IdleGrant,
}

impl Rule {
    pub const ALL: [Self; 6] =
        [Self::FirstRelation, Self::ManyRows, Self::OddHour, Self::NewNetwork, Self::DenialBurst, Self::IdleGrant];

    /// The word that records, metrics and the configuration have for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FirstRelation => "first_relation",
            Self::ManyRows => "many_rows",
            Self::OddHour => "odd_hour",
            Self::NewNetwork => "new_network",
            Self::DenialBurst => "denial_burst",
            Self::IdleGrant => "idle_grant",
        }
    }
}

/// What comes of a finding, besides its record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Action {
    /// It is not looked for.
    Off,
    #[default]
    Report,
    /// The principal's sessions run nothing more until somebody else lets them go on.
    Hold,
    /// The session ends.
    End,
}

/// `[unusual]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// So long a principal is only watched: nothing that it does is unusual yet.
    pub learn: Duration,
    /// What was not seen for so long is forgotten.
    pub remember: Duration,
    /// The same is not told again within this.
    pub quiet: Duration,
    pub first_relation: Action,
    pub many_rows: Action,
    /// So many times its own 99th percentile.
    pub rows_factor: u64,
    /// Fewer rows are never many.
    pub rows_floor: u64,
    pub odd_hour: Action,
    pub new_network: Action,
    pub denial_burst: Action,
    /// So many refused statements …
    pub denials: u32,
    /// … within this.
    pub denials_within: Duration,
    pub idle_grant: Action,
    /// So long without a statement is idle.
    pub idle: Duration,
}

impl Settings {
    #[must_use]
    pub fn action(&self, rule: Rule) -> Action {
        match rule {
            Rule::FirstRelation => self.first_relation,
            Rule::ManyRows => self.many_rows,
            Rule::OddHour => self.odd_hour,
            Rule::NewNetwork => self.new_network,
            Rule::DenialBurst => self.denial_burst,
            Rule::IdleGrant => self.idle_grant,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        const DAY: u64 = 86_400;
        Self {
            learn: Duration::from_secs(7 * DAY),
            remember: Duration::from_secs(60 * DAY),
            quiet: Duration::from_secs(3_600),
            first_relation: Action::Report,
            many_rows: Action::Report,
            rows_factor: 10,
            rows_floor: 1_000,
            odd_hour: Action::Report,
            new_network: Action::Report,
            denial_burst: Action::Report,
            denials: 20,
            denials_within: Duration::from_secs(300),
            idle_grant: Action::Report,
            idle: Duration::from_secs(12 * 3_600),
        }
    }
}
