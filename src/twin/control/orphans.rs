//! The garbage collector: what a controller that is gone has left behind goes, too.

use super::super::api::delete_pod;
use super::super::state::State;
use super::super::store::{Key, Kind};
use super::objects::{MIRROR, annotation, owner, terminating, uid};
use super::unmodelled;

pub fn collect(state: &mut State, owner_uid: &str) {
    let left: Vec<Key> = state.control.index.children(owner_uid).cloned().collect();
    for key in left {
        let Some(object) = state.store.get(&key).cloned() else { continue };
        let of = owner(&object).and_then(|owner| owner.key(&key.namespace));
        let lives = of.and_then(|of| state.store.get(&of)).is_some_and(|of| uid(of) == owner_uid);
        if lives || terminating(&object) {
            continue;
        }
        let guarded = object["metadata"]["finalizers"].as_array().is_some_and(|finalizers| !finalizers.is_empty());
        if guarded {
            unmodelled(state, format!("the finalizers of {} {}", key.kind.names().kind, key.full_name()));
        } else if key.kind == Kind::Pod && annotation(&object, MIRROR).is_none() {
            delete_pod(state, &key, None);
        } else {
            state.store.remove(&key);
        }
    }
}
