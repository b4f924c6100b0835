//! Replay: COPY-based initial sync, then batches, beside the subscriber.
//!
//! `batch_loop` tells the story of one batch; the rooms around it are `source` (the
//! provider's side), `change` and `fold` (pure), `table` (states, pure), `apply` (the
//! subscriber's side) and `copy` (initial sync).
