//! Objects as files of a folder, by s3s-fs; only its lists, which walk the whole bucket for each part, are ours.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use s3s::dto::*;
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};
use s3s_fs::FileSystem;

#[derive(Debug)]
pub struct Folder {
    files: FileSystem,
    root: PathBuf,
}

impl Folder {
    pub fn new(files: FileSystem, root: &Path) -> Self {
        Self { files, root: root.to_owned() }
    }
}

/// What these do is s3s-fs's business.
macro_rules! delegate {
    ($($name:ident($input:ident) -> $output:ident),* $(,)?) => {
        #[async_trait]
        impl S3 for Folder {
            $(async fn $name(&self, request: S3Request<$input>) -> S3Result<S3Response<$output>> {
                self.files.$name(request).await
            })*

            async fn list_objects_v2(
                &self,
                request: S3Request<ListObjectsV2Input>,
            ) -> S3Result<S3Response<ListObjectsV2Output>> {
                self.list(request).await
            }
        }
    };
}

delegate! {
    abort_multipart_upload(AbortMultipartUploadInput) -> AbortMultipartUploadOutput,
    complete_multipart_upload(CompleteMultipartUploadInput) -> CompleteMultipartUploadOutput,
    copy_object(CopyObjectInput) -> CopyObjectOutput,
    create_bucket(CreateBucketInput) -> CreateBucketOutput,
    create_multipart_upload(CreateMultipartUploadInput) -> CreateMultipartUploadOutput,
    delete_bucket(DeleteBucketInput) -> DeleteBucketOutput,
    delete_object(DeleteObjectInput) -> DeleteObjectOutput,
    delete_objects(DeleteObjectsInput) -> DeleteObjectsOutput,
    get_bucket_location(GetBucketLocationInput) -> GetBucketLocationOutput,
    get_object(GetObjectInput) -> GetObjectOutput,
    head_bucket(HeadBucketInput) -> HeadBucketOutput,
    head_object(HeadObjectInput) -> HeadObjectOutput,
    list_buckets(ListBucketsInput) -> ListBucketsOutput,
    list_objects(ListObjectsInput) -> ListObjectsOutput,
    list_parts(ListPartsInput) -> ListPartsOutput,
    put_object(PutObjectInput) -> PutObjectOutput,
    upload_part(UploadPartInput) -> UploadPartOutput,
    upload_part_copy(UploadPartCopyInput) -> UploadPartCopyOutput,
}

impl Folder {
    async fn list(&self, request: S3Request<ListObjectsV2Input>) -> S3Result<S3Response<ListObjectsV2Output>> {
        if request.input.delimiter.is_some() {
            return self.files.list_objects_v2(request).await;
        }
        let input = request.input;
        let bucket = self.root.join(&input.bucket);
        if input.bucket.contains(['/', '\\']) || input.bucket.starts_with('.') || !bucket.is_dir() {
            return Err(s3_error!(NoSuchBucket));
        }
        let prefix = input.prefix.clone().unwrap_or_default();
        let after = input.continuation_token.clone().max(input.start_after.clone()).unwrap_or_default();
        let most = usize::try_from(input.max_keys.unwrap_or(1000)).unwrap_or(0).min(1000);
        let walk = move || {
            let mut walk = Walk { bucket, prefix, after, most: most + 1, found: vec![] };
            walk.folder("").map(|()| walk.found)
        };
        let found = tokio::task::spawn_blocking(walk).await.map_err(|e| s3_error!(e, InternalError))?;
        let mut found = found.map_err(|e| s3_error!(e, InternalError))?;
        let truncated = found.len() > most;
        found.truncate(most);
        Ok(S3Response::new(ListObjectsV2Output {
            next_continuation_token: found.last().and_then(|o| o.key.clone()).filter(|_| truncated),
            is_truncated: Some(truncated),
            key_count: Some(found.len() as i32),
            max_keys: Some(most as i32),
            contents: Some(found),
            name: Some(input.bucket),
            prefix: input.prefix,
            continuation_token: input.continuation_token,
            start_after: input.start_after,
            ..Default::default()
        }))
    }
}

/// Looks for the first objects of a prefix after a key, in the order of keys, in no folder that has none of them.
struct Walk {
    bucket: PathBuf,
    prefix: String,
    after: String,
    most: usize,
    found: Vec<Object>,
}

impl Walk {
    /// `folder` is empty or ends in a slash.
    fn folder(&mut self, folder: &str) -> std::io::Result<()> {
        let entries = match std::fs::read_dir(self.bucket.join(folder)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let mut keys = vec![];
        for entry in entries {
            let entry = entry?;
            let slash = if entry.file_type()?.is_dir() { "/" } else { "" };
            keys.extend(entry.file_name().to_str().map(|name| format!("{folder}{name}{slash}")));
        }
        keys.sort_unstable();
        for key in keys {
            if self.found.len() >= self.most {
                break;
            }
            if key.ends_with('/') {
                let wanted = key.starts_with(&self.prefix) || self.prefix.starts_with(&key);
                if wanted && (key > self.after || self.after.starts_with(&key)) {
                    self.folder(&key)?;
                }
            } else if key.starts_with(&self.prefix) && key > self.after {
                self.object(key);
            }
        }
        Ok(())
    }

    /// One that has been removed meanwhile is none.
    fn object(&mut self, key: String) {
        let Ok(metadata) = std::fs::metadata(self.bucket.join(&key)) else { return };
        self.found.push(Object {
            key: Some(key),
            size: i64::try_from(metadata.len()).ok(),
            last_modified: metadata.modified().ok().map(Timestamp::from),
            ..Default::default()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_make_up_the_list() {
        let bucket = tempfile::tempdir().unwrap();
        let mut keys: Vec<String> =
            ["a-b", "a/1", "a/2/x", "a/2.png", "a0", "b/1/2/3", "b/10/2", "b/9", "c"].map(str::to_owned).to_vec();
        for key in &keys {
            let path = bucket.path().join(key);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        }
        keys.sort();
        for prefix in ["", "a", "a/", "a/2", "b/1", "b/1/", "d"] {
            let wanted: Vec<&String> = keys.iter().filter(|key| key.starts_with(prefix)).collect();
            let (mut all, mut after) = (vec![], String::new());
            loop {
                let mut walk =
                    Walk { bucket: bucket.path().into(), prefix: prefix.into(), after, most: 2, found: vec![] };
                walk.folder("").unwrap();
                let part: Vec<String> = walk.found.into_iter().filter_map(|o| o.key).collect();
                let Some(last) = part.last().cloned() else { break };
                all.extend(part);
                after = last;
            }
            assert_eq!(all.iter().collect::<Vec<_>>(), wanted, "{prefix:?}");
        }
    }
}
