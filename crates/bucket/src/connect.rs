//! Opening a store: settings from the environment and profile files, and requests that are counted.

use std::future::Future;
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use http_body::Frame;
use http_body_util::StreamBody;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, Checksum, S3ConditionalPut};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpResponseBody, HttpService,
    ReqwestConnector,
};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};
use sync_wrapper::SyncStream;
use tokio::runtime::{Builder, Runtime};

use crate::retention::Amazon;
use crate::traffic::Kind;
use crate::{BucketError, BucketUrl, Scheme, Traffic};

/// The stores most people have do not answer for a while now and then; after this the command fails.
const RETRY_TIMEOUT: Duration = Duration::from_mins(3);
/// How often a request is made again at most.
const RETRIES_MAX: usize = 10;
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
    let traffic = Traffic::default();
    let built = build(url, variables, &traffic).map_err(|error| wrong(error.to_string()))?;
    let (store, amazon) = built;
    Ok(Connection {
        store,
        url: url.clone(),
        runtime: Arc::new(runtime),
        amazon,
        traffic,
    })
}

/// A store, and what only Amazon's protocol has.
type Built = (Arc<dyn ObjectStore>, Option<Arc<Amazon>>);

fn build(
    url: &BucketUrl,
    variables: &[(String, String)],
    traffic: &Traffic,
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
            init_backoff: Duration::from_millis(200),
            max_backoff: Duration::from_secs(15),
            base: 2.0,
        },
        max_retries: RETRIES_MAX,
        retry_timeout: RETRY_TIMEOUT,
    };
    let connector = Counting {
        traffic: traffic.clone(),
        amazon: Weak::new(),
    };
    Ok(match url.scheme {
        Scheme::S3 => {
            let mut builder = AmazonS3Builder::new().with_client_options(options.clone());
            for (key, value) in lowered().filter(|(key, _)| key.starts_with("aws_")) {
                if let Ok(key) = key.parse::<AmazonS3ConfigKey>() {
                    builder = builder.with_config(key, value);
                }
            }
            let endpoint = lowered().find(|(key, _)| {
                ["aws_endpoint_url_s3", "aws_endpoint_url", "aws_endpoint"].contains(&key.as_str())
            });
            // Whoever writes http:// means it.
            let is_plain = endpoint.is_some_and(|(_, value)| value.starts_with("http://"));
            if is_plain {
                builder = builder.with_allow_http(true);
            }
            let region = builder.get_config_value(&AmazonS3ConfigKey::Region);
            let amazon = Arc::new(Amazon::new(region));
            let connector = Counting {
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

/// Makes requests and counts them.
#[derive(Debug, Clone)]
struct Counting {
    traffic: Traffic,
    /// It has a store that makes requests through this.
    amazon: Weak<Amazon>,
}

impl HttpConnector for Counting {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = ReqwestConnector::default().connect(options)?;
        let counting = self.clone();
        Ok(HttpClient::new(CountingClient { client, counting }))
    }
}

#[derive(Debug)]
struct CountingClient {
    client: HttpClient,
    counting: Counting,
}

#[async_trait]
impl HttpService for CountingClient {
    async fn call(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let traffic = &self.counting.traffic;
        if let Some(amazon) = self.counting.amazon.upgrade() {
            amazon.lock(&mut request).await?;
        }
        let query = request.uri().query().unwrap_or_default();
        let kind = match request.method().as_str() {
            "GET" if query.contains("list-type=") || query.contains("comp=list") => Kind::List,
            "GET" | "HEAD" => Kind::Read,
            "DELETE" => Kind::Removal,
            "POST" if query == "delete" || query.starts_with("delete=") => Kind::Removal,
            _ => Kind::Write,
        };
        traffic.request(kind, request.body().content_length() as u64);
        let response = match self.client.execute(request).await {
            Ok(response) => response,
            Err(error) => {
                traffic.failed();
                return Err(error);
            }
        };
        if response.status().is_server_error() {
            traffic.failed();
        }
        let (head, body) = response.into_parts();
        let traffic = traffic.clone();
        let counted = body.bytes_stream().map(move |piece| {
            if let Ok(piece) = &piece {
                traffic.received(piece.len() as u64);
            }
            piece.map(Frame::data)
        });
        let body = HttpResponseBody::new(StreamBody::new(SyncStream::new(counted)));
        Ok(HttpResponse::from_parts(head, body))
    }
}
