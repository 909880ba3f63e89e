#![allow(clippy::unwrap_used, clippy::panic)]
use super::*;
use crate::failure::Class;
use crate::plan::model::member::Disk;

const MIB: u64 = 1 << 20;

fn member(size: u64, in_use: u64) -> Member {
    let (size, in_use) = (size * MIB, in_use * MIB);
    let id = "8e9e05c52164694d".parse().unwrap();
    Member { id, leads: false, learner: false, size, in_use, quota: Some(2048 * MIB), disk: Disk::default() }
}

fn plane(node: &str, member: Member) -> ControlPlane {
    let (api, etcd) = (Answer::Known(None), Answer::Known(None));
    ControlPlane { node: node.to_owned(), api, etcd, member: Answer::Known(member), elsewhere: false }
}

fn means(fsync: u64, commit: u64) -> Means {
    Means { fsync: Duration::from_millis(fsync), commit: Duration::from_millis(commit) }
}

/// Of one member: why no run begins, and what is told.
fn judged(plane: &ControlPlane, means: Option<Means>) -> (Option<Cause>, Vec<String>) {
    let Fitness { mut closed, told } = fitness([(plane, means)]);
    (closed.pop().map(|(_, cause)| cause), told)
}

#[test]
fn what_keeps_a_run_from_beginning() {
    let well = plane("m", member(120, 60));
    assert_eq!(judged(&well, Some(means(4, 9))), (None, Vec::new()));
    assert_eq!(judged(&well, None), (None, Vec::new()), "a member that nobody writes to is not slow");
    let etcd = |answer| ControlPlane { etcd: answer, ..well.clone() };
    let ill = |words: &str| etcd(Answer::Known(Some(words.to_owned())));
    let with = |member| ControlPlane { member: Answer::Known(member), ..well.clone() };
    let rows: [(ControlPlane, Option<Means>, Class, &str, &str); 9] = [
        (ill("ALARM NOSPACE"), None, Class::Refused, "takes no writes any more: ALARM NOSPACE", " defrag "),
        (ill("ALARM CORRUPT"), None, Class::Refused, "its data differs from that of others", " endpoint hashkv "),
        (ill("RAFT NO LEADER"), None, Class::Hold, "it is not well: RAFT NO LEADER", ""),
        (etcd(Answer::Unknown("curl is missing".to_owned())), None, Class::Hold, "its health is not known: curl is missing", ""),
        (
            ControlPlane { member: Answer::Unknown("no numbers".to_owned()), ..well.clone() },
            None,
            Class::Hold,
            "what it counts of itself is not known: no numbers",
            "",
        ),
        (with(Member { learner: true, ..member(120, 60) }), None, Class::Hold, "it is a learner", ""),
        (with(member(1639, 100)), None, Class::Refused, "its database has 1639 MiB (100 MiB in use)", " defrag "),
        (with(member(2000, 1900)), None, Class::Refused, "at 2048 MiB it takes no writes any more", "quota-backend-bytes"),
        (well.clone(), Some(means(101, 9)), Class::Hold, "takes 101 ms for each write of its log", " check perf "),
    ];
    for (plane, means, class, says, advises) in rows {
        let (cause, _) = judged(&plane, means);
        let cause = cause.unwrap();
        assert!(cause.class == class && cause.what.contains(says), "{cause:?}");
        assert!(advises.is_empty() || cause.next[0].to_string().contains(advises), "{cause:?}");
    }
    assert_eq!(judged(&with(member(1638, 1638)), None), (None, Vec::new()), "just below 80 %");
    assert_eq!(judged(&with(Member { quota: None, ..member(9000, 9000) }), None), (None, Vec::new()), "without a limit");
}

#[test]
fn what_is_only_told() {
    let (closed, told) = judged(&plane("m", member(600, 250)), None);
    assert!(closed.is_none() && told[0].contains("etcd of m: 350 of the 600 MiB"), "{told:?}");
    assert!(judged(&plane("m", member(600, 350)), None).1.is_empty(), "less than half");
    assert!(judged(&plane("m", member(300, 50)), None).1.is_empty(), "not worth a word");
    let external = ControlPlane {
        elsewhere: true,
        etcd: Answer::Unknown("there is no manifest of an etcd on this node".to_owned()),
        ..plane("m", member(1, 1))
    };
    let (closed, told) = judged(&external, None);
    assert!(closed.is_none() && told[0].contains("no etcd of kubeadm's is on m"), "{told:?}");
}

/// A member that somebody has stopped by its manifest is away: it is not taken for one that runs elsewhere.
#[test]
fn one_without_a_member_beside_others_that_have_one_keeps_a_run_from_beginning() {
    let stopped = ControlPlane { elsewhere: true, ..plane("c", member(1, 1)) };
    let three = [plane("a", member(1, 1)), plane("b", member(1, 1)), stopped];
    let Fitness { closed, told } = fitness(three.iter().map(|plane| (plane, None)));
    let [(who, cause)] = &closed[..] else { panic!("{closed:?}") };
    assert_eq!((who.as_str(), cause.class, told.len()), ("etcd of c", Class::Hold, 0));
}

#[test]
fn slow_in_a_run_is_what_has_got_much_slower() {
    let before = Some(means(20, 30));
    assert_eq!(slow(means(201, 30), before).as_deref(), Some("takes 201 ms for each write of its log, 20 ms before the run"));
    assert_eq!(slow(means(200, 300), before), None, "ten times is not more than that");
    assert_eq!(slow(means(99, 30), Some(means(1, 1))), None, "however fast it was before");
    assert!(slow(means(20, 301), before).unwrap().contains("301 ms for each write of its database"));
}

#[test]
fn leadership_goes_where_it_may_stay() {
    let three = ["a", "b", "c"].map(|node| plane(node, member(1, 1)));
    let to = |leaving: &str, asked: &[ControlPlane], over: &[&str]| {
        heir(leaving, asked, |node| over.contains(&node)).map(|(node, _)| node.to_owned())
    };
    assert_eq!(to("a", &three, &[]).as_deref(), Some("c"), "the last to have its turn");
    assert_eq!(to("c", &three, &["a", "b"]).as_deref(), Some("b"));
    assert_eq!(to("b", &three, &["a"]).as_deref(), Some("a"), "its turn is over");
    let mut learner = three.clone();
    learner[2].member = Answer::Known(Member { learner: true, ..member(1, 1) });
    assert_eq!(to("a", &learner, &[]).as_deref(), Some("b"));
    learner[1].etcd = Answer::Known(Some("RAFT NO LEADER".to_owned()));
    assert_eq!(to("a", &learner, &[]), None);
    assert_eq!(to("a", &three[..1], &[]), None);
}
