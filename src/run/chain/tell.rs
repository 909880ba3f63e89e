//! What detection found and did not go to, told to people who look at no log: at first, and then once a month as long as it stays as it is.

use crate::failure::Cause;
use crate::plan::decide::detect::Detection;
use crate::plan::model::found::Found;
use crate::plan::model::marks::Edit;
use crate::plan::model::version::Version;
use crate::report::Notice;
use crate::run::services::Services;

/// One thing to tell.
pub struct News {
    pub release: Version,
    /// By which it is known again: as long as that is the same, it is no news.
    pub why: String,
    pub notice: Notice,
}

/// What there is to tell of what was found.
pub fn of(services: &Services, found: &Detection) -> Vec<News> {
    let told = found.passed_over.iter().filter(|passed_over| passed_over.why.is_told());
    let mut news: Vec<News> = told
        .map(|passed_over| {
            let (release, why) = (passed_over.release, passed_over.why.to_string());
            News { release, why: why.clone(), notice: Notice::PassedOver { release, why } }
        })
        .collect();
    news.extend(found.asks.map(|release| {
        let notice = Notice::Asks { release, running: found.running, holds: services.settings.approval_holds };
        News { release, why: "ask".to_owned(), notice }
    }));
    news
}

/// Tells what is due of it, and records that; what is not due, the log alone hears. `former`: what was recorded before.
pub async fn tell(services: &Services, place: &str, former: &Found, asks: Option<Version>, news: Vec<News>) {
    let now = services.session.now();
    let mut found = Found { asks, ..former.clone() };
    for News { release, why, notice } in news {
        match former.last(release, &why).filter(|_| !former.is_due(release, &why, now)) {
            Some(last) => {
                let last = last.strftime("%Y-%m-%d");
                services
                    .session
                    .note(place, format!("{}; people were told on {last}, and are again after a month", notice.brief()));
            }
            None => {
                // Whether what came before has arrived is of no interest here.
                services.notices.flush().await;
                services.session.notice(place, &notice);
                // What has not arrived is told by the next detection.
                if services.notices.flush().await {
                    found = found.told(release, &why, now);
                }
            }
        }
    }
    if found != *former
        && let Err(cause) = services.record.mark_namespace(place, "record what people were told of", &[Edit::found(&found)]).await
    {
        services
            .session
            .warn(place, format!("what people were told of could not be recorded, and is told again: {}", cause.what));
    }
}

/// A run does not begin, for a reason that time may take away; `why` is by what it is known again.
pub async fn deferred(services: &Services, place: &str, target: Version, why: &str, cause: Cause) {
    let former = match services.observer.observe_as_it_is().await {
        Ok(facts) => facts.marks.found,
        Err(_) => Found::default(),
    };
    let reasons = cause.detail.join("; ");
    let notice = Notice::Deferred { target, what: cause.what, reasons };
    tell(services, place, &former, former.asks, vec![News { release: target, why: why.to_owned(), notice }]).await;
}
