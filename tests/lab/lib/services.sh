# shellcheck shell=bash
# What runs beside the cluster, on the bridge's address: Prometheus, Pushgateway, the
# package server and the sink that stands for Slack.

services() { printf '%s\n' packages slack pushgateway prometheus && if has_balancer; then echo balancer; fi; }

service_command() { # NAME: the words of its command, a line each
	case $1 in
	packages) printf '%s\n' "$(own_programs)/packages" -listen "$HOST_IP:8080" -root "$(repository)" -mode "$LAB_STATE/packages/mode" ;;
	slack) printf '%s\n' "$(own_programs)/slack" -listen "$HOST_IP:8081" -file "$LAB_STATE/slack.jsonl" ;;
	# Debian's keeps what was pushed under /var/lib, for the next lab to find: a run that was in flight when a lab was killed would be in flight there.
	pushgateway) printf '%s\n' prometheus-pushgateway "--web.listen-address=$HOST_IP:9091" --persistence.file= ;;
	prometheus) printf '%s\n' prometheus "--config.file=$LAB_STATE/prometheus/prometheus.yml" \
		"--storage.tsdb.path=$LAB_STATE/prometheus/data" "--web.listen-address=$HOST_IP:9090" --web.enable-lifecycle ;;
	balancer) printf '%s\n' haproxy -db -f "$LAB_STATE/balancer/haproxy.cfg" ;;
	*) die "no service is called $1; there are: $(services | tr '\n' ' ')" "nothing was changed" "$LAB_SELF status" ;;
	esac
}
service_record() { echo "$LAB_STATE/services/$1.pid"; }
service_pid() { recorded_process "$(service_record "$1")" "$1"; }
service_port() {
	case $1 in
	packages) echo 8080 ;; slack) echo 8081 ;; pushgateway) echo 9091 ;; prometheus) echo 9090 ;; balancer) echo 6443 ;;
	esac
}
service_answers() {
	case $1 in
	# this one may be told to answer 404 or 503; slack only takes POST
	packages | slack) curl -s -o /dev/null --max-time 2 "http://$HOST_IP:$(service_port "$1")/" ;;
	balancer) balancer_answers ;;
	*) curl -fs -o /dev/null --max-time 2 "http://$HOST_IP:$(service_port "$1")/-/ready" ;;
	esac
}

service_start() { # NAME
	service_command "$1" >/dev/null
	! service_pid "$1" >/dev/null || return 0
	# It would answer in place of ours, with what it holds, until ours has found the port taken.
	! service_answers "$1" || die "something else listens on $HOST_IP:$(service_port "$1")" "$1 was not started" "ss -ltnp    # whose it is"
	mkdir -p "$LAB_STATE/services" "$LAB_STATE/logs"
	setsid "$LAB_SELF" __call service_process "$1" </dev/null >>"$LAB_STATE/logs/$1.log" 2>&1 7>&- 9>&- &
	wait_for 30 "$1 to answer" service_answers "$1" ||
		die "$1 does not answer" "its output is $LAB_STATE/logs/$1.log" "$LAB_SELF logs $1"
	service_pid "$1" >/dev/null ||
		die "something else listens on $HOST_IP:$(service_port "$1")" "$1 ended" "$LAB_SELF logs $1"
	[ "$1" != pushgateway ] || exporters_stand_in
}
# What kube-state-metrics and node-exporter say of Jobs and of machines that are long up: the lab has neither, and the alert rules look at both.
exporters_stand_in() {
	printf 'kube_job_info 1\nnode_boot_time_seconds 1\n' |
		curl -fsS --max-time 5 --data-binary @- "http://$HOST_IP:$(service_port pushgateway)/metrics/job/exporters" >&2 ||
		die "the Pushgateway takes no gauges" "it runs; status --health will miss exporters" "$LAB_SELF logs pushgateway"
}
service_process() {
	local command
	mapfile -t command < <(service_command "$1")
	record_process "$(service_record "$1")" $$
	cd /
	exec "${command[@]}"
}
service_stop() {
	service_command "$1" >/dev/null
	stop_recorded "$(service_record "$1")" "$1"
}

# --- Prometheus ---------------------------------------------------------------------
prometheus_config() { # NODE…
	local name folder=$LAB_STATE/prometheus
	mkdir -p "$folder/rules" "$folder/data"
	{
		cat <<-YAML
			global: {scrape_interval: 5s, scrape_timeout: 4s, evaluation_interval: 5s}
			rule_files: [$folder/rules/*.yml]
			scrape_configs:
			  - job_name: pushgateway
			    honor_labels: true
			    static_configs: [{targets: ["$HOST_IP:9091"]}]
			  - job_name: kubernetes-apiservers
			    scheme: https
			    tls_config: {insecure_skip_verify: true}
			    authorization: {credentials_file: $folder/token}
			    static_configs:
		YAML
		for name in "$@"; do ! is_control_plane "$name" || prometheus_target "$name" 6443; done
		cat <<-YAML
			  - job_name: kubernetes-nodes
			    scheme: https
			    tls_config: {insecure_skip_verify: true}
			    authorization: {credentials_file: $folder/token}
			    static_configs:
		YAML
		for name in "$@"; do prometheus_target "$name" 10250; done
	} >"$folder/prometheus.yml"
}
prometheus_target() { printf '      - targets: ["%s:%s"]\n        labels: {node: %s}\n' "$(node_ip "$1")" "$2" "$1"; }
prometheus_reload() {
	curl -fsS --max-time 20 -X POST "$PROMETHEUS_URL/-/reload" >&2 ||
		die "Prometheus did not take its new configuration" "the former one is in force" "$LAB_SELF logs prometheus"
}
prometheus_alerts() { curl -fsS --max-time 5 "$PROMETHEUS_URL/api/v1/alerts"; }

alert_is() { # NAME firing|absent
	local state
	state=$(prometheus_alerts | jq -r --arg name "$1" '[.data.alerts[] | select(.labels.alertname == $name and .state == "firing")] | if length > 0 then "firing" else "absent" end')
	echo "$1 is $state"
	[ "$state" = "$2" ]
}

# a rule file of the lab's own, one for each alert
alert_switch() { # NAME on|off [LABEL=VALUE…]
	local name=$1 to=$2 file label
	shift 2
	[[ $name =~ ^[A-Za-z_][A-Za-z0-9_]*$ ]] || die "$name is no name for an alert" "nothing was changed" "$LAB_SELF alert SomeName on"
	file=$LAB_STATE/prometheus/rules/lab-alert-$name.yml
	case $to in
	on)
		{
			printf 'groups:\n  - name: lab %s\n    rules:\n      - alert: %s\n        expr: vector(1)\n' "$name" "$name"
			printf '        annotations: {summary: "fired by the lab"}\n'
			[ $# = 0 ] || printf '        labels:\n'
			for label in "$@"; do printf '          %s: "%s"\n' "${label%%=*}" "${label#*=}"; done
		} >"$file"
		prometheus_reload
		wait_for 30 "the alert $name to fire" alert_is "$name" firing
		;;
	off)
		rm -f "$file"
		prometheus_reload
		wait_for 30 "the alert $name to be gone" alert_is "$name" absent
		;;
	*) die "alert takes on or off, not $to" "nothing was changed" "$LAB_SELF alert $name on" ;;
	esac
}

rules_load() { # FILE
	local target
	target=$LAB_STATE/prometheus/rules/user-$(basename "$1" | sed 's/\.ya\?ml$//').yml
	promtool check rules "$1" >&2 || die "promtool refuses $1" "nothing was changed" "promtool check rules $1"
	cp "$1" "$target"
	prometheus_reload
	wait_for 30 "every rule of $1 to have been evaluated" rules_evaluated "$target"
}
rules_evaluated() {
	curl -fsS --max-time 5 "$PROMETHEUS_URL/api/v1/rules" |
		jq -e --arg file "$1" '[.data.groups[] | select(.file == $file) | .lastEvaluation] | length > 0 and all(. > "1970")'
}
