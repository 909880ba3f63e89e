//! Whether it is the machine that was meant that answers by SSH, and with which key it is asked.

pub mod identity;
pub mod keys;
pub mod known_hosts;
