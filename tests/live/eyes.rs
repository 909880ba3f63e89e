//! Somebody who looks on while the test goes on, on a thread of their own, and remembers what they saw.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// They look until they are told to end, or nobody wants to know any more.
pub struct Eyes<T> {
    seen: Arc<Mutex<T>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl<T: Clone + Default + Send + 'static> Eyes<T> {
    /// `look` goes on until it is to stop.
    pub fn open(look: impl AsyncFnOnce(&Mutex<T>, &AtomicBool) + Send + 'static) -> Self {
        let (seen, stop) = (Arc::new(Mutex::new(T::default())), Arc::new(AtomicBool::new(false)));
        let thread = std::thread::spawn({
            let (seen, stop) = (seen.clone(), stop.clone());
            move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
                runtime.block_on(look(&seen, &stop));
            }
        });
        Eyes { seen, stop, thread: Some(thread) }
    }

    /// What they have seen so far.
    pub fn now(&self) -> T {
        self.seen.lock().expect("they live").clone()
    }

    /// All that they have seen; they look no more.
    pub fn end(mut self) -> T {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().expect("it was started").join().expect("they did not panic");
        self.now()
    }
}

impl<T> Drop for Eyes<T> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
