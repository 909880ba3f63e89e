//! Reads back what [`super::plain`] wrote: a runner's log says what it does, since when and until when.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::plan::screen::{Doing, Draining, Span, Told};

/// What the end of a log says. Its lines carry the time of the day alone: it is the last such time before `now`.
pub fn heard(log: &str, now: Timestamp) -> Doing {
    let mut doing = Doing::default();
    let mut lines = log.lines().peekable();
    while let Some(line) = lines.next() {
        if ["✗ ", "‖ hold: ", "■ stopped: "].iter().any(|sign| line.starts_with(sign)) {
            let rest: Vec<&str> = std::iter::from_fn(|| lines.next_if(|line| line.starts_with("  "))).collect();
            doing = Doing { failure: Some(failure(line, &rest)), last: doing.last, ..Doing::default() };
        } else if let Some((at, text)) = timed(line, now) {
            hear(&mut doing, at, text);
            doing.last = Some(line.to_owned());
        }
    }
    doing
}

fn hear(doing: &mut Doing, at: Timestamp, text: &str) {
    let until = |left: &str| at.checked_add(SignedDuration::try_from(unspan(left)?).ok()?).ok();
    // What is said beside the work says nothing of it.
    if text.starts_with("warning: ") || text.starts_with("| ") {
        return;
    }
    let waits = text.strip_prefix("waits for ").and_then(|rest| rest.strip_suffix(" more)")?.rsplit_once(" (at most "));
    if let Some((on, until)) = waits.and_then(|(on, left)| Some((on, until(left)?))) {
        let topic = |what: &str| what.split(": ").next().unwrap_or_default().to_owned();
        let since = doing.wait.as_ref().filter(|wait| topic(&wait.what) == topic(on)).map_or(at, |wait| wait.since);
        doing.wait = Some(Span { what: on.to_owned(), since, until });
        return;
    }
    doing.wait = None;
    if let Some(drain) = text.strip_prefix("drain: ").and_then(|rest| drain(rest, at, doing.drain.as_ref())) {
        doing.drain = Some(drain);
    } else if let Some((step, until)) = text
        .strip_suffix(')')
        .and_then(|text| text.rsplit_once(" … (at most "))
        .and_then(|(step, left)| Some((step, until(left)?)))
    {
        (doing.step, doing.drain) = (Some(Span { what: step.to_owned(), since: at, until }), None);
    } else if doing.step.as_ref().is_some_and(|step| text.starts_with(&format!("{}: done, ", step.what))) {
        (doing.step, doing.drain) = (None, None);
    }
}

/// `3 of 17 pods left; held: a, b`
fn drain(text: &str, at: Timestamp, before: Option<&Draining>) -> Option<Draining> {
    let (counts, held) = text.split_once("; held: ").unwrap_or((text, ""));
    let (left, total) = counts.strip_suffix(" pods left")?.split_once(" of ")?;
    let since =
        |what: &str| before.and_then(|before| before.held.iter().find(|(held, _)| held == what)).map_or(at, |known| known.1);
    let held = held.split(", ").filter(|what| !what.is_empty()).map(|what| (what.to_owned(), since(what))).collect();
    Some(Draining { left: left.parse().ok()?, total: total.parse().ok()?, held })
}

/// The three parts of a failure, as its Display writes them.
fn failure(first: &str, rest: &[&str]) -> Told {
    let mut told = Told { what: vec![first.to_owned()], ..Told::default() };
    for line in rest {
        match (line.strip_prefix("  State: "), line.strip_prefix("  Next:  "), line.strip_prefix("         ")) {
            (Some(state), ..) => state.clone_into(&mut told.state),
            (_, Some(next), _) => told.next.push(next.to_owned()),
            (.., Some(next)) if !told.next.is_empty() => told.next.push(next.to_owned()),
            _ => told.what.push(line.trim().to_owned()),
        }
    }
    told
}

/// The time of a line, and its sentence without the place.
fn timed(line: &str, now: Timestamp) -> Option<(Timestamp, &str)> {
    let (clock, rest) = line.split_at_checked(8)?;
    let rest = rest.strip_prefix("  ")?;
    let time: jiff::civil::Time = jiff::civil::Time::strptime("%H:%M:%S", clock).ok()?;
    let today = now.to_zoned(jiff::tz::TimeZone::UTC).date();
    let on =
        |date: jiff::civil::Date| date.to_datetime(time).to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
    // Clocks of two machines differ by a little.
    let late = |at: &Timestamp| now.duration_since(*at) > SignedDuration::from_mins(-5);
    let at = on(today).filter(late).or_else(|| on(today.yesterday().ok()?))?;
    let text = match rest.split_once("  ") {
        Some((place, text)) if !place.contains(' ') => text,
        _ => rest,
    };
    Some((at, text))
}

/// The inverse of [`super::span`]; None where no clock could hold it.
fn unspan(text: &str) -> Option<Duration> {
    text.split(' ').try_fold(Duration::ZERO, |sum, part| {
        let digits = part.find(|c: char| !c.is_ascii_digit())?;
        let (number, unit) = part.split_at(digits);
        let number: u64 = number.parse().ok()?;
        let of = match unit {
            "h" => Duration::from_secs(number.checked_mul(3600)?),
            "m" => Duration::from_secs(number.checked_mul(60)?),
            "s" => Duration::from_secs(number),
            "ms" => Duration::from_millis(number),
            _ => return None,
        };
        sum.checked_add(of)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::{Arc, Mutex};

    use super::super::{Event, Sink, plain, span};
    use super::*;
    use crate::failure::{Cause, Failure};

    fn at(seconds: i64) -> Timestamp {
        "2026-11-22T23:59:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
    }

    /// What a runner that tells these events writes, and what is read of it an hour later.
    fn told(events: &[(i64, Event)]) -> Doing {
        let kept: Arc<Mutex<Vec<u8>>> = Arc::default();
        let mut sink = plain::Plain::new(0, kept.clone());
        events.iter().for_each(|(seconds, event)| sink.event(at(*seconds), event));
        let text = String::from_utf8(kept.lock().unwrap().clone()).unwrap();
        heard(&text, at(3600))
    }

    fn place() -> String {
        "k8s-node3".into()
    }
    fn begins(step: &str) -> Event {
        Event::StepStarted { place: place(), step: step.into(), deadline: Duration::from_secs(1800) }
    }
    fn ends(step: &str) -> Event {
        Event::StepDone { place: place(), step: step.into(), took: Duration::from_secs(2) }
    }
    fn drains(left: usize, held: &[&str]) -> Event {
        let held = held.iter().map(ToString::to_string).collect();
        Event::Draining { place: place(), left, total: 17, held, deadline: Duration::ZERO }
    }
    fn waits(on: &str, left: u64) -> Event {
        Event::Waiting { place: place(), on: on.into(), left: Duration::from_secs(left) }
    }

    #[test]
    fn a_step_is_at_work_until_it_is_done() {
        let step = |what: &str, since| Some(Span { what: what.into(), since: at(since), until: at(since + 1800) });
        assert_eq!(told(&[(0, begins("cordon")), (2, ends("cordon")), (90, begins("drain"))]).step, step("drain", 90));
        let warning = Event::Warning { place: "slack".into(), text: "was not told".into() };
        assert_eq!(told(&[(5, begins("drain")), (6, warning)]).step, step("drain", 5));
        assert_eq!(told(&[(0, begins("cordon")), (2, ends("cordon"))]).step, None);
    }

    #[test]
    fn a_drain_tells_since_when_each_pod_holds_it() {
        let held = |doing: Doing| doing.drain.unwrap();
        let events = [
            (0, begins("drain")),
            (10, drains(5, &["a/b (PDB a/b)"])),
            (20, drains(4, &["a/b (PDB a/b)", "c/d"])),
            (30, drains(3, &["a/b (PDB a/b)", "c/d"])),
        ];
        let wanted = vec![("a/b (PDB a/b)".to_owned(), at(10)), ("c/d".to_owned(), at(20))];
        assert_eq!(held(told(&events)), Draining { left: 3, total: 17, held: wanted });
        let over = [(0, begins("drain")), (10, drains(5, &["x"])), (12, ends("drain"))];
        assert_eq!(told(&over).drain, None);
    }

    #[test]
    fn a_wait_lasts_from_its_first_line_whatever_it_waits_for_meanwhile() {
        let events = [(0, waits("the alert gate: firing: A", 1800)), (60, waits("the alert gate: firing: B", 1740))];
        let wanted = Span { what: "the alert gate: firing: B".into(), since: at(0), until: at(1800) };
        assert_eq!(told(&events).wait, Some(wanted));
        assert_eq!(told(&[events[0].clone(), (70, begins("cordon"))]).wait, None);
    }

    #[test]
    fn a_failure_keeps_its_three_parts() {
        let failure = Failure {
            cause: Cause::step("kubeadm upgrade node failed (exit 1)").detail(["[ERROR Port-10250]"]).next("first"),
            place: place(),
            state: "k8s-node3 is cordoned.".into(),
            next: vec!["k8s-upgrade status".into(), "k8s-upgrade resume    # then".into()],
        };
        let doing = told(&[(0, begins("kubeadm upgrade node")), (9, Event::Failed { failure })]);
        let wanted = Told {
            what: vec!["✗ k8s-node3: kubeadm upgrade node failed (exit 1)".into(), "[ERROR Port-10250]".into()],
            state: "k8s-node3 is cordoned.".into(),
            next: vec!["first".into(), "k8s-upgrade status".into(), "k8s-upgrade resume    # then".into()],
        };
        assert_eq!((doing.failure, doing.step), (Some(wanted), None));
        let hold = Failure { cause: Cause::hold("1 alert(s) firing"), place: String::new(), state: String::new(), next: vec![] };
        assert_eq!(told(&[(0, Event::Failed { failure: hold })]).failure.unwrap().what, ["‖ hold: 1 alert(s) firing"]);
    }

    #[test]
    fn spans_read_back() {
        for seconds in [0, 1, 59, 60, 95, 3599, 3600, 3660, 90_000] {
            let duration = Duration::from_secs(seconds);
            assert_eq!(unspan(&span(duration)), Some(duration), "{seconds}");
        }
        for nonsense in ["banana", "", "99999999999999999h", "18446744073709551615s 1s", "18446744073709551616s"] {
            assert_eq!(unspan(nonsense), None, "{nonsense}");
        }
        // A line that anybody may have written.
        let far = "00:00:01  a  soak … (at most 18446744073709551615s)\n";
        assert_eq!(heard(far, at(3600)).step, None);
    }
}
