//! How much a scenario may count, by the key that says it: a rehearsal keeps all of it in memory and looks at it again and again, and what
//! is written into an object has to fit there.

/// Machines, and pods of all workloads together: as many as Kubernetes itself is made for.
pub const NODES: u32 = 5_000;
pub const PODS: u32 = 150_000;
/// Pods of one workload.
pub const REPLICAS: u32 = 10_000;
/// Objects of one kind that nothing else bounds; the reader of YAML takes no file of very many more.
pub const OBJECTS: u32 = 8_000;
/// What fires, or is released, in the time of one rehearsal.
pub const HAPPENING: u32 = 1_000;
/// A pod that takes longer takes for ever (a year).
pub const SECONDS: u32 = 365 * 24 * 3600;
/// The largest number that a field of Kubernetes of 32 bits takes.
pub const FIELD: u32 = i32::MAX.unsigned_abs();

/// Every key that counts something.
pub const LIMITS: [(&str, u32); 13] = [
    ("nodes", NODES),
    ("workloads", OBJECTS),
    ("budgets", OBJECTS),
    ("autoscalers", OBJECTS),
    ("alerts", HAPPENING),
    ("releases", HAPPENING),
    ("replicas", REPLICAS),
    ("max-replicas", FIELD),
    ("min-available", FIELD),
    ("max-unavailable", FIELD),
    ("grace-seconds", SECONDS),
    ("ends-after-seconds", SECONDS),
    ("ready-after-seconds", SECONDS),
];

/// The most that a key may say; None: it counts nothing.
pub fn most(key: &str) -> Option<u32> {
    LIMITS.iter().find(|(known, _)| *known == key).map(|(_, most)| *most)
}

/// What is wrong with that number of it, if something is.
pub fn beyond(key: &str, given: u128) -> Option<String> {
    let most = most(key)?;
    (given > u128::from(most)).then(|| format!("{key}: {given} are too many for a rehearsal, {most} are the most"))
}
