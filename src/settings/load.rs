//! Layers, later ones win: defaults, the file (`--config`, else the first of [`Sources::candidates`] that exists), variables
//! `K8S_UPGRADE_<KEY>`, `--set key=value`. A key that is not known is an error that names the nearest known one; a value that is not what
//! its key takes is an error that names the source, the key and what is wanted.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::values::shown;
use super::{PlainHttp, Settings, as_map, bounds};
use crate::failure::{Cause, nearest};
use crate::names;
use crate::plan::model::calendar::{CONTROL_PLANE, PREFLIGHT, START};
use crate::plan::model::policy::{Force, Surge};
use crate::plan::model::span::span;
use crate::plan::model::waves::Pool;
use crate::words::{PoolName, line};
use crate::world::{Env, Files, TEXT_FILE};

/// Variables that set a key start with this.
pub const ENV_PREFIX: &str = "K8S_UPGRADE_";

/// Where settings come from.
pub struct Sources<'a> {
    pub config: Option<&'a Path>,
    pub set: &'a [String],
    pub env: &'a Env,
    pub files: &'a dyn Files,
}

impl Sources<'_> {
    /// Files that are read when `--config` names none: the mounted ConfigMap, then the user's own.
    fn candidates(&self) -> Vec<PathBuf> {
        let home = self.env.get("HOME").map(|home| Path::new(home).join(".config"));
        let user = self.env.get("XDG_CONFIG_HOME").map(PathBuf::from).or(home);
        let mounted = Path::new(names::CONFIG_MOUNT).join(names::CONFIG_KEY);
        std::iter::once(mounted).chain(user.map(|dir| dir.join(names::PROGRAM).join(names::CONFIG_KEY))).collect()
    }

    fn file(&self) -> Result<Option<(PathBuf, String)>, Cause> {
        let read = |path: &Path| self.files.read(path, TEXT_FILE);
        let named = self.config.map(Path::to_path_buf);
        let paths = named.clone().map_or_else(|| self.candidates(), |path| vec![path]);
        for path in paths {
            match read(&path) {
                Ok(bytes) => {
                    let text = String::from_utf8(bytes).map_err(|_| Cause::usage(format!("{} is not UTF-8", path.display())))?;
                    return Ok(Some((path, text)));
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound && named.is_none() => {}
                Err(error) => return Err(Cause::usage(format!("cannot read the settings in {}: {error}", path.display()))),
            }
        }
        Ok(None)
    }
}

/// Variables that the kubelet sets in every pod of a namespace with a Service named `k8s-upgrade` or `k8s-upgrade-…`. They look like
/// settings and are none.
pub fn service_links(env: &Env) -> impl Iterator<Item = &str> {
    env.iter().filter(|(name, value)| is_service_link(name, value)).map(|(name, _)| name.as_str())
}

/// `…_SERVICE_HOST`, `…_SERVICE_PORT`, `…_SERVICE_PORT_WEB`, `…_PORT=tcp://…`, and `…_PORT_80_TCP` with its `_PROTO`, `_PORT` and `_ADDR`.
fn is_service_link(name: &str, value: &str) -> bool {
    let Some(rest) = name.strip_prefix(ENV_PREFIX).map(|rest| format!("_{rest}")) else { return false };
    let protocols = ["TCP", "UDP", "SCTP"];
    let url = protocols.iter().any(|protocol| value.starts_with(&format!("{}://", protocol.to_lowercase())));
    let of_port = || {
        let (number, rest) = rest.rsplit_once("_PORT_")?.1.split_once('_')?;
        let (protocol, part) = rest.split_once('_').map_or((rest, None), |(protocol, part)| (protocol, Some(part)));
        let part = part.is_none_or(|part| ["PROTO", "PORT", "ADDR"].contains(&part));
        Some(number.parse::<u16>().is_ok() && protocols.contains(&protocol) && part)
    };
    let of_service = rest.ends_with("_SERVICE_HOST") || rest.ends_with("_SERVICE_PORT") || rest.contains("_SERVICE_PORT_");
    of_service || (rest.ends_with("_PORT") && url) || of_port().unwrap_or(false)
}

/// Why a map of settings cannot be used, and which key is to blame.
#[derive(Debug)]
pub struct Fault {
    pub key: String,
    pub cause: Cause,
}

impl Settings {
    /// Merges all layers and validates the result.
    ///
    /// # Errors
    /// Usage: names the source and the key, and what is wanted.
    pub fn load(sources: &Sources<'_>) -> Result<Settings, Cause> {
        let mut merged = Merged::new()?;
        if let Some((path, text)) = sources.file()? {
            merged.file(&path.display().to_string(), &text)?;
        }
        for (name, value) in
            sources.env.iter().filter(|(name, value)| name.starts_with(ENV_PREFIX) && !is_service_link(name, value))
        {
            let key = name[ENV_PREFIX.len()..].to_lowercase().replace('_', "-");
            merged.text(&format!("environment variable {name}"), &key, value)?;
        }
        for pair in sources.set {
            let (key, value) = pair
                .split_once('=')
                .ok_or_else(|| Cause::usage(format!("--set {}: key=value is wanted, for example --set soak=5m", shown(pair))))?;
            merged.text("--set", key, value)?;
        }
        merged.whole().map_err(|fault| fault.cause)?;
        let mut settings = merged.settings;
        if let Some(home) = sources.env.get("HOME").map(Path::new) {
            if settings.vault_token_file.as_os_str().is_empty() {
                settings.vault_token_file = home.join(TOKEN_FILE);
            }
            // No shell has seen a file of settings, and none looks behind the = of `--set`.
            for file in settings.files() {
                if let Ok(rest) = file.strip_prefix("~") {
                    *file = home.join(rest);
                }
            }
        }
        Ok(settings)
    }

    /// Those of one file alone, which `source` names for people.
    ///
    /// # Errors
    /// As [`Settings::load`].
    pub fn of_file(source: &str, text: &str) -> Result<Settings, Cause> {
        let mut merged = Merged::new()?;
        merged.file(source, text)?;
        merged.whole().map_err(|fault| fault.cause)?;
        Ok(merged.settings)
    }

    /// All that is wrong with a map of settings, which `source` names for people.
    ///
    /// # Errors
    /// A bug alone.
    pub fn faults(source: &str, map: &Map<String, Value>) -> Result<Vec<Fault>, Cause> {
        let mut merged = Merged::new()?;
        let apply = |(key, value): (&String, &Value)| {
            merged.apply(source, key, value.clone()).err().map(|cause| Fault { key: key.clone(), cause })
        };
        let mut faults: Vec<Fault> = map.iter().filter_map(apply).collect();
        faults.extend(merged.beside_each_other().into_iter().filter_map(Result::err));
        Ok(faults)
    }
}

/// Where `vault login` leaves the token, at home.
pub(super) const TOKEN_FILE: &str = ".vault-token";

/// Settings so far. Each key is applied by itself, so that an error can name the key and where it stands.
struct Merged {
    settings: Settings,
    default: Map<String, Value>,
    /// Where each key that is set was set last.
    sources: BTreeMap<String, String>,
}

impl Merged {
    fn new() -> Result<Self, Cause> {
        let settings = Settings::default();
        Ok(Merged { default: as_map(&settings)?, settings, sources: BTreeMap::new() })
    }

    /// What no key tells alone.
    fn beside_each_other(&self) -> [Result<(), Fault>; 6] {
        [
            self.plain_http_is_stated(),
            self.force_is_bounded(),
            self.a_window_is_long_enough(),
            self.an_approval_holds(),
            self.pools_are_whole(),
            self.a_rollback_has_canaries(),
        ]
    }

    /// The first that is wrong.
    fn whole(&self) -> Result<(), Fault> {
        self.beside_each_other().into_iter().collect()
    }

    /// What is http to another machine must be said twice: whoever is on the way can read and change it.
    fn plain_http_is_stated(&self) -> Result<(), Fault> {
        let urls = [
            (
                PlainHttp::PackagesUrl,
                Some(self.settings.packages_url.as_str()),
                "what nodes install is then protected by the packages' signatures alone",
            ),
            (
                PlainHttp::VaultAddress,
                self.settings.vault_address.as_ref().map(|url| url.as_str()),
                "the token and the new key would go over it",
            ),
        ];
        for (what, url, why) in urls {
            if let Some(url) = url.filter(|url| !self.settings.allows(what, url)) {
                let key = what.to_string();
                let source = self.sources.get(&key).map_or("", String::as_str);
                let text =
                    format!("{source}: setting {key}: {url}: everybody on the way could read and change what is sent, and {why}");
                let cause =
                    Cause::usage(text).detail([format!("write https://, or state that this is meant: plain-http: [{key}]")]);
                return Err(Fault { key, cause });
            }
        }
        Ok(())
    }

    /// Pods are deleted by force only where that is named, and within a drain.
    fn force_is_bounded(&self) -> Result<(), Fault> {
        let Some(Force { namespaces, after }) = self.settings.force() else { return Ok(()) };
        // With a surge the first half of a drain is its own.
        let surges = self.settings.drain_surge != Surge::Never;
        let deadline = if surges { self.settings.drain_deadline / 2 } else { self.settings.drain_deadline };
        let (key, why, way) = if namespaces.is_empty() {
            let way = "name them: undrainable-namespaces: [NAMESPACE, …]; nothing is deleted elsewhere";
            ("undrainable", "force-after deletes pods of the namespaces that are named, and none is".to_owned(), way)
        } else if after >= deadline {
            let of = if surges { "half of the drain-deadline, for drain-surge has the other," } else { "the drain-deadline" };
            let why = format!("{} is not shorter than {of} of {}: no drain would last so long", span(after), span(deadline));
            ("undrainable-after", why, "set a shorter one, or a longer drain-deadline")
        } else {
            return Ok(());
        };
        let source = self.sources.get(key).map_or("the default", String::as_str);
        let cause = Cause::usage(format!("{source}: setting {key}: {why}")).detail([way]);
        Err(Fault { key: key.to_owned(), cause })
    }

    /// A run that can begin in none would wait for ever.
    fn a_window_is_long_enough(&self) -> Result<(), Fault> {
        let needs = START + PREFLIGHT + CONTROL_PLANE + self.settings.soak;
        let Some(longest) = self.settings.policy().calendar.longest().filter(|longest| *longest < needs) else { return Ok(()) };
        let key = "windows".to_owned();
        let source = self.sources.get(&key).map_or("the default", String::as_str);
        let why = format!("{source}: setting {key}: the longest has {}, and a run needs {} to begin", span(longest), span(needs));
        Err(Fault { key, cause: Cause::usage(why).detail(["set a longer one, or a shorter soak"]) })
    }

    /// One that is over at once is none.
    fn an_approval_holds(&self) -> Result<(), Fault> {
        if !self.settings.approval_holds.is_none() {
            return Ok(());
        }
        let key = "approval-holds".to_owned();
        let source = self.sources.get(&key).map_or("the default", String::as_str);
        let why = format!("{source}: setting {key}: an approval that holds for 0d lets nothing begin");
        Err(Fault { key, cause: Cause::usage(why).detail(["set 1d or more"]) })
    }

    /// Each has nodes, and rules that can be kept.
    fn pools_are_whole(&self) -> Result<(), Fault> {
        let fault = |(name, pool): (&PoolName, &Pool)| Some((name.clone(), pool.fault()?));
        let Some((name, why)) = self.settings.pools.iter().find_map(fault) else { return Ok(()) };
        let key = "pools".to_owned();
        let source = self.sources.get(&key).map_or("the default", String::as_str);
        let cause = Cause::usage(format!("{source}: setting {key}: {name}: {why}"));
        Err(Fault { key, cause: cause.detail(["pools: {gpu: {selector: [hardware=gpu], max-unavailable: 1}}"]) })
    }

    /// Without one, none would ever go back.
    fn a_rollback_has_canaries(&self) -> Result<(), Fault> {
        let Settings { canary, canary_rollback, pools, .. } = &self.settings;
        if !canary_rollback || *canary > 0 || pools.values().any(|pool| pool.canary > 0) {
            return Ok(());
        }
        let key = "canary-rollback".to_owned();
        let source = self.sources.get(&key).map_or("the default", String::as_str);
        let why = format!("{source}: setting {key}: there is no canary that could be rolled back");
        Err(Fault { key, cause: Cause::usage(why).detail(["set canary: 1 or more, for all or in a pool; or leave it away"]) })
    }

    fn file(&mut self, path: &str, text: &str) -> Result<(), Cause> {
        if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
            return Ok(());
        }
        // `off` and `no` were false in an older YAML. They are where true or false is wanted; elsewhere they are words, as in `alerts: off`.
        let read = |strict: bool| -> Result<Value, Cause> {
            serde_saphyr::from_str_with_options(text, serde_saphyr::options! { strict_booleans: strict })
                .map_err(|error| Cause::usage(format!("{path} is not YAML")).detail(error.to_string().lines()))
        };
        let (Value::Object(words), Value::Object(mut switches)) = (read(true)?, read(false)?) else {
            return Err(Cause::usage(format!("{path}: keys with values are wanted, for example `soak: 10m`")));
        };
        words.into_iter().try_for_each(|(key, word)| {
            let switch = switches.remove(&key).filter(|_| matches!(self.default.get(&key), Some(Value::Bool(_))));
            self.apply(path, &key, switch.unwrap_or(word))
        })
    }

    /// A value given as text takes the shape that the key's default has.
    fn text(&mut self, source: &str, key: &str, text: &str) -> Result<(), Cause> {
        let items = || text.split(',').map(str::trim).filter(|item| !item.is_empty());
        let value = match self.default.get(key) {
            Some(Value::Bool(_) | Value::Number(_)) => serde_json::from_str(text).unwrap_or_else(|_| Value::from(text)),
            Some(Value::Array(_)) => items().map(Value::from).collect(),
            Some(Value::Object(_)) => {
                let mut map = Map::new();
                for item in items() {
                    let (name, value) = item.split_once('=').ok_or_else(|| {
                        Cause::usage(format!(
                            "{source}: setting {key}: {} is not NAME=VALUE, with commas between several",
                            shown(item)
                        ))
                    })?;
                    if map.insert(name.to_owned(), Value::from(value)).is_some() {
                        return Err(Cause::usage(format!("{source}: setting {key}: {} is there twice", shown(name))));
                    }
                }
                Value::Object(map)
            }
            _ => Value::from(text),
        };
        self.apply(source, key, value)
    }

    fn apply(&mut self, source: &str, key: &str, value: Value) -> Result<(), Cause> {
        if !self.default.contains_key(key) {
            let hint = nearest(self.default.keys().map(String::as_str), key);
            let hint = hint.map_or(String::new(), |nearest| format!("; did you mean {nearest:?}?"));
            return Err(Cause::usage(format!("{source}: unknown setting {}{hint}", shown(key))));
        }
        let refused = |why: String| Cause::usage(format!("{source}: setting {key}: {}", brief(&why)));
        let mut map = as_map(&self.settings)?;
        map.insert(key.to_owned(), value.clone());
        let settings = serde_json::from_value(Value::Object(map)).map_err(|error| match bounds::wanted(key) {
            Some(wanted) => refused(format!("{} does not do: {wanted}", shown(&value.to_string()))),
            None if value.is_number() => {
                refused(format!("{value} is a number in YAML, and a text is wanted: put it between quotation marks"))
            }
            None => refused(error.to_string()),
        })?;
        bounds::check(&settings, key).map_err(refused)?;
        self.settings = settings;
        self.sources.insert(key.to_owned(), source.to_owned());
        Ok(())
    }
}

/// Errors of libraries repeat what they were given, however long.
fn brief(why: &str) -> String {
    const LONGEST: usize = 600;
    let text = line(why);
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
