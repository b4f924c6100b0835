//! Asks an object store, by tasks of a runtime of their own: whoever asks waits, as for a disk.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, LazyLock, Mutex, PoisonError, mpsc},
    time::Duration,
};

use admin::config::{BucketAddress, StoreKind};
use object_store::{
    BackoffConfig, ObjectStore, RetryConfig, aws::AmazonS3Builder, azure::MicrosoftAzureBuilder,
    gcp::GoogleCloudStorageBuilder,
};
use tokio::runtime::{Builder, Runtime};

use super::answer;

/// The longest time for one request, with its body, unless the option `timeout` says another.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The bytes that are sent or taken in that time even by a slow line; more bytes have more time.
const PER_TIMEOUT: u64 = 8 << 20;

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

/// The clients of this process, by their place and the patience that they have.
type Clients = HashMap<(BucketAddress, u32), Arc<dyn ObjectStore>>;

/// The stores that are open, with their connections.
static OPEN: LazyLock<Mutex<Clients>> = LazyLock::new(Mutex::default);

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

/// The client for requests of so many bytes. It keeps its connections, and is made once in a process.
pub(super) fn of(address: &BucketAddress, bytes: u64) -> io::Result<Arc<dyn ObjectStore>> {
    let patience = patience(bytes);
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    let key = (address.clone(), patience);
    if let Some(known) = open.get(&key) {
        return Ok(Arc::clone(known));
    }
    // Another one is there where this process has done so before, and it is the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let made = make(address, patience);
    let made = made.map_err(|error| answer::unusable(&address.to_string(), &error))?;
    open.insert(key, Arc::clone(&made));
    Ok(made)
}

/// How many times [`TIMEOUT`] a request of so many bytes may take: a power of two, so that there are few clients.
fn patience(bytes: u64) -> u32 {
    let begun = bytes.div_ceil(PER_TIMEOUT).clamp(1, 1024);
    u32::try_from(begun).map_or(1024, u32::next_power_of_two)
}

/// What a client is told after the environment, which counts less. `has_env`: whether the environment has a variable of
/// the store's that ends so. Pure.
fn settings(
    address: &BucketAddress,
    patience: u32,
    has_env: impl Fn(&str) -> bool,
) -> Vec<(&'static str, String)> {
    let mut settings = Vec::new();
    let given = |name: &str| {
        let mut options = address.options.iter();
        options
            .find(|(option, _)| option == name)
            .map(|(_, value)| value.as_str())
    };
    // The config has them in milliseconds.
    let time = |name: &str| given(name)?.strip_suffix("ms")?.parse().ok();
    let timeout = time("timeout").map(Duration::from_millis);
    if timeout.is_some() || !has_env("TIMEOUT") {
        let timeout = timeout.unwrap_or(TIMEOUT) * patience;
        settings.push(("timeout", format!("{}ms", timeout.as_millis())));
    }
    let connect = time("connect_timeout").map(Duration::from_millis);
    if connect.is_some() || !has_env("CONNECT_TIMEOUT") {
        let connect = connect.unwrap_or(CONNECT);
        settings.push(("connect_timeout", format!("{}ms", connect.as_millis())));
    }
    for name in [
        "account_name",
        "allow_http",
        "region",
        "service_account",
        "skip_signature",
        "virtual_hosted_style_request",
    ] {
        settings.extend(given(name).map(|value| (name, value.to_owned())));
    }
    if let Some(endpoint) = given("endpoint") {
        let names: &[&str] = match address.kind {
            // The second one of the environment would count more than the first one of the config.
            StoreKind::S3 => &["endpoint", "aws_endpoint_url_s3"],
            StoreKind::Google => &["base_url"],
            StoreKind::Azure => &["endpoint"],
        };
        settings.extend(names.iter().map(|name| (*name, endpoint.to_owned())));
    }
    settings
}

/// Makes a client from the environment, and from the options, which count more.
fn make(address: &BucketAddress, patience: u32) -> object_store::Result<Arc<dyn ObjectStore>> {
    let retry = RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(2),
            base: 2.0,
        },
        max_retries: 10,
        retry_timeout: RETRY,
    };
    let bucket = address.bucket.as_str();
    let settings = |prefix: &str| {
        let has_env = |name: &str| std::env::var_os(format!("{prefix}_{name}")).is_some();
        settings(address, patience, has_env)
    };
    Ok(match address.kind {
        StoreKind::S3 => {
            let mut builder = AmazonS3Builder::from_env();
            for (name, value) in settings("AWS") {
                builder = builder.with_config(name.parse()?, value);
            }
            let builder = builder.with_bucket_name(bucket).with_retry(retry);
            Arc::new(builder.build()?)
        }
        StoreKind::Google => {
            let mut builder = GoogleCloudStorageBuilder::from_env();
            for (name, value) in settings("GOOGLE") {
                builder = builder.with_config(name.parse()?, value);
            }
            let builder = builder.with_bucket_name(bucket).with_retry(retry);
            Arc::new(builder.build()?)
        }
        StoreKind::Azure => {
            let mut builder = MicrosoftAzureBuilder::from_env();
            for (name, value) in settings("AZURE") {
                builder = builder.with_config(name.parse()?, value);
            }
            let builder = builder.with_container_name(bucket).with_retry(retry);
            Arc::new(builder.build()?)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(kind: StoreKind, options: &[(&str, &str)]) -> BucketAddress {
        let options = options.iter();
        let options = options.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        BucketAddress {
            kind,
            bucket: "b".into(),
            prefix: String::new(),
            options: options.collect(),
        }
    }

    #[test]
    fn a_client_of_each_kind_takes_all_options_that_the_config_may_have() {
        let both = [
            ("timeout", "60000ms"),
            ("connect_timeout", "500ms"),
            ("endpoint", "http://h"),
            ("allow_http", "true"),
            ("skip_signature", "true"),
        ];
        let own = |kind| match kind {
            StoreKind::S3 => [("region", "r"), ("virtual_hosted_style_request", "false")].to_vec(),
            StoreKind::Google => Vec::new(),
            StoreKind::Azure => vec![("account_name", "a")],
        };
        for kind in [StoreKind::S3, StoreKind::Google, StoreKind::Azure] {
            let options = [&both[..], &own(kind)].concat();
            of(&address(kind, &options), 0).unwrap();
        }
    }

    #[test]
    fn options_count_more_than_the_environment_and_that_more_than_defaults() {
        let options = [("endpoint", "http://h"), ("timeout", "90000ms")];
        let all = settings(&address(StoreKind::S3, &options), 4, |_| true);
        let endpoint = |name| (name, "http://h".to_owned());
        let long = ("timeout", "360000ms".to_owned());
        let expected = vec![long, endpoint("endpoint"), endpoint("aws_endpoint_url_s3")];
        assert_eq!(all, expected);
        let all = settings(&address(StoreKind::Google, &options[..1]), 1, |_| false);
        let times = [("timeout", "60000ms"), ("connect_timeout", "5000ms")];
        let times = times.map(|(name, value)| (name, value.to_owned()));
        assert_eq!(all, [&times[..], &[endpoint("base_url")]].concat());
    }

    #[test]
    fn a_long_request_has_more_time() {
        for (megabytes, times) in [
            (0, 1),
            (8, 1),
            (9, 2),
            (17, 4),
            (1024, 128),
            (u64::MAX >> 21, 1024),
        ] {
            assert_eq!(patience(megabytes << 20), times, "{megabytes}");
        }
    }
}
