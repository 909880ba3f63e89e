//! One line an event, with the time: for pod logs and pipes.

use std::time::Duration;

use jiff::Timestamp;

use super::{Event, Out, Printed, Sink, essence, is_shown, put, said};

/// Lines about one drain come at least this far apart.
const DRAIN_EVERY: Duration = Duration::from_secs(5);

/// Lines of text, for a log or a pipe.
pub struct Plain {
    verbosity: i8,
    out: Out,
    /// The last line said, so that a wait that repeats itself is said once.
    last: String,
    /// When a drain's progress was last told: it changes many times a second.
    drained: Timestamp,
}

impl Plain {
    /// `verbosity`: below 0 warnings and failures alone, from 1 on also what programs on nodes print.
    pub fn new(verbosity: i8, out: Out) -> Self {
        Plain { verbosity, out, last: String::new(), drained: Timestamp::UNIX_EPOCH }
    }
}

impl Sink for Plain {
    fn event(&mut self, now: Timestamp, event: &Event) {
        if !is_shown(event, self.verbosity) || (self.verbosity < 1 && matches!(event, Event::Output { .. })) {
            return;
        }
        if matches!(event, Event::Draining { .. }) {
            if now.duration_since(self.drained).unsigned_abs() < DRAIN_EVERY {
                return;
            }
            self.drained = now;
        }
        let essence = essence(event);
        if essence == self.last {
            return;
        }
        self.last = essence;
        if let Event::Failed { failure } = event {
            put(&self.out, &Printed::failure(failure));
            return;
        }
        let time = format!("{}  ", now.strftime("%H:%M:%S"));
        put(&self.out, &Printed::page(said(event).behind(&time, "", None)));
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::failure::{Advice, Cause, Failure};
    use crate::plan::model::progress::Awaited;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);
    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().map_err(|_| std::io::ErrorKind::Other)?.extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn told(verbosity: i8, events: &[Event]) -> String {
        let kept = Buffer::default();
        let mut sink = Plain::new(verbosity, Out::new(kept.clone()));
        events.iter().for_each(|event| sink.event(Timestamp::UNIX_EPOCH, event));
        let bytes = kept.0.lock().map(|bytes| bytes.clone()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn waiting(left: u64) -> Event {
        Event::Waiting {
            place: "k8s-node4".into(),
            on: Awaited::new("the alert gate", "firing: DiskFull"),
            left: Duration::from_secs(left),
        }
    }

    #[test]
    fn a_wait_is_said_once_until_what_it_waits_for_changes() {
        let said = told(0, &[waiting(60), waiting(50), waiting(40)]);
        assert_eq!(said, "00:00:00  k8s-node4  waits for the alert gate: firing: DiskFull (at most 1m 00s more)\n");
    }

    #[test]
    fn what_programs_print_is_for_the_curious_and_failures_are_for_everybody() {
        let line = Event::Output { place: "k8s-node4".into(), line: "[upgrade] …".into() };
        let failure = Failure {
            cause: Cause::step("kubeadm upgrade node failed (exit 1)").detail(["[ERROR Port-10250]"]),
            place: "k8s-node3".into(),
            state: "k8s-node3 is cordoned by this program and Ready, its kubelet is 1.34.2.".into(),
            next: vec![Advice::status(), Advice::resume()],
        };
        let events = [line, Event::Failed { failure }];
        let failure = "✗ k8s-node3: kubeadm upgrade node failed (exit 1)\n    [ERROR Port-10250]\n  \
                       State: k8s-node3 is cordoned by this program and Ready, its kubelet is 1.34.2.\n  \
                       Next:  k8s-upgrade status\n         k8s-upgrade resume\n";
        assert_eq!(told(-1, &events), failure);
        assert_eq!(told(0, &events), failure);
        assert_eq!(told(1, &events), format!("00:00:00  k8s-node4  | [upgrade] …\n{failure}"));
    }
}
