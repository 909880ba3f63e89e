//! When nodes may be taken out of service: windows, freezes, and what the clock on the wall of their time zone shows.
//!
//! A moment lies in a window where that clock shows a time of it: an hour that comes twice counts twice, one that is left out never comes.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

use crate::words::{Reason, line};

/// What beginning takes of a window before the first node's own time: the watch comes every ten minutes, and the gates take their time.
pub const START: Duration = Duration::from_secs(30 * 60);
/// What a preflight takes.
pub const PREFLIGHT: Duration = Duration::from_secs(15 * 60);
/// What a control plane takes, without its soak, where this run has not shown yet what it does.
pub const CONTROL_PLANE: Duration = Duration::from_secs(20 * 60);
/// The same of a worker.
pub const WORKER: Duration = Duration::from_secs(15 * 60);

/// Bytes of a ConfigMap with freezes, and how many there may be.
const LARGEST: usize = 64 << 10;
const MOST: usize = 200;

/// Windows, and what closes them; without a window it is always open.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Calendar {
    pub windows: Vec<Window>,
    pub freezes: Vec<Freeze>,
    /// Why nobody knows whether there is a freeze more. Not empty: nothing begins.
    pub unknown: Vec<String>,
}

impl Calendar {
    /// Always open.
    pub const ALWAYS: Calendar = Calendar { windows: Vec::new(), freezes: Vec::new(), unknown: Vec::new() };

    /// Nothing is ever closed by it.
    pub fn is_empty(&self) -> bool {
        self.windows.is_empty() && self.freezes.is_empty() && self.unknown.is_empty()
    }

    /// By the clock on the wall of its longest window; None where it is always open.
    pub fn longest(&self) -> Option<Duration> {
        self.windows.iter().map(Window::lasts).max()
    }
}

/// A time zone by its name, out of the tables that the program brings along.
#[derive(Clone, Debug, PartialEq)]
pub struct Zone(TimeZone);

impl Zone {
    /// Its rules.
    pub fn rules(&self) -> &TimeZone {
        &self.0
    }
}

impl FromStr for Zone {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let found = Some(text).filter(|text| text.len() <= 64).and_then(|text| TimeZone::get(text).ok());
        // Its own spelling: one name for one zone.
        let found = found.filter(|zone| zone.iana_name() == Some(text));
        found.map(Zone).ok_or_else(|| format!("{:?} is no time zone, as Europe/Berlin or UTC is", short(text)))
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.iana_name().unwrap_or("UTC"))
    }
}

const DAYS: [(Weekday, &str); 7] = [
    (Weekday::Monday, "Mon"),
    (Weekday::Tuesday, "Tue"),
    (Weekday::Wednesday, "Wed"),
    (Weekday::Thursday, "Thu"),
    (Weekday::Friday, "Fri"),
    (Weekday::Saturday, "Sat"),
    (Weekday::Sunday, "Sun"),
];
const DAILY: &str = "daily";
/// Minutes of a day, as clocks count them.
const DAY: u16 = 24 * 60;

/// Days and hours, as `Sat,Sun 01:00-05:00 Europe/Berlin`; one whose end is not after its beginning ends on the next day.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Window {
    /// On which days it begins, Monday first.
    days: [bool; 7],
    /// Minutes after midnight.
    from: u16,
    /// The same; 24:00 is the end of the day.
    to: u16,
    pub zone: Zone,
}

impl Window {
    /// By the clock on the wall.
    pub fn lasts(&self) -> Duration {
        let minutes = if self.from < self.to { self.to - self.from } else { DAY - self.from + self.to };
        Duration::from_secs(u64::from(minutes) * 60)
    }

    /// Whether the clock on its wall shows a time of it.
    pub fn has(&self, at: Timestamp) -> bool {
        let shown = self.zone.0.to_datetime(at);
        let minute = shown.hour() as u16 * 60 + shown.minute() as u16;
        let begins = |weekday: Weekday| self.days[weekday.to_monday_zero_offset() as usize];
        let today = begins(shown.weekday());
        match self.from < self.to {
            true => today && (self.from..self.to).contains(&minute),
            false => (today && minute >= self.from) || (begins(shown.weekday().previous()) && minute < self.to),
        }
    }

    /// Moments at which it may open or close on the day of this date, in whatever way its clocks are put forward or back.
    pub(crate) fn edges(&self, date: Date) -> impl Iterator<Item = Timestamp> {
        let at = move |minutes: u16| {
            let day = if minutes >= DAY { date.tomorrow().ok()? } else { date };
            let time = Time::new((minutes / 60 % 24) as i8, (minutes % 60) as i8, 0, 0).ok()?;
            Some(self.zone.0.to_ambiguous_timestamp(day.to_datetime(time)))
        };
        [self.from, self.to].into_iter().filter_map(at).flat_map(|at| [at.earlier().ok(), at.later().ok()]).flatten()
    }
}

impl FromStr for Window {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let refused = |why: String| {
            format!(
                "{why}; a window is DAYS FROM-TO ZONE, for example \"Sat,Sun 01:00-05:00 Europe/Berlin\" or \"daily 22:00-04:00 UTC\""
            )
        };
        let words: Vec<&str> = text.split([' ', ',']).filter(|word| !word.is_empty()).collect();
        let [days @ .., hours, zone] = words.as_slice() else {
            return Err(refused(format!("{:?} is no window", short(text))));
        };
        let mut window = Window { days: [false; 7], from: 0, to: 0, zone: zone.parse().map_err(refused)? };
        let (from, to) = hours.split_once('-').ok_or_else(|| refused(format!("{:?} is no FROM-TO", short(hours))))?;
        (window.from, window.to) = (minutes(from).map_err(refused)?, minutes(to).map_err(refused)?);
        if window.from == DAY || window.from == window.to {
            return Err(refused(format!("{:?} lasts for no time or for ever; the whole day is 00:00-24:00", short(hours))));
        }
        if days.is_empty() {
            return Err(refused(format!("{:?} names no day", short(text))));
        }
        for day in days {
            for on in
                those_of(day).ok_or_else(|| refused(format!("{:?} is no day, as Mon, Mon-Fri and daily are", short(day))))?
            {
                window.days[on] = true;
            }
        }
        Ok(window)
    }
}

/// `HH:MM`, in minutes.
fn minutes(text: &str) -> Result<u16, String> {
    let read = || {
        let (hour, minute) = text.split_once(':')?;
        let two = |text: &str| text.parse::<u16>().ok().filter(|_| text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit()));
        let (hour, minute) = (two(hour)?, two(minute)?);
        (minute < 60 && hour * 60 + minute <= DAY).then_some(hour * 60 + minute)
    };
    read().ok_or_else(|| format!("{:?} is no time of the day, as 01:00 is", short(text)))
}

/// The days that a word means, Monday is 0.
fn those_of(word: &str) -> Option<Vec<usize>> {
    let day = |word: &str| DAYS.iter().position(|(_, name)| *name == word);
    match word.split_once('-') {
        None if word == DAILY => Some((0..7).collect()),
        None => Some(vec![day(word)?]),
        Some((first, last)) => {
            let (first, last) = (day(first)?, day(last)?);
            Some((0..7).map(|n| (first + n) % 7).take((last + 7 - first) % 7 + 1).collect())
        }
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days: Vec<&str> = DAYS.iter().zip(self.days).filter(|(_, on)| *on).map(|((_, name), _)| *name).collect();
        let days = if days.len() == DAYS.len() { DAILY.to_owned() } else { days.join(",") };
        let clock = |minutes: u16| format!("{:02}:{:02}", minutes / 60, minutes % 60);
        write!(f, "{days} {}-{} {}", clock(self.from), clock(self.to), self.zone)
    }
}

/// Days on which nothing begins, both included, as `2026-12-20..2027-01-06 Europe/Berlin: end of the year`; without a zone those of UTC.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Freeze {
    first: Date,
    last: Date,
    pub zone: Zone,
    pub reason: Reason,
}

impl Freeze {
    fn read(days: &str, reason: &str) -> Result<Self, String> {
        let read = |text: &str| {
            let date = text.parse::<Date>().ok().filter(|date| date.to_string() == text && date.year() > 0);
            date.ok_or_else(|| format!("{:?} is no date, as 2026-12-20 is", short(text)))
        };
        let (dates, zone) = days.trim().split_once(' ').unwrap_or((days.trim(), "UTC"));
        let (first, last) = dates.split_once("..").unwrap_or((dates, dates));
        let (first, last) = (read(first)?, read(last)?);
        if last < first || last.tomorrow().is_err() {
            return Err(format!("{:?} ends before it begins", short(dates)));
        }
        let reason = reason.trim().parse().map_err(|error: crate::words::NotAToken| error.to_string())?;
        Ok(Freeze { first, last, zone: zone.trim().parse()?, reason })
    }

    /// Whether its calendar shows one of its days.
    pub fn has(&self, at: Timestamp) -> bool {
        (self.first..=self.last).contains(&self.zone.0.to_datetime(at).date())
    }

    /// When it begins and when it is over.
    pub(crate) fn edges(&self) -> impl Iterator<Item = Timestamp> {
        let starts = |date: Date| Some(date.to_zoned(self.zone.0.clone()).ok()?.timestamp());
        [starts(self.first), self.last.checked_add(1.day()).ok().and_then(starts)].into_iter().flatten()
    }
}

impl FromStr for Freeze {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wanted =
            "a freeze is DATE[..DATE] [ZONE]: REASON, for example \"2026-12-20..2027-01-06 Europe/Berlin: end of the year\"";
        let (days, reason) = text.split_once(": ").ok_or_else(|| format!("{:?} gives no reason; {wanted}", short(text)))?;
        Freeze::read(days, reason).map_err(|why| format!("{why}; {wanted}"))
    }
}

impl fmt::Display for Freeze {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{} {}: {}", self.first, self.last, self.zone, self.reason)
    }
}

crate::words::as_text!(Window, Freeze);

/// The freezes of a ConfigMap that another team may write: its keys are reasons, its values days, a line each. What cannot be read is no
/// freeze that is over but one that nobody knows.
///
/// # Errors
/// What cannot be read in it, all of it.
pub fn freezes<'a>(entries: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Vec<Freeze>, Vec<String>> {
    let (mut freezes, mut odd, mut bytes) = (Vec::new(), Vec::new(), 0);
    for (key, value) in entries {
        bytes += key.len() + value.len();
        let too_much = || vec![format!("it is larger than {LARGEST} bytes, or has more than {MOST} freezes")];
        if bytes > LARGEST {
            return Err(too_much());
        }
        let lines: Vec<&str> = value.lines().filter(|line| !line.trim().is_empty()).collect();
        if lines.is_empty() {
            odd.push(format!("{} says no days", short(key)));
        }
        for days in lines {
            if freezes.len() + odd.len() >= MOST {
                return Err(too_much());
            }
            match Freeze::read(days, key) {
                Ok(freeze) => freezes.push(freeze),
                Err(why) => odd.push(format!("{}: {why}", short(key))),
            }
        }
    }
    if odd.is_empty() { Ok(freezes) } else { Err(odd) }
}

/// The beginning of a text that is not what it should be.
fn short(text: &str) -> String {
    let text = line(text);
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
#[path = "calendar_tests.rs"]
mod tests;
