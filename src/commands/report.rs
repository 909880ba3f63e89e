//! `report`: what happened in a run, from its journals.

use crate::cli::Page;
use crate::failure::{Cause, Failure, Outcome};
use crate::plan::model::journal::{BY_HAND, Journal};
use crate::plan::view::cut::Now;
use crate::plan::view::{story, timeline};
use crate::report::{self, Printed};
use crate::run::Services;
use crate::run::view::input::leases;

/// The story of a run, else of the newest, out of its journals.
pub async fn report(services: &Services, run: Option<&str>, output: Page) -> Result<Outcome, Failure> {
    let (journals, mut unreadable) = services.journal.all().await.map_err(Failure::nothing_begun)?;
    let facts = services.observer.observe_as_it_is().await.map_err(Failure::nothing_begun)?;
    let Some(run) = run.map(str::to_owned).or_else(|| newest(&journals)) else {
        for line in &unreadable {
            services.session.warn("", line);
        }
        services.session.note("", "no journal is there: the next run writes the first");
        return Ok(Outcome::Nothing);
    };
    let of_run: Vec<Journal> = journals.iter().filter(|journal| journal.head.run == run).cloned().collect();
    let leases = leases(services, &facts).await.unwrap_or_else(|cause| {
        unreadable.push(format!("who holds a Lease now: {}", cause.what));
        Vec::new()
    });
    let now = Now::of(&run, &facts, leases, services.session.now());
    let Some(story) = story::tell(&run, &of_run, &unreadable, &now, run == BY_HAND) else {
        let detail: Vec<String> = known(&journals).into_iter().chain(unreadable).collect();
        return Err(Failure::nothing_begun(
            Cause::usage(format!("no journal of a run {run} is there")).detail(detail).next("k8s-upgrade report"),
        ));
    };
    let drawn = || timeline::draw(&story, &of_run, &now);
    let text = match output {
        Page::Text => report::text(&story),
        Page::Markdown => report::markdown(&story, &drawn()),
        Page::Html => report::html(&story, &drawn()),
        Page::Svg => report::svg(&story, &drawn()),
        Page::Json | Page::Yaml => Printed::pretty(&story).map_err(Failure::nothing_begun)?,
    };
    services.session.print(&text).map_err(Failure::nothing_begun)?;
    Ok(Outcome::Done)
}

/// Of what was done outside runs only if there is nothing else.
fn newest(journals: &[Journal]) -> Option<String> {
    let newest = journals.iter().max_by_key(|journal| (journal.head.run != BY_HAND, journal.head.begun));
    newest.map(|journal| journal.head.run.clone())
}

/// The runs of which there is a journal, newest first.
fn known(journals: &[Journal]) -> Vec<String> {
    let mut begun: Vec<(jiff::Timestamp, &str)> = Vec::new();
    for Journal { head, .. } in journals {
        match begun.iter_mut().find(|(_, run)| *run == head.run) {
            Some((at, _)) => *at = head.begun.min(*at),
            None => begun.push((head.begun, &head.run)),
        }
    }
    begun.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    begun.iter().map(|(at, run)| format!("{run}  began {}", at.strftime("%Y-%m-%d %H:%M:%S UTC"))).collect()
}
