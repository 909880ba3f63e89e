//! What is drained, and the shortest time that it could take.

use std::time::Duration;

/// A node full of pods.
pub struct Scenario {
    pub name: &'static str,
    pub pods: usize,
    /// The pods are shared out among so many budgets; none guards them where it is 0.
    pub budgets: usize,
    /// Disruptions that each budget allows.
    pub allows: usize,
    /// From the binding of a pod until it is ready.
    pub start: Duration,
    /// From the end of a pod's life until it is gone.
    pub stop: Duration,
    /// The budgets allow nothing until then.
    pub opens: Option<Duration>,
    /// One more pod has a budget that never lets it go: the drain ends by its limit.
    pub blocked: bool,
    /// A drain may take so long.
    pub limit: Duration,
}

impl Scenario {
    const fn new(name: &'static str, pods: usize) -> Self {
        let (start, stop) = (Duration::from_secs(1), Duration::from_secs(2));
        Scenario { name, pods, budgets: 0, allows: 0, start, stop, opens: None, blocked: false, limit: Duration::from_secs(300) }
    }

    /// How long a drain takes at the least: a budget lets as many go as it allows, and the next ones when those that replace them are ready.
    pub fn critical_path(&self) -> Duration {
        let open = self.opens.unwrap_or_default();
        let turns = match self.budgets {
            0 => 1,
            _ if self.opens.is_some() => 1,
            budgets => self.pods.div_ceil(budgets).div_ceil(self.allows),
        };
        open + self.start * u32::try_from(turns - 1).unwrap_or(u32::MAX) + self.stop
    }
}

pub const SCENARIOS: &[Scenario] = &[
    Scenario { budgets: 1, allows: 5, ..Scenario::new("30 pods, one PDB allows 5", 30) },
    Scenario {
        budgets: 1,
        allows: 5,
        start: Duration::from_secs(3),
        ..Scenario::new("30 pods, one PDB allows 5, start 3 s", 30)
    },
    Scenario::new("110 pods without a PDB", 110),
    Scenario { budgets: 20, allows: 1, ..Scenario::new("100 pods, 20 PDBs allow 1 each", 100) },
    Scenario { stop: Duration::from_secs(20), ..Scenario::new("40 pods that stop in 20 s", 40) },
    Scenario { budgets: 1, opens: Some(Duration::from_millis(12_500)), ..Scenario::new("20 pods, a PDB opens after 12.5 s", 20) },
    Scenario { blocked: true, limit: Duration::from_secs(20), ..Scenario::new("50 pods, one refused for good", 49) },
];
