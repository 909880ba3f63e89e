//! What people read, README and the manual: their blocks of code, and the words in a text that are typed as they stand.

use std::path::Path;

use regex::Regex;

/// One document, by its path in the repository.
pub struct Document {
    pub path: String,
    /// Lines that stand as they are.
    pub blocks: Vec<String>,
    /// Words in bold, or between backticks.
    pub spans: Vec<String>,
}

pub fn committed(path: &str) -> String {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&place).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// README and every page of the manual.
pub fn all() -> Vec<Document> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("man");
    let mut pages: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| format!("man/{}", entry.unwrap().file_name().into_string().unwrap()))
        .filter(|path| path.ends_with(['1', '5', '7']))
        .collect();
    pages.sort();
    let pages = pages.iter().map(|path| manual(path));
    std::iter::once(readme()).chain(pages).collect()
}

/// Without what the program itself has printed.
pub fn readme() -> Document {
    let text =
        Regex::new(r"(?s)<!-- generated: \w+ -->.*?<!-- end -->").unwrap().replace_all(&committed("README.md"), "").into_owned();
    let fence = Regex::new(r"(?ms)^```\w*\n(.*?)^```$").unwrap();
    let blocks = fence.captures_iter(&text).map(|block| block[1].to_owned()).collect();
    let text = fence.replace_all(&text, "").into_owned();
    let spans = Regex::new("`([^`]+)`").unwrap().captures_iter(&text).map(|span| span[1].replace('\n', " ")).collect();
    Document { path: "README.md".to_owned(), blocks, spans }
}

/// A page of the manual, as somebody sees it.
pub fn manual(path: &str) -> Document {
    let (mut blocks, mut text, mut block) = (Vec::new(), String::new(), None);
    for line in committed(path).lines() {
        match (line, &mut block) {
            (".nf", _) => block = Some(String::new()),
            (".fi", _) => blocks.extend(block.take()),
            (_, Some(block)) => *block += &(shown(line) + "\n"),
            (_, None) => {
                let bold = line.strip_prefix(".B ").map(|bold| format!("\\fB{bold}\\fR"));
                text += &bold.unwrap_or_else(|| line.to_owned());
                text.push('\n');
            }
        }
    }
    // What a generated page has below its options: examples, each on a line of its own.
    let below = text.split("\nExamples:\n").nth(1).unwrap_or_default();
    let examples: Vec<&str> = below.lines().take_while(|line| line.starts_with("  ")).map(str::trim).collect();
    blocks.extend(examples.iter().map(|line| shown(line) + "\n"));
    let spans = Regex::new(r"(?s)\\fB(.*?)\\fR").unwrap();
    let spans = spans.captures_iter(&text).map(|span| shown(&span[1].replace('\n', " "))).collect();
    Document { path: path.to_owned(), blocks, spans }
}

/// Roff's signs as they are seen.
fn shown(line: &str) -> String {
    let signs = [(r"\-", "-"), (r"\(aq", "'"), (r"\*(Aq", "'"), (r"\(ti", "~"), (r"\(ha", "^"), (r"\&", ""), (r"\e", r"\")];
    signs.iter().fold(line.to_owned(), |line, (sign, seen)| line.replace(sign, seen))
}

#[test]
fn a_page_is_read_as_it_is_seen() {
    let page = manual("man/k8s-upgrade-operations.7");
    assert!(page.spans.iter().any(|span| span == "k8s-upgrade preflight --target X.Y.Z --dry-run"), "{:?}", page.spans);
    assert!(page.blocks.iter().any(|block| block.contains("k8s-upgrade uninstall --dry-run\n")));
    assert!(readme().blocks.iter().any(|block| block.contains("| kubectl apply -f -\n")));
    assert!(manual("man/k8s-upgrade-halt.1").blocks.iter().any(|block| block.contains("halt --lift && k8s-upgrade resume")));
}
