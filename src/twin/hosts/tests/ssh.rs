//! Sessions, on time that passes by itself.

use super::*;

fn host(node: &str, address: &str) -> Host {
    let (node, address) = (node.to_owned(), address.to_owned());
    Host { node, address, port: 22, user: "u".into(), login: Login::Key(key().private.into()), known_keys: Vec::new() }
}

/// Runs with time that passes by itself.
fn live<T>(state: State, run: impl AsyncFnOnce(Twin, Ssh) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let twin = Twin::new(state, None);
        let ssh = Ssh { twin: twin.clone(), who: Who::Operator("test".into()) };
        run(twin, ssh).await
    })
}

async fn exec<O: Operation>(ssh: &Ssh, host: &Host, operation: &O) -> Result<(Result<O::Output, Cause>, Vec<String>), HostError> {
    let mut lines = Vec::new();
    let mut on_line = |line: &str| lines.push(line.to_owned());
    let output =
        ssh.exec(host, node::COMMAND, node::stdin(operation).into(), Bounds::new(O::DEADLINE, O::OUTPUT), &mut on_line).await?;
    Ok((node::read(operation, &output), lines))
}

#[test]
fn who_gets_in() {
    live(world(), async |twin, ssh| {
        let fault = |set: fn(&mut Machine)| twin.edit(|state| state.hosts.change(WORKER, set));
        let mut host = host(WORKER, "10.0.20.101");
        let key = twin.look(|state| state.hosts.host_key(WORKER));
        host.known_keys = vec![key];
        exec(&ssh, &host, &Inspect::default()).await.unwrap().0.unwrap();
        fault(|machine| machine.faults.sudo_refused = true);
        let refused = exec(&ssh, &host, &Inspect::default()).await.unwrap().0.unwrap_err();
        assert!(refused.class == Class::Refused && refused.what.contains("sudo"), "{}", refused.what);
        fault(|machine| {
            machine.faults.own_words = Some("Please login as the user \"ubuntu\" rather than \"root\".\n".to_owned())
        });
        let refused = exec(&ssh, &host, &Inspect::default()).await.unwrap().0.unwrap_err();
        assert!(refused.class == Class::Refused && refused.what.contains("Please login as"), "{}", refused.what);
        fault(|machine| machine.faults.own_words = None);
        fault(|machine| (machine.faults.sudo_refused, machine.faults.sessions_cut) = (false, 1));
        assert!(matches!(exec(&ssh, &host, &Inspect::default()).await, Err(HostError::Lost(..))));
        exec(&ssh, &host, &Inspect::default()).await.unwrap().0.unwrap();
        fault(|machine| machine.host_keys += 1);
        assert!(matches!(exec(&ssh, &host, &Inspect::default()).await, Err(HostError::HostKeyChanged(..))));
        host.known_keys.clear();
        host.login = Login::Key(Pair::from_seed(&[2; 32]).unwrap().private.into());
        assert!(matches!(exec(&ssh, &host, &Inspect::default()).await, Err(HostError::Auth(..))));
        host.login = Login::Key("nonsense".into());
        assert!(matches!(exec(&ssh, &host, &Inspect::default()).await, Err(HostError::BadKey(..))));
        host.login = Login::Agent;
        fault(|machine| machine.faults.away_until = Some(Timestamp::MAX));
        assert!(matches!(exec(&ssh, &host, &Inspect::default()).await, Err(HostError::Closed(..))));
        fault(|machine| (machine.faults.away_until, machine.faults.hangs_until) = (None, Some(Timestamp::MAX)));
        let begun = twin.now();
        assert!(matches!(exec(&ssh, &host, &Inspect::default()).await, Err(HostError::Deadline(..))));
        assert_eq!(twin.now().duration_since(begun).as_secs(), 60);
        fault(|machine| machine.faults = Faults::default());
        let other = ssh.exec(&host, "reboot", Bytes::new(), Bounds::new(secs(9), 0), &mut |_| {}).await;
        assert!(other.is_err() && twin.look(|state| state.unmodelled.len()) == 1);
        twin.edit(|state| power(state, WORKER, false));
        assert!(matches!(exec(&ssh, &host, &Inspect::default()).await, Err(HostError::Connect(..))));
    });
}

#[test]
fn a_log_is_followed_as_it_grows_and_a_dead_peer_is_a_lost_session() {
    live(refreshed(), async |twin, ssh| {
        let host = host(MASTER, "10.0.20.100");
        let work = |step| Begin { step, target: Version::new(1, 34, 7).into(), run: RUN.parse().unwrap() };
        exec(&ssh, &host, &work(Step::KubeadmPackage)).await.unwrap().0.unwrap();
        let (followed, lines) = exec(&ssh, &host, &Follow { from: 0, wait: secs(8) }).await.unwrap();
        assert_eq!(followed.unwrap().end(), Some(Ok(())));
        let told: Vec<&str> = lines.iter().filter_map(|line| node::progress(line)).collect();
        let wanted =
            ["# installing kubeadm=1.34.7-1.1", "Unpacking kubeadm (1.34.7-1.1) ...", "Setting up kubeadm (1.34.7-1.1) ..."];
        assert_eq!(told, wanted);
        exec(&ssh, &host, &work(kubeadm(true))).await.unwrap().0.unwrap();
        let begun = twin.now();
        let (followed, _) = exec(&ssh, &host, &Follow { from: 0, wait: secs(8) }).await.unwrap();
        let followed = followed.unwrap();
        assert_eq!((followed.work.state, twin.now().duration_since(begun).as_secs()), (WorkState::Running, 8));
        let more = Follow { from: followed.offset, wait: secs(8) };
        let session = exec(&ssh, &host, &more);
        let cut = async {
            twin.sleep_until(later(twin.now(), secs(2))).await;
            twin.edit(|state| power(state, MASTER, false));
        };
        let (lost, ()) = tokio::join!(session, cut);
        assert!(matches!(lost, Err(HostError::Lost(..))), "{:?}", lost.map(|(followed, _)| followed));
    });
}
