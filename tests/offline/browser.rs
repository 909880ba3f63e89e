//! Pictures of runs in a real browser (Chromium), on a desk and on a phone, light and dark: opt-in, `tests/run browser`.

use std::path::{Path, PathBuf};
use std::process::Command;

use k8s_upgrade::plan::view::cut::Now;
use k8s_upgrade::report::{html, svg};

use crate::timeline::{run, told};

/// Measures the page in a frame of a phone's or a desk's width: what it needs, what is there to see, and its colour.
const MEASURE: &str = r#"<!DOCTYPE html><body style="margin:0"><iframe src="PAGE" style="border:0;width:WIDTHpx;height:HEIGHTpx"></iframe><script>
document.querySelector("iframe").onload = event => {
  const page = event.target.contentDocument, root = page.documentElement;
  const seen = [...page.querySelectorAll("svg rect")].filter(rect => rect.getBoundingClientRect().width > 0);
  const beyond = [...page.querySelectorAll("svg text, td, h1, h2, p")].filter(it => it.getBoundingClientRect().right > WIDTH + 1);
  const small = [...page.querySelectorAll("svg text")].filter(it => { const box = it.getBoundingClientRect(); return box.width > 0 && box.height < 11 });
  const colour = page.defaultView.getComputedStyle(page.body).backgroundColor;
  document.title = ["measured", root.scrollWidth, seen.length, beyond.length, small.length, colour].join(";");
};
</script>"#;

/// Where the pictures stay, to be looked at.
fn folder() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    let folder = target.join("browser");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn chromium(folder: &Path, dark: bool, args: &[String]) -> String {
    let profile = tempfile::tempdir_in(folder).unwrap();
    let ran = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--allow-file-access-from-files"])
        .args(["--virtual-time-budget=5000", "--force-device-scale-factor=1"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(dark.then_some("--blink-settings=preferredColorScheme=0"))
        .args(args)
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

#[test]
#[ignore = "opt-in: it needs Chromium (tests/run browser)"]
fn a_run_is_readable_in_a_browser() {
    let folder = folder();
    let (story, timeline) = told(&run(), &Now::default());
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let (page, picture) =
        (write("run.html", html(&story, &timeline).as_str()), write("run.svg", svg(&story, &timeline).as_str()));
    let shot = |name: &str, dark, size: (u32, u32), url: &Path| {
        let to = folder.join(format!("{name}.png"));
        let args = [format!("--screenshot={}", to.display()), format!("--window-size={},{}", size.0, size.1)];
        chromium(&folder, dark, &[args[0].clone(), args[1].clone(), format!("file://{}", url.display())]);
        std::fs::read(to).unwrap()
    };
    let blank = write("blank.html", "<!DOCTYPE html><title>blank</title>");
    let mut colours = Vec::new();
    for (name, dark, (width, height)) in [
        ("desk-light", false, (1280, 1600)),
        ("desk-dark", true, (1280, 1600)),
        ("phone-light", false, (360, 2600)),
        ("phone-dark", true, (360, 2600)),
    ] {
        let frame =
            MEASURE.replace("PAGE", "run.html").replace("WIDTH", &width.to_string()).replace("HEIGHT", &height.to_string());
        let frame = write(&format!("{name}.html"), &frame);
        let dom = chromium(&folder, dark, &["--dump-dom".to_owned(), format!("file://{}", frame.display())]);
        let measured = dom.split("<title>measured;").nth(1).and_then(|rest| rest.split("</title>").next());
        let measured: Vec<&str> = measured.unwrap_or_else(|| panic!("{name}: nothing was measured: {dom}")).split(';').collect();
        let number = |at: usize| measured[at].parse::<u32>().unwrap();
        assert!(number(0) <= width, "{name}: the page needs {} of {width} pixels", number(0));
        assert!(number(1) > 20, "{name}: {} rectangles are to be seen", number(1));
        assert_eq!((number(2), number(3)), (0, 0), "{name}: texts beyond the edge, and texts too small to read");
        colours.push(measured[4].to_owned());
        // A frame, because a window is never as narrow as a phone.
        let seen = shot(name, dark, (width, height), &frame).len();
        let nothing = shot("blank", dark, (width, height), &blank).len();
        assert!(seen > 3 * nothing, "{name}: {seen} bytes, a blank page has {nothing}");
    }
    assert_eq!(colours, ["rgb(255, 255, 255)", "rgb(18, 22, 27)", "rgb(255, 255, 255)", "rgb(18, 22, 27)"]);
    let alone = shot("alone-dark", true, (1200, 800), &picture);
    assert!(alone.len() > 20_000, "the picture alone: {} bytes", alone.len());
    // `page` is what a person opens.
    eprintln!("pictures to look at: {} and {}/*.png", page.display(), folder.display());
}
