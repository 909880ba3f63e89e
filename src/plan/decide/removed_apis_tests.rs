#![allow(clippy::unwrap_used)]
use super::*;
use crate::failure::Class;

const TARGET: Version = Version::new(1, 36, 3);
const SINCE: &str = "2026-11-28T03:14:00Z";

fn call(api: &str, removed: &str) -> Call {
    let removed = if removed.is_empty() { None } else { Some(removed.parse().unwrap()) };
    Call { api: api.parse().unwrap(), subresource: None, removed }
}

fn server(node: &str, calls: &[Call]) -> Server {
    let counted = Counted { since: SINCE.parse().unwrap(), calls: calls.to_vec(), writers: Vec::new() };
    Server { node: node.to_owned(), counted: Answer::Known(counted) }
}

fn silent(node: &str) -> Server {
    Server { node: node.to_owned(), counted: Answer::Unknown("no way to".to_owned()) }
}

fn judged(servers: &[Server], ignore: &[&str]) -> Result<(), Cause> {
    let ignore: Vec<ApiResource> = ignore.iter().map(|api| api.parse().unwrap()).collect();
    find(servers, TARGET).judge(&ignore, &Callers::new())
}

#[test]
fn what_the_target_no_longer_serves_is_refused_and_nothing_else() {
    for (removed, refused) in
        [("1.36", true), ("1.35", true), ("1.9", true), ("1.37", false), ("1.100", false), ("2.0", false), ("", false)]
    {
        let judged = judged(&[server("m1", &[call("a.io/v1beta1/things", removed)])], &[]);
        assert_eq!(judged.is_err(), refused, "{removed}: {judged:?}");
        assert!(judged.is_ok() || judged.unwrap_err().class == Class::Refused);
    }
    assert_eq!(judged(&[server("m1", &[])], &[]), Ok(()));
}

#[test]
fn a_refusal_names_what_where_since_when_by_whom_and_how_to_go_on() {
    let gone = || call("a.io/v1beta1/things", "1.36");
    let scale = Call { subresource: Some("scale".parse().unwrap()), ..gone() };
    let servers = [server("m1", &[gone(), call("v1/endpoints", "")]), server("m2", &[gone(), scale])];
    let callers = Callers::from([(gone().api, vec!["webhook w".to_owned()])]);
    let found = find(&servers, TARGET);
    let cause = found.judge(&["b.io/v1/others".parse().unwrap()], &callers).unwrap_err();
    assert_eq!(cause.what, "2 API(s) are called that 1.36 no longer serves");
    assert_eq!(
        cause.detail,
        [
            "a.io/v1beta1/things: not served from 1.36 on, and called at m1 since its start at 2026-11-28T03:14:00Z, m2 since its start at \
             2026-11-28T03:14:00Z",
            "  webhook w",
            "a.io/v1beta1/things/scale: not served from 1.36 on, and called at m2 since its start at 2026-11-28T03:14:00Z",
            "  webhook w",
            "the setting that would let this pass, and what still calls them fails from then on: \
             removed-apis-ignore: [a.io/v1beta1/things, b.io/v1/others]",
        ]
    );
    let next: Vec<&str> = cause.next.iter().map(|advice| advice.command.as_str()).collect();
    assert_eq!(
        next[0],
        "kubectl get things.a.io -A --show-managed-fields -o 'jsonpath={range .items[*]}{.metadata.namespace}/{.metadata.name} \
         {.metadata.managedFields[?(@.apiVersion==\"a.io/v1beta1\")].manager}{\"\\n\"}{end}'    # who has written objects through \
         a.io/v1beta1/things"
    );
    assert!(next[1].starts_with("sudo pkill -x kube-apiserver    # on m1, m2, one after the other,"), "{next:?}");
    // The value that it names keeps what is in it already, and lets all that pass.
    assert_eq!(judged(&servers, &["a.io/v1beta1/things"]), Ok(()));
    let ignored = found.ignored(&[gone().api]);
    assert!(ignored.len() == 2 && ignored[0].contains("removed-apis-ignore lets it pass"), "{ignored:?}");
    assert!(found.ignored(&[]).is_empty());
    assert_eq!(
        (found.quiet(), found.later().as_deref()),
        (None, Some("called and deprecated, and still served by 1.36: v1/endpoints"))
    );
}

#[test]
fn whoever_has_written_objects_through_it_is_named_once() {
    let by = |api: &str, manager: &str, objects| Writer {
        api: api.parse().unwrap(),
        manager: manager.to_owned(),
        objects,
        one: "shop/cart".to_owned(),
    };
    let things = "a.io/v1beta1/things";
    let with_writers = |node: &str| {
        let mut server = server(node, &[call(things, "1.36")]);
        if let Answer::Known(counted) = &mut server.counted {
            counted.writers =
                vec![by(things, "helm", 1), by(things, "argocd-controller", 12), by("a.io/v1/others", "kubectl", 1)];
        }
        server
    };
    let cause = judged(&[with_writers("m1"), with_writers("m2")], &[]).unwrap_err();
    assert_eq!(
        cause.detail[1..3],
        [
            "  helm has written shop/cart through this version",
            "  argocd-controller has written shop/cart and 11 others through this version"
        ]
    );
    assert!(!cause.detail.iter().any(|line| line.contains("kubectl has")), "{cause:?}");
}

#[test]
fn who_could_not_be_asked_holds_whatever_the_others_say() {
    let cause = judged(&[server("m1", &[]), silent("m2")], &[]).unwrap_err();
    assert_eq!(cause.class, Class::Hold);
    assert_eq!(cause.detail, ["which deprecated APIs are called is not known of m2: no way to"]);
    // A setting lets pass what it names, and not what nobody knows.
    let gone = server("m1", &[call("a.io/v1beta1/things", "1.36")]);
    assert_eq!(judged(&[gone.clone(), silent("m2")], &["a.io/v1beta1/things"]).unwrap_err().class, Class::Hold);
    let both = judged(&[gone, silent("m2")], &[]).unwrap_err();
    assert!(both.class == Class::Refused && both.detail.len() == 3 && both.detail[1].contains("m2"), "{both:?}");
}

#[test]
fn what_is_well_is_told_with_since_when_it_is_known() {
    let of = |calls: &[Call]| find(&[server("m1", calls), silent("m2")], TARGET);
    let quiet = Some("nobody has called an API that 1.36 no longer serves at m1 since its start at 2026-11-28T03:14:00Z");
    assert_eq!((of(&[]).quiet().as_deref(), of(&[]).later()), (quiet, None));
    let later = of(&[call("a.io/v1beta1/things", "1.38"), call("v1/endpoints", "")]);
    let served = "called and deprecated, and still served by 1.36: a.io/v1beta1/things (until 1.38), v1/endpoints";
    assert_eq!((later.quiet().as_deref(), later.later().as_deref()), (quiet, Some(served)));
    assert_eq!(find(&[silent("m1")], TARGET).quiet(), None);
}
