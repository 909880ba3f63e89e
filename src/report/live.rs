//! The screen of `status --watch`: as that of `status`, with what is old on it, and made to fit a terminal.

use jiff::Timestamp;

use super::fold::{columns, cut};
use super::{Printed, Wording, status};
use crate::plan::view::screen::{Screen, Stale};

/// The other screen of a terminal, and back; what a person had on the first is as it was.
const ENTER: &str = "\u{1b}[?1049h\u{1b}[?25l";
const LEAVE: &str = "\u{1b}[?25h\u{1b}[?1049l";
const HOME: &str = "\u{1b}[H";
/// What an older screen has left, to the end of the line and of the screen.
const REST_OF_LINE: &str = "\u{1b}[K";
const REST: &str = "\u{1b}[J";

/// A frame in its place on the other screen; `enters` it first.
pub fn drawn(frame: &[String], enters: bool, wide: usize) -> Printed {
    // At the edge of the screen it would take the last sign of the line itself.
    let full = |line: &str| !line.is_empty() && columns(line).is_multiple_of(wide);
    let rest = |line: &str| if full(line) { "" } else { REST_OF_LINE };
    let lines: Vec<String> = frame.iter().map(|line| format!("{line}{}", rest(line))).collect();
    Printed::own(format!("{}{HOME}{}{REST}", if enters { ENTER } else { "" }, lines.join("\n")))
}

/// Gives the terminal back.
pub fn left() -> Printed {
    Printed::own(LEAVE.to_owned())
}

/// The whole screen, as wide as it is on paper.
pub fn text(screen: &Screen, stale: &[Stale], now: Timestamp) -> Printed {
    Printed::page(status::page(screen, stale, now))
}

/// The lines of the screen on so many rows and columns. Where it is too high, nodes of which nothing is to be said stand in one line; what
/// is still too much is cut off at the end, and that is said. A command that is wider is left to the terminal to break, so that it can be
/// copied whole.
pub fn frame(screen: &Screen, stale: &[Stale], now: Timestamp, (rows, wide): (usize, usize), wording: &Wording) -> Vec<String> {
    // As it will stand there: that is what has to fit.
    let lines = |screen: &Screen| status::page(screen, stale, now).lines(Some(wide), wording);
    let height = |line: &String| columns(line).div_ceil(wide.max(1)).max(1);
    let mut all = lines(screen);
    let high = all.iter().map(height).sum::<usize>();
    if high > rows {
        let mut short = screen.clone();
        short.rows = status::shortened(&screen.rows, screen.rows.len().saturating_sub(high - rows + 1));
        all = lines(&short);
    }
    if all.iter().map(height).sum::<usize>() <= rows {
        return all;
    }
    let (mut kept, mut room) = (0, rows.saturating_sub(1));
    while let Some(left) = all.get(kept).and_then(|line| room.checked_sub(height(line))) {
        (kept, room) = (kept + 1, left);
    }
    let more = all.len() - kept;
    all.truncate(kept);
    all.push(cut(&wording.put(&format!("… {more} more lines")), wide).to_owned());
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::view::paused::Pauses;
    use crate::plan::view::screen::Row;

    fn screen(nodes: usize) -> Screen {
        let row = |number: usize| Row {
            node: format!("node{number}"),
            role: "worker".into(),
            version: "1.34.2".into(),
            state: match number {
                0..10 => "done",
                10 => "draining: 1 of 9 pods left",
                _ => "waiting",
            }
            .into(),
            since: None,
            is_over: false,
            until: None,
        };
        Screen {
            cluster: "homelab".into(),
            running: None,
            run: None,
            halted: None,
            paused: Pauses::default(),
            skipped: Vec::new(),
            off: Vec::new(),
            asks: None,
            approved: None,
            rests: None,
            stopped: None,
            rows: (0..nodes).map(row).collect(),
            work: Vec::new(),
            leases: Vec::new(),
            units: Vec::new(),
            backup: None,
            blocks: Vec::new(),
            gates: Vec::new(),
            failure: None,
            then: None,
            commands: vec!["k8s-upgrade resume".into()],
            driver: None,
            safe: (true, "nothing is going on.".into()),
        }
    }

    #[test]
    fn a_large_cluster_leaves_room_for_what_is_to_be_known() {
        let lines = frame(&screen(200), &[], Timestamp::UNIX_EPOCH, (12, 60), &Wording::default());
        let shown = "k8s-upgrade  no run in flight   the cluster runs an unknown\n             version   cluster: homelab\n\n  \
                     NODE        ROLE    VERSION  STATE\n  node0       worker  1.34.2   done\n  \
                     node1       worker  1.34.2   done\n  node10      worker  1.34.2   draining: 1 of 9 pods left\n  \
                     … 197 more                   8 done, 189 waiting\n\n  type    k8s-upgrade resume\n\n  \
                     safe to walk away: yes, nothing is going on.";
        assert_eq!(lines.join("\n"), shown);
        assert_eq!(
            frame(&screen(4), &[], Timestamp::UNIX_EPOCH, (4, 100), &Wording::default()).last().map(String::as_str),
            Some("… 5 more lines")
        );
    }

    #[test]
    fn a_command_that_is_too_wide_counts_for_its_height() {
        let wide = Screen { commands: vec!["x".repeat(150)], ..screen(1) };
        let of = |rows| frame(&wide, &[], Timestamp::UNIX_EPOCH, (rows, 80), &Wording::default());
        assert!(of(10).len() == 9 && of(10).iter().any(|line| line.chars().count() == 160));
        assert_eq!(of(8).last().map(String::as_str), Some("… 3 more lines"));
    }
}
