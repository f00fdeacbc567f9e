//! Signatures of webhooks, as the Standard Webhooks specification has them: HMAC-SHA256 over `id.timestamp.body`.

use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// What webhooks are signed with.
#[derive(Clone)]
pub struct SigningKey(Vec<u8>);

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl FromStr for SigningKey {
    type Err = &'static str;

    /// `whsec_` and base64, or any text of 16 bytes or more.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let key = match text.strip_prefix("whsec_") {
            Some(base64) => STANDARD.decode(base64).map_err(|_| "whsec_ must be followed by base64")?,
            None => text.as_bytes().to_vec(),
        };
        if key.len() < 16 { Err("must have 16 bytes or more") } else { Ok(Self(key)) }
    }
}

impl SigningKey {
    /// The value of header `webhook-signature`; `timestamp` in seconds since 1970.
    pub fn sign(&self, id: &str, timestamp: i64, body: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's reference implementations.
    #[test]
    fn standard_webhooks_example() {
        let key: SigningKey = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap();
        let signature = key.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, r#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert!("short".parse::<SigningKey>().is_err());
        assert!("whsec_?".parse::<SigningKey>().is_err());
    }
}
