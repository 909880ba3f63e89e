# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_k8s_upgrade_global_optspecs
    string join \n kubeconfig= context= n/namespace= request-timeout= config= set= log-format= v/verbose q/quiet y/yes no-color h/help V/version
end

function __fish_k8s_upgrade_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_k8s_upgrade_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_k8s_upgrade_using_subcommand
    set -l cmd (__fish_k8s_upgrade_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c k8s-upgrade -n "__fish_k8s_upgrade_needs_command" -l kubeconfig -d 'Kubeconfig file; else KUBECONFIG, ~/.kube/config, or the pod\'s ServiceAccount' -r -F
complete -c k8s-upgrade -n "__fish_k8s_upgrade_needs_command" -l context -d 'Context of the kubeconfig' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_needs_command" -s n -l namespace -d 'Namespace of the installation' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_needs_command" -l request-timeout -d 'How long an API server that does not answer is waited for by a command that has changed nothing yet' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_needs_command" -l config -d 'Settings file; else the mounted ConfigMap, or ~/.config/k8s-upgrade/config.yaml' -r -F
complete -c k8s-upgrade -n "__fish_k8s_upgrade_needs_command" -l set -d 'One setting, over file and environment (K8S_UPGRADE_KEY); may be repeated' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_needs_command" -l log-format -d 'Form of the progress on stderr; on a terminal text is drawn as bars' -r -f -a "text\t''
json\t''"
complete -c k8s-upgrade -n "__fish_k8s_upgrade_needs_command" -s v -l verbose -d 'Also show what programs on nodes print; twice: this program\'s own diagnosis'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_needs_command" -s q -l quiet -d 'Only warnings and failures'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_needs_command" -s y -l yes -d 'Do not ask before a change'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_needs_command" -l no-color -d 'No colour, no bars'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_needs_command" -s h -l help -d 'Print help'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_needs_command" -s V -l version -d 'Print version'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_needs_command" -f -a "detect" -d 'Look for a new release and start the chain if there is one'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_needs_command" -f -a "approve" -d 'Let a release begin that detection asks for: the watch begins its run in the next window, by itself'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_needs_command" -f -a "start" -d 'Start the chain by hand'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_needs_command" -f -a "resume" -d 'Resume an interrupted upgrade'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_needs_command" -f -a "halt" -d 'Halt upgrades: a run stops at its next safe point, and none starts until it is lifted'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_needs_command" -f -a "skip-phase" -d 'Skip a completed phase; by force also one that is not completed, and the run then ends as partial'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_needs_command" -f -a "clear-state" -d 'Clear what a run that is given up has left: annotations, gauges, our cordons, stale Leases, Jobs that never began'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_needs_command" -f -a "acknowledge" -d 'Let the next run lose what people changed by hand and kubeadm writes over: flags of static pods, the kubelet\'s, CoreDNS'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_needs_command" -f -a "check" -d 'Check all that an installation and an upgrade need, before and after installing; changes nothing'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_needs_command" -f -a "status" -d 'Show where a run stands, what blocks it, and what to do next'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_needs_command" -f -a "plan" -d 'Show a run before it is begun: its Jobs in their order, the gates as they stand, what each node goes through, and how long it takes'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_needs_command" -f -a "report" -d 'Tell what happened in a run, from the journals that outlive its Jobs'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_needs_command" -f -a "preflight" -d 'Check that the cluster may be upgraded, claim the run, back up etcd, prefetch'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_needs_command" -f -a "upgrade-node" -d 'Upgrade one node: drain, packages, kubeadm, kubelet, uncordon, soak'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_needs_command" -f -a "postflight" -d 'Verify the whole cluster, then end the run'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_needs_command" -f -a "drain" -d 'Cordon and drain a node as the chain does'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_needs_command" -f -a "rollback" -d 'Take a worker back to the versions that it had before its upgrade; for a control plane, print what to do, also while the API server is away'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_needs_command" -f -a "rotate-key" -d 'Replace the SSH key of the installation: on every node, and where it is stored'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_needs_command" -f -a "rehearse" -d 'Live through an upgrade in memory: the whole chain, without a cluster or on a copy of one; nothing outside is touched'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_needs_command" -f -a "manifests" -d 'Print everything to install, for `kubectl apply -f -`'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_needs_command" -f -a "uninstall" -d 'Show what an installation consists of and what it leaves, and remove it: from the CronJobs to the namespace'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_needs_command" -f -a "image" -d 'Write this binary as an image archive, for `ctr -n k8s.io images import`'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_needs_command" -f -a "completions" -d 'Print the completions of a shell'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_needs_command" -f -a "man" -d 'Write the manual pages into a folder'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand detect" -s o -l output -d 'Form of the data on stdout' -r -f -a "text\t''
json\t''"
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand detect" -l kubeconfig -d 'Kubeconfig file; else KUBECONFIG, ~/.kube/config, or the pod\'s ServiceAccount' -r -F
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand detect" -l context -d 'Context of the kubeconfig' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand detect" -s n -l namespace -d 'Namespace of the installation' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand detect" -l request-timeout -d 'How long an API server that does not answer is waited for by a command that has changed nothing yet' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand detect" -l config -d 'Settings file; else the mounted ConfigMap, or ~/.config/k8s-upgrade/config.yaml' -r -F
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand detect" -l set -d 'One setting, over file and environment (K8S_UPGRADE_KEY); may be repeated' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand detect" -l log-format -d 'Form of the progress on stderr; on a terminal text is drawn as bars' -r -f -a "text\t''
json\t''"
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand detect" -l dry-run -d 'Say what would be started, start nothing, push nothing'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand detect" -s v -l verbose -d 'Also show what programs on nodes print; twice: this program\'s own diagnosis'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand detect" -s q -l quiet -d 'Only warnings and failures'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand detect" -s y -l yes -d 'Do not ask before a change'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand detect" -l no-color -d 'No colour, no bars'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand detect" -s h -l help -d 'Print help'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand detect" -s V -l version -d 'Print version'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand approve" -s o -l output -d 'Form of the data on stdout' -r -f -a "text\t''
json\t''"
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand approve" -l kubeconfig -d 'Kubeconfig file; else KUBECONFIG, ~/.kube/config, or the pod\'s ServiceAccount' -r -F
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand approve" -l context -d 'Context of the kubeconfig' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand approve" -s n -l namespace -d 'Namespace of the installation' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand approve" -l request-timeout -d 'How long an API server that does not answer is waited for by a command that has changed nothing yet' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand approve" -l config -d 'Settings file; else the mounted ConfigMap, or ~/.config/k8s-upgrade/config.yaml' -r -F
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand approve" -l set -d 'One setting, over file and environment (K8S_UPGRADE_KEY); may be repeated' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand approve" -l log-format -d 'Form of the progress on stderr; on a terminal text is drawn as bars' -r -f -a "text\t''
json\t''"
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand approve" -l lift -d 'Take the approval back'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand approve" -s v -l verbose -d 'Also show what programs on nodes print; twice: this program\'s own diagnosis'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand approve" -s q -l quiet -d 'Only warnings and failures'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand approve" -s y -l yes -d 'Do not ask before a change'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand approve" -l no-color -d 'No colour, no bars'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand approve" -s h -l help -d 'Print help'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand approve" -s V -l version -d 'Print version'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand start" -l target -d 'The release to go to' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand start" -l only -d 'Stop after this worker, once it has soaked; `resume` goes on with the others' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand start" -s o -l output -d 'Form of the data on stdout' -r -f -a "text\t''
json\t''"
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand start" -l kubeconfig -d 'Kubeconfig file; else KUBECONFIG, ~/.kube/config, or the pod\'s ServiceAccount' -r -F
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand start" -l context -d 'Context of the kubeconfig' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand start" -s n -l namespace -d 'Namespace of the installation' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand start" -l request-timeout -d 'How long an API server that does not answer is waited for by a command that has changed nothing yet' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand start" -l config -d 'Settings file; else the mounted ConfigMap, or ~/.config/k8s-upgrade/config.yaml' -r -F
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand start" -l set -d 'One setting, over file and environment (K8S_UPGRADE_KEY); may be repeated' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand start" -l log-format -d 'Form of the progress on stderr; on a terminal text is drawn as bars' -r -f -a "text\t''
json\t''"
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand start" -l local -d 'Perform all phases in this process; it must not run on a node of the cluster'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand start" -l now -d 'Do not wait for a window, nor for the end of a freeze: a person knows'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand start" -l dry-run -d 'Say what would be created'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand start" -s v -l verbose -d 'Also show what programs on nodes print; twice: this program\'s own diagnosis'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand start" -s q -l quiet -d 'Only warnings and failures'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand start" -s y -l yes -d 'Do not ask before a change'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand start" -l no-color -d 'No colour, no bars'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand start" -s h -l help -d 'Print help'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand start" -s V -l version -d 'Print version'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand resume" -s o -l output -d 'Form of the data on stdout' -r -f -a "text\t''
json\t''"
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand resume" -l kubeconfig -d 'Kubeconfig file; else KUBECONFIG, ~/.kube/config, or the pod\'s ServiceAccount' -r -F
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand resume" -l context -d 'Context of the kubeconfig' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand resume" -s n -l namespace -d 'Namespace of the installation' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand resume" -l request-timeout -d 'How long an API server that does not answer is waited for by a command that has changed nothing yet' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand resume" -l config -d 'Settings file; else the mounted ConfigMap, or ~/.config/k8s-upgrade/config.yaml' -r -F
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand resume" -l set -d 'One setting, over file and environment (K8S_UPGRADE_KEY); may be repeated' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand resume" -l log-format -d 'Form of the progress on stderr; on a terminal text is drawn as bars' -r -f -a "text\t''
json\t''"
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand resume" -l if-orphaned -d 'Only if all that was at work has died; the command of the CronJob k8s-upgrade-watch'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand resume" -l local -d 'Perform all that is left in this process, as `start --local` does'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand resume" -l now -d 'Do not wait for a window, nor for the end of a freeze: a person knows'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand resume" -l dry-run -d 'Say what would be created'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand resume" -s v -l verbose -d 'Also show what programs on nodes print; twice: this program\'s own diagnosis'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand resume" -s q -l quiet -d 'Only warnings and failures'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand resume" -s y -l yes -d 'Do not ask before a change'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand resume" -l no-color -d 'No colour, no bars'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand resume" -s h -l help -d 'Print help'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand resume" -s V -l version -d 'Print version'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand halt" -l reason -d 'Why, for whoever meets it' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand halt" -s o -l output -d 'Form of the data on stdout' -r -f -a "text\t''
json\t''"
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand halt" -l kubeconfig -d 'Kubeconfig file; else KUBECONFIG, ~/.kube/config, or the pod\'s ServiceAccount' -r -F
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand halt" -l context -d 'Context of the kubeconfig' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand halt" -s n -l namespace -d 'Namespace of the installation' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand halt" -l request-timeout -d 'How long an API server that does not answer is waited for by a command that has changed nothing yet' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand halt" -l config -d 'Settings file; else the mounted ConfigMap, or ~/.config/k8s-upgrade/config.yaml' -r -F
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand halt" -l set -d 'One setting, over file and environment (K8S_UPGRADE_KEY); may be repeated' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand halt" -l log-format -d 'Form of the progress on stderr; on a terminal text is drawn as bars' -r -f -a "text\t''
json\t''"
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand halt" -l detection-only -d 'Only suspend the detection; a run in flight goes on'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand halt" -l now -d 'Delete the Jobs at work as soon as kubeadm and the package manager have ended on their nodes, not at the next safe point: a node may stay cordoned'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand halt" -l blocker-alert -d 'Only raise the alert that blocks upgrades and reboots at their next gate'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand halt" -l lift -d 'Undo what was set, and that alone'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand halt" -s v -l verbose -d 'Also show what programs on nodes print; twice: this program\'s own diagnosis'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand halt" -s q -l quiet -d 'Only warnings and failures'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand halt" -s y -l yes -d 'Do not ask before a change'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand halt" -l no-color -d 'No colour, no bars'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand halt" -s h -l help -d 'Print help'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand halt" -s V -l version -d 'Print version'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand skip-phase" -l reason -d 'Why; recorded and told to Slack' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand skip-phase" -s o -l output -d 'Form of the data on stdout' -r -f -a "text\t''
json\t''"
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand skip-phase" -l kubeconfig -d 'Kubeconfig file; else KUBECONFIG, ~/.kube/config, or the pod\'s ServiceAccount' -r -F
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand skip-phase" -l context -d 'Context of the kubeconfig' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand skip-phase" -s n -l namespace -d 'Namespace of the installation' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand skip-phase" -l request-timeout -d 'How long an API server that does not answer is waited for by a command that has changed nothing yet' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand skip-phase" -l config -d 'Settings file; else the mounted ConfigMap, or ~/.config/k8s-upgrade/config.yaml' -r -F
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand skip-phase" -l set -d 'One setting, over file and environment (K8S_UPGRADE_KEY); may be repeated' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand skip-phase" -l log-format -d 'Form of the progress on stderr; on a terminal text is drawn as bars' -r -f -a "text\t''
json\t''"
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand skip-phase" -l force -d 'Also if nothing shows its work done; never the backup nor a control plane'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand skip-phase" -s v -l verbose -d 'Also show what programs on nodes print; twice: this program\'s own diagnosis'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand skip-phase" -s q -l quiet -d 'Only warnings and failures'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand skip-phase" -s y -l yes -d 'Do not ask before a change'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand skip-phase" -l no-color -d 'No colour, no bars'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand skip-phase" -s h -l help -d 'Print help'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand skip-phase" -s V -l version -d 'Print version'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand clear-state" -s o -l output -d 'Form of the data on stdout' -r -f -a "text\t''
json\t''"
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand clear-state" -l kubeconfig -d 'Kubeconfig file; else KUBECONFIG, ~/.kube/config, or the pod\'s ServiceAccount' -r -F
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand clear-state" -l context -d 'Context of the kubeconfig' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand clear-state" -s n -l namespace -d 'Namespace of the installation' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand clear-state" -l request-timeout -d 'How long an API server that does not answer is waited for by a command that has changed nothing yet' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand clear-state" -l config -d 'Settings file; else the mounted ConfigMap, or ~/.config/k8s-upgrade/config.yaml' -r -F
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand clear-state" -l set -d 'One setting, over file and environment (K8S_UPGRADE_KEY); may be repeated' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand clear-state" -l log-format -d 'Form of the progress on stderr; on a terminal text is drawn as bars' -r -f -a "text\t''
json\t''"
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand clear-state" -s v -l verbose -d 'Also show what programs on nodes print; twice: this program\'s own diagnosis'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand clear-state" -s q -l quiet -d 'Only warnings and failures'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand clear-state" -s y -l yes -d 'Do not ask before a change'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand clear-state" -l no-color -d 'No colour, no bars'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand clear-state" -s h -l help -d 'Print help'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand clear-state" -s V -l version -d 'Print version'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand acknowledge" -s o -l output -d 'Form of the data on stdout' -r -f -a "text\t''
json\t''"
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand acknowledge" -l kubeconfig -d 'Kubeconfig file; else KUBECONFIG, ~/.kube/config, or the pod\'s ServiceAccount' -r -F
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand acknowledge" -l context -d 'Context of the kubeconfig' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand acknowledge" -s n -l namespace -d 'Namespace of the installation' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand acknowledge" -l request-timeout -d 'How long an API server that does not answer is waited for by a command that has changed nothing yet' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand acknowledge" -l config -d 'Settings file; else the mounted ConfigMap, or ~/.config/k8s-upgrade/config.yaml' -r -F
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand acknowledge" -l set -d 'One setting, over file and environment (K8S_UPGRADE_KEY); may be repeated' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand acknowledge" -l log-format -d 'Form of the progress on stderr; on a terminal text is drawn as bars' -r -f -a "text\t''
json\t''"
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand acknowledge" -s v -l verbose -d 'Also show what programs on nodes print; twice: this program\'s own diagnosis'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand acknowledge" -s q -l quiet -d 'Only warnings and failures'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand acknowledge" -s y -l yes -d 'Do not ask before a change'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand acknowledge" -l no-color -d 'No colour, no bars'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand acknowledge" -s h -l help -d 'Print help'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand acknowledge" -s V -l version -d 'Print version'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand check" -l write-config -d 'Also write the settings that this cluster seems to need, never over a file; `-` prints them alone' -r -F
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand check" -s o -l output -d 'Form of the data on stdout' -r -f -a "text\t''
json\t''"
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand check" -l kubeconfig -d 'Kubeconfig file; else KUBECONFIG, ~/.kube/config, or the pod\'s ServiceAccount' -r -F
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand check" -l context -d 'Context of the kubeconfig' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand check" -s n -l namespace -d 'Namespace of the installation' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand check" -l request-timeout -d 'How long an API server that does not answer is waited for by a command that has changed nothing yet' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand check" -l config -d 'Settings file; else the mounted ConfigMap, or ~/.config/k8s-upgrade/config.yaml' -r -F
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand check" -l set -d 'One setting, over file and environment (K8S_UPGRADE_KEY); may be repeated' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand check" -l log-format -d 'Form of the progress on stderr; on a terminal text is drawn as bars' -r -f -a "text\t''
json\t''"
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand check" -s v -l verbose -d 'Also show what programs on nodes print; twice: this program\'s own diagnosis'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand check" -s q -l quiet -d 'Only warnings and failures'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand check" -s y -l yes -d 'Do not ask before a change'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand check" -l no-color -d 'No colour, no bars'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand check" -s h -l help -d 'Print help'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand check" -s V -l version -d 'Print version'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand status" -s o -l output -d 'Form of the data on stdout' -r -f -a "text\t''
json\t''"
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand status" -l kubeconfig -d 'Kubeconfig file; else KUBECONFIG, ~/.kube/config, or the pod\'s ServiceAccount' -r -F
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand status" -l context -d 'Context of the kubeconfig' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand status" -s n -l namespace -d 'Namespace of the installation' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand status" -l request-timeout -d 'How long an API server that does not answer is waited for by a command that has changed nothing yet' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand status" -l config -d 'Settings file; else the mounted ConfigMap, or ~/.config/k8s-upgrade/config.yaml' -r -F
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand status" -l set -d 'One setting, over file and environment (K8S_UPGRADE_KEY); may be repeated' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand status" -l log-format -d 'Form of the progress on stderr; on a terminal text is drawn as bars' -r -f -a "text\t''
json\t''"
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand status" -s w -l watch -d 'Go on showing it, as it changes, until Ctrl-C; elsewhere than in a terminal each change is a screen, with -o json a line'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand status" -l health -d 'Whether the installation would do its work: CronJobs, the last detection, the chain\'s Jobs, gauges, alert rules'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand status" -l hosts -d 'Ask the nodes by SSH alone, when the API server is away; host-addresses, known-hosts-file and ssh-key-file are settings. Exit code 0 if all answered, 7 if one did not, 4 if one refused or shows another host key, 5 if a session was cut'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand status" -s v -l verbose -d 'Also show what programs on nodes print; twice: this program\'s own diagnosis'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand status" -s q -l quiet -d 'Only warnings and failures'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand status" -s y -l yes -d 'Do not ask before a change'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand status" -l no-color -d 'No colour, no bars'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand status" -s h -l help -d 'Print help'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand status" -s V -l version -d 'Print version'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand plan" -l target -d 'The release to go to; else that of the run in flight, or the one that detection would choose' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand plan" -s o -l output -d 'Form of the plan' -r -f -a "text\t''
markdown\t'For whoever has to approve the change'
json\t''"
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand plan" -l kubeconfig -d 'Kubeconfig file; else KUBECONFIG, ~/.kube/config, or the pod\'s ServiceAccount' -r -F
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand plan" -l context -d 'Context of the kubeconfig' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand plan" -s n -l namespace -d 'Namespace of the installation' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand plan" -l request-timeout -d 'How long an API server that does not answer is waited for by a command that has changed nothing yet' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand plan" -l config -d 'Settings file; else the mounted ConfigMap, or ~/.config/k8s-upgrade/config.yaml' -r -F
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand plan" -l set -d 'One setting, over file and environment (K8S_UPGRADE_KEY); may be repeated' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand plan" -l log-format -d 'Form of the progress on stderr; on a terminal text is drawn as bars' -r -f -a "text\t''
json\t''"
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand plan" -s v -l verbose -d 'Also show what programs on nodes print; twice: this program\'s own diagnosis'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand plan" -s q -l quiet -d 'Only warnings and failures'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand plan" -s y -l yes -d 'Do not ask before a change'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand plan" -l no-color -d 'No colour, no bars'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand plan" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand plan" -s V -l version -d 'Print version'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand report" -s o -l output -d 'Form of the report' -r -f -a "text\t''
markdown\t''
html\t'A page for a browser, with a picture of the run over time; one file, which fetches nothing'
svg\t'That picture alone'
json\t''"
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand report" -l kubeconfig -d 'Kubeconfig file; else KUBECONFIG, ~/.kube/config, or the pod\'s ServiceAccount' -r -F
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand report" -l context -d 'Context of the kubeconfig' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand report" -s n -l namespace -d 'Namespace of the installation' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand report" -l request-timeout -d 'How long an API server that does not answer is waited for by a command that has changed nothing yet' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand report" -l config -d 'Settings file; else the mounted ConfigMap, or ~/.config/k8s-upgrade/config.yaml' -r -F
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand report" -l set -d 'One setting, over file and environment (K8S_UPGRADE_KEY); may be repeated' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand report" -l log-format -d 'Form of the progress on stderr; on a terminal text is drawn as bars' -r -f -a "text\t''
json\t''"
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand report" -s v -l verbose -d 'Also show what programs on nodes print; twice: this program\'s own diagnosis'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand report" -s q -l quiet -d 'Only warnings and failures'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand report" -s y -l yes -d 'Do not ask before a change'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand report" -l no-color -d 'No colour, no bars'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand report" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand report" -s V -l version -d 'Print version'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand preflight" -l target -d 'The release to go to' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand preflight" -l run -d 'Id of the run that this belongs to' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand preflight" -s o -l output -d 'Form of the data on stdout' -r -f -a "text\t''
json\t''"
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand preflight" -l kubeconfig -d 'Kubeconfig file; else KUBECONFIG, ~/.kube/config, or the pod\'s ServiceAccount' -r -F
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand preflight" -l context -d 'Context of the kubeconfig' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand preflight" -s n -l namespace -d 'Namespace of the installation' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand preflight" -l request-timeout -d 'How long an API server that does not answer is waited for by a command that has changed nothing yet' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand preflight" -l config -d 'Settings file; else the mounted ConfigMap, or ~/.config/k8s-upgrade/config.yaml' -r -F
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand preflight" -l set -d 'One setting, over file and environment (K8S_UPGRADE_KEY); may be repeated' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand preflight" -l log-format -d 'Form of the progress on stderr; on a terminal text is drawn as bars' -r -f -a "text\t''
json\t''"
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand preflight" -l chain -d 'Create the successor Job afterwards; Jobs pass this'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand preflight" -l held -d 'The Job before this one held at the same step, and told so'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand preflight" -l now -d 'Do not wait for a window, nor for the end of a freeze: a person knows'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand preflight" -l dry-run -d 'Ask the gates that change nothing, then stop'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand preflight" -s v -l verbose -d 'Also show what programs on nodes print; twice: this program\'s own diagnosis'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand preflight" -s q -l quiet -d 'Only warnings and failures'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand preflight" -s y -l yes -d 'Do not ask before a change'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand preflight" -l no-color -d 'No colour, no bars'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand preflight" -s h -l help -d 'Print help'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand preflight" -s V -l version -d 'Print version'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand upgrade-node" -l target -d 'The release to go to; else the target of the run in flight' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand upgrade-node" -l run -d 'Id of the run that this belongs to' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand upgrade-node" -s o -l output -d 'Form of the data on stdout' -r -f -a "text\t''
json\t''"
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand upgrade-node" -l kubeconfig -d 'Kubeconfig file; else KUBECONFIG, ~/.kube/config, or the pod\'s ServiceAccount' -r -F
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand upgrade-node" -l context -d 'Context of the kubeconfig' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand upgrade-node" -s n -l namespace -d 'Namespace of the installation' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand upgrade-node" -l request-timeout -d 'How long an API server that does not answer is waited for by a command that has changed nothing yet' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand upgrade-node" -l config -d 'Settings file; else the mounted ConfigMap, or ~/.config/k8s-upgrade/config.yaml' -r -F
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand upgrade-node" -l set -d 'One setting, over file and environment (K8S_UPGRADE_KEY); may be repeated' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand upgrade-node" -l log-format -d 'Form of the progress on stderr; on a terminal text is drawn as bars' -r -f -a "text\t''
json\t''"
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand upgrade-node" -l chain -d 'Create the successor Job afterwards; Jobs pass this'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand upgrade-node" -l held -d 'The Job before this one held at the same step, and told so'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand upgrade-node" -l now -d 'Do not wait for a window, nor for the end of a freeze: a person knows'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand upgrade-node" -s v -l verbose -d 'Also show what programs on nodes print; twice: this program\'s own diagnosis'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand upgrade-node" -s q -l quiet -d 'Only warnings and failures'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand upgrade-node" -s y -l yes -d 'Do not ask before a change'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand upgrade-node" -l no-color -d 'No colour, no bars'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand upgrade-node" -s h -l help -d 'Print help'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand upgrade-node" -s V -l version -d 'Print version'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand postflight" -l target -d 'The release that all must have; else the target of the run in flight' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand postflight" -l run -d 'Id of the run that this belongs to' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand postflight" -s o -l output -d 'Form of the data on stdout' -r -f -a "text\t''
json\t''"
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand postflight" -l kubeconfig -d 'Kubeconfig file; else KUBECONFIG, ~/.kube/config, or the pod\'s ServiceAccount' -r -F
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand postflight" -l context -d 'Context of the kubeconfig' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand postflight" -s n -l namespace -d 'Namespace of the installation' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand postflight" -l request-timeout -d 'How long an API server that does not answer is waited for by a command that has changed nothing yet' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand postflight" -l config -d 'Settings file; else the mounted ConfigMap, or ~/.config/k8s-upgrade/config.yaml' -r -F
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand postflight" -l set -d 'One setting, over file and environment (K8S_UPGRADE_KEY); may be repeated' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand postflight" -l log-format -d 'Form of the progress on stderr; on a terminal text is drawn as bars' -r -f -a "text\t''
json\t''"
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand postflight" -l chain -d 'Create the successor Job afterwards; Jobs pass this'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand postflight" -l held -d 'The Job before this one held at the same step, and told so'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand postflight" -s v -l verbose -d 'Also show what programs on nodes print; twice: this program\'s own diagnosis'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand postflight" -s q -l quiet -d 'Only warnings and failures'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand postflight" -s y -l yes -d 'Do not ask before a change'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand postflight" -l no-color -d 'No colour, no bars'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand postflight" -s h -l help -d 'Print help'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand postflight" -s V -l version -d 'Print version'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand drain" -s o -l output -d 'Form of the data on stdout' -r -f -a "text\t''
json\t''"
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand drain" -l kubeconfig -d 'Kubeconfig file; else KUBECONFIG, ~/.kube/config, or the pod\'s ServiceAccount' -r -F
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand drain" -l context -d 'Context of the kubeconfig' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand drain" -s n -l namespace -d 'Namespace of the installation' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand drain" -l request-timeout -d 'How long an API server that does not answer is waited for by a command that has changed nothing yet' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand drain" -l config -d 'Settings file; else the mounted ConfigMap, or ~/.config/k8s-upgrade/config.yaml' -r -F
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand drain" -l set -d 'One setting, over file and environment (K8S_UPGRADE_KEY); may be repeated' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand drain" -l log-format -d 'Form of the progress on stderr; on a terminal text is drawn as bars' -r -f -a "text\t''
json\t''"
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand drain" -l dry-run -d 'Forecast by server-side dry-run evictions'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand drain" -s v -l verbose -d 'Also show what programs on nodes print; twice: this program\'s own diagnosis'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand drain" -s q -l quiet -d 'Only warnings and failures'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand drain" -s y -l yes -d 'Do not ask before a change'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand drain" -l no-color -d 'No colour, no bars'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand drain" -s h -l help -d 'Print help'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand drain" -s V -l version -d 'Print version'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand rollback" -s o -l output -d 'Form of the data on stdout' -r -f -a "text\t''
json\t''"
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand rollback" -l kubeconfig -d 'Kubeconfig file; else KUBECONFIG, ~/.kube/config, or the pod\'s ServiceAccount' -r -F
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand rollback" -l context -d 'Context of the kubeconfig' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand rollback" -s n -l namespace -d 'Namespace of the installation' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand rollback" -l request-timeout -d 'How long an API server that does not answer is waited for by a command that has changed nothing yet' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand rollback" -l config -d 'Settings file; else the mounted ConfigMap, or ~/.config/k8s-upgrade/config.yaml' -r -F
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand rollback" -l set -d 'One setting, over file and environment (K8S_UPGRADE_KEY); may be repeated' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand rollback" -l log-format -d 'Form of the progress on stderr; on a terminal text is drawn as bars' -r -f -a "text\t''
json\t''"
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand rollback" -l dry-run -d 'Say what would be done'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand rollback" -s v -l verbose -d 'Also show what programs on nodes print; twice: this program\'s own diagnosis'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand rollback" -s q -l quiet -d 'Only warnings and failures'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand rollback" -s y -l yes -d 'Do not ask before a change'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand rollback" -l no-color -d 'No colour, no bars'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand rollback" -s h -l help -d 'Print help'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand rollback" -s V -l version -d 'Print version'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand rotate-key" -l only -d 'No new key: let this node have the one that is stored' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand rotate-key" -s o -l output -d 'Form of the data on stdout' -r -f -a "text\t''
json\t''"
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand rotate-key" -l kubeconfig -d 'Kubeconfig file; else KUBECONFIG, ~/.kube/config, or the pod\'s ServiceAccount' -r -F
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand rotate-key" -l context -d 'Context of the kubeconfig' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand rotate-key" -s n -l namespace -d 'Namespace of the installation' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand rotate-key" -l request-timeout -d 'How long an API server that does not answer is waited for by a command that has changed nothing yet' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand rotate-key" -l config -d 'Settings file; else the mounted ConfigMap, or ~/.config/k8s-upgrade/config.yaml' -r -F
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand rotate-key" -l set -d 'One setting, over file and environment (K8S_UPGRADE_KEY); may be repeated' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand rotate-key" -l log-format -d 'Form of the progress on stderr; on a terminal text is drawn as bars' -r -f -a "text\t''
json\t''"
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand rotate-key" -l dry-run -d 'Look at the store and at every node, change nothing'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand rotate-key" -s v -l verbose -d 'Also show what programs on nodes print; twice: this program\'s own diagnosis'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand rotate-key" -s q -l quiet -d 'Only warnings and failures'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand rotate-key" -s y -l yes -d 'Do not ask before a change'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand rotate-key" -l no-color -d 'No colour, no bars'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand rotate-key" -s h -l help -d 'Print help'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand rotate-key" -s V -l version -d 'Print version'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand rehearse" -l target -d 'The release to go to; else the scenario\'s, or with --from-cluster the one that detection would choose' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand rehearse" -l scenario -d 'A file that --save wrote, or one of runbook, minor, three-control-planes' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand rehearse" -l save -d 'Write the scenario to a file, never over one, - for stdout, and do no more: names, labels and versions, to share and to change' -r -F
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand rehearse" -l inject -d 'Break something at preflight, master, worker/NODE, postflight or a node\'s step; may be repeated: kill, ssh-loss, api-outage, alert, node-not-ready, pdb-deadlock, deployment-down, crash-loop, etcd-ill, etcd-slow, dns-away, old-api-caller, backup-failure, power-cut, prometheus-away, pushgateway-away, slack-away, new-release' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand rehearse" -l seed -d 'One seed gives one history' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand rehearse" -s o -l output -d 'Form of the result on stdout; markdown, html and svg tell the run as a report does' -r -f -a "text\t''
markdown\t''
html\t'A page for a browser, with a picture of the run over time; one file, which fetches nothing'
svg\t'That picture alone'
json\t''"
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand rehearse" -l kubeconfig -d 'Kubeconfig file; else KUBECONFIG, ~/.kube/config, or the pod\'s ServiceAccount' -r -F
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand rehearse" -l context -d 'Context of the kubeconfig' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand rehearse" -s n -l namespace -d 'Namespace of the installation' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand rehearse" -l request-timeout -d 'How long an API server that does not answer is waited for by a command that has changed nothing yet' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand rehearse" -l config -d 'Settings file; else the mounted ConfigMap, or ~/.config/k8s-upgrade/config.yaml' -r -F
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand rehearse" -l set -d 'One setting, over file and environment (K8S_UPGRADE_KEY); may be repeated' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand rehearse" -l log-format -d 'Form of the progress on stderr; on a terminal text is drawn as bars' -r -f -a "text\t''
json\t''"
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand rehearse" -l from-cluster -d 'Rehearse a copy of the real cluster: nodes, workloads, budgets, alerts; it is only read, and no Secret is'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand rehearse" -l schema -d 'Print what a scenario may say, field by field (JSON Schema), and do no more'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand rehearse" -l fast -d 'On a terminal, too, as fast as it goes'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand rehearse" -s v -l verbose -d 'Also show what programs on nodes print; twice: this program\'s own diagnosis'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand rehearse" -s q -l quiet -d 'Only warnings and failures'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand rehearse" -s y -l yes -d 'Do not ask before a change'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand rehearse" -l no-color -d 'No colour, no bars'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand rehearse" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand rehearse" -s V -l version -d 'Print version'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand manifests" -l image -d 'The image that Jobs run; `k8s-upgrade image` prints its name' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand manifests" -l only -d 'Only one part' -r -f -a "rules\t'The Prometheus rule file'
prometheus-rule\t'The same rules as a PrometheusRule, for the Prometheus operator'
policies\t'The namespace and the admission policies, to apply before the rest where another pipeline has run'
dashboard\t'A dashboard for Grafana, to import: what runs, what holds it, what detection has found'"
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand manifests" -l label -d 'With --only prometheus-rule: a label by which the Prometheus selects its rules; may be repeated' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand manifests" -l kustomize -d 'Write them into a folder for kustomize, Argo CD or Flux, which is made where it is not there; no Secret is among them' -r -F
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand manifests" -l ssh-key -d 'Private key file to put into the Secret; without it and --external-secret the Secret is expected to exist' -r -F
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand manifests" -l slack-webhook -d 'File with the Slack webhook URL to put into the Secret' -r -F
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand manifests" -l webhook -d 'File with the URL of a webhook that the settings name, to put into the Secret; may be repeated' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand manifests" -l prometheus-token -d 'File with a bearer token that Prometheus wants, to put into the Secret' -r -F
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand manifests" -l prometheus-password -d 'The user that Prometheus wants, and a file with the password, to put into the Secret' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand manifests" -l external-secret -d 'Name of the ClusterSecretStore that an ExternalSecret reads the key from' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand manifests" -l kubeconfig -d 'Kubeconfig file; else KUBECONFIG, ~/.kube/config, or the pod\'s ServiceAccount' -r -F
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand manifests" -l context -d 'Context of the kubeconfig' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand manifests" -s n -l namespace -d 'Namespace of the installation' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand manifests" -l request-timeout -d 'How long an API server that does not answer is waited for by a command that has changed nothing yet' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand manifests" -l config -d 'Settings file; else the mounted ConfigMap, or ~/.config/k8s-upgrade/config.yaml' -r -F
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand manifests" -l set -d 'One setting, over file and environment (K8S_UPGRADE_KEY); may be repeated' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand manifests" -l log-format -d 'Form of the progress on stderr; on a terminal text is drawn as bars' -r -f -a "text\t''
json\t''"
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand manifests" -s v -l verbose -d 'Also show what programs on nodes print; twice: this program\'s own diagnosis'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand manifests" -s q -l quiet -d 'Only warnings and failures'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand manifests" -s y -l yes -d 'Do not ask before a change'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand manifests" -l no-color -d 'No colour, no bars'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand manifests" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand manifests" -s V -l version -d 'Print version'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand uninstall" -s o -l output -d 'Form of the data on stdout' -r -f -a "text\t''
json\t''"
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand uninstall" -l kubeconfig -d 'Kubeconfig file; else KUBECONFIG, ~/.kube/config, or the pod\'s ServiceAccount' -r -F
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand uninstall" -l context -d 'Context of the kubeconfig' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand uninstall" -s n -l namespace -d 'Namespace of the installation' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand uninstall" -l request-timeout -d 'How long an API server that does not answer is waited for by a command that has changed nothing yet' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand uninstall" -l config -d 'Settings file; else the mounted ConfigMap, or ~/.config/k8s-upgrade/config.yaml' -r -F
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand uninstall" -l set -d 'One setting, over file and environment (K8S_UPGRADE_KEY); may be repeated' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand uninstall" -l log-format -d 'Form of the progress on stderr; on a terminal text is drawn as bars' -r -f -a "text\t''
json\t''"
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand uninstall" -l dry-run -d 'Show it, and delete nothing'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand uninstall" -s v -l verbose -d 'Also show what programs on nodes print; twice: this program\'s own diagnosis'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand uninstall" -s q -l quiet -d 'Only warnings and failures'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand uninstall" -s y -l yes -d 'Do not ask before a change'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand uninstall" -l no-color -d 'No colour, no bars'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand uninstall" -s h -l help -d 'Print help'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand uninstall" -s V -l version -d 'Print version'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand image" -l file -d 'Archive to write; `-` for stdout, and the image\'s name goes to stderr' -r -F
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand image" -l kubeconfig -d 'Kubeconfig file; else KUBECONFIG, ~/.kube/config, or the pod\'s ServiceAccount' -r -F
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand image" -l context -d 'Context of the kubeconfig' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand image" -s n -l namespace -d 'Namespace of the installation' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand image" -l request-timeout -d 'How long an API server that does not answer is waited for by a command that has changed nothing yet' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand image" -l config -d 'Settings file; else the mounted ConfigMap, or ~/.config/k8s-upgrade/config.yaml' -r -F
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand image" -l set -d 'One setting, over file and environment (K8S_UPGRADE_KEY); may be repeated' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand image" -l log-format -d 'Form of the progress on stderr; on a terminal text is drawn as bars' -r -f -a "text\t''
json\t''"
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand image" -s v -l verbose -d 'Also show what programs on nodes print; twice: this program\'s own diagnosis'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand image" -s q -l quiet -d 'Only warnings and failures'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand image" -s y -l yes -d 'Do not ask before a change'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand image" -l no-color -d 'No colour, no bars'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand image" -s h -l help -d 'Print help'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand image" -s V -l version -d 'Print version'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand completions" -l kubeconfig -d 'Kubeconfig file; else KUBECONFIG, ~/.kube/config, or the pod\'s ServiceAccount' -r -F
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand completions" -l context -d 'Context of the kubeconfig' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand completions" -s n -l namespace -d 'Namespace of the installation' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand completions" -l request-timeout -d 'How long an API server that does not answer is waited for by a command that has changed nothing yet' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand completions" -l config -d 'Settings file; else the mounted ConfigMap, or ~/.config/k8s-upgrade/config.yaml' -r -F
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand completions" -l set -d 'One setting, over file and environment (K8S_UPGRADE_KEY); may be repeated' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand completions" -l log-format -d 'Form of the progress on stderr; on a terminal text is drawn as bars' -r -f -a "text\t''
json\t''"
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand completions" -s v -l verbose -d 'Also show what programs on nodes print; twice: this program\'s own diagnosis'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand completions" -s q -l quiet -d 'Only warnings and failures'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand completions" -s y -l yes -d 'Do not ask before a change'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand completions" -l no-color -d 'No colour, no bars'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand completions" -s h -l help -d 'Print help'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand completions" -s V -l version -d 'Print version'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand man" -l kubeconfig -d 'Kubeconfig file; else KUBECONFIG, ~/.kube/config, or the pod\'s ServiceAccount' -r -F
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand man" -l context -d 'Context of the kubeconfig' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand man" -s n -l namespace -d 'Namespace of the installation' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand man" -l request-timeout -d 'How long an API server that does not answer is waited for by a command that has changed nothing yet' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand man" -l config -d 'Settings file; else the mounted ConfigMap, or ~/.config/k8s-upgrade/config.yaml' -r -F
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand man" -l set -d 'One setting, over file and environment (K8S_UPGRADE_KEY); may be repeated' -r
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand man" -l log-format -d 'Form of the progress on stderr; on a terminal text is drawn as bars' -r -f -a "text\t''
json\t''"
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand man" -s v -l verbose -d 'Also show what programs on nodes print; twice: this program\'s own diagnosis'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand man" -s q -l quiet -d 'Only warnings and failures'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand man" -s y -l yes -d 'Do not ask before a change'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand man" -l no-color -d 'No colour, no bars'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand man" -s h -l help -d 'Print help'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand man" -s V -l version -d 'Print version'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand help; and not __fish_seen_subcommand_from detect approve start resume halt skip-phase clear-state acknowledge check status plan report preflight upgrade-node postflight drain rollback rotate-key rehearse manifests uninstall image completions man help" -f -a "detect" -d 'Look for a new release and start the chain if there is one'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand help; and not __fish_seen_subcommand_from detect approve start resume halt skip-phase clear-state acknowledge check status plan report preflight upgrade-node postflight drain rollback rotate-key rehearse manifests uninstall image completions man help" -f -a "approve" -d 'Let a release begin that detection asks for: the watch begins its run in the next window, by itself'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand help; and not __fish_seen_subcommand_from detect approve start resume halt skip-phase clear-state acknowledge check status plan report preflight upgrade-node postflight drain rollback rotate-key rehearse manifests uninstall image completions man help" -f -a "start" -d 'Start the chain by hand'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand help; and not __fish_seen_subcommand_from detect approve start resume halt skip-phase clear-state acknowledge check status plan report preflight upgrade-node postflight drain rollback rotate-key rehearse manifests uninstall image completions man help" -f -a "resume" -d 'Resume an interrupted upgrade'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand help; and not __fish_seen_subcommand_from detect approve start resume halt skip-phase clear-state acknowledge check status plan report preflight upgrade-node postflight drain rollback rotate-key rehearse manifests uninstall image completions man help" -f -a "halt" -d 'Halt upgrades: a run stops at its next safe point, and none starts until it is lifted'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand help; and not __fish_seen_subcommand_from detect approve start resume halt skip-phase clear-state acknowledge check status plan report preflight upgrade-node postflight drain rollback rotate-key rehearse manifests uninstall image completions man help" -f -a "skip-phase" -d 'Skip a completed phase; by force also one that is not completed, and the run then ends as partial'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand help; and not __fish_seen_subcommand_from detect approve start resume halt skip-phase clear-state acknowledge check status plan report preflight upgrade-node postflight drain rollback rotate-key rehearse manifests uninstall image completions man help" -f -a "clear-state" -d 'Clear what a run that is given up has left: annotations, gauges, our cordons, stale Leases, Jobs that never began'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand help; and not __fish_seen_subcommand_from detect approve start resume halt skip-phase clear-state acknowledge check status plan report preflight upgrade-node postflight drain rollback rotate-key rehearse manifests uninstall image completions man help" -f -a "acknowledge" -d 'Let the next run lose what people changed by hand and kubeadm writes over: flags of static pods, the kubelet\'s, CoreDNS'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand help; and not __fish_seen_subcommand_from detect approve start resume halt skip-phase clear-state acknowledge check status plan report preflight upgrade-node postflight drain rollback rotate-key rehearse manifests uninstall image completions man help" -f -a "check" -d 'Check all that an installation and an upgrade need, before and after installing; changes nothing'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand help; and not __fish_seen_subcommand_from detect approve start resume halt skip-phase clear-state acknowledge check status plan report preflight upgrade-node postflight drain rollback rotate-key rehearse manifests uninstall image completions man help" -f -a "status" -d 'Show where a run stands, what blocks it, and what to do next'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand help; and not __fish_seen_subcommand_from detect approve start resume halt skip-phase clear-state acknowledge check status plan report preflight upgrade-node postflight drain rollback rotate-key rehearse manifests uninstall image completions man help" -f -a "plan" -d 'Show a run before it is begun: its Jobs in their order, the gates as they stand, what each node goes through, and how long it takes'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand help; and not __fish_seen_subcommand_from detect approve start resume halt skip-phase clear-state acknowledge check status plan report preflight upgrade-node postflight drain rollback rotate-key rehearse manifests uninstall image completions man help" -f -a "report" -d 'Tell what happened in a run, from the journals that outlive its Jobs'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand help; and not __fish_seen_subcommand_from detect approve start resume halt skip-phase clear-state acknowledge check status plan report preflight upgrade-node postflight drain rollback rotate-key rehearse manifests uninstall image completions man help" -f -a "preflight" -d 'Check that the cluster may be upgraded, claim the run, back up etcd, prefetch'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand help; and not __fish_seen_subcommand_from detect approve start resume halt skip-phase clear-state acknowledge check status plan report preflight upgrade-node postflight drain rollback rotate-key rehearse manifests uninstall image completions man help" -f -a "upgrade-node" -d 'Upgrade one node: drain, packages, kubeadm, kubelet, uncordon, soak'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand help; and not __fish_seen_subcommand_from detect approve start resume halt skip-phase clear-state acknowledge check status plan report preflight upgrade-node postflight drain rollback rotate-key rehearse manifests uninstall image completions man help" -f -a "postflight" -d 'Verify the whole cluster, then end the run'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand help; and not __fish_seen_subcommand_from detect approve start resume halt skip-phase clear-state acknowledge check status plan report preflight upgrade-node postflight drain rollback rotate-key rehearse manifests uninstall image completions man help" -f -a "drain" -d 'Cordon and drain a node as the chain does'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand help; and not __fish_seen_subcommand_from detect approve start resume halt skip-phase clear-state acknowledge check status plan report preflight upgrade-node postflight drain rollback rotate-key rehearse manifests uninstall image completions man help" -f -a "rollback" -d 'Take a worker back to the versions that it had before its upgrade; for a control plane, print what to do, also while the API server is away'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand help; and not __fish_seen_subcommand_from detect approve start resume halt skip-phase clear-state acknowledge check status plan report preflight upgrade-node postflight drain rollback rotate-key rehearse manifests uninstall image completions man help" -f -a "rotate-key" -d 'Replace the SSH key of the installation: on every node, and where it is stored'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand help; and not __fish_seen_subcommand_from detect approve start resume halt skip-phase clear-state acknowledge check status plan report preflight upgrade-node postflight drain rollback rotate-key rehearse manifests uninstall image completions man help" -f -a "rehearse" -d 'Live through an upgrade in memory: the whole chain, without a cluster or on a copy of one; nothing outside is touched'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand help; and not __fish_seen_subcommand_from detect approve start resume halt skip-phase clear-state acknowledge check status plan report preflight upgrade-node postflight drain rollback rotate-key rehearse manifests uninstall image completions man help" -f -a "manifests" -d 'Print everything to install, for `kubectl apply -f -`'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand help; and not __fish_seen_subcommand_from detect approve start resume halt skip-phase clear-state acknowledge check status plan report preflight upgrade-node postflight drain rollback rotate-key rehearse manifests uninstall image completions man help" -f -a "uninstall" -d 'Show what an installation consists of and what it leaves, and remove it: from the CronJobs to the namespace'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand help; and not __fish_seen_subcommand_from detect approve start resume halt skip-phase clear-state acknowledge check status plan report preflight upgrade-node postflight drain rollback rotate-key rehearse manifests uninstall image completions man help" -f -a "image" -d 'Write this binary as an image archive, for `ctr -n k8s.io images import`'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand help; and not __fish_seen_subcommand_from detect approve start resume halt skip-phase clear-state acknowledge check status plan report preflight upgrade-node postflight drain rollback rotate-key rehearse manifests uninstall image completions man help" -f -a "completions" -d 'Print the completions of a shell'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand help; and not __fish_seen_subcommand_from detect approve start resume halt skip-phase clear-state acknowledge check status plan report preflight upgrade-node postflight drain rollback rotate-key rehearse manifests uninstall image completions man help" -f -a "man" -d 'Write the manual pages into a folder'
complete -c k8s-upgrade -n "__fish_k8s_upgrade_using_subcommand help; and not __fish_seen_subcommand_from detect approve start resume halt skip-phase clear-state acknowledge check status plan report preflight upgrade-node postflight drain rollback rotate-key rehearse manifests uninstall image completions man help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
