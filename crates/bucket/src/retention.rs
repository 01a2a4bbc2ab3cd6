//! Objects that nobody can remove before their time: Object Lock, as Amazon's protocol has it.
//!
//! The store behind [`object_store`] knows nothing of it. So a request that makes an object that is to stay gets its headers on
//! the way out, and is signed anew; what has no request there is made and signed here.

use std::error::Error;
use std::fmt::Write as _;
use std::io;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use ironborg_storage::{Retention, RetentionMode};
use object_store::aws::{AmazonS3, AwsAuthorizer};
use object_store::client::{HttpClient, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody};
use object_store::path::Path;
use object_store::signer::Signer;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode, Url};
use sha2::{Digest, Sha256};

const MODE: HeaderName = HeaderName::from_static("x-amz-object-lock-mode");
const UNTIL: HeaderName = HeaderName::from_static("x-amz-object-lock-retain-until-date");
const CONTENT_DIGEST: &str = "x-amz-content-sha256";
const CHECKSUM: HeaderName = HeaderName::from_static("x-amz-checksum-sha256");
/// Requests of one kind under way at a time.
const AT_ONCE: usize = 8;
/// How often a request is made that the store does not answer.
const ATTEMPTS: u32 = 4;
/// The pause before the second; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(300);

/// A store that speaks Amazon's protocol, for what only that protocol has.
#[derive(Debug, Default)]
pub(crate) struct Amazon {
    region: String,
    store: OnceLock<Arc<AmazonS3>>,
    client: OnceLock<HttpClient>,
    /// What is promised of new objects, and what the paths of their URLs begin with.
    retained: RwLock<Option<(Retention, String)>>,
}

pub(crate) type Failure = Box<dyn Error + Send + Sync>;

impl Amazon {
    pub(crate) fn new(region: Option<String>) -> Self {
        Self {
            region: region.unwrap_or_else(|| "us-east-1".to_owned()),
            ..Self::default()
        }
    }

    /// Says what makes the requests; to be called once.
    pub(crate) fn begin(&self, store: Arc<AmazonS3>, client: HttpClient) {
        let _ = self.store.set(store);
        let _ = self.client.set(client);
    }

    /// From now on objects below `dir` are locked when they are made.
    pub(crate) async fn retain(&self, retention: Retention, dir: &Path) -> Result<(), Failure> {
        let path = format!("{}/", self.url(dir).await?.path().trim_end_matches('/'));
        let mut retained = self
            .retained
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *retained = Some((retention, path));
        Ok(())
    }

    /// Whether objects can be locked in this bucket; why not, if they cannot.
    pub(crate) async fn can_retain(&self) -> Result<(), Failure> {
        let mut url = self.url(&Path::default()).await?;
        url.set_query(Some("object-lock"));
        let (status, body) = self.request(Method::GET, &url, Bytes::new()).await?;
        if status.is_success() && text_of(&body, "ObjectLockEnabled").as_deref() == Some("Enabled")
        {
            return Ok(());
        }
        if status.is_success() || status == StatusCode::NOT_FOUND {
            return Err(
                "Object Lock is not enabled for this bucket; it has to be when the bucket is made"
                    .into(),
            );
        }
        Err(refusal(status, &body))
    }

    /// Sees to it that these objects stay until some time; one that stays longer is left as it is.
    pub(crate) async fn prolong(
        &self,
        objects: &[Path],
        mode: RetentionMode,
        until: SystemTime,
    ) -> Result<(), Failure> {
        let body = format!(
            "<Retention xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Mode>{}</Mode><RetainUntilDate>{}</RetainUntilDate></Retention>",
            mode.name().to_ascii_uppercase(),
            iso_date(until)
        );
        let body = Bytes::from(body);
        futures_util::stream::iter(objects)
            .map(|object| {
                let body = body.clone();
                async move {
                    let mut url = self.url(object).await?;
                    url.set_query(Some("retention"));
                    let (status, answer) = self.request(Method::PUT, &url, body).await?;
                    // It may have gone meanwhile.
                    if status.is_success() || status == StatusCode::NOT_FOUND {
                        return Ok(());
                    }
                    Err(refusal(status, &answer))
                }
            })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }

    /// Adds to a request what its object needs to stay.
    pub(crate) async fn lock(&self, request: &mut HttpRequest) -> Result<(), HttpError> {
        let retained = {
            let retained = self.retained.read().unwrap_or_else(PoisonError::into_inner);
            retained.clone()
        };
        let Some((retention, path)) = retained else {
            return Ok(());
        };
        let query = request.uri().query().unwrap_or_default();
        let makes = match request.method().as_str() {
            // The parts of an object have a query, and so has what is made here.
            "PUT" => query.is_empty(),
            "POST" => query == "uploads" || query.starts_with("uploads="),
            _ => false,
        };
        if !makes || !request.uri().path().starts_with(&path) {
            return Ok(());
        }
        let until = iso_date(SystemTime::now() + retention.period());
        let mode = retention.mode.name().to_ascii_uppercase();
        let failed =
            |error: Failure| HttpError::new(HttpErrorKind::Request, io::Error::other(error));
        for (name, value) in [(MODE, mode), (UNTIL, until)] {
            let value = HeaderValue::from_str(&value).map_err(|error| failed(error.into()))?;
            request.headers_mut().insert(name, value);
        }
        if request.headers().contains_key(AUTHORIZATION) {
            self.sign(request).await.map_err(failed)?;
        }
        Ok(())
    }

    async fn sign(&self, request: &mut HttpRequest) -> Result<(), Failure> {
        let credential = self.store()?.credentials().get_credential().await?;
        let digest = request
            .headers()
            .get(CONTENT_DIGEST)
            .and_then(|value| value.to_str().ok());
        let is_signed = digest != Some("UNSIGNED-PAYLOAD");
        let digest = digest.and_then(from_hex);
        AwsAuthorizer::new(&credential, "s3", &self.region)
            .with_sign_payload(is_signed)
            .try_authorize(request, digest.as_deref())?;
        Ok(())
    }

    pub(crate) fn store(&self) -> Result<&AmazonS3, Failure> {
        Ok(self.store.get().ok_or("the store is not open yet")?)
    }

    /// Where an object is; that of no name is the bucket.
    pub(crate) async fn url(&self, object: &Path) -> Result<Url, Failure> {
        let store = self.store()?;
        let mut url = store
            .signed_url(Method::GET, object, Duration::from_mins(1))
            .await?;
        url.set_query(None);
        Ok(url)
    }

    /// Makes a request, again if need be.
    pub(crate) async fn request(
        &self,
        method: Method,
        url: &Url,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), Failure> {
        let client = self.client.get().ok_or("the store is not open yet")?;
        let mut pause = FIRST_PAUSE;
        let mut left = ATTEMPTS;
        loop {
            let mut request = HttpRequest::new(HttpRequestBody::from(body.clone()));
            *request.method_mut() = method.clone();
            *request.uri_mut() = url.as_str().parse()?;
            if !body.is_empty() {
                let digest = BASE64_STANDARD.encode(Sha256::digest(&body));
                request
                    .headers_mut()
                    .insert(CHECKSUM, HeaderValue::from_str(&digest)?);
            }
            self.sign(&mut request).await?;
            left -= 1;
            let answer = match client.execute(request).await {
                Ok(response) => {
                    let status = response.status();
                    let body = response.into_body().bytes().await;
                    body.map(|body| (status, body))
                }
                Err(error) => Err(error),
            };
            match answer {
                Ok((status, body)) if left == 0 || !status.is_server_error() => {
                    return Ok((status, body));
                }
                Err(error) if left == 0 => return Err(error.into()),
                _ => {}
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }
}

/// What a store says of a request it does not take.
pub(crate) fn refusal(status: StatusCode, body: &[u8]) -> Failure {
    let said = text_of(body, "Message").or_else(|| text_of(body, "Code"));
    format!("{status}: {}", said.unwrap_or_default()).into()
}

/// The text in the first element of a name.
pub(crate) fn text_of(body: &[u8], name: &str) -> Option<String> {
    let body = std::str::from_utf8(body).ok()?;
    let (_, rest) = body.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once("</")?;
    Some(text.to_owned())
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let pairs = (0..text.len()).step_by(2);
    pairs
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok())
        .collect()
}

/// A time as `2026-01-31T12:00:00Z`.
pub(crate) fn iso_date(time: SystemTime) -> String {
    let seconds = time
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Years begin in March, in eras of 400 years: Howard Hinnant, "chrono-compatible low-level date algorithms".
    let shifted = days + 719_468;
    let (era, day) = (shifted / 146_097, shifted % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    let mut text = String::new();
    let _ = write!(
        text,
        "{:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        era * 400 + year + carry,
        rest / 3_600,
        rest / 60 % 60,
        rest % 60
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_164_800, "2024-02-29T00:00:00Z"),
            (4_102_444_799, "2099-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            let time = UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(iso_date(time), expected);
        }
    }

    #[test]
    fn answers_are_read_as_far_as_they_are_needed() {
        let body = b"<?xml?><Error><Code>AccessDenied</Code><Message>No.</Message></Error>";
        assert_eq!(
            refusal(StatusCode::FORBIDDEN, body).to_string(),
            "403 Forbidden: No."
        );
        assert_eq!(text_of(b"<a>", "a"), None);
        assert_eq!(from_hex(&"0f".repeat(32)), Some(vec![15; 32]));
        assert_eq!(from_hex("0f"), None);
    }
}
