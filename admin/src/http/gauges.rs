//! Gauges with labels, of numbers that may not be known. Pure.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::{family::Family, gauge::Gauge};
use prometheus_client::registry::Registry;

type Labels = Vec<(String, String)>;

/// A gauge with labels and floating point values.
#[derive(Debug, Default, Clone)]
pub struct Gauges(Family<Labels, Gauge<f64, AtomicU64>>);

impl Gauges {
    /// Registers a gauge under the registry's prefix and this name.
    pub fn of(registry: &mut Registry, name: &str, help: &str) -> Gauges {
        let gauges = Gauges::default();
        registry.register(name, help, gauges.0.clone());
        gauges
    }

    /// Sets the gauge for some labels; an unknown value is left out.
    pub fn set(&self, labels: &[(&str, &str)], value: Option<f64>) {
        if let Some(value) = value {
            let labels = labels
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect();
            self.0.get_or_create(&labels).set(value);
        }
    }
}
