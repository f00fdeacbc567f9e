//! Rows of `users`.

use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;

use super::Role;

#[derive(Debug, Clone)]
pub struct UserRow {
    pub id: i64,
    pub username: String,
    pub email: String,
    pub role: Role,
    pub created_at: OffsetDateTime,
    pub last_login_at: Option<OffsetDateTime>,
    pub disabled_at: Option<OffsetDateTime>,
}

#[derive(Debug, Clone, Copy)]
pub struct NewUser<'a> {
    pub username: &'a str,
    pub email: &'a str,
    pub password_hash: &'a str,
    pub role: Role,
}

/// Why there is no such user.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    #[error("A username has 1 to 150 letters, digits and @ . + - _ only.")]
    BadName,
    #[error("The email address is not one.")]
    BadEmail,
    #[error("There is a user with this name already.")]
    Taken,
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
}

/// A user who may log in with the right password.
#[derive(Debug)]
pub struct Found {
    pub id: i64,
    pub password_hash: String,
}

/// By the rules of Django's usernames; the new user's id.
pub async fn create_user(db: &mut PgConnection, new: NewUser<'_>) -> Result<i64, UserError> {
    let good = |c: char| c.is_alphanumeric() || "@.+-_".contains(c);
    if new.username.is_empty() || new.username.chars().count() > 150 || !new.username.chars().all(good) {
        return Err(UserError::BadName);
    }
    let parts: Vec<&str> = new.email.split('@').collect();
    let is_address = parts.len() == 2 && parts.iter().all(|part| !part.is_empty());
    let has_gaps = new.email.chars().any(|c| c.is_whitespace() || c.is_control());
    if !new.email.is_empty() && (!is_address || has_gaps || new.email.chars().count() > 254) {
        return Err(UserError::BadEmail);
    }
    let created = sqlx::query_scalar!(
        "insert into users (username, email, password_hash, role) values ($1, $2, $3, $4)
         on conflict (lower(username)) do nothing returning id",
        new.username,
        new.email,
        new.password_hash,
        new.role.name()
    );
    created.fetch_optional(db).await?.ok_or(UserError::Taken)
}

pub async fn users(pool: &PgPool) -> sqlx::Result<Vec<UserRow>> {
    sqlx::query_as!(
        UserRow,
        r#"select id, username, email, role as "role: Role", created_at, last_login_at, disabled_at
           from users order by lower(username)"#
    )
    .fetch_all(pool)
    .await
}

pub async fn user(pool: &PgPool, id: i64) -> sqlx::Result<Option<UserRow>> {
    sqlx::query_as!(
        UserRow,
        r#"select id, username, email, role as "role: Role", created_at, last_login_at, disabled_at from users where id = $1"#,
        id
    )
    .fetch_optional(pool)
    .await
}

/// By name, in any case; a disabled one is not found.
pub async fn find_user(pool: &PgPool, username: &str) -> sqlx::Result<Option<Found>> {
    if username.contains('\0') {
        return Ok(None);
    }
    sqlx::query_as!(
        Found,
        "select id, password_hash from users where lower(username) = lower($1) and disabled_at is null",
        username
    )
    .fetch_optional(pool)
    .await
}

/// Notes a log-in.
pub async fn log_in(db: &mut PgConnection, id: i64) -> sqlx::Result<()> {
    sqlx::query!("update users set last_login_at = now() where id = $1", id).execute(db).await.map(drop)
}

/// Ends all sessions of the user; `false` if there is no such user.
pub async fn set_password(db: &mut PgConnection, id: i64, password_hash: &str) -> sqlx::Result<bool> {
    let changed = sqlx::query!("update users set password_hash = $2 where id = $1", id, password_hash);
    let changed = changed.execute(&mut *db).await?.rows_affected() == 1;
    sqlx::query!("delete from sessions where user_id = $1", id).execute(db).await?;
    Ok(changed)
}

/// `false` if there is no such user, or no other admin who may log in would be left.
pub async fn set_role(db: &mut PgConnection, id: i64, role: Role) -> sqlx::Result<bool> {
    if role < Role::Admin && !another_admin_is_left(db, id).await? {
        return Ok(false);
    }
    let changed = sqlx::query!("update users set role = $2 where id = $1", id, role.name());
    Ok(changed.execute(db).await?.rows_affected() == 1)
}

/// A disabled user cannot log in, and his sessions end. `false` as with [`set_role`].
pub async fn set_disabled(db: &mut PgConnection, id: i64, disabled: bool) -> sqlx::Result<bool> {
    if disabled && !another_admin_is_left(db, id).await? {
        return Ok(false);
    }
    let changed = sqlx::query!(
        "update users set disabled_at = case when $2 then coalesce(disabled_at, now()) end where id = $1",
        id,
        disabled
    );
    let changed = changed.execute(&mut *db).await?.rows_affected() == 1;
    if disabled {
        sqlx::query!("delete from sessions where user_id = $1", id).execute(db).await?;
    }
    Ok(changed)
}

/// Or this one is none, so that nobody is lost. Two who disable each other wait for one another.
async fn another_admin_is_left(db: &mut PgConnection, id: i64) -> sqlx::Result<bool> {
    let admins =
        sqlx::query_scalar!("select id from users where role = 'admin' and disabled_at is null order by id for update");
    let admins = admins.fetch_all(db).await?;
    Ok(!admins.contains(&id) || admins.len() > 1)
}
