//! The token that clients must present.

use std::path::Path;
use std::{env, fmt, fs, io};

use subtle::ConstantTimeEq;

use crate::remote::Remote;

/// The minimum length that makes guessing infeasible: 16 characters.
const CHARACTERS_MIN: usize = 16;

/// A bearer token, which every request must present.
///
/// It comes from a file or from the environment, never from a program's arguments, which every user
/// of the machine can read.
///
/// ```
/// use procstate::http::Token;
///
/// # let folder = tempfile::tempdir()?;
/// # let file = folder.path().join("token");
/// # std::fs::write(&file, "a-secret-of-at-least-16-characters\n")?;
/// let token = Token::from_file(&file)?;
/// // Or from an environment variable, which must be set.
/// assert!(Token::from_env("A_VARIABLE_THAT_IS_NOT_SET").is_err());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// Reads a token from a file, without surrounding whitespace.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or its text is not a token: at least 16 visible ASCII
    /// characters.
    pub fn from_file(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        let told = |error: io::Error| {
            io::Error::new(error.kind(), format!("could not read the token in {}: {error}", path.display()))
        };
        let text = fs::read_to_string(path).map_err(told)?;
        Self::checked(text.trim()).map_err(|why| invalid(&format!("the token in {} {why}", path.display())))
    }

    /// Reads a token from an environment variable.
    ///
    /// # Errors
    ///
    /// If the variable is not set, or its text is not a token: at least 16 visible ASCII
    /// characters.
    pub fn from_env(variable: &str) -> io::Result<Self> {
        let told = |error| invalid(&format!("could not read the token in the variable {variable}: {error}"));
        let text = env::var(variable).map_err(told)?;
        Self::checked(text.trim())
            .map_err(|why| invalid(&format!("the token in the variable {variable} {why}")))
    }

    /// Returns the token `text`.
    ///
    /// # Errors
    ///
    /// If the text is not a token: at least 16 visible ASCII characters.
    pub fn new(text: &str) -> io::Result<Self> {
        Self::checked(text).map_err(|why| invalid(&format!("the token {why}")))
    }

    fn checked(text: &str) -> Result<Self, String> {
        if text.len() < CHARACTERS_MIN {
            return Err(format!("is too short: it takes {CHARACTERS_MIN} characters or more"));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("has a character that is not visible ASCII".to_owned());
        }
        Ok(Self(text.to_owned()))
    }

    /// Compares a text with the token, in a time that depends only on the text's length.
    pub(super) fn is(&self, text: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(text).into()
    }
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

/// Hides the secret.
impl Remote {
    /// Sends this token.
    ///
    /// It is not encrypted: use a tunnel to reach another machine.
    pub fn token(self, token: &Token) -> Self {
        self.bearer(&token.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "0123456789abcdef";

    #[test]
    fn a_token_is_compared_whole_and_never_shown() {
        let token = Token::new(TEXT).unwrap();
        assert!(token.is(TEXT.as_bytes()));
        for other in ["", "0123456789abcde", "0123456789abcdeF", "0123456789abcdef0"] {
            assert!(!token.is(other.as_bytes()), "{other}");
        }
        assert_eq!(format!("{token:?}"), "Token(..)");
    }

    #[test]
    fn invalid_tokens_are_refused_without_showing_them() {
        for text in ["", "secret", "0123456789abcde\u{e9}", "0123456789 abcdef"] {
            let error = Token::new(text).unwrap_err().to_string();
            assert!(text.is_empty() || !error.contains(text), "{error}");
        }
    }

    #[test]
    fn a_file_may_end_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(&path, format!("{TEXT}\n")).unwrap();
        assert!(Token::from_file(&path).unwrap().is(TEXT.as_bytes()));
        let error = Token::from_file(folder.path().join("none")).unwrap_err();
        assert!(error.to_string().contains("none"), "{error}");
        assert!(Token::from_env("PROCSTATE_NO_SUCH_TOKEN").is_err());
    }
}
