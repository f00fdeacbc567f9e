//! Passwords: argon2id, and rules that follow Django's validators.

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use uuid::Uuid;

/// A choice of OWASP's Password Storage Cheat Sheet that leaves a server of 40 MB room: 12 MiB, three passes, one lane.
const MEMORY_KIB: u32 = 12 << 10;
const PASSES: u32 = 3;
const LANES: u32 = 1;
const MIN_CHARS: usize = 8;
/// Beyond it a password is work for us and none for an attacker.
const MAX_BYTES: usize = 1024;
/// Guesses of an attacker who knows the usual ones: 10^6, which zxcvbn calls "very guessable" up to "somewhat guessable".
const LEAST_GUESSES_LOG10: f64 = 6.0;

/// Why a password is refused, in a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    #[error("The password is too short; it needs at least {MIN_CHARS} characters.")]
    TooShort,
    #[error("The password is too long; it may have {MAX_BYTES} bytes.")]
    TooLong,
    #[error("The password is entirely numeric.")]
    Numeric,
    #[error("The password is too similar to the username or the email address.")]
    Similar,
    #[error("The password is too common or too easy to guess.")]
    Common,
}

/// All that speaks against a password, if anything does.
pub fn check_password(password: &str, username: &str, email: &str) -> Result<(), Vec<PasswordError>> {
    let mut errors = vec![];
    if password.chars().count() < MIN_CHARS {
        errors.push(PasswordError::TooShort);
    }
    if password.len() > MAX_BYTES {
        return Err(vec![PasswordError::TooLong]);
    }
    if !password.is_empty() && password.chars().all(|c| c.is_ascii_digit()) {
        errors.push(PasswordError::Numeric);
    }
    if is_similar(password, username, email) {
        errors.push(PasswordError::Similar);
    } else if zxcvbn::zxcvbn(password, &[]).guesses_log10() < LEAST_GUESSES_LOG10 {
        errors.push(PasswordError::Common);
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// Whether it is a name, or a name with a little around it.
fn is_similar(password: &str, username: &str, email: &str) -> bool {
    let password = password.to_lowercase();
    let names = std::iter::once(username).chain(std::iter::once(email)).chain(email.split(['@', '.']));
    names.map(str::to_lowercase).filter(|name| name.chars().count() >= 4).any(|name| {
        let rest = password.replace(&name, "").chars().count();
        (password.contains(&name) && rest < MIN_CHARS) || (password.chars().count() >= 4 && name.contains(&password))
    })
}

fn argon2() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).expect("within argon2's limits");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// A PHC string. Takes tens of milliseconds and 12 MiB.
pub fn hash_password(password: &str) -> String {
    let salt = SaltString::encode_b64(Uuid::new_v4().as_bytes()).expect("16 bytes are a salt");
    argon2().hash_password(password.as_bytes(), &salt).expect("argon2 takes any password").to_string()
}

/// Whether a password is the one of a PHC string; without one it takes as long, so that nobody learns which names there are.
pub fn verify_password(password: &str, hash: Option<&str>) -> bool {
    if password.len() > MAX_BYTES {
        return false;
    }
    let Some(hash) = hash.and_then(|hash| PasswordHash::new(hash).ok()) else {
        hash_password(password);
        return false;
    };
    argon2().verify_password(password.as_bytes(), &hash).is_ok()
}

#[cfg(test)]
mod tests {
    use super::PasswordError::*;
    use super::*;

    #[test]
    fn rules() {
        let check = |password: &str| check_password(password, "margaret", "peggy.hamilton@example.org");
        assert_eq!(check("correct horse battery"), Ok(()));
        assert_eq!(check("tZ4-qu8x!"), Ok(()));
        assert_eq!(check("abc"), Err(vec![TooShort, Common]));
        assert_eq!(check("password1"), Err(vec![Common]));
        assert_eq!(check("12345678"), Err(vec![Numeric, Common]));
        assert_eq!(check("margaret"), Err(vec![Similar]));
        assert_eq!(check("Margaret1!"), Err(vec![Similar]));
        assert_eq!(check("hamilton99"), Err(vec![Similar]));
        assert_eq!(check("margaret and seven apples"), Ok(()));
        assert_eq!(check(&"x".repeat(1025)), Err(vec![TooLong]));
    }

    #[test]
    fn hashes() {
        let hash = hash_password("ünï");
        assert!(hash.starts_with("$argon2id$v=19$m=12288,t=3,p=1$"), "{hash}");
        assert!(verify_password("ünï", Some(&hash)) && !verify_password("uni", Some(&hash)));
        assert!(!verify_password("ünï", None) && !verify_password("", Some("nonsense")));
        assert_ne!(hash, hash_password("ünï"));
    }
}
