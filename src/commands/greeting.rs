//! What `app up` tells a person once the server listens.

use std::sync::{Mutex, PoisonError};

use sqlx::PgPool;
use uuid::Uuid;

use super::user::{self, LINK_TTL, link};
use crate::accounts::{self, Role};

const USERNAME: &str = "admin";

/// The first account: its password and a link's token are told once, and kept nowhere.
pub struct NewAdmin {
    password: String,
    token: String,
}

/// Makes an admin's account unless there is any account.
pub async fn first_admin(pool: &PgPool) -> anyhow::Result<Option<NewAdmin>> {
    if !accounts::users(pool).await?.is_empty() {
        return Ok(None);
    }
    let random = Uuid::new_v4().simple().to_string();
    let password = [&random[..6], &random[6..11], &random[15..20], &random[20..26]].join("-");
    let id = user::create(pool, USERNAME, "", &password, Role::Admin).await?;
    Ok(Some(NewAdmin { password, token: accounts::create_login_link(pool, id, LINK_TTL).await? }))
}

/// Waits for the server's address.
pub struct Greeting(Mutex<Option<Option<NewAdmin>>>);

impl Greeting {
    pub fn new(admin: Option<NewAdmin>) -> Self {
        Self(Mutex::new(Some(admin)))
    }

    /// Hears the server's log, and speaks when it listens; on standard output, for a log is kept.
    pub fn hear(&self, line: &str) {
        let Some(address) = line.split_once("listening on ").map(|(_, rest)| rest.trim_end_matches("/api/create/"))
        else {
            return;
        };
        let Some(admin) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        println!("\n  docreader is up: {address}/");
        if let Some(NewAdmin { password, token }) = admin {
            println!("  There was no account yet, so this one was made. It is shown only here, and only now:");
            println!("    username  {USERNAME}\n    password  {password}");
            println!("  This link logs in, once, within a day:\n    {}", link(address, &token));
        }
        println!();
    }
}
