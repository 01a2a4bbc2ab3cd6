//! Opening a store: settings from the environment and profile files.

use std::future::Future;
use std::sync::{Arc, Weak};
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, Checksum, S3ConditionalPut};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::client::HttpConnector;
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};
use tokio::runtime::{Builder, Runtime};

use crate::asking::Connector;
use crate::retention::Amazon;
use crate::settings::Settings;
use crate::{BucketError, BucketUrl, Scheme, Traffic};

/// How often a request is made again at most.
const RETRIES_MAX: usize = 10;
/// Longest and shortest pause before that, unless there is little patience.
const PAUSE_MAX: Duration = Duration::from_secs(15);
const PAUSE_MIN: Duration = Duration::from_millis(200);
/// A request without any progress for so long is given up and made again.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections that are kept for the next request.
const CONNECTIONS_KEPT: usize = 16;
/// Threads for what requests wait for; what they compute is little.
const THREADS: usize = 2;

/// An open store.
#[derive(Clone)]
pub struct Connection {
    store: Arc<dyn ObjectStore>,
    url: BucketUrl,
    runtime: Arc<Runtime>,
    settings: Settings,
    place: String,
    /// What only one of the protocols has.
    pub(crate) amazon: Option<Arc<Amazon>>,
    /// What requests are made through it.
    pub traffic: Traffic,
}

impl Connection {
    /// The store itself, for what has nothing to do with a repository.
    pub fn store(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.store)
    }

    pub(crate) fn parts(&self) -> (Arc<dyn ObjectStore>, BucketUrl, Arc<Runtime>) {
        (self.store(), self.url.clone(), Arc::clone(&self.runtime))
    }

    pub(crate) fn settings(&self) -> Settings {
        self.settings
    }

    /// Which store it is, whatever is below it: where it answers, and the bucket.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Whether a store may be written to that cannot keep two writers apart.
    pub fn may_be_unprotected(&self) -> bool {
        self.settings.unprotected
    }

    /// Waits for requests.
    pub fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }
}

/// Opens the store of a location. `variables` are those of the environment, and what profile files add to them
/// ([`crate::profile`]).
///
/// # Errors
/// Something is missing or contradicts itself. Nothing is asked of the store yet.
pub fn connect(url: &BucketUrl, variables: &[(String, String)]) -> Result<Connection, BucketError> {
    let wrong = |reason: String| BucketError::Settings {
        location: url.to_string(),
        reason,
    };
    // Another part of the program may have chosen the same one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = Builder::new_multi_thread()
        .worker_threads(THREADS)
        .thread_name("requests")
        .enable_all()
        .build()
        .map_err(|error| wrong(error.to_string()))?;
    let settings = Settings::read(url, variables)?;
    let traffic = Traffic::default();
    let connector = Connector {
        traffic: traffic.clone(),
        amazon: Weak::new(),
        patience: settings.patience,
    };
    let endpoint = endpoint(variables).unwrap_or("-");
    let built = build(url, variables, connector).map_err(|error| wrong(error.to_string()))?;
    let (store, amazon) = built;
    Ok(Connection {
        store,
        place: format!("{endpoint} {}://{}", url.scheme.name(), url.bucket),
        settings,
        url: url.clone(),
        runtime: Arc::new(runtime),
        amazon,
        traffic,
    })
}

/// Where a store like Amazon's answers that is not Amazon's.
fn endpoint(variables: &[(String, String)]) -> Option<&str> {
    const NAMES: [&str; 3] = ["aws_endpoint_url_s3", "aws_endpoint_url", "aws_endpoint"];
    let found = variables.iter().find(|(key, value)| {
        !value.is_empty() && NAMES.contains(&key.to_ascii_lowercase().as_str())
    });
    found.map(|(_, value)| value.as_str())
}

/// A store, and what only Amazon's protocol has.
type Built = (Arc<dyn ObjectStore>, Option<Arc<Amazon>>);

fn build(
    url: &BucketUrl,
    variables: &[(String, String)],
    connector: Connector,
) -> Result<Built, object_store::Error> {
    let lowered = || {
        let set = variables.iter().filter(|(_, value)| !value.is_empty());
        set.map(|(key, value)| (key.to_ascii_lowercase(), value))
    };
    let options = ClientOptions::new()
        .with_timeout_disabled()
        .with_read_timeout(READ_TIMEOUT)
        .with_connect_timeout(CONNECT_TIMEOUT)
        .with_pool_max_idle_per_host(CONNECTIONS_KEPT);
    let retry = RetryConfig {
        backoff: BackoffConfig {
            init_backoff: PAUSE_MIN.min(connector.patience / 40),
            max_backoff: PAUSE_MAX.min(connector.patience / 8),
            base: 2.0,
        },
        max_retries: RETRIES_MAX,
        retry_timeout: connector.patience,
    };
    Ok(match url.scheme {
        Scheme::S3 => {
            let mut builder = AmazonS3Builder::new().with_client_options(options.clone());
            for (key, value) in lowered().filter(|(key, _)| key.starts_with("aws_")) {
                if let Ok(key) = key.parse::<AmazonS3ConfigKey>() {
                    builder = builder.with_config(key, value);
                }
            }
            // Whoever writes http:// means it.
            let is_plain = endpoint(variables).is_some_and(|value| value.starts_with("http://"));
            if is_plain {
                builder = builder.with_allow_http(true);
            }
            let region = builder.get_config_value(&AmazonS3ConfigKey::Region);
            let amazon = Arc::new(Amazon::new(region));
            let connector = Connector {
                amazon: Arc::downgrade(&amazon),
                ..connector
            };
            let client = connector.connect(&options.with_allow_http(is_plain))?;
            let store = Arc::new(
                builder
                    .with_bucket_name(&url.bucket)
                    .with_conditional_put(S3ConditionalPut::ETagMatch)
                    .with_checksum_algorithm(Checksum::SHA256)
                    .with_retry(retry)
                    .with_http_connector(connector)
                    .build()?,
            );
            amazon.begin(Arc::clone(&store), client);
            (store, Some(amazon))
        }
        Scheme::Gs => {
            let mut builder = GoogleCloudStorageBuilder::new().with_client_options(options);
            for (key, value) in lowered().filter(|(key, _)| key.starts_with("google_")) {
                if let Ok(key) = key.parse::<GoogleConfigKey>() {
                    builder = builder.with_config(key, value);
                }
            }
            let store = builder
                .with_bucket_name(&url.bucket)
                .with_retry(retry)
                .with_http_connector(connector)
                .build()?;
            (Arc::new(store), None)
        }
        Scheme::Az => {
            let mut builder = MicrosoftAzureBuilder::new().with_client_options(options);
            for (key, value) in lowered().filter(|(key, _)| key.starts_with("azure_")) {
                if let Ok(key) = key.parse::<AzureConfigKey>() {
                    builder = builder.with_config(key, value);
                }
            }
            let store = builder
                .with_container_name(&url.bucket)
                .with_retry(retry)
                .with_http_connector(connector)
                .build()?;
            (Arc::new(store), None)
        }
    })
}
