//! Classifies etcd's errors, and says what the user can do about them.

use std::io;

use tonic::{Code, Status};

use crate::error::{Error, Failure, chain};

/// etcd's error for an exhausted quota, and what to do about it.
const FULL: &str = "mvcc: database space exceeded: compact and defragment it (`etcdctl compact REVISION`, `etcdctl defrag`) or raise its quota (--quota-backend-bytes), then `etcdctl alarm disarm`";

/// Why a call failed.
#[derive(Debug)]
pub(in crate::engine::etcd) enum Trouble {
    /// There was no conclusive response: the request may or may not have taken effect, and can be
    /// retried.
    Lost(String),
    /// The authentication token has expired. The request had no effect.
    Token,
    /// The lease of a written key has expired. The request had no effect.
    Lease,
    /// The transaction had more operations than this cluster allows, and no effect.
    Operations,
    /// The request had more bytes than this cluster allows, and no effect.
    Bytes,
    /// The requested revision was compacted.
    Compacted,
    Final(Reason),
}

/// Why a retry is useless.
#[derive(Debug)]
pub(in crate::engine::etcd) enum Reason {
    /// The space quota is exhausted.
    Full,
    Other(String),
}

impl Trouble {
    pub(in crate::engine::etcd) fn of(status: &Status) -> Self {
        let text = status.message();
        let says = |words: &str| text.contains(words);
        if says("invalid auth token") || says("revision of auth store is old") {
            return Self::Token;
        }
        if says("requested lease not found") {
            return Self::Lease;
        }
        if says("too many operations") {
            return Self::Operations;
        }
        if says("request is too large") || says("larger than max") {
            return Self::Bytes;
        }
        if says("has been compacted") {
            return Self::Compacted;
        }
        if says("database space exceeded") {
            return Self::Final(Reason::Full);
        }
        if let Some(advice) = advice(status) {
            return Self::Final(Reason::Other(advice));
        }
        match status.code() {
            // etcd refuses the request itself; all other errors may be temporary.
            Code::InvalidArgument
            | Code::FailedPrecondition
            | Code::PermissionDenied
            | Code::Unauthenticated
            | Code::OutOfRange
            | Code::NotFound
            | Code::Unimplemented => Self::Final(Reason::Other(words(status))),
            _ => Self::Lost(words(status)),
        }
    }
}

impl Reason {
    pub(in crate::engine::etcd) fn error(self, place: &str) -> Error {
        let place = place.to_owned();
        match self {
            Self::Full => Failure::DiskFull { path: place.into(), source: io::Error::other(FULL) }.into(),
            Self::Other(why) => Failure::Unreachable { place, why }.into(),
        }
    }
}

/// Returns the error with instructions, if only the user of the store can remove the cause.
fn advice(status: &Status) -> Option<String> {
    let text = words(status);
    let says = |words: &str| text.contains(words);
    if says("authentication failed") || says("user name is empty") || says("user name not found") {
        return Some(format!(
            "it rejected the user or the password ({text}); give the name and the password of one of its users"
        ));
    }
    if says("authentication is not enabled") {
        return Some(format!("it has no users ({text}); omit user and password"));
    }
    if says("permission denied") {
        return Some(format!(
            "this user lacks a permission ({text}); grant the role read and write access to all keys with the prefix"
        ));
    }
    let lower = text.to_lowercase();
    if ["certificate", "tls", "handshake", "corrupt message"].iter().any(|word| lower.contains(word)) {
        return Some(format!(
            "the TLS handshake with it failed ({text}); check that the address begins with https://, that the certificate authority signed the members' certificates, and that the certificates contain the name in the address"
        ));
    }
    None
}

/// Returns the message with its cause: tonic's own message is only "transport error".
fn words(status: &Status) -> String {
    let cause = std::error::Error::source(status).map(chain);
    match cause {
        Some(cause) if !status.message().contains(&cause) => format!("{}: {cause}", status.message()),
        _ => status.message().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: Code, text: &str) -> Trouble {
        Trouble::of(&Status::new(code, text))
    }

    #[test]
    fn errors_of_etcd_are_classified() {
        let full = of(Code::ResourceExhausted, "etcdserver: mvcc: database space exceeded");
        assert!(matches!(full, Trouble::Final(Reason::Full)));
        let many = of(Code::ResourceExhausted, "etcdserver: too many requests");
        assert!(matches!(many, Trouble::Lost(_)));
        let old = of(Code::OutOfRange, "etcdserver: mvcc: required revision has been compacted");
        assert!(matches!(old, Trouble::Compacted));
        assert!(matches!(of(Code::Unauthenticated, "etcdserver: invalid auth token"), Trouble::Token));
        assert!(matches!(of(Code::Unavailable, "etcdserver: leader changed"), Trouble::Lost(_)));
        assert!(matches!(of(Code::InvalidArgument, "etcdserver: request is too large"), Trouble::Bytes));
    }

    #[test]
    fn an_error_says_what_to_do() {
        for (code, text, advice) in [
            (Code::InvalidArgument, "etcdserver: user name is empty", "give the name"),
            (Code::PermissionDenied, "etcdserver: permission denied", "grant the role"),
            (Code::Unavailable, "invalid peer certificate: UnknownIssuer", "https://"),
        ] {
            let Trouble::Final(reason) = of(code, text) else { panic!("{text}") };
            let error = reason.error("etcd at http://a");
            assert!(error.to_string().contains(advice), "{error}");
            assert!(error.is_unreachable());
        }
        let error = Reason::Full.error("etcd at http://a");
        assert!(error.is_disk_full() && error.to_string().contains("etcdctl"), "{error}");
    }
}
