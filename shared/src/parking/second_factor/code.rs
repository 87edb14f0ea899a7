//! Codes of six digits for a secret and a time. Pure, except for random recovery codes.

use anyhow::anyhow;
use totp_rs::{Algorithm, TOTP};

use crate::base::error::Result;

/// How long a code is shown, in seconds.
const STEP: u64 = 30;

/// Steps before and after the current one whose codes are accepted, because clocks differ.
const SKEW: u64 = 1;

/// Without letters and digits that look alike: nearly five bits each.
const LETTERS: &[u8; 31] = b"abcdefghjkmnpqrstuvwxyz23456789";

/// Recovery codes of a user.
pub(in crate::parking) const RECOVERY_CODES: usize = 10;

fn totp(secret: &[u8]) -> Result<TOTP> {
    let totp = TOTP::new(Algorithm::SHA1, 6, 1, STEP, secret.to_vec());
    totp.map_err(|error| anyhow!("a secret of a second factor: {error}").into())
}

/// The secret as authenticator apps take it.
pub(in crate::parking) fn base32(secret: &[u8]) -> Result<String> {
    Ok(totp(secret)?.get_secret_base32())
}

/// The step whose code this is, around `now`, in seconds since 1970.
pub(super) fn step_of(secret: &[u8], code: &str, now: u64) -> Result<Option<i64>> {
    let (totp, current) = (totp(secret)?, now / STEP);
    let code: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    let mut found = None;
    // All are compared, so that the time does not tell which one matches.
    for step in current.saturating_sub(SKEW)..=current + SKEW {
        if is_equal(&totp.generate(step * STEP), &code) {
            found = i64::try_from(step).ok();
        }
    }
    Ok(found)
}

fn is_equal(one: &str, other: &str) -> bool {
    one.len() == other.len() && one.bytes().zip(other.bytes()).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

/// A random code of 59 bits, in three groups.
pub(in crate::parking) fn recovery_code() -> String {
    let letter = || char::from(LETTERS[rand::random_range(0..LETTERS.len())]);
    let letters: Vec<char> = std::iter::repeat_with(letter).take(12).collect();
    letters.chunks(4).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join("-")
}

/// A recovery code without the signs that people add or leave out.
pub(in crate::parking) fn normalized(code: &str) -> String {
    code.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The secret of the examples in RFC 6238, appendix B.
    const SECRET: &[u8] = b"12345678901234567890";

    #[test]
    fn codes_are_those_of_the_rfc() {
        for (time, code) in
            [(59, "287082"), (1_111_111_109, "081804"), (1_111_111_111, "050471"), (2_000_000_000, "279037")]
        {
            assert_eq!(step_of(SECRET, code, time).unwrap(), Some((time / 30).try_into().unwrap()), "{time}");
        }
        assert_eq!(base32(SECRET).unwrap(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
    }

    #[test]
    fn codes_are_accepted_one_step_early_and_late() {
        let code = "287082"; // of seconds 30 to 59
        for (time, accepted) in [(0, true), (29, true), (30, true), (89, true), (90, false), (3000, false)] {
            assert_eq!(step_of(SECRET, code, time).unwrap().is_some(), accepted, "{time}");
        }
        assert!(step_of(SECRET, " 287 082 ", 59).unwrap().is_some());
        for wrong in ["", "28708", "2870820", "287083", "２８７０８２", "abcdef"] {
            assert_eq!(step_of(SECRET, wrong, 59).unwrap(), None, "{wrong}");
        }
    }

    #[test]
    fn recovery_codes_are_typed_in_any_way() {
        let (one, other) = (recovery_code(), recovery_code());
        assert_eq!((one.len(), normalized(&one).len()), (14, 12));
        assert_ne!(one, other);
        assert_eq!(normalized(&one.to_uppercase().replace('-', " ")), normalized(&one));
    }
}
