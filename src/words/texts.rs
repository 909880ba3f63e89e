//! All texts in a value, named one by one, so that the compiler finds the field that somebody forgets.

use std::time::Duration;

use jiff::Timestamp;

use super::line;

/// A value with texts of others in it. [`crate::words::texts!`] writes it for a struct or an enum.
pub trait Texts {
    /// Hands every text to `edit`.
    fn texts(&mut self, edit: &mut dyn FnMut(&mut String));
}

/// A copy that can be shown: every text in it is one sane line.
pub fn shown<T: Texts + Clone>(value: &T) -> T {
    let mut shown = value.clone();
    shown.texts(&mut |text| *text = line(text));
    shown
}

impl Texts for String {
    fn texts(&mut self, edit: &mut dyn FnMut(&mut String)) {
        edit(self);
    }
}

impl<T: Texts> Texts for Option<T> {
    fn texts(&mut self, edit: &mut dyn FnMut(&mut String)) {
        self.iter_mut().for_each(|value| value.texts(edit));
    }
}

impl<T: Texts> Texts for Vec<T> {
    fn texts(&mut self, edit: &mut dyn FnMut(&mut String)) {
        self.iter_mut().for_each(|value| value.texts(edit));
    }
}

impl<A: Texts, B: Texts> Texts for (A, B) {
    fn texts(&mut self, edit: &mut dyn FnMut(&mut String)) {
        self.0.texts(edit);
        self.1.texts(edit);
    }
}

impl<A: Texts, B: Texts> Texts for Result<A, B> {
    fn texts(&mut self, edit: &mut dyn FnMut(&mut String)) {
        match self {
            Ok(value) => value.texts(edit),
            Err(error) => error.texts(edit),
        }
    }
}

/// `texts!(Row { node, state })`, `texts!(enum Event { Note { place, text } })`; `texts!(none: bool)` for what has none.
macro_rules! texts {
    (none: $($name:ty),+ $(,)?) => {$(
        impl $crate::words::Texts for $name {
            fn texts(&mut self, _: &mut dyn FnMut(&mut String)) {}
        }
    )+};
    (enum $name:ident { $($variant:ident { $($field:ident),* }),+ $(,)? }) => {
        impl $crate::words::Texts for $name {
            fn texts(&mut self, edit: &mut dyn FnMut(&mut String)) {
                match self {
                    $($name::$variant { $($field),* } => { $($crate::words::Texts::texts($field, edit);)* })+
                }
            }
        }
    };
    ($name:ident { $($field:ident),* $(,)? }) => {
        impl $crate::words::Texts for $name {
            fn texts(&mut self, edit: &mut dyn FnMut(&mut String)) {
                let $name { $($field),* } = self;
                $($crate::words::Texts::texts($field, edit);)*
            }
        }
    };
}
pub(crate) use texts;

texts!(none: bool, u8, u32, i32, u64, f64, usize, &'static str, Timestamp, Duration);
