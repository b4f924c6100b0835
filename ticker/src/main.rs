//! The program `ticker`.

fn main() {}
