//! Replay: initial copy and batches beside the subscriber.
