//! Where rows and objects are kept.

use std::num::NonZeroU32;
use std::str::FromStr;

use anyhow::{Context, bail};
use clap::Args;
use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;

use super::{Secret, require};
use crate::database;
use crate::storage::{Storage, StorageSettings};

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Database")]
pub struct DatabaseArgs {
    /// PostgreSQL, such as postgres://user:password@host/database
    #[arg(long, env, hide_env_values = true, value_name = "URL")]
    pub database_url: Option<Secret>,
    /// Connections for requests (4 if it is not given), or for documents (3 in a worker); docs/OPERATIONS.md has the sum
    #[arg(long, env, value_name = "N")]
    pub database_max_connections: Option<NonZeroU32>,
}

impl DatabaseArgs {
    /// For a command that does one thing after the other, at times while it reads a list.
    pub async fn connect(&self) -> anyhow::Result<PgPool> {
        self.pool(2, |options| options).await
    }

    /// For the server, whose clients do not wait for longer.
    pub async fn connect_server(&self) -> anyhow::Result<PgPool> {
        let most = self.database_max_connections.map_or(4, NonZeroU32::get);
        self.pool(most, |options| options.options([("statement_timeout", "25s")])).await
    }

    pub async fn connect_worker(&self) -> anyhow::Result<PgPool> {
        self.pool(self.database_max_connections.map_or(3, NonZeroU32::get), |options| options).await
    }

    async fn pool(
        &self,
        most: u32,
        adjust: impl FnOnce(PgConnectOptions) -> PgConnectOptions,
    ) -> anyhow::Result<PgPool> {
        let url =
            require(&self.database_url, "DATABASE_URL", "postgres://user:password@host/database; `app up` needs none")?;
        let options = PgConnectOptions::from_str(&url.0).map_err(|e| {
            anyhow::anyhow!(
                "DATABASE_URL is no PostgreSQL address ({e}); it looks like postgres://user:password@host/database"
            )
        })?;
        let options = adjust(database::settings(options));
        database::check(&options).await?;
        Ok(database::pool(options, most))
    }
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Object storage (S3)")]
pub struct StorageArgs {
    /// Access key of the bucket's user
    #[arg(long, env, hide_env_values = true, value_name = "KEY")]
    pub aws_access_key_id: Option<Secret>,
    /// Secret key of the bucket's user
    #[arg(long, env, hide_env_values = true, value_name = "KEY")]
    pub aws_secret_access_key: Option<Secret>,
    /// The bucket; it must exist
    #[arg(long, env, value_name = "NAME")]
    pub aws_storage_bucket_name: Option<String>,
    /// Region of the bucket
    #[arg(long, env, default_value = "us-east-1", value_name = "REGION")]
    pub aws_region: String,
    /// An S3 server other than Amazon's, such as http://rustfs:9000
    #[arg(long, env, value_name = "URL")]
    pub aws_s3_endpoint_url: Option<String>,
    /// Where clients reach that server, if not there: for the URLs that they are given
    #[arg(long, env, value_name = "URL")]
    pub aws_s3_public_endpoint_url: Option<String>,
    /// Host that serves the bucket's objects, for the URLs in answers
    #[arg(long, env, value_name = "HOST")]
    pub aws_s3_custom_domain: Option<String>,
    /// Access control list of new objects, such as public-read; none by default, since new buckets refuse them
    #[arg(long, env, value_name = "ACL")]
    pub aws_default_acl: Option<String>,
}

impl StorageArgs {
    pub fn open(&self) -> anyhow::Result<Storage> {
        let settings = StorageSettings {
            bucket: require(&self.aws_storage_bucket_name, "AWS_STORAGE_BUCKET_NAME", "the name of an S3 bucket")?,
            region: self.aws_region.clone(),
            endpoint: self.aws_s3_endpoint_url.clone().filter(|s| !s.is_empty()),
            access_key: require(&self.aws_access_key_id, "AWS_ACCESS_KEY_ID", "the access key of the bucket's user")?.0,
            secret_key: require(
                &self.aws_secret_access_key,
                "AWS_SECRET_ACCESS_KEY",
                "the secret key of the bucket's user",
            )?
            .0,
            public_endpoint: self.aws_s3_public_endpoint_url.clone().filter(|s| !s.is_empty()),
            custom_domain: self.aws_s3_custom_domain.clone().filter(|s| !s.is_empty()),
            acl: self.aws_default_acl.clone().filter(|s| !s.is_empty()),
        };
        for (name, url) in
            [("AWS_S3_ENDPOINT_URL", &settings.endpoint), ("AWS_S3_PUBLIC_ENDPOINT_URL", &settings.public_endpoint)]
        {
            if let Some(url) = url
                && !url.starts_with("http://")
                && !url.starts_with("https://")
            {
                bail!("{name}={url} is no URL; it looks like http://host:9000");
            }
        }
        Storage::new(&settings).context("AWS_REGION, AWS_S3_ENDPOINT_URL or AWS_DEFAULT_ACL")
    }
}
