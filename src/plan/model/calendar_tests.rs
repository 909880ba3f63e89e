//! Windows and freezes as people write them.

#![allow(clippy::unwrap_used, clippy::panic)]
use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn windows_read_as_people_write_them() {
    for (text, wanted, hours) in [
        ("Sat,Sun 01:00-05:00 Europe/Berlin", "Sat,Sun 01:00-05:00 Europe/Berlin", 4),
        // As a variable or --set has it, where commas stand between windows.
        ("Sat Sun 01:00-05:00 Europe/Berlin", "Sat,Sun 01:00-05:00 Europe/Berlin", 4),
        ("Mon-Fri 23:00-03:00 America/New_York", "Mon,Tue,Wed,Thu,Fri 23:00-03:00 America/New_York", 4),
        ("Fri-Mon 00:00-24:00 UTC", "Mon,Fri,Sat,Sun 00:00-24:00 UTC", 24),
        ("daily 22:00-04:00 UTC", "daily 22:00-04:00 UTC", 6),
        ("Mon-Sun 23:00-24:00 UTC", "daily 23:00-24:00 UTC", 1),
    ] {
        let window: Window = text.parse().unwrap();
        assert_eq!(window.to_string(), wanted);
        assert_eq!(window.to_string().parse(), Ok(window.clone()));
        assert_eq!(window.lasts(), Duration::from_secs(hours * 3600), "{text}");
    }
    for (text, says) in [
        ("", "is no window"),
        ("01:00-05:00 UTC", "names no day"),
        ("Sat 01:00-05:00", "is no time zone"),
        ("Sat 01:00-05:00 Berlin", "is no time zone"),
        ("Sat 01:00-05:00 europe/berlin", "is no time zone"),
        ("Sat 01:00-05:00 ../etc/passwd", "is no time zone"),
        ("Sat 1:00-05:00 UTC", "\"1:00\" is no time of the day"),
        ("Sat 01:60-05:00 UTC", "is no time of the day"),
        ("Sat 01:00-24:01 UTC", "is no time of the day"),
        ("Sat 01:00-01:00 UTC", "lasts for no time"),
        ("Sat 24:00-02:00 UTC", "lasts for no time"),
        ("Sat 01:00 UTC", "is no FROM-TO"),
        ("Saturday 01:00-05:00 UTC", "\"Saturday\" is no day"),
        ("Sat-daily 01:00-05:00 UTC", "is no day"),
    ] {
        let said = text.parse::<Window>().unwrap_err();
        assert!(said.contains(says) && said.contains("a window is DAYS FROM-TO ZONE"), "{text:?}: {said}");
    }
}

#[test]
fn a_window_is_what_the_clock_on_the_wall_shows() {
    let has = |window: &str, time: &str| window.parse::<Window>().unwrap().has(at(time));
    // Berlin is at +01 in winter, +02 in summer; 2026-11-28 is a Saturday.
    for (window, time, wanted) in [
        ("Sat 01:00-05:00 Europe/Berlin", "2026-11-27T23:59:59Z", false),
        ("Sat 01:00-05:00 Europe/Berlin", "2026-11-28T00:00:00Z", true),
        ("Sat 01:00-05:00 Europe/Berlin", "2026-11-28T03:59:59Z", true),
        ("Sat 01:00-05:00 Europe/Berlin", "2026-11-28T04:00:00Z", false),
        ("Sat 01:00-05:00 Europe/Berlin", "2026-07-03T23:00:00Z", true),
        // Across midnight: begun on Friday, it goes on on Saturday.
        ("Fri 23:00-03:00 UTC", "2026-11-28T02:59:59Z", true),
        ("Fri 23:00-03:00 UTC", "2026-11-28T23:30:00Z", false),
        ("Fri 23:00-03:00 UTC", "2026-11-27T02:00:00Z", false),
        // The hour that comes twice (2026-10-25 03:00 is put back to 02:00), and the one that is left out (2026-03-29 02:00 to 03:00).
        ("Sun 02:00-03:00 Europe/Berlin", "2026-10-25T00:30:00Z", true),
        ("Sun 02:00-03:00 Europe/Berlin", "2026-10-25T01:30:00Z", true),
        ("Sun 02:00-03:00 Europe/Berlin", "2026-03-29T00:59:59Z", false),
        ("Sun 02:00-03:00 Europe/Berlin", "2026-03-29T01:00:00Z", false),
    ] {
        assert_eq!(has(window, time), wanted, "{window} at {time}");
    }
}

#[test]
fn freezes_read_as_people_write_them() {
    for (text, wanted) in [
        ("2026-12-20..2027-01-06 Europe/Berlin: end of the year", "2026-12-20..2027-01-06 Europe/Berlin: end of the year"),
        ("2026-12-24: eve", "2026-12-24..2026-12-24 UTC: eve"),
    ] {
        let freeze: Freeze = text.parse().unwrap();
        assert_eq!(freeze.to_string(), wanted);
        assert_eq!(freeze.to_string().parse(), Ok(freeze));
    }
    for (text, says) in [
        ("2026-12-24", "gives no reason"),
        ("2026-12-24: ", "is no reason"),
        ("2026-13-24: x", "is no date"),
        ("26-12-24: x", "is no date"),
        ("2026-12-24..2026-12-23: x", "ends before it begins"),
        ("2026-12-24 Berlin: x", "is no time zone"),
    ] {
        let said = text.parse::<Freeze>().unwrap_err();
        assert!(said.contains(says) && said.contains("a freeze is DATE"), "{text:?}: {said}");
    }
    let freeze: Freeze = "2026-12-20..2026-12-21 America/New_York: x".parse().unwrap();
    for (time, wanted) in [
        ("2026-12-20T04:59:59Z", false),
        ("2026-12-20T05:00:00Z", true),
        ("2026-12-22T04:59:59Z", true),
        ("2026-12-22T05:00:00Z", false),
    ] {
        assert_eq!(freeze.has(at(time)), wanted, "{time}");
    }
}

#[test]
fn what_others_write_is_a_freeze_or_nobody_knows() {
    let read = |entries: &[(&str, &str)]| freezes(entries.iter().copied());
    let two = read(&[("black-friday", "2026-11-27..2026-11-30 Europe/Berlin\n\n2027-11-26\n")]).unwrap();
    let two: Vec<String> = two.iter().map(ToString::to_string).collect();
    assert_eq!(two, ["2026-11-27..2026-11-30 Europe/Berlin: black-friday", "2027-11-26..2027-11-26 UTC: black-friday"]);
    assert_eq!(read(&[]), Ok(Vec::new()));
    let said = read(&[("a", "2026-11-27"), ("b", "next week"), ("c", " ")]).unwrap_err();
    assert_eq!(said, ["b: \"next\" is no date, as 2026-12-20 is", "c says no days"]);
    let large = "2026-11-27\n".repeat(MOST + 1);
    assert!(read(&[("a", &large)]).unwrap_err()[0].contains("more than 200"));
    let long = " ".repeat(LARGEST);
    assert!(read(&[("a", &long)]).unwrap_err()[0].contains("larger than"));
}
