//! A kill before and after each change.

use super::*;

/// Killed before and after every change: the key in the Secret opens every node, and a second command ends what was begun, or begins anew.
#[test]
fn it_may_be_killed_anywhere() {
    for store in [Store::Secret, Store::Vault] {
        let undisturbed = meddler(|_, _, _| Fate::Go);
        let (seen, locked_out) = (undisturbed.seen.clone(), undisturbed.locked_out.clone());
        let (end, code, said) = run(world(store), Some(Box::new(undisturbed)), store, "rotate-key --yes");
        assert_eq!((code, locked_out.lock().unwrap().as_slice()), (Some(0), [].as_slice()), "{said}");
        rotated(&end, store, "undisturbed");
        let calls = seen.lock().unwrap().clone();
        assert!(calls.len() > 16 && calls.iter().any(|call| call.contains("remove-keys")), "{calls:?}");
        for (at, call) in calls.iter().enumerate() {
            for after in [false, true] {
                let when = format!("{store:?}: killed {} {call} (call {})", if after { "after" } else { "before" }, at + 1);
                let killer = Meddler { kill: Some((at + 1, after)), ..meddler(|_, _, _| Fate::Go) };
                let locked_out = killer.locked_out.clone();
                let (killed, code, _) = run(world(store), Some(Box::new(killer)), store, "rotate-key --yes");
                assert_eq!(code, None, "{when}: it was not killed");
                // A process that died is seen for as long as its Lease lasts.
                let killed = live(killed, None, async |driver| {
                    driver.until(later(driver.twin.now(), Duration::from_secs(90)), |_| false).await;
                    driver.twin.look(State::clone)
                });
                let second = Meddler { locked_out: locked_out.clone(), ..meddler(|_, _, _| Fate::Go) };
                let (end, code, said) = run(killed, Some(Box::new(second)), store, "rotate-key --yes");
                assert_eq!(code, Some(0), "{when}\n{said}\n{}", tail(&end, 60));
                rotated(&end, store, &when);
                assert!(locked_out.lock().unwrap().is_empty(), "{when}: {:?}", locked_out.lock().unwrap());
            }
        }
    }
}
