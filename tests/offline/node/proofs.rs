//! Where bash evaluates words (arithmetic), takes them apart (splits, patterns, globs) or hands them to a program that has a language of
//! its own (sed, awk, grep, find): each such place of the scripts stands here, with the proof that what comes there is a number, a
//! token, or no pattern. A new place fails the test until its proof is given.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use regex::Regex;

/// Names in arithmetic, and why each is a number there: bash runs `a[$(…)]`, wherever it comes from.
const NUMBERS: &[(&str, &str, &str)] = &[
    ("fetch-key.sh", "largest", "a constant of this function"),
    ("deprecated.sh", "asked", "counted here"),
    ("deprecated.sh", "most_apis", "a constant of this file"),
    ("etcd.sh", "etcd_bytes", "numbers"),
    ("etcd.sh", "free", "numbers"),
    ("etcd.sh", "wanted", "counted here"),
    ("follow.sh", "size", "numbers"),
    ("follow.sh", "offset", "numbers, then counted here"),
    ("follow.sh", "limit", "numbers"),
    ("follow.sh", "chunk", "the length of a string"),
    ("follow.sh", "SECONDS", "bash's own clock"),
    ("follow.sh", "end", "counted here"),
    ("kubelet-flags.sh", "files", "the length of an array"),
    ("packages/apt/apt.sh", "tries", "counted here"),
    ("packages/apt/apt.sh", "lock_wait", "a constant of this file"),
    ("packages/apt/apt.sh", "pause", "a constant of this function"),
    ("packages/apt/apt.sh", "status", "0 or $?"),
    ("packages/common.sh", "missing", "the length of an array"),
    ("packages/common.sh", "mend", "the length of an array"),
    ("packages/common.sh", "free", "numbers"),
    ("packages/common.sh", "$2", "numbers"),
    ("prefetch.sh", "packages", "the length of an array"),
    ("remove-keys.sh", "before", "numbers"),
    ("remove-keys.sh", "after", "numbers"),
    ("snapshot-kind.sh", "size", "numbers"),
    ("take-snapshot.sh", "before", "numbers"),
    ("take-snapshot.sh", "etcd_bytes", "a number by etcd.sh"),
    ("take-snapshot.sh", "keep", "numbers"),
    ("take-snapshot.sh", "kept", "counted here"),
    ("take-snapshot.sh", "revision", "numbers"),
    ("trial.sh", "status", "0 or $?"),
    ("certificates.sh", "status", "0 or $?"),
    ("move-leader.sh", "tries", "counted here"),
    ("work-kubeadm-upgrade.sh", "left", "the length of an array, then counted here"),
    ("work-kubeadm-upgrade.sh", "gone", "counted here"),
    ("work-kubeadm-upgrade.sh", "freed", "counted here"),
    ("work-kubeadm-upgrade.sh", "size", "numbers"),
    ("work-kubeadm-upgrade.sh", "status", "0 or $?"),
    ("work-kubelet-packages.sh", "wanted", "the length of an array"),
    ("work-rollback.sh", "wanted", "the length of an array"),
    ("work.sh", "tries", "counted here"),
    ("work.sh", "steady", "counted here"),
];

/// Commands with a language of their own, as far as a variable is among their words, and why it is none of that language.
const COMMANDS: &[(&str, &str, &str)] = &[
    ("add-key.sh", r#"awk -v key="$1" ''"#, "base64: no backslash"),
    ("packages/common.sh", r#"grep -qxF -- "$package" <<<"$held""#, "-F, after --"),
    ("packages/common.sh", r#"awk -v exact="$2" -v start="$2-" ''"#, "a version: no backslash"),
    ("deprecated.sh", r#"awk -v most="$most_lines" ''"#, "a constant of this file"),
    (
        "deprecated.sh",
        r#"awk -v api="${group:+$group/}$version/$resource" ''"#,
        "letters, digits, dots and hyphens: no backslash",
    ),
    (
        "packages/apt/apt.sh",
        r#"awk -v pattern="$packages_pattern" -v stanzas="$stanzas" '' "$@""#,
        "a URL of the settings: no backslash, and compared as text; a constant; a file, from the root: no assignment",
    ),
    ("packages/apt/apt.sh", r#"awk -F '' '' <<<"$known""#, "its input"),
    ("packages/apt/apt.sh", r#"sed -nE '' <<<"$1""#, "its input"),
    ("packages/apt/apt.sh", r#"grep -E '' <<<"$output""#, "its input"),
    ("packages/apt/apt.sh", r#"grep -qE '' <<<"$output""#, "its input"),
    ("packages/apt/apt.sh", r#"awk -v key="acquire::$key" '' <<<"$settings""#, "scheme and host of a URL: no backslash"),
    ("packages/apt/apt.sh", r#"grep -E -m 1 '' <<<"$output""#, "its input"),
    ("packages/apt/apt.sh", r#"grep -m 1 '' <<<"$output""#, "its input"),
    ("certificates.sh", r#"grep -q '' "$notes""#, "a file"),
    ("servers.sh", r#"sed -nE '' <<<"$page""#, "its input"),
    ("patches.sh", r#"sed '' "$file""#, "a file, from the root: no option"),
    ("prefetch.sh", r#"grep -qxF -- "$1" <<<"$have_images""#, "-F, after --"),
    ("runtime.sh", r#"sed -nE '' "$kubelet/instance-config.yaml" "$kubelet/config.yaml""#, "files"),
    ("runtime.sh", r#"sed -nE '' "$kubelet/kubeadm-flags.env""#, "a file"),
    ("packages/apt/apt.sh", r#"grep -oE -m 1 '' <<<"$output""#, "its input"),
    ("identify.sh", r#"awk -v name="$1:" '' "$config""#, "a constant of this file"),
    ("inspect.sh", r#"sed '' "$root/var/lib/kubelet/config.yaml""#, "a file"),
    ("keys.sh", r#"awk -v key="$1" ''"#, "base64: no backslash"),
    ("objections.sh", r#"grep -qE '' "$1""#, "a file"),
    ("objections.sh", r#"grep -F '' -A 1 "$1""#, "a file"),
    ("objections.sh", r#"sed -nE '' "$1""#, "a file"),
    ("kubelet-flags.sh", r#"sed -nE '' "$file""#, "a file, from the root: no option"),
    ("kubelet-flags.sh", r#"grep -qxF -- "$word" <<<"$known""#, "-F, after --"),
    ("kubelet-flags.sh", r#"sed -nE '' "${files[@]}""#, "files, from the root: no option"),
    ("kubelet-flags.sh", r#"awk -v flag="$1" '' "$file""#, "the name of a flag: no backslash"),
    ("trial.sh", r#"grep -qxF -- "$path" "$trial/before""#, "-F, after --"),
    ("trial.sh", r#"grep -qsE '' -- "$root${flag#*=}"/*.conf"#, "files, after --"),
    ("trial.sh", r#"grep -m 1 . <<<"$said""#, "its input"),
    ("look-at-keys.sh", r#"awk -v mark="$mark" ''"#, "a constant"),
    ("look-at-keys.sh", r#"awk -v mark="$mark" -v asked="$*" ''"#, "base64: no backslash"),
    ("look-at-keys.sh", r#"awk '' <<<"$said""#, "its input"),
    ("look-back.sh", r#"sed -nE '' "$1""#, "a file"),
    ("look-back.sh", r#"sed -nE '' "$file""#, "a file"),
    ("look-back.sh", r#"sed '' "$newest""#, "a file"),
    ("look-back.sh", r#"find "$root$folder" -mindepth 1 -maxdepth 1 -type f -printf ''"#, "a folder, from the root: no option"),
    ("etcd.sh", r#"grep -m 1 -xF -- "${containers:-none}" <<<"$found""#, "-F, after --"),
    (
        "take-snapshot.sh",
        r#"find "$root$folder" -mindepth 1 -maxdepth 1 -type f -printf ''"#,
        "a folder, from the root: no option",
    ),
    ("prefetch.sh", r#"grep -E '' <<<"$wanted""#, "its input"),
    ("remove-keys.sh", r#"awk -v keep="$keep" -v strays="$strays" -v mark="$mark" -v gone="$*" ''"#, "base64: no backslash"),
    ("packages/apt/repository.sh", r#"awk -v cut="$cut" '' "$file""#, "numbers of lines, counted by awk; a file"),
    ("fetch-key.sh", r#"grep -qxF -- "$key" <<<"$known""#, "-F, after --"),
    ("fetch-key.sh", r#"grep -F -- "$key " <<<"$new_keys""#, "-F, after --"),
    ("work-containerd-package.sh", r#"grep -qxF -- "$package" <<<"$held""#, "-F, after --"),
    (
        "work-kubeadm-upgrade.sh",
        r#"find "$leftovers" -mindepth 1 -maxdepth 1 -type d -printf ''"#,
        "a folder, from the root: no option",
    ),
];

/// Words that are split or are a pattern because no quotes are about them.
const BARE: &[(&str, &str, &str)] = &[
    ("apiserver.sh", "=~ $api_url", "a pattern, and a constant of this file"),
    ("servers.sh", "=~ $api_url", "a pattern, and a constant of apiserver.sh"),
    ("packages/common.sh", "for package in $packages", "names of ours: kubernetes_packages"),
    ("prefetch.sh", "for package in $names", "names of ours: kubernetes_packages"),
    ("prelude.sh", "=~ ^(0|[1-9][0-9]{0,17})$", "no variable: the end of the word"),
    ("work-kubelet-packages.sh", "for package in $packages", "names of ours: kubernetes_packages"),
    ("move-leader.sh", "=~ ^[0-9a-f]{1,16}$", "no variable: the end of the word"),
    ("work-kubeadm-upgrade.sh", "=~ ^kubeadm-$kind$", "constants of this file"),
    ("work.sh", "=~ ^$token$", "a constant of this file"),
    ("work.sh", "=~ $now", "of constants"),
    ("work.sh", "=~ $former", "of constants"),
    ("servers.sh", "=~ $2", "constants of this file"),
    ("look-back.sh", "=~ ^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,511}$", "no variable: the end of the word"),
    ("fetch-key.sh", "=~ ^https?://[]A-Za-z0-9._~:/%[-]+$", "no variable: the end of the word"),
    ("fetch-key.sh", "=~ ^[0-9A-F]{40,64}($''[0-9A-F]{40,64})*$", "no variable: the end of the word"),
    ("kubelet-flags.sh", "=~ ^[1-9][0-9]*$", "no variable: the end of the word"),
    ("take-snapshot.sh", r"=~ ^k8s-upgrade-[0-9]+\.[0-9]+\.[0-9]+-[0-9a-f]{8}-(.+)\.db$", "no variable: the end of the word"),
    ("trial.sh", "=~ ^[A-Za-z][A-Za-z0-9]{0,127}$", "no variable: the end of the word"),
    ("trial.sh", "=~ ^--[a-z][a-z0-9-]{0,127}$", "no variable: the end of the word"),
    (
        "patches.sh",
        "=~ ^(kube-apiserver|kube-controller-manager|kube-scheduler|etcd|kubeletconfiguration|corednsdeployment)[A-Za-z0-9._+-]*\\.(json|yaml)$",
        "no variable: the end of the word",
    ),
    ("write-card.sh", "=~ ^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$", "no variable: the end of the word"),
];

/// What no script has, for nobody could prove it for long.
const NEVER: &[&str] = &[
    r"(?m)(^|[;&|({]|\bthen|\bdo)\s*(eval|source|\.|declare|typeset|let|alias|xargs)\s",
    r"\b(ba)?sh -c\b",
    r"\$\{!",
    r"\blocal -[a-zA-Z]*n\b",
    r"\bprintf -v\b",
    r"\s-(eq|ne|lt|le|gt|ge)\s",
    r"\bread (?!-r)",
    r"\$\{\w+\[[^\]@*0-9]",
    r"\b\w+\[[^\]]*\]=",
    r"\$\{\w+:\s*[^-+=?0\s]",
    r"\$\{\w+:\d+:[^\d]",
];

/// The script without its comments, and with all that is in single quotes gone: what bash itself reads.
fn code(script: &str) -> String {
    let mut code = String::new();
    let mut chars = script.chars().peekable();
    let (mut double, mut last) = (false, '\n');
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                code.push(c);
                code.extend(chars.next());
            }
            '"' => {
                double = !double;
                code.push(c);
            }
            '\'' if !double => {
                let ansi = last == '$';
                code.push_str("''");
                while let Some(inner) = chars.next() {
                    if inner == '\\' && ansi {
                        chars.next();
                    } else if inner == '\'' {
                        break;
                    }
                }
            }
            '#' if !double && last.is_whitespace() => while chars.next_if(|c| *c != '\n').is_some() {},
            c => code.push(c),
        }
        last = c;
    }
    code
}

/// What stands between `((` and its `))`.
fn arithmetic(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = code;
    while let Some(at) = rest.find("((") {
        let mut depth = 0_u32;
        let end = rest[at..].char_indices().find_map(|(offset, c)| {
            match c {
                '(' => depth += 1,
                ')' => depth -= 1,
                _ => {}
            }
            (depth == 0).then_some(at + offset)
        });
        let end = end.expect("each bracket has its other");
        found.push(rest[at + 2..end].to_owned());
        rest = &rest[end..];
    }
    found
}

/// All that runs on a node: by its path below `src/node`, or below `src`.
fn scripts() -> Vec<(String, String)> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut folders, mut scripts) = (vec![source.join("node"), source.join("packages")], Vec::new());
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "sh") {
                let name = path.strip_prefix(&source).unwrap().display().to_string();
                let name = name.strip_prefix("node/").unwrap_or(&name).to_owned();
                scripts.push((name, code(&fs::read_to_string(&path).unwrap())));
            }
        }
    }
    scripts.sort();
    assert!(scripts.len() > 20, "they are not where they are looked for");
    scripts
}

/// Each place that was found has its proof, and each proof its place.
fn proved(what: &str, found: &BTreeSet<(String, String)>, table: &[(&str, &str, &str)]) {
    let known: BTreeSet<(String, String)> =
        table.iter().map(|(file, place, _)| ((*file).to_owned(), (*place).to_owned())).collect();
    let (new, stale): (Vec<_>, Vec<_>) = (found.difference(&known).collect(), known.difference(found).collect());
    assert!(new.is_empty(), "{what} without a proof:\n{new:#?}");
    assert!(stale.is_empty(), "{what} that is not there any more:\n{stale:#?}");
}

#[test]
fn what_comes_to_arithmetic_is_a_number() {
    let name = Regex::new(r"[A-Za-z_]\w*|\$[0-9@*]").unwrap();
    let mut found = BTreeSet::new();
    for (file, code) in scripts() {
        for expression in arithmetic(&code) {
            found.extend(name.find_iter(&expression).map(|name| (file.clone(), name.as_str().to_owned())));
        }
    }
    proved("arithmetic", &found, NUMBERS);
    // What is proved by `numbers` is given to it in the same file.
    for (file, name, _) in NUMBERS.iter().filter(|(.., proof)| proof.starts_with("numbers")) {
        let code = scripts().into_iter().find(|(known, _)| known == file).unwrap().1;
        let given = format!("\"{}\"", if name.starts_with('$') { (*name).to_owned() } else { format!("${name}") });
        let calls = code.lines().any(|line| line.trim_start().starts_with("numbers ") && line.contains(&given));
        assert!(calls, "{file}: nothing proves {name}");
    }
}

#[test]
fn no_variable_is_part_of_a_program_in_another_language() {
    let command = Regex::new(r#"\b(?:sed|awk|grep|find) [^|;&\n)]*"#).unwrap();
    // Where its output goes is no matter.
    let output = Regex::new(r"\s*(2?>|>>).*").unwrap();
    let mut found = BTreeSet::new();
    for (file, code) in scripts() {
        let code = code.replace("\\\n", " ");
        for place in command.find_iter(&code) {
            let place = output.replace(place.as_str(), "").trim().to_owned();
            if place.replace("$''", "''").contains('$') {
                found.insert((file.clone(), place));
            }
        }
    }
    proved("a command", &found, COMMANDS);
}

#[test]
fn nothing_is_split_or_a_pattern_by_accident() {
    let places = [r"\bfor \w+ in \$\w+", r#"=~ [^\s"]*\$[^\s"]*"#, r#"(?:==|!=) [^\s"')]*\$[\w{][^\s"'#]*"#];
    let places = places.map(|place| Regex::new(place).unwrap());
    let mut found = BTreeSet::new();
    for (file, code) in scripts() {
        for place in &places {
            found.extend(place.find_iter(&code).map(|found| (file.clone(), found.as_str().to_owned())));
        }
    }
    proved("a bare word", &found, BARE);
}

#[test]
fn formats_are_constant_and_nothing_is_evaluated() {
    // A pattern, and what may follow where it is found.
    let never: Vec<_> = NEVER
        .iter()
        .map(|never| never.split_once("(?!").map_or((*never, None), |(start, but)| (start, Some(but.trim_end_matches(')')))))
        .map(|(never, but)| (Regex::new(never).unwrap(), but))
        .collect();
    for (file, code) in scripts() {
        for (at, line) in code.lines().enumerate() {
            for call in line.split("printf ").skip(1).filter(|_| !line.contains("-printf ")) {
                assert!(call.starts_with("''") || call == "x)", "{file}:{}: a format that is not constant: {line}", at + 1);
            }
        }
        for (never, but) in &never {
            for found in never.find_iter(&code) {
                let allowed = but.is_some_and(|but| code[found.end()..].starts_with(but));
                assert!(
                    allowed,
                    "{file}: {:?} near {:?}",
                    never.as_str(),
                    &code[found.start()..code.len().min(found.end() + 40)]
                );
            }
        }
    }
}

/// The reader of scripts must see what bash sees.
#[test]
fn what_bash_reads_is_found() {
    let script = "a=1 # ((no))\necho 'x ((no)) '\"(($b))\" $'it\\'s ((no))' \"it's $((c + (d)))\"\nx=${#y}\n";
    assert_eq!(code(script), "a=1 \necho ''\"(($b))\" $'' \"it's $((c + (d)))\"\nx=${#y}\n");
    assert_eq!(arithmetic(&code(script)), ["$b)", "c + (d))"].map(|expression| expression.to_owned()));
}
