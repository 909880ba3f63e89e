//! The guards: each place where the program refuses, waits or looks once more before it does what could harm a cluster.
//!
//! A simulation may do without one, by its name, to show that it would be missed: `tests/sim/guards.rs` has for each the simulation that
//! fails then. In a release build none can be switched off.

use std::time::Duration;

macro_rules! guards {
    ($($(#[doc = $keeps:literal])+ $guard:ident,)+) => {
        /// What each keeps from happening.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Guard {
            $($(#[doc = $keeps])+ $guard,)+
        }

        impl Guard {
            /// Every one of them.
            pub const ALL: &[Guard] = &[$(Guard::$guard,)+];

            const fn words(self) -> &'static str {
                match self {
                    $(Guard::$guard => stringify!($guard),)+
                }
            }
        }
    };
}

guards! {
    // --- every change ---
    /// A dry run changes something.
    DryRun,
    /// A change begins after a signal has asked to stop.
    StopBeforeChange,
    /// A change begins after a person has halted upgrades. Asked before a run and a node, and once more before each change.
    HaltBeforeChange,
    /// Who has lost a node's Lease goes on changing it.
    LeaseBeforeChange,
    /// A Job drains the node that its own pod runs on. Asked before a node's phase, and once more before each disruption.
    OwnNode,
    /// A step that never ends is waited for until Kubernetes ends its Job.
    StepDeadline,

    // --- a halt, before anything begins ---
    /// A Job is created under a halt: the next of the chain, by the watch in place of a dead one, or by a person's command.
    HaltBeforeJob,
    /// A halted run is ended.
    HaltBeforeEnd,

    // --- waits ---
    /// What never comes is waited for without end.
    WaitDeadline,
    /// A wait goes on after a signal has asked to stop.
    StopInWait,
    /// A wait goes on after a halt.
    HaltInWait,
    /// A Lease expires while its holder waits.
    LeaseInWait,
    /// A soak goes on after a signal has asked to stop.
    StopInSoak,
    /// A soak goes on after a halt.
    HaltInSoak,

    // --- Leases ---
    /// A node is worked on without its Lease.
    LeaseTaken,
    /// A Lease is taken from a holder that lives.
    LeaseExpired,
    /// The time of a Lease is counted from when it was first seen, though its holder has renewed it since.
    LeaseRenewalSeen,
    /// Two take an expired Lease at the same moment, or a holder renews what another has taken.
    LeaseVersion,
    /// A holder that was late gives back what is another's by then.
    LeaseGivenBackIfOurs,
    /// A Lease that another has taken is taken for ours.
    LeaseStillOurs,
    /// The Lease expires while a long step is followed.
    LeaseInWork,
    /// The Lease of work by hand expires while that goes on.
    LeaseByHandRenewed,

    // --- who else is at work ---
    /// A person's command works beside a Job of the chain.
    JobAtWork,
    /// Two persons work at once, or a Job beside a person.
    WorkByHand,
    /// A person answers a question on one run, and another one is in flight by then.
    SameRun,
    /// A clock that is off, theirs or ours, says that a process is dead.
    SignOfLife,
    /// The detection begins a chain beside work by hand.
    WorkByHandBeforeChain,
    /// A run is claimed beside work by hand that was begun after the detection.
    WorkByHandBeforeRun,
    /// A second Job is created beside the one that is at work.
    JobInTheWay,
    /// The watch takes up a run that a person performs in a process of their own. Told by the run's mark, and by the process's Lease.
    LocalRunBeforeTakingUp,
    /// The watch takes up a step on whose node somebody is at work.
    LeaseBeforeTakingUp,
    /// The watch takes up a step again and again that fails each time.
    TakenUpTimes,
    /// A Job that a halt has just ended is taken for one at work: who lifts the halt and resumes is told so, and then nothing goes on.
    EndedJob,
    /// A Job that a halt ends fails for good though the halt was lifted before: who resumed meanwhile was told that it is at work.
    LiftedHalt,

    // --- writes under a precondition ---
    /// A second run is claimed beside the first.
    OneRun,
    /// Two claims at the same moment both go through.
    ClaimVersion,
    /// A late process writes into the next run.
    RunOfMark,
    /// A late process ends the next run.
    RunOfClear,
    /// A mark is written over what somebody has just written on the namespace.
    NamespaceVersion,
    /// A node is written to as it was, not as it is.
    NodeVersion,
    /// Another Job is deleted that has the name by now.
    JobUid,
    /// A run goes on with another build of the program: a Job that the watch or a person creates runs what is installed by now.
    ImageOfRun,
    /// Another pod is evicted that has the name by now.
    EvictionUid,

    // --- preflight ---
    /// A target that cannot be gone to: backwards, or more than one minor version on.
    TargetAllowed,
    /// A run begins while a node is not Ready.
    NodesReadyBeforeRun,
    /// A run begins while an API server is not ready.
    ApiServersReadyBeforeRun,
    /// A run begins on an etcd that is ill, full or slow.
    EtcdFitBeforeRun,
    /// A run begins on certificates that do not outlast it.
    CertificatesLast,
    /// A run begins right after nodes came or went.
    QuietBeforeRun,
    /// A right is missing in the middle of a run.
    Permissions,
    /// A run begins that has no backup to make.
    BackupTemplate,
    /// A run begins whose hooks cannot be run, or run by themselves.
    HooksUsable,
    /// A run begins to a release that does not exist.
    Released,
    /// A run begins though a node does not answer, or is not fit.
    HostsAnswer,
    /// A node is upgraded whose packages are half installed.
    PackagesWhole,
    /// A filesystem is full in the middle of an upgrade.
    RoomOnDisk,
    /// A run is claimed that a package source on a node, which nobody knows, then keeps from going on.
    SourcesKnown,
    /// A node's packages come from another repository than before, because its key has ended.
    OwnRepositoryRenewed,
    /// A copy among the manifests is run as a static pod.
    StrayManifests,
    /// What people changed by hand is written over: looked for before the run.
    NothingLostBeforeRun,
    /// A run begins to a minor version that no longer serves what somebody calls.
    RemovedApis,
    /// An API server that nobody could ask counts as one whose deprecated APIs nobody calls.
    RemovedApisKnown,
    /// A run begins although one of its nodes can never be drained.
    DrainableBeforeRun,
    /// A budget that has just lost a pod counts as one that never allows an eviction.
    DrainableTwice,
    /// A run begins to a release that an addon does not go along to, by its owner's word.
    AddonsAllow,
    /// A run begins outside of the windows, or in a freeze.
    WindowBeforeRun,
    /// Freezes that nobody can read count as none.
    FreezesKnown,
    /// A run begins while an alert fires.
    AlertsBeforeRun,
    /// A run begins that kubeadm does not agree to.
    KubeadmAgrees,
    /// A node is drained for a kubelet or a kubeadm that does not start there.
    Trial,
    /// A backup that never ends is waited for without end.
    BackupDeadline,
    /// A snapshot counts that has another size than its backup says.
    SnapshotSize,
    /// A snapshot counts that is older than the backup that should have made it.
    SnapshotAge,
    /// A snapshot counts that is torn.
    SnapshotWhole,
    /// A snapshot counts that nobody has looked at, though the settings refuse that.
    SnapshotVerified,

    // --- before a node ---
    /// A node that the settings exclude is upgraded.
    ExcludedNode,
    /// A control plane is upgraded before the one that `kubeadm upgrade apply` runs on.
    FirstControlPlaneFirst,
    /// A worker is begun before all control planes are at the target.
    ControlPlanesFirst,
    /// A node that has been finished is worked on again. Asked before its phase, under its Lease, and of its machine.
    FinishedNode,
    /// A node is taken out of service that cannot have the packages.
    PackagesOffered,
    /// The next node does not wait for the soak of the last.
    Soak,
    /// A soak sees nodes fail, and goes on.
    HealthInSoak,
    /// An API server says that it is not ready, and the run goes on.
    ApiServersAfterNode,
    /// A member of etcd is ill since a node, and the run goes on.
    EtcdHealthy,
    /// Pods crash again and again since a node, and the run goes on.
    CrashLoops,
    /// The cluster's DNS is away since a node, and the run goes on.
    ClusterDns,
    /// What was bad before a run holds it.
    BadBefore,
    /// What is bad for a moment holds a run.
    ThreeLooks,
    /// A node is taken out of service that a window has no room for.
    WindowBeforeNode,
    /// The run goes on past the one worker that a person has begun it for.
    OnlyStops,
    /// The run goes on past a canary that it has taken back, or upgrades it again.
    CanaryBackStands,
    /// A node is taken out while an alert fires.
    AlertsBeforeNode,
    /// Alerts that nobody can tell of count as none.
    AlertsKnown,
    /// Alert rules that are not evaluated count as silent.
    Watchdog,
    /// A node is taken out while workloads are not whole that were.
    WorkloadsBeforeNode,
    /// A node is taken out while another one is not Ready.
    NodesReadyBeforeNode,
    /// A control plane is taken out while another's API server is not ready.
    ApiServersReadyBeforeNode,
    /// A node is taken out beside one that is out by our doing already.
    AloneBeforeNode,
    /// Two that passed the gates together both go on, each with a node out of service.
    TurnAfterCordon,
    /// A worker is begun while a control plane's component does not run.
    ControlPlaneBeforeWorker,
    /// What people changed by hand after preflight is written over.
    NothingLostOnNode,
    /// A node is taken out of service again and again for drains that do not end.
    DrainDeadlines,
    /// After a drain that did not end, the next is tried as soon as the watch comes by.
    DrainPause,
    /// A node is cordoned although it can never be drained.
    DrainableBeforeNode,
    /// Work begins on another machine than the node's.
    Identity,
    /// Work goes on though the machine has booted, or become another, since it was proved.
    IdentityAfterBoot,
    /// A host key that nobody vouches for is accepted, though the settings say that it must be known.
    HostKeyKnown,

    // --- a drain ---
    /// A drain that cannot end keeps its node out of service without end.
    DrainDeadline,
    /// A drain goes on after a signal has asked to stop.
    StopInDrain,
    /// A drain goes on after a halt.
    HaltInDrain,
    /// The Lease expires while pods are waited for.
    LeaseInDrain,
    /// The Lease expires while many slow evictions are asked for, one after the other.
    LeaseBetweenEvictions,
    /// All pods of a node are evicted, one slow call after the other, after a signal has asked to stop.
    StopBetweenEvictions,
    /// The same after a halt.
    HaltBetweenEvictions,
    /// A missing right is waited for as if the API server had just come back.
    EvictionForbidden,
    /// A drain ends by a watch that has missed a pod.
    DrainEndListed,
    /// A pod that tolerates the cordon is evicted each time that it comes back.
    ReturnedPodStays,
    /// A budget's own time is not asked for: its pods are deleted at once.
    UnstickAfter,
    /// A pod is deleted though the settings forbid that.
    UnstickAllowed,
    /// A pod is deleted whose annotation, or whose budget's, says no.
    UnstickOptOut,
    /// A pod is deleted whose budget could let it go.
    UnstickHopeless,
    /// A pod is deleted that nothing makes anew.
    UnstickMadeAnew,
    /// Another pod is deleted that has the name by now.
    UnstickUid,
    /// A pod is deleted by force in a namespace that nobody has named.
    ForceNamed,
    /// A pod is deleted by force before its time.
    ForceAfter,
    /// A Deployment is restarted though the settings do not ask for that.
    SurgeAllowed,
    /// A Deployment is restarted whose new pod cannot come up beside the former one.
    SurgeEligible,
    /// A Deployment is restarted though its annotation, its pod's or its budget's says no.
    SurgeOptOut,
    /// A Deployment is restarted once more, for a pod that its last restart has taken away already.
    SurgePodStays,
    /// A Deployment is restarted as it was, not as it is.
    SurgeVersion,
    /// A Deployment's only pod is evicted before its new one is there.
    SurgeWaits,
    /// A new pod that never comes up keeps its node out of service until the drain's deadline.
    SurgeDeadline,

    /// A node is taken out of service though the hook before it has failed.
    HookBeforeNode,
    /// A hook that never ends is waited for without end.
    HookDeadline,
    /// The hook after a node does not run where the node did not get its turn: what the one before it has set stays for ever.
    HookAfterGivenUp,

    // --- the work on a node ---
    /// Work begins beside that of an earlier runner.
    EarlierWorkEnds,
    /// kubeadm restarts the member of etcd that leads, and the API waits for an election.
    LeaderMoved,
    /// A failed kubeadm passes for one that has upgraded the control plane.
    ControlPlaneAfterKubeadm,
    /// A kubelet becomes newer than an API server.
    KubeletWaits,
    /// A node whose kubelet's package is new serves, though an API server is hidden.
    NewKubeletStaysOut,
    /// A node serves again before its kubelet runs at its version.
    ReadyAtVersion,
    /// A control plane serves again before its components run at the target.
    ControlPlaneWhole,
    /// A node that is half changed serves again after a failure.
    HalfChangedStaysOut,
    /// A person's cordon is marked as ours.
    PersonsCordonNotOurs,
    /// A person's cordon is taken away at the end.
    PersonsCordonStays,
    /// A rollback begins beside an upgrade's work.
    RollbackWaitsForWork,
    /// A rollback that is held lets a half upgraded node serve.
    HalfUpgradedStaysOut,

    // --- after a node, and the end ---
    /// The next node begins, or the run ends, though the hook after this one has not ended well.
    HookAfterNode,
    /// The chain goes on past a control plane that set off an alert.
    AlertsAfterControlPlane,
    /// The next drain takes the second of two replicas, for the first is not back. Asked of what was whole before the node, and once more of what
    /// was whole when the run was claimed.
    WorkloadsAfterNode,
    /// A Job ends a run that is not its own.
    RunBeforePostflight,
    /// Another run that has begun meanwhile is ended.
    RunAfterPostflight,
    /// A run is ended whose nodes are not at the target. Asked first, and once more of those that joined at the last moment.
    TargetBeforeEnd,
    /// A run is ended while an alert of the upgrade fires.
    AlertsBeforeEnd,
    /// A run is ended while pods are not Ready.
    PodsReadyBeforeEnd,

    /// A worker that is no canary is taken back by the run itself.
    OnlyCanariesGoBack,

    // --- the SSH key ---
    /// A key is rotated under a run.
    RotationWithoutRun,
    /// The former key goes before the Secret has the new one. Waited for, and looked at once more.
    KeyInSecret,
    /// The former key goes though somebody has brought it back into the store.
    KeyStillInSecret,
}

impl Guard {
    /// In small letters, with hyphens.
    pub fn name(self) -> String {
        let mut name = String::new();
        for letter in self.words().chars() {
            if letter.is_uppercase() && !name.is_empty() {
                name.push('-');
            }
            name.extend(letter.to_lowercase());
        }
        name
    }
}

/// A bound on time that is a guard: without it there is none.
pub fn bound(guard: Guard, time: Duration) -> Duration {
    if on(guard) { time } else { Duration::from_secs(365 * 24 * 3600) }
}

/// Whether the guard stands: always, but in a simulation that does without it.
#[cfg(not(debug_assertions))]
#[inline]
pub const fn on(_: Guard) -> bool {
    true
}

#[cfg(debug_assertions)]
pub use switched::{on, without};

#[cfg(debug_assertions)]
mod switched {
    use std::cell::Cell;

    use super::Guard;

    thread_local! {
        /// A simulation lives on one thread.
        static OFF: Cell<Option<Guard>> = const { Cell::new(None) };
    }

    /// Whether the guard stands: always, but in a simulation that does without it.
    pub fn on(guard: Guard) -> bool {
        OFF.get() != Some(guard)
    }

    /// Lets work do without one guard, on this thread, and puts it back whatever becomes of the work.
    pub fn without<T>(guard: Guard, work: impl FnOnce() -> T) -> T {
        struct Back(Option<Guard>);
        impl Drop for Back {
            fn drop(&mut self) {
                OFF.set(self.0);
            }
        }
        let _back = Back(OFF.replace(Some(guard)));
        work()
    }
}
