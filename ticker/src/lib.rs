//! The ticker: ticks, rotation and retry beside the provider.
