//! `complete`: what a shell offers for the word that is being typed. It is silent about whatever it cannot ask.

use std::ffi::OsString;
use std::fmt::Debug;
use std::time::Duration;

use clap::{ArgMatches, CommandFactory, FromArgMatches};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Node};
use kube::api::{Api, ListParams, PartialObjectMeta};
use kube::{Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;

use super::{kube_target, rehearse};
use crate::cli::typed::{Kind, Offer, Wanted, wanted};
use crate::cli::{Cli, Global, Rehearse};
use crate::failure::Outcome;
use crate::names;
use crate::plan::model::journal;
use crate::report::{self, Out, Printed};
use crate::settings::Settings;
use crate::twin::Scenario;
use crate::twin::rehearsal::{Injection, KNOWN, places};
use crate::world::{KubeTarget, World};

/// What a shell is told where it shall offer its own files, too.
const FILES: &str = ":files";
/// More than a person would read.
const MOST: u32 = 500;

/// Prints what the last of these words may become, one a line, with what it is for behind a tab. Never fails: whoever types is not to be
/// disturbed. `patience`: for all that is asked outside; `client`: how the cluster is reached that the line names so far.
pub async fn complete(
    world: &World,
    stdout: &Out,
    words: &[OsString],
    patience: Duration,
    client: impl AsyncFn(KubeTarget) -> Option<Client>,
) -> Outcome {
    let words: Vec<String> = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let mut root = Cli::command();
    root.build();
    let Wanted { before, begun, mut offers, kind } = wanted(&root, &words);
    if let Some(kind) = kind {
        let line = Line { world, typed: typed_so_far(&words), client };
        let asked = line.offers(kind, &begun);
        offers.extend(tokio::time::timeout(patience, asked).await.ok().flatten().unwrap_or_default());
    }
    let fits = offers.into_iter().filter(|offer| offer.word.starts_with(&begun));
    let line = |Offer { word, help }| (format!("{before}{word}"), Some(help).filter(|help| !help.is_empty()));
    let files = matches!(kind, Some(Kind::File | Kind::Scenario)).then(|| (FILES.to_owned(), None));
    report::put(stdout, &Printed::offered(fits.map(line).chain(files)));
    Outcome::Done
}

/// What the words before the last say, though a command may not have yet what it needs. An option that has no value yet is not read.
fn typed_so_far(words: &[String]) -> Option<(ArgMatches, Global)> {
    [1, 2].into_iter().find_map(|unread| read(&words[..words.len().checked_sub(unread)?]))
}

fn read(words: &[String]) -> Option<(ArgMatches, Global)> {
    let lenient = |command: clap::Command| command.mut_args(|arg| arg.required(false));
    let command = lenient(Cli::command()).mut_subcommands(lenient).ignore_errors(true);
    let words = std::iter::once(names::PROGRAM).chain(words.iter().map(String::as_str));
    let matches = command.try_get_matches_from(words).ok()?;
    let global = Global::from_arg_matches(&matches).ok()?;
    Some((matches, global))
}

/// The line so far, and what it is completed from.
struct Line<'a, C> {
    world: &'a World,
    /// None: it cannot be read.
    typed: Option<(ArgMatches, Global)>,
    client: C,
}

impl<C: AsyncFn(KubeTarget) -> Option<Client>> Line<'_, C> {
    /// What is known beyond the types. None: it could not be asked.
    async fn offers(&self, kind: Kind, begun: &str) -> Option<Vec<Offer>> {
        let names = match kind {
            Kind::Context => self.world.kube.named(&self.target()).await?.contexts,
            Kind::Cluster => self.world.kube.named(&self.target()).await?.clusters,
            Kind::User => self.world.kube.named(&self.target()).await?.users,
            Kind::Node => self.nodes().await?.iter().map(ResourceExt::name_any).collect(),
            Kind::NodeOrPool => return self.nodes_and_pools().await,
            Kind::Namespace => {
                self.list::<Namespace>(Api::all(self.client().await?), "").await?.iter().map(ResourceExt::name_any).collect()
            }
            Kind::Run => self.runs().await?,
            Kind::Scenario => rehearse::AT_HAND.iter().map(|(name, _)| (*name).to_owned()).collect(),
            Kind::Setting => Settings::keys().into_iter().map(|key| format!("{key}=")).collect(),
            Kind::Injection => return self.injections(begun).await,
            Kind::File => Vec::new(),
        };
        Some(names.into_iter().map(|name| Offer::new(name, "")).collect())
    }

    fn target(&self) -> KubeTarget {
        self.typed.as_ref().map(|(_, global)| kube_target(global)).unwrap_or_default()
    }

    async fn client(&self) -> Option<Client> {
        (self.client)(self.target()).await
    }

    async fn list<K>(&self, api: Api<K>, labels: &str) -> Option<Vec<PartialObjectMeta<K>>>
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
    {
        Some(api.list_metadata(&ListParams::default().labels(labels).limit(MOST)).await.ok()?.items)
    }

    async fn nodes(&self) -> Option<Vec<PartialObjectMeta<Node>>> {
        self.list(Api::all(self.client().await?), "").await
    }

    /// Who is both is offered as either.
    async fn nodes_and_pools(&self) -> Option<Vec<Offer>> {
        let nodes: Vec<String> = self.nodes().await?.iter().map(ResourceExt::name_any).collect();
        let pools = self.pools().await.unwrap_or_default();
        let word = |what: &str, name: &String, others: &[String]| match others.contains(name) {
            true => format!("{what}/{name}"),
            false => name.clone(),
        };
        let of_pools = pools.iter().map(|name| Offer::new(word("pool", name, &nodes), "a pool"));
        Some(nodes.iter().map(|name| Offer::new(word("node", name, &pools), "")).chain(of_pools).collect())
    }

    /// Of the installation's settings.
    async fn pools(&self) -> Option<Vec<String>> {
        let namespace = self.typed.as_ref().map_or(names::NAMESPACE, |(_, global)| global.namespace.as_str());
        let map = Api::<ConfigMap>::namespaced(self.client().await?, namespace).get(names::CONFIG_MAP).await.ok()?;
        let settings = Settings::of_file("", map.data?.get(names::CONFIG_KEY)?).ok()?;
        Some(settings.pools.keys().map(ToString::to_string).collect())
    }

    /// Runs of which there is a journal.
    async fn runs(&self) -> Option<Vec<String>> {
        let namespace = self.typed.as_ref().map_or(names::NAMESPACE, |(_, global)| global.namespace.as_str());
        let api = Api::<ConfigMap>::namespaced(self.client().await?, namespace);
        let journals = self.list(api, &format!("{}={}", names::LABEL_APP, names::APP_JOURNAL)).await?;
        let mut runs: Vec<String> = journals.iter().filter_map(|map| journal::run_of(&map.name_any())).collect();
        runs.sort();
        runs.dedup();
        Some(runs)
    }

    /// What can be broken; then at which step of the rehearsed cluster.
    async fn injections(&self, begun: &str) -> Option<Vec<Offer>> {
        if !begun.contains('@') {
            return Some(KNOWN.iter().map(|(what, meaning)| Offer::new(format!("{what}@"), *meaning)).collect());
        }
        let scenario = self.scenario().await?;
        let places = places(&scenario);
        let all = KNOWN.iter().flat_map(|(what, meaning)| places.iter().map(move |place| (format!("{what}@{place}"), *meaning)));
        let can_be = all.filter(|(text, _)| Injection::read(text, &scenario).is_ok());
        Some(can_be.map(|(text, meaning)| Offer::new(text, meaning)).collect())
    }

    async fn scenario(&self) -> Option<Scenario> {
        let (_, typed) = self.typed.as_ref()?.0.subcommand()?;
        let wanted = Rehearse::from_arg_matches(typed).ok()?;
        if !wanted.from_cluster {
            return rehearse::scenario(self.world, &wanted.scenario).ok();
        }
        let nodes = self.nodes().await?;
        let nodes = nodes.iter().map(|node| (node.name_any(), node.labels().contains_key(names::LABEL_CONTROL_PLANE)));
        Some(Scenario::runbook().with_nodes(nodes))
    }
}
