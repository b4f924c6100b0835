//! Asks an object store, by tasks of a runtime of their own: whoever asks waits, as for a disk.

use std::{
    collections::HashMap,
    io::{self, ErrorKind},
    sync::{Arc, LazyLock, Mutex, PoisonError, mpsc},
    time::Duration,
};

use admin::config::{BucketAddress, StoreKind};
use object_store::{
    BackoffConfig, ClientConfigKey, ClientOptions, ObjectStore, RetryConfig, aws::AmazonS3Builder,
    azure::MicrosoftAzureBuilder, gcp::GoogleCloudStorageBuilder,
};
use tokio::runtime::{Builder, Runtime};

/// The longest time for one request, with its body, unless the option `timeout` says another.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The longest time for a connection, unless the option `connect_timeout` says another.
const CONNECT: Duration = Duration::from_secs(5);

/// A request that a store refuses for the moment is made again, for so long. Whoever asked tries again later, too.
pub(super) const RETRY: Duration = Duration::from_secs(15);

/// The work on all object stores of this process.
static RUNTIME: LazyLock<io::Result<Runtime>> = LazyLock::new(|| {
    Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("object-store")
        .enable_all()
        .build()
});

/// The stores that are open, with their connections.
static OPEN: LazyLock<Mutex<HashMap<BucketAddress, Arc<dyn ObjectStore>>>> =
    LazyLock::new(Mutex::default);

/// What an object store has answered, or that it has not.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Answer(String);

/// Whether an error is an answer of an object store, or that there was none.
pub(super) fn is_answer(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Answer>())
}

/// The error of a request for an object.
pub(super) fn failed(path: &str, error: &object_store::Error) -> io::Error {
    use object_store::Error;
    let known = if matches!(error, Error::NotFound { .. }) {
        Some((ErrorKind::NotFound, "it is not there"))
    } else if matches!(error, Error::AlreadyExists { .. }) {
        Some((ErrorKind::AlreadyExists, "it is there already"))
    } else if matches!(error, Error::PermissionDenied { .. }) {
        Some((ErrorKind::PermissionDenied, "the store denies it"))
    } else if matches!(error, Error::Unauthenticated { .. }) {
        let what =
            "the store does not accept the keys (AWS_*, GOOGLE_* or AZURE_* in the environment)";
        Some((ErrorKind::PermissionDenied, what))
    } else {
        None
    };
    match known {
        Some((kind, what)) => io::Error::new(kind, Answer(format!("{path}: {what}"))),
        None => io::Error::other(Answer(format!("{path}: {}", plain(&chain(error))))),
    }
}

/// An error that is none of the store's.
pub(super) fn refused(path: &str, what: &str) -> io::Error {
    io::Error::other(Answer(format!("{path}: {what}")))
}

/// An error and its causes, each once.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// One line that is not too long, without what stands behind a `?` of an address: a signature may.
fn plain(text: &str) -> String {
    const LONGEST: usize = 400;
    let word = |word: &str| match word.split_once('?') {
        Some((before, _)) if before.contains("://") => before.to_owned(),
        Some(_) | None => word.to_owned(),
    };
    let words: Vec<String> = text.split_whitespace().map(word).collect();
    words.join(" ").chars().take(LONGEST).collect()
}

/// Does work on a store, and waits for it. May be called anywhere, also by a task: it takes its thread, as reading a
/// file does.
pub(super) fn wait<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> io::Result<T> {
    let (done, taken) = mpsc::sync_channel(1);
    spawn(async move {
        let _ = done.send(work.await);
    })?;
    let broken = |_| io::Error::other("the work on an object store broke off");
    taken.recv().map_err(broken)
}

/// Does work on a store, beside the caller.
pub(super) fn spawn(work: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
    match &*RUNTIME {
        Ok(runtime) => {
            runtime.spawn(work);
            Ok(())
        }
        Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
    }
}

/// The client for a bucket. It keeps its connections, and is made once in a process.
pub(super) fn of(address: &BucketAddress) -> io::Result<Arc<dyn ObjectStore>> {
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = open.get(address) {
        return Ok(Arc::clone(known));
    }
    // Another one is there where this process has done so before, and it is the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let made = make(address).map_err(|error| {
        let text = format!("{address}: {}", plain(&chain(&error)));
        io::Error::new(ErrorKind::InvalidInput, Answer(text))
    })?;
    open.insert(address.clone(), Arc::clone(&made));
    Ok(made)
}

/// Makes a client from the environment, and from the options, which count more.
fn make(address: &BucketAddress) -> object_store::Result<Arc<dyn ObjectStore>> {
    let retry = RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(2),
            base: 2.0,
        },
        max_retries: 10,
        retry_timeout: RETRY,
    };
    let mut client = ClientOptions::new()
        .with_timeout(TIMEOUT)
        .with_connect_timeout(CONNECT);
    let mut rest = Vec::new();
    for (name, value) in &address.options {
        let key = match name.as_str() {
            "allow_http" => ClientConfigKey::AllowHttp,
            "timeout" => ClientConfigKey::Timeout,
            "connect_timeout" => ClientConfigKey::ConnectTimeout,
            _ => {
                rest.push((name, value));
                continue;
            }
        };
        client = client.with_config(key, value);
    }
    let bucket = address.bucket.as_str();
    Ok(match address.kind {
        StoreKind::S3 => {
            let mut builder = AmazonS3Builder::from_env();
            for (name, value) in rest {
                builder = builder.with_config(name.parse()?, value);
            }
            let builder = builder.with_bucket_name(bucket).with_retry(retry);
            Arc::new(builder.with_client_options(client).build()?)
        }
        StoreKind::Google => {
            let mut builder = GoogleCloudStorageBuilder::from_env();
            for (name, value) in rest {
                builder = builder.with_config(name.parse()?, value);
            }
            let builder = builder.with_bucket_name(bucket).with_retry(retry);
            Arc::new(builder.with_client_options(client).build()?)
        }
        StoreKind::Azure => {
            let mut builder = MicrosoftAzureBuilder::from_env();
            for (name, value) in rest {
                builder = builder.with_config(name.parse()?, value);
            }
            let builder = builder.with_container_name(bucket).with_retry(retry);
            Arc::new(builder.with_client_options(client).build()?)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_line_without_a_signature() {
        let text = plain("Error at https://host/a/b?sig=SECRET&x=1\n  <Code>Slow</Code>");
        assert_eq!(text, "Error at https://host/a/b <Code>Slow</Code>");
        assert!(is_answer(&refused("a", "no")));
        assert!(!is_answer(&io::Error::other("no")));
    }
}
