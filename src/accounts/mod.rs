//! People: who they are, what they may do, their sessions, and the log of what they and tokens change. Knows no HTTP.

mod audit_log;
mod password;
mod role;
mod session;
mod user;

pub use audit_log::{Action, Actor, AuditFilter, AuditRow, Entry, audit_log, record};
pub use password::{PasswordError, check_password, hash_password, verify_password};
pub use role::Role;
pub use session::{
    Session, SessionKey, create_login_link, delete_session, extend_session, load_session, prune_sessions,
};
pub use session::{save_session, set_flash, signing_key, use_login_link};
pub use user::{Found, NewUser, UserError, UserRow, create_user, find_user, log_in, set_disabled, set_password};
pub use user::{set_role, user, users};
