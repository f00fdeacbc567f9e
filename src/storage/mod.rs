//! S3: the one real object store, through rust-s3, with the retries and time-outs that it lacks.

mod key;
mod read;
mod retry;
mod upload;

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use http::HeaderMap;
use http::header::{CACHE_CONTROL, HeaderName, HeaderValue};
use s3::creds::Credentials;
use s3::error::S3Error;
use s3::{Bucket, Region};
use tokio::io::AsyncWriteExt;
use tokio::sync::Semaphore;

pub use key::{ObjectKey, page_of, page_prefix, percent_encode};
pub use read::ObjectHead;
pub use upload::{UploadError, Uploaded};

use retry::retry;

/// No byte for this long ends a download.
const IDLE: Duration = Duration::from_secs(30);
/// For a request and its answer. rust-s3 cannot bound the time for a connection alone.
const QUICK: Duration = Duration::from_secs(6);
/// The same where a part of a file travels.
const HEAVY: Duration = Duration::from_secs(20);

#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    #[error("object {0} is not in the bucket")]
    NotFound(String),
    #[error("object {0} was removed or replaced while it was read")]
    Changed(String),
    #[error("the object is larger than {limit} bytes")]
    TooLarge { limit: u64 },
    #[error("S3: {}", explain(.0))]
    S3(S3Error),
    #[error("S3 does not answer within {} s", retry::LONGEST.as_secs())]
    NoAnswer,
    #[error("S3 sent nothing for {} s", IDLE.as_secs())]
    Idle,
    #[error("object key {0:?} is empty, too long, or could leave its folder")]
    BadKey(String),
    #[error("disk: {0}")]
    Disk(#[from] std::io::Error),
}

// Not by thiserror, for which it would be a cause that is told a second time.
impl From<S3Error> for StorageError {
    fn from(error: S3Error) -> Self {
        Self::S3(error)
    }
}

impl StorageError {
    /// Whether the same request would fail again: S3 answered, and said no.
    pub fn is_permanent(&self) -> bool {
        matches!(self, Self::S3(error) if retry::is_refusal(error))
    }

    /// Whether the storage was away, which is no fault of what was asked.
    pub fn is_away(&self) -> bool {
        match self {
            Self::S3(error) => retry::is_transient(error),
            Self::NoAnswer | Self::Idle => true,
            _ => false,
        }
    }
}

/// An error with its cause, and what helps where certificates are that.
fn explain(error: &S3Error) -> String {
    let mut text = error.to_string();
    let cause = std::iter::successors(error.source(), |&cause| cause.source()).last().map(ToString::to_string);
    if let Some(cause) = cause.filter(|cause| !text.contains(cause)) {
        text = format!("{text}: {cause}");
    }
    if text.contains("invalid peer certificate") {
        text += "; SSL_CERT_FILE names a file (PEM) with the root certificate of an S3 server of one's own";
    }
    text
}

/// Where the bucket is and how its objects are seen from outside.
#[derive(Clone)]
pub struct StorageSettings {
    pub bucket: String,
    pub region: String,
    /// For S3 servers other than Amazon's.
    pub endpoint: Option<String>,
    /// Where clients reach that server, if not there.
    pub public_endpoint: Option<String>,
    pub access_key: String,
    pub secret_key: String,
    /// Host name that serves the objects, for the URLs that clients are given.
    pub custom_domain: Option<String>,
    /// Such as `public-read`; new buckets refuse access control lists, so there is none by default.
    pub acl: Option<String>,
}

#[derive(Clone)]
pub struct Storage {
    bucket: Box<Bucket>,
    /// For what is small.
    quick: Box<Bucket>,
    /// For downloads: rust-s3's time-out covers a whole body, however large; ours is for silence.
    patient: Box<Bucket>,
    /// For URLs that clients ask: where they reach the bucket.
    public: Box<Bucket>,
    headers: HeaderMap,
    base_url: String,
    is_public: bool,
    /// rust-s3 holds several copies of what it sends, so uploads take turns at that.
    sending: Arc<Semaphore>,
}

impl Storage {
    pub fn new(settings: &StorageSettings) -> Result<Self, StorageError> {
        let region = match &settings.endpoint {
            Some(endpoint) => {
                Region::Custom { region: settings.region.clone(), endpoint: endpoint.trim_end_matches('/').to_owned() }
            }
            None => settings.region.parse().map_err(|e| S3Error::Io(std::io::Error::other(format!("{e}"))))?,
        };
        let credentials = Credentials::new(Some(&settings.access_key), Some(&settings.secret_key), None, None, None);
        let mut bucket = Bucket::new(&settings.bucket, region, credentials.map_err(S3Error::from)?)?;
        if settings.endpoint.is_some() {
            bucket.set_path_style();
        }
        let seen = settings.public_endpoint.as_ref().or(settings.endpoint.as_ref());
        let seen = seen.map(|endpoint| endpoint.trim_end_matches('/').to_owned());
        let mut public = bucket.clone();
        if let Some(endpoint) = seen.clone() {
            public.region = Region::Custom { region: settings.region.clone(), endpoint };
            public.set_path_style();
        }
        let mut quick = bucket.clone();
        quick.set_request_timeout(Some(QUICK));
        bucket.set_request_timeout(Some(HEAVY));
        let mut patient = bucket.clone();
        patient.set_request_timeout(None);
        let mut headers = HeaderMap::new();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=86400"));
        if let Some(acl) = &settings.acl {
            let value = HeaderValue::from_str(acl).map_err(S3Error::from)?;
            headers.insert(HeaderName::from_static("x-amz-acl"), value);
        }
        let base_url = match (&settings.custom_domain, seen) {
            (Some(domain), _) => format!("https://{domain}"),
            (None, Some(endpoint)) => format!("{endpoint}/{}", settings.bucket),
            (None, None) => format!("https://{}.s3.amazonaws.com", settings.bucket),
        };
        let is_readable = settings.acl.as_ref().is_some_and(|acl| acl.starts_with("public-read"));
        let is_public = settings.custom_domain.is_some() || is_readable;
        let sending = Arc::new(Semaphore::new(1));
        Ok(Self { bucket, quick, patient, public, headers, base_url, is_public, sending })
    }

    /// Whether the bucket answers and lets us in. It asks for an object that is not there, which no server has to search for.
    pub async fn check(&self) -> Result<(), StorageError> {
        let asked = tokio::time::timeout(QUICK, self.quick.get_object("docreader-check")).await;
        match asked.map_err(|_| StorageError::NoAnswer)? {
            Ok(_) => Ok(()),
            Err(S3Error::HttpFailWithBody(404, body)) if body.contains("NoSuchKey") => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Creates the bucket if it is not there: for the embedded server and for tests.
    pub async fn create_bucket(&self) -> Result<(), StorageError> {
        match self.quick.list_page("docreader-check/".into(), None, None, None, Some(1)).await {
            Ok(_) => return Ok(()),
            Err(S3Error::HttpFailWithBody(404, _)) => {}
            Err(error) => return Err(error.into()),
        }
        let region = self.bucket.region();
        let created = match region.to_string().as_str() {
            "us-east-1" => self.create_without_region().await,
            _ => {
                let (credentials, config) = (self.bucket.credentials().await?, s3::BucketConfiguration::default());
                Bucket::create_with_path_style(&self.bucket.name(), region, credentials, config).await.map(drop)
            }
        };
        match created {
            Ok(()) | Err(S3Error::HttpFailWithBody(409, _)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Amazon refuses us-east-1 as the place of a new bucket, which it is where none is named; rust-s3 names it on other servers.
    async fn create_without_region(&self) -> Result<(), S3Error> {
        let url = self.bucket.presign_put("/", 60, None, None).await?;
        let response = self.bucket.http_client().put(url).timeout(HEAVY).send().await?;
        match response.status() {
            status if status.is_success() => Ok(()),
            status => Err(S3Error::HttpFailWithBody(status.as_u16(), response.text().await?)),
        }
    }

    /// Stores a small object.
    pub async fn put(&self, key: &ObjectKey, bytes: &[u8], content_type: &str) -> Result<(), StorageError> {
        retry(|| async {
            let headers = Some(self.headers.clone());
            self.bucket.put_object_with_content_type_and_headers(key.as_str(), bytes, content_type, headers).await
        })
        .await?;
        Ok(())
    }

    /// Copies an object of up to `limit` bytes into a local file and says how many it had.
    pub async fn fetch(&self, key: &ObjectKey, path: &Path, limit: u64) -> Result<u64, StorageError> {
        let not_found = |e| match e {
            // Other 404s speak of the bucket or of a proxy, not of the object.
            StorageError::S3(S3Error::HttpFailWithBody(404, body)) if body.contains("NoSuchKey") => {
                StorageError::NotFound(key.as_str().to_owned())
            }
            e => e,
        };
        let response = retry(|| self.patient.get_object_stream(key.as_str())).await;
        let mut body = response.map_err(not_found)?;
        let mut file = tokio::fs::File::create(path).await?;
        let mut size = 0;
        while let Some(chunk) = tokio::time::timeout(IDLE, body.bytes().next()).await.map_err(|_| StorageError::Idle)? {
            let chunk = chunk?;
            size += chunk.len() as u64;
            if size > limit {
                return Err(StorageError::TooLarge { limit });
            }
            file.write_all(&chunk).await?;
        }
        file.flush().await?;
        Ok(size)
    }

    /// Removes an object; one that is not there is fine.
    pub async fn delete(&self, key: &ObjectKey) -> Result<(), StorageError> {
        match retry(|| self.quick.delete_object(key.as_str())).await {
            Ok(_) | Err(StorageError::S3(S3Error::HttpFailWithBody(404, _))) => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// Keys of all objects below a prefix.
    pub async fn list(&self, prefix: &str) -> Result<Vec<String>, StorageError> {
        self.list_parts(prefix).try_concat().await
    }

    /// The same in parts of a thousand, in order.
    pub fn list_parts(&self, prefix: &str) -> impl Stream<Item = Result<Vec<String>, StorageError>> {
        stream::try_unfold(Some(None), async |token: Option<Option<String>>| {
            let Some(token) = token else { return Ok(None) };
            let (part, _) = retry(|| self.bucket.list_page(prefix.to_owned(), None, token.clone(), None, None)).await?;
            let next = part.next_continuation_token.filter(|_| part.is_truncated);
            let keys = part.contents.into_iter().map(|object| object.key).collect();
            Ok(Some((keys, next.map(Some))))
        })
    }

    /// A URL that lets anybody read an object for some seconds.
    pub async fn presign(&self, key: &str, seconds: u32) -> Result<String, StorageError> {
        Ok(self.public.presign_get(key, seconds, None).await?)
    }

    /// A URL that lets anybody put an object there for some seconds, of any size.
    pub async fn presign_put(&self, key: &ObjectKey, seconds: u32) -> Result<String, StorageError> {
        Ok(self.public.presign_put(key.as_str(), seconds, None, None).await?)
    }

    /// Bytes of an object.
    pub async fn size(&self, key: &ObjectKey) -> Result<u64, StorageError> {
        Ok(self.head(key).await?.size)
    }

    /// The URL that clients see.
    pub fn url(&self, key: &str) -> String {
        format!("{}/{}", self.base_url, key::percent_encode(key))
    }

    /// Whether the operator lets everybody read the objects, by a host that serves them or an access control list.
    pub fn is_public(&self) -> bool {
        self.is_public
    }
}
