//! Configuration, daemon control, logs and output of the three programs.
