//! What the commands that move the provider of a set have in common. `hosts` are asked and `facts` is what they say;
//! `work` is an operation under way, `forward` promotes and opens, `follow` waits for the others; `hook` runs the
//! operator's commands, and `refusal` is why nothing is done.

pub(crate) mod facts;
mod follow;
mod forward;
mod hook;
pub(crate) mod hosts;
pub(crate) mod refusal;
pub(crate) mod work;

pub(crate) use hook::run as run_hook;
