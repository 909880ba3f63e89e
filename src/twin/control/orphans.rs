//! The garbage collector: what becomes of those whose owner is gone, or goes.

use super::super::api::{FOREGROUND, ORPHAN, TRACKING, delete_pod, release, remove};
use super::super::state::State;
use super::super::store::{Key, Kind};
use super::objects::{MIRROR, annotation, owner, terminating, uid};

/// What a controller that is gone has left behind goes, too.
pub fn collect(state: &mut State, owner_uid: &str) {
    let left: Vec<Key> = state.control.index.children(owner_uid).cloned().collect();
    for key in left {
        let Some(object) = state.store.get(&key).cloned() else { continue };
        let of = owner(&object).and_then(|owner| owner.key(&key.namespace));
        let lives = of.and_then(|of| state.store.get(&of)).is_some_and(|of| uid(of) == owner_uid);
        if lives {
            continue;
        }
        // No Job counts it any more.
        release(state, &key, TRACKING);
        end(state, &key);
    }
}

fn end(state: &mut State, key: &Key) {
    let Some(object) = state.store.get(key).filter(|object| !terminating(object)) else { return };
    if key.kind == Kind::Pod && annotation(object, MIRROR).is_none() {
        delete_pod(state, key, None);
    } else {
        remove(state, key);
    }
}

/// An owner that is being deleted: its dependents lose it, or go first.
pub fn let_go(state: &mut State, key: &Key) {
    let Some(object) = state.store.get(key).filter(|object| terminating(object)).cloned() else { return };
    let holds =
        |finalizer: &str| object["metadata"]["finalizers"].as_array().into_iter().flatten().any(|known| known == finalizer);
    let dependents: Vec<Key> = state.control.index.children(uid(&object)).cloned().collect();
    if holds(ORPHAN) {
        for dependent in &dependents {
            release(state, dependent, TRACKING);
            state.store.update(dependent, |dependent| {
                if let Some(meta) = dependent["metadata"].as_object_mut() {
                    meta.shift_remove("ownerReferences");
                }
            });
        }
        release(state, key, ORPHAN);
    } else if holds(FOREGROUND) && dependents.is_empty() {
        release(state, key, FOREGROUND);
    } else if holds(FOREGROUND) {
        for dependent in dependents {
            release(state, &dependent, TRACKING);
            end(state, &dependent);
        }
    }
}
