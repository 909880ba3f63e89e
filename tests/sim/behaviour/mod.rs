//! The behaviours, each an `async fn` of its bench. A comment or a name says what one would not guess.

pub mod admission;
pub mod budgets;
pub mod cronjobs;
pub mod deletion;
pub mod evictions;
pub mod installation;
pub mod installed;
pub mod job_ends;
pub mod jobs;
pub mod lists;
pub mod nodes;
pub mod objects;
pub mod patches;
pub mod pods;
pub mod policies;
pub mod rights;
pub mod watches;
pub mod workloads;

/// The one list: hands each room's behaviours to the macro `$each`, which makes a test of each on some cluster.
macro_rules! behaviours {
    ($each:ident) => {
        $each! {
            objects: a_new_object_has_uid_version_and_time, a_list_says_its_kind_and_its_items_do_not, what_is_not_there_is_404,
                a_missing_namespace_is_missed_only_by_a_create, what_exists_is_409, what_is_being_deleted_still_takes_its_name,
                a_dry_run_creates_and_deletes_nothing, what_cannot_be_is_422_or_400, a_secret_is_base64_both_ways,
                a_lease_is_kept_as_written, an_event_lies_with_its_object_and_of_a_node_in_default, a_namespace_ends_when_it_is_empty;
            patches: maps_are_merged_and_null_deletes, lists_are_replaced, an_old_version_is_a_conflict,
                a_namespace_and_a_node_are_guarded_alike, a_secret_is_guarded_and_can_be_probed, one_that_changes_nothing_makes_no_version, status_is_patched_apart,
                a_generation_counts_changes_of_the_spec;
            lists: of_workloads_and_budgets, of_autoscalers, of_services, of_quotas, policies_and_their_bindings, leases_are_listed_and_watched, label_selectors, field_selectors_of_pods, a_field_that_cannot_be_selected_by_is_400, pages_are_of_one_moment,
                a_continue_token_must_be_one, a_list_of_all_namespaces_is_ordered_by_namespace;
            watches: events_come_in_order_from_the_lists_version, without_a_version_it_begins_with_what_is,
                what_leaves_the_selection_is_deleted, pods_of_a_node, one_namespace, of_what_a_person_watches, a_budget_says_when_it_allows_more, its_timeout_ends_it_cleanly, a_bookmark_comes_once_a_minute,
                a_version_too_old_is_410_in_the_stream;
            installation: it_is_found_by_its_label_and_deleted_by_uid;
            deletion: a_plain_object_goes_at_once, preconditions_are_conflicts, finalizers_hold_it,
                a_job_may_be_meant_by_its_uid, background_takes_the_pods_after_the_job, background_leaves_running_pods_to_end,
                foreground_takes_the_pods_before_the_job, without_a_policy_a_jobs_pods_are_orphaned;
            pods: defaults_and_admission, accounts_and_priorities_must_exist, a_binding_is_made_once, unbound_it_goes_at_once,
                bound_it_stays_until_the_kubelet_confirms, finished_it_goes_at_once, a_delete_may_be_meant_for_one_very_pod,
                a_pod_on_a_node_that_is_not_there_stays_for_now;
            evictions: allowed_it_deletes_with_grace, a_budget_without_room_is_429_with_its_cause, each_takes_one_disruption,
                a_dry_run_changes_nothing, two_budgets_are_500, it_may_be_meant_for_one_very_pod, what_does_not_run_bypasses_budgets,
                unready_pods_go_by_policy, in_an_ending_namespace_it_is_403, a_budget_not_yet_judged_asks_for_ten_seconds;
            admission: a_webhook_without_a_service_is_500_in_its_words, one_that_may_be_ignored_is, whoever_answers_for_a_service_is_listed, of_what_it_does_not_ask_for_it_is_not_asked;
            budgets: of_a_deployments_pods, an_ending_pod_is_not_healthy, an_ending_pod_is_expected_by_a_number,
                of_pods_without_a_controller, an_empty_selector_takes_all, a_pending_pod_is_expected;
            rights: nothing_is_allowed_at_first, reviews_answer_for_each_verb, a_right_on_a_name_is_on_that_name,
                the_programs_own_grants, an_unknown_token_is_401;
            jobs: one_makes_a_pod_of_its_own, ready_counts_pods_that_run, without_an_account_there_is_no_pod,
                a_failure_is_tried_again_after_a_pause, a_disruption_is_not_counted, a_pod_that_ends_has_no_successor_yet,
                by_default_a_pod_is_replaced_while_it_ends, suspended_it_waits, its_template_cannot_be_changed;
            job_ends: success, an_exit_code_that_fails_the_job, too_many_failures, out_of_time_with_a_pod_that_runs,
                out_of_time_with_a_pod_that_waits, its_time_to_live, the_end_is_final;
            cronjobs: its_job, forbid_waits_for_the_active_one, suspended_it_makes_none, a_deadline_forgets_what_was_missed,
                deleted_it_takes_its_jobs;
            nodes: a_new_node_is_not_ready, a_cordon_has_its_taint, a_node_that_says_not_ready_is_tainted;
            workloads: a_deployments_pods_are_its_replicasets, a_deployment_is_available_when_its_pods_are_ready,
                a_deleted_pod_is_replaced_while_it_ends, a_statefulsets_pod_waits_for_the_old_one, a_daemonset_is_on_every_node,
                a_failed_pod_is_replaced, a_restarted_deployment_has_its_new_pod_first, a_restart_is_of_what_was_seen,
                a_claim_says_who_may_mount_it;
        }
    };
}
pub(crate) use behaviours;

/// The same for what a real API server alone can show: it evaluates the expressions of policies, which nothing else here does.
macro_rules! admitted {
    ($each:ident) => {
        $each! {
            installed: every_object_of_any_settings_is_taken, its_pods_are_restricted_ones;
            policies: all_are_understood, a_node_is_cordoned_and_marked_and_nothing_else, no_field_of_a_node_is_forgotten,
                of_namespaces_only_the_runs_marks_change, of_config_maps_only_journals_and_new_host_keys,
                a_pod_is_deleted_where_unsticking_would, no_pod_is_deleted_where_unsticking_never_does,
                a_pod_is_deleted_by_force_where_its_namespace_is_named, no_pod_is_deleted_by_force_elsewhere,
                of_a_deployment_only_its_restart_changes, no_deployment_is_restarted_where_drains_never_do,
                a_job_of_the_chain_has_its_shape, of_a_job_only_its_progress_changes, a_job_runs_on_the_runner_or_who_stands_in_for_it,
                a_job_runs_on_a_control_plane_alone_where_no_worker_is_trusted, no_field_of_a_pod_is_forgotten, only_a_job_of_the_chain_is_removed,
                a_snapshots_job_is_that_of_its_cronjob, a_hooks_job_is_that_of_its_cronjob, our_container_is_merged_into_no_other_cronjob;
        }
    };
}
pub(crate) use admitted;
