//! Whether an object was made.

/// Whether an object was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Create {
    /// It is there, safe from a power cut, and nobody had made it.
    Made,
    /// There is one of that name.
    Exists,
}
