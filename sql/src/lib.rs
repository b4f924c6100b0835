//! The queue and capture objects, and typed wrappers around them.
