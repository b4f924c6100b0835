//! Throw-away clusters and helpers for the tests.
