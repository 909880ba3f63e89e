//! Every guard is missed: switched off alone, it makes the simulation fail that stands beside it. All in one build; the guards themselves are
//! in `src/guard.rs`.

mod beside;
mod gates;
mod hooks;
mod leases;
mod nodes;
mod regressions;
mod removed_apis;
mod stops;
mod surge;
mod trial;
mod undrainable;
mod windows;
mod works;
mod written;

use std::collections::BTreeMap;
use std::panic;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, Once};
use std::thread;

use k8s_upgrade::guard::{self, Guard};
use k8s_upgrade::twin::State;
use k8s_upgrade::twin::store::{Key, Kind};
use serde_json::json;

use super::{
    another_build, asked, canary, drains, driven, halted, hands, incidents, late, mixed_up, proof, rollback, rotate, tempted,
    turns,
};

type Simulation = fn();

macro_rules! missed_by {
    ($($guard:ident: $simulation:path,)+) => {
        &[$((Guard::$guard, stringify!($simulation), $simulation as Simulation),)+]
    };
}

/// The simulation that misses each.
const MISSED_BY: &[(Guard, &str, Simulation)] = missed_by![
    // every change
    DryRun: gates::a_dry_run_changes_nothing,
    StopBeforeChange: stops::a_signal_between_two_changes,
    HaltBeforeChange: stops::a_halt_between_two_changes,
    LeaseBeforeChange: leases::a_lost_lease_is_lost,
    OwnNode: beside::a_job_on_its_own_node_refuses,
    StepDeadline: works::a_step_that_never_ends_is_told,
    // a halt, before anything begins
    HaltBeforeJob: stops::a_halted_run_gets_no_new_job,
    HaltBeforeEnd: stops::a_halted_run_is_not_ended,
    // waits
    WaitDeadline: works::a_backup_that_never_ends_is_told,
    StopInWait: stops::a_signal_in_a_wait,
    HaltInWait: stops::a_halt_in_a_wait,
    LeaseInWait: leases::a_lease_is_kept_through_a_wait,
    StopInSoak: stops::a_signal_in_a_soak,
    HaltInSoak: stops::a_halt_in_a_soak,
    // Leases
    LeaseTaken: leases::a_node_is_worked_on_under_its_lease,
    LeaseExpired: leases::a_lease_is_nobody_elses_before_its_time,
    LeaseRenewalSeen: leases::a_lease_is_kept_through_a_long_step,
    LeaseVersion: leases::a_lost_lease_is_lost,
    LeaseGivenBackIfOurs: leases::a_lost_lease_is_lost,
    LeaseStillOurs: leases::a_lost_lease_is_lost,
    LeaseInWork: leases::a_lease_is_kept_through_a_long_step,
    LeaseByHandRenewed: driven::a_run_in_a_process_of_its_own_is_seen_all_the_time,
    // who else is at work
    JobAtWork: beside::a_person_waits_for_the_chains_job,
    WorkByHand: beside::two_persons_do_not_work_at_once,
    SameRun: asked::what_changes_while_a_question_stands_is_seen_after_it,
    SignOfLife: driven::a_clock_that_is_off_keeps_nobody_out_and_lets_nobody_in,
    WorkByHandBeforeChain: driven::a_detection_leaves_alone_who_works_by_hand,
    WorkByHandBeforeRun: driven::a_detection_leaves_alone_who_works_by_hand,
    JobInTheWay: beside::one_job_at_a_time,
    LocalRunBeforeTakingUp: beside::the_watch_leaves_a_persons_run_alone,
    LeaseBeforeTakingUp: beside::the_watch_leaves_a_node_alone_that_somebody_holds,
    TakenUpTimes: beside::the_watch_gives_up,
    EndedJob: halted::a_halt_is_lifted_before_its_pods_end_is_known,
    LiftedHalt: halted::a_halt_is_lifted_while_its_runner_ends,
    // writes under a precondition
    OneRun: proof::two_claims_at_once,
    ClaimVersion: proof::two_claims_at_once,
    RunOfMark: late::a_late_process_leaves_the_next_run_alone,
    RunOfClear: late::a_late_process_leaves_the_next_run_alone,
    NamespaceVersion: late::a_late_process_leaves_the_next_run_alone,
    NodeVersion: written::a_cordon_of_the_last_moment_is_a_persons,
    JobUid: written::a_job_of_the_last_moment_stays,
    ImageOfRun: another_build::a_run_keeps_its_image_to_its_end,
    EvictionUid: written::a_pod_that_has_moved_is_not_evicted,
    // preflight
    TargetAllowed: hands::start_refuses_an_impossible_target,
    NodesReadyBeforeRun: gates::a_node_that_is_not_ready,
    ApiServersReadyBeforeRun: gates::an_api_server_that_is_not_ready,
    EtcdFitBeforeRun: gates::an_etcd_that_is_not_fit,
    CertificatesLast: gates::certificates_that_do_not_outlast_a_run,
    QuietBeforeRun: gates::a_node_that_came_lately,
    Permissions: incidents::before::incident_07_missing_rights_were_found_midway,
    BackupTemplate: gates::a_backup_that_is_not_there,
    HooksUsable: hooks::hooks_that_cannot_be_run_are_found_before_a_run,
    Released: gates::a_release_that_does_not_exist,
    AddonsAllow: gates::an_addon_that_does_not_go_along,
    HostsAnswer: gates::a_node_that_does_not_answer,
    PackagesWhole: gates::packages_that_are_half_installed,
    RoomOnDisk: gates::a_disk_that_is_full,
    SourcesKnown: gates::a_package_source_that_nobody_knows,
    OwnRepositoryRenewed: gates::a_key_of_another_repository_than_the_settings,
    StrayManifests: gates::a_stray_manifest,
    NothingLostBeforeRun: gates::what_was_tuned_by_hand,
    RemovedApis: removed_apis::a_minor_version_that_no_longer_serves_what_is_called,
    RemovedApisKnown: removed_apis::an_api_server_that_nobody_can_ask,
    DrainableBeforeRun: undrainable::a_node_that_can_never_be_drained_is_found_before_anything_is_touched,
    DrainableTwice: undrainable::a_budget_that_has_just_lost_a_pod_is_looked_at_again,
    WindowBeforeRun: windows::a_run_that_is_begun_elsewhere_waits_for_the_installations_window,
    FreezesKnown: windows::freezes_that_nobody_can_read_hold,
    AlertsBeforeRun: gates::an_alert_before_a_run,
    KubeadmAgrees: gates::a_plan_that_disagrees_changes_nothing,
    Trial: trial::a_flag_that_is_gone_is_found_before_anything_is_touched,
    BackupDeadline: works::a_backup_that_never_ends_is_told,
    SnapshotSize: works::a_snapshot_of_another_size_is_none,
    SnapshotAge: works::a_snapshot_of_before_is_none,
    SnapshotWhole: works::a_snapshot_that_is_torn_is_none,
    SnapshotVerified: works::a_snapshot_that_nobody_could_look_at_is_refused_where_the_settings_say_so,
    // before a node
    ExcludedNode: nodes::an_excluded_node,
    FirstControlPlaneFirst: nodes::a_second_control_plane_before_the_first,
    ControlPlanesFirst: nodes::a_worker_before_the_control_planes,
    FinishedNode: nodes::a_finished_node_is_left_alone,
    PackagesOffered: incidents::chain::incident_17_a_list_of_nodes_skipped_a_new_one,
    Soak: nodes::a_node_soaks_for_its_time,
    HealthInSoak: regressions::a_node_that_comes_under_pressure,
    ApiServersAfterNode: regressions::an_api_server_that_says_that_it_is_not_ready,
    EtcdHealthy: regressions::an_etcd_that_raises_an_alarm,
    CrashLoops: regressions::a_pod_that_crashes_again_and_again,
    ClusterDns: regressions::a_dns_that_answers_nobody,
    BadBefore: regressions::what_was_bad_before_holds_nothing,
    ThreeLooks: regressions::what_is_bad_for_a_moment_holds_nothing,
    WindowBeforeNode: windows::a_run_rests_between_two_windows_and_goes_on_by_itself,
    OnlyStops: windows::a_run_for_one_worker_stops_after_it,
    CanaryBackStands: canary::a_canary_goes_back_wherever_its_job_is_killed,
    OnlyCanariesGoBack: canary::who_is_no_canary_stays_as_it_is,
    AlertsBeforeNode: nodes::an_alert_before_a_node,
    AlertsKnown: tempted::no_answer_is_no_peace,
    Watchdog: tempted::no_answer_is_no_peace,
    WorkloadsBeforeNode: nodes::what_is_not_whole_is_waited_for,
    NodesReadyBeforeNode: nodes::another_node_that_is_not_ready,
    ApiServersReadyBeforeNode: nodes::another_api_server_that_is_not_ready,
    AloneBeforeNode: nodes::another_node_that_is_out,
    TurnAfterCordon: proof::two_nodes_at_once,
    ControlPlaneBeforeWorker: nodes::a_scheduler_that_does_not_run,
    DrainDeadlines: undrainable::a_drain_that_does_not_end_is_not_tried_for_ever,
    DrainPause: undrainable::pauses_between_drains_that_do_not_end_grow,
    DrainableBeforeNode: undrainable::what_came_in_between_costs_no_second_out_of_service,
    HookBeforeNode: hooks::a_hook_that_fails_costs_no_second_out_of_service,
    HookDeadline: hooks::a_hook_that_never_ends_is_told,
    HookAfterGivenUp: hooks::a_node_that_does_not_get_its_turn_has_its_hook_after,
    NothingLostOnNode: tempted::what_is_tuned_on_the_way_is_not_written_over,
    Identity: mixed_up::swapped_addresses_of_the_settings,
    IdentityAfterBoot: mixed_up::a_machine_that_becomes_another_in_mid_run,
    HostKeyKnown: gates::a_host_key_that_nobody_vouches_for,
    // a drain
    DrainDeadline: works::a_drain_that_cannot_end_holds,
    StopInDrain: stops::a_signal_while_pods_end,
    HaltInDrain: stops::a_halt_while_pods_end,
    LeaseInDrain: leases::a_lease_is_kept_while_pods_end,
    LeaseBetweenEvictions: leases::a_lease_is_kept_between_evictions,
    StopBetweenEvictions: stops::a_signal_between_evictions,
    HaltBetweenEvictions: stops::a_halt_between_evictions,
    EvictionForbidden: works::a_right_to_evict_that_is_gone_is_soon_told,
    DrainEndListed: works::a_pod_that_a_watch_has_missed_is_evicted,
    ReturnedPodStays: drains::a_pod_that_tolerates_the_cordon_is_evicted_once,
    UnstickAfter: works::a_stuck_pod_is_deleted_after_its_time,
    UnstickAllowed: works::a_stuck_pod_stays_where_the_settings_say_so,
    UnstickOptOut: works::a_stuck_pod_stays_where_its_annotation_says_so,
    UnstickHopeless: works::a_budget_that_can_be_satisfied_is_waited_for,
    UnstickMadeAnew: works::a_stuck_pod_stays_that_no_replica_set_makes_anew,
    UnstickUid: written::a_pod_that_has_moved_is_not_deleted,
    ForceNamed: undrainable::a_pod_of_a_namespace_that_is_not_named_is_never_deleted,
    ForceAfter: undrainable::a_pod_is_deleted_by_force_after_its_time,
    SurgeAllowed: surge::nothing_is_restarted_where_the_settings_do_not_ask_for_it,
    SurgeEligible: surge::what_cannot_have_its_successor_first_is_evicted,
    SurgeOptOut: surge::whoever_says_no_is_not_restarted,
    SurgePodStays: surge::a_pod_that_is_going_is_not_restarted_again,
    SurgeVersion: surge::a_deployment_that_was_just_changed_is_not_restarted,
    SurgeWaits: surge::there_is_no_moment_without_a_ready_pod,
    SurgeDeadline: surge::a_new_pod_that_never_comes_is_waited_for_half_a_drain,
    // the work on a node
    EarlierWorkEnds: works::an_earlier_runners_work_is_waited_for,
    LeaderMoved: nodes::leadership_moves_off_before_a_control_planes_turn,
    ControlPlaneAfterKubeadm: works::a_control_plane_that_went_back_gets_no_kubelet,
    KubeletWaits: turns::a_second_turn_under_a_persons_cordon_is_ended_by_the_next_runner,
    NewKubeletStaysOut: turns::a_kubelet_whose_package_is_new_does_not_wait_in_service,
    ReadyAtVersion: works::a_node_serves_at_its_version_alone,
    ControlPlaneWhole: nodes::a_control_plane_is_whole_before_it_serves,
    HalfChangedStaysOut: works::a_half_changed_node_stays_out,
    PersonsCordonNotOurs: nodes::a_persons_cordon,
    PersonsCordonStays: nodes::a_persons_cordon,
    RollbackWaitsForWork: works::a_rollback_waits_for_the_upgrades_work,
    HalfUpgradedStaysOut: rollback::a_rollback_that_is_held_leaves_a_half_upgraded_worker_cordoned,
    // after a node, and the end
    HookAfterNode: hooks::the_hook_after_a_node_holds_the_next_where_it_fails,
    AlertsAfterControlPlane: nodes::an_alert_after_a_control_plane,
    WorkloadsAfterNode: nodes::what_a_drain_drove_away_is_back_first,
    RunBeforePostflight: written::a_late_postflight_ends_no_other_run,
    RunAfterPostflight: written::a_run_that_began_while_postflight_waited_is_not_ended,
    TargetBeforeEnd: tempted::who_joins_at_the_very_end_is_part_of_the_run,
    AlertsBeforeEnd: nodes::an_alert_before_the_end,
    PodsReadyBeforeEnd: nodes::pods_that_are_not_ready_before_the_end,
    // the SSH key
    RotationWithoutRun: rotate::refusals::while_a_run_is_in_flight_it_is_refused,
    KeyInSecret: rotate::refusals::a_secret_that_never_follows_holds,
    KeyStillInSecret: rotate::meddled::a_secret_that_somebody_changes_back_keeps_the_former_key,
];

/// What the threads are called in which simulations are to fail: nobody wants to read of that.
const THREAD: &str = "without a guard";
const STACK: usize = 16 << 20;

fn silence() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let told = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if thread::current().name() != Some(THREAD) {
                told(info);
            }
        }));
    });
}

/// GUARD chooses one, by its name.
#[test]
fn each_guard_is_missed_by_its_simulation() {
    let mut counted: BTreeMap<Guard, usize> = Guard::ALL.iter().map(|guard| (*guard, 0)).collect();
    MISSED_BY.iter().for_each(|(guard, ..)| *counted.get_mut(guard).unwrap() += 1);
    let odd: Vec<String> = counted.iter().filter(|(_, count)| **count != 1).map(|(guard, _)| guard.name()).collect();
    assert!(odd.is_empty(), "these do not stand here once: {odd:#?}");
    let chosen = std::env::var("GUARD").ok();
    let rows: Vec<_> = MISSED_BY.iter().filter(|(guard, ..)| chosen.as_ref().is_none_or(|name| guard.name() == *name)).collect();
    assert!(!rows.is_empty(), "no guard is called {chosen:?}");
    silence();
    let (next, unmissed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            let work = || {
                while let Some((guard, name, simulation)) = rows.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if panic::catch_unwind(|| guard::without(*guard, simulation)).is_ok() {
                        unmissed.lock().unwrap().push(format!("{}: {name} does not miss it", guard.name()));
                    }
                }
            };
            thread::Builder::new().name(THREAD.to_owned()).stack_size(STACK).spawn_scoped(scope, work).unwrap();
        }
    });
    let unmissed = unmissed.into_inner().unwrap();
    assert!(unmissed.is_empty(), "{} of {} are not missed:\n{}", unmissed.len(), rows.len(), unmissed.join("\n"));
}

/// A static pod runs on, and is not Ready any more; or is again.
fn unready(state: &mut State, node: &str, component: &str, on: bool) {
    state.hosts.change(node, |machine| match on {
        true => drop(machine.faults.unready.insert(component.to_owned())),
        false => drop(machine.faults.unready.remove(component)),
    });
    let status = if on { "False" } else { "True" };
    state.store.update(&Key::new(Kind::Pod, "kube-system", &format!("{component}-{node}")), |pod| {
        let conditions = pod["status"]["conditions"].as_array_mut().unwrap();
        conditions.iter_mut().filter(|one| one["type"] == "Ready").for_each(|one| one["status"] = json!(status));
    });
}
