//! API tokens. Their digests need no salt and no slow hash: the tokens are 256 random bits.

use sha2::{Digest, Sha256};
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

/// What a token allows: reading, or changing as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Scope {
    Read,
    Write,
}

impl Scope {
    fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

/// What is known of whoever sends a request.
#[derive(Debug, PartialEq, Eq)]
pub struct Access {
    /// Id and scope of the token, if it is a good one.
    pub token: Option<(i64, Scope)>,
    /// Whether there is any token that is not revoked.
    pub tokens_exist: bool,
}

#[derive(Debug)]
pub struct TokenRow {
    pub id: i64,
    pub name: String,
    pub scope: String,
    pub created_at: OffsetDateTime,
    pub last_used_at: Option<OffsetDateTime>,
    pub revoked_at: Option<OffsetDateTime>,
}

fn digest(token: &str) -> String {
    hex::encode(Sha256::digest(token))
}

/// Makes a token and returns it; `None` if the name is taken.
pub async fn create_token(db: &mut PgConnection, name: &str, scope: Scope) -> sqlx::Result<Option<String>> {
    let token = format!("dr_{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
    let created = sqlx::query!(
        "insert into api_tokens (name, token_sha256, scope) values ($1, $2, $3) on conflict (name) do nothing",
        name,
        digest(&token),
        scope.name()
    );
    Ok((created.execute(db).await?.rows_affected() == 1).then_some(token))
}

pub async fn tokens(pool: &PgPool) -> sqlx::Result<Vec<TokenRow>> {
    sqlx::query_as!(
        TokenRow,
        "select id, name, scope, created_at, last_used_at, revoked_at from api_tokens order by id"
    )
    .fetch_all(pool)
    .await
}

/// `false` if there is no such token, or if it is revoked already.
pub async fn revoke_token(db: &mut PgConnection, name: &str) -> sqlx::Result<bool> {
    let revoked = sqlx::query!("update api_tokens set revoked_at = now() where name = $1 and revoked_at is null", name);
    Ok(revoked.execute(db).await?.rows_affected() == 1)
}

/// Looks a token up, and notes its use at most once a minute.
pub async fn access(pool: &PgPool, token: Option<&str>) -> sqlx::Result<Access> {
    let row = sqlx::query!(
        r#"with own as (select id, scope, last_used_at from api_tokens where token_sha256 = $1 and revoked_at is null),
               used as (update api_tokens set last_used_at = now() from own
                        where api_tokens.id = own.id and (own.last_used_at is null or own.last_used_at < now() - interval '1 minute'))
           select (select id from own) as id, (select scope from own) as scope, exists (select 1 from api_tokens where revoked_at is null) as "tokens_exist!""#,
        token.map(digest)
    )
    .fetch_one(pool)
    .await?;
    let scope = row.scope.map(|scope| if scope == "write" { Scope::Write } else { Scope::Read });
    Ok(Access { token: row.id.zip(scope), tokens_exist: row.tokens_exist })
}
