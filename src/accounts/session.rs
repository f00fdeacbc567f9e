//! Rows of `sessions`. The table knows digests of keys only: who reads it cannot use them.

use sha2::{Digest, Sha256};
use sqlx::{PgConnection, PgPool};
use time::Duration;
use uuid::Uuid;

use super::Role;

/// What a session's cookie holds.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionKey(String);

impl SessionKey {
    fn random() -> Self {
        Self(format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple()))
    }

    pub fn from_cookie(text: &str) -> Self {
        Self(text.to_owned())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn digest(&self) -> String {
        hex::encode(Sha256::digest(&self.0))
    }
}

/// A session of a user who may log in, with the user as he is now.
#[derive(Debug, Clone)]
pub struct Session {
    pub user_id: i64,
    pub username: String,
    pub role: Role,
    pub csrf_token: String,
    pub flash: Option<String>,
}

pub async fn load_session(pool: &PgPool, key: &SessionKey) -> sqlx::Result<Option<Session>> {
    sqlx::query_as!(
        Session,
        r#"select s.user_id, u.username, u.role as "role: Role", s.csrf_token, s.flash
           from sessions s join users u on u.id = s.user_id
           where s.key_sha256 = $1 and s.expires_at > now() and u.disabled_at is null"#,
        key.digest()
    )
    .fetch_optional(pool)
    .await
}

/// Writes a new session and returns its key.
pub async fn save_session(pool: &PgPool, user_id: i64, csrf_token: &str, ttl: Duration) -> sqlx::Result<SessionKey> {
    let key = SessionKey::random();
    sqlx::query!(
        "insert into sessions (key_sha256, user_id, csrf_token, expires_at) values ($1, $2, $3, now() + make_interval(secs => $4))",
        key.digest(),
        user_id,
        csrf_token,
        ttl.as_seconds_f64()
    )
    .execute(pool)
    .await?;
    Ok(key)
}

/// Keeps a sentence for the next page, or forgets it.
pub async fn set_flash(pool: &PgPool, key: &SessionKey, flash: Option<&str>) -> sqlx::Result<()> {
    sqlx::query!("update sessions set flash = $2 where key_sha256 = $1", key.digest(), flash)
        .execute(pool)
        .await
        .map(drop)
}

pub async fn extend_session(pool: &PgPool, key: &SessionKey, ttl: Duration) -> sqlx::Result<()> {
    sqlx::query!(
        "update sessions set expires_at = now() + make_interval(secs => $2) where key_sha256 = $1",
        key.digest(),
        ttl.as_seconds_f64()
    )
    .execute(pool)
    .await
    .map(drop)
}

pub async fn delete_session(pool: &PgPool, key: &SessionKey) -> sqlx::Result<()> {
    sqlx::query!("delete from sessions where key_sha256 = $1", key.digest()).execute(pool).await.map(drop)
}

/// Removes sessions that are over.
pub async fn prune_sessions(db: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("delete from sessions where expires_at < now()").execute(db).await.map(drop)
}

/// What signs the cookies, the same for all servers; made at its first use.
pub async fn signing_key(pool: &PgPool) -> sqlx::Result<Vec<u8>> {
    let new: Vec<u8> = (0..4).flat_map(|_| Sha256::digest([*Uuid::new_v4().as_bytes(); 2].concat())).take(64).collect();
    sqlx::query!("insert into session_signing_key (key) values ($1) on conflict do nothing", new).execute(pool).await?;
    sqlx::query_scalar!("select key from session_signing_key").fetch_one(pool).await
}

/// Makes a token for a link that logs a user in once, within a time.
pub async fn create_login_link(pool: &PgPool, user_id: i64, ttl: Duration) -> sqlx::Result<String> {
    let key = SessionKey::random();
    sqlx::query!(
        "insert into login_links (token_sha256, user_id, expires_at) values ($1, $2, now() + make_interval(secs => $3))",
        key.digest(),
        user_id,
        ttl.as_seconds_f64()
    )
    .execute(pool)
    .await?;
    Ok(key.0)
}

/// The user whom a link's token logs in; it is used up by this.
pub async fn use_login_link(db: &mut PgConnection, token: &str) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar!(
        "delete from login_links l using users u
         where l.token_sha256 = $1 and u.id = l.user_id and l.expires_at > now() and u.disabled_at is null returning u.id",
        SessionKey::from_cookie(token).digest()
    )
    .fetch_optional(db)
    .await
}
