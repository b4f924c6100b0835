//! Wrong configs, unreachable servers, tables that cannot be replicated: a clear
//! message that names what and where, the right exit code, nothing half done.

mod configs;
mod named;
mod servers;
mod tables;
