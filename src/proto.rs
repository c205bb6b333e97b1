//! The wire types of the schema, generated from `proto/` (`build.rs`).
//!
//! The messages of `process.proto` under flat names: `Process`, its nested
//! `Work`, `Params`, `Status` with its `State`, and `RunError` for the nested
//! `Error`.

mod negative_zero;

pub(crate) use self::negative_zero::Encode;
pub use self::process::process::status::State;
pub use self::process::process::{Error as RunError, Params, Status, Work};
pub use self::process::{Process, WorkResponse};

#[allow(clippy::all, missing_docs, unreachable_pub, unused_qualifications, reason = "generated")]
mod process {
    include!(concat!(env!("CARGO_MANIFEST_DIR"), "/proto/generated/process.rs"));
}

#[allow(clippy::all, missing_docs, unreachable_pub, unused_qualifications, reason = "generated")]
mod procstate {
    #[cfg(feature = "http")]
    pub(crate) mod engine {
        include!(concat!(env!("CARGO_MANIFEST_DIR"), "/proto/generated/procstate.engine.rs"));
    }

    pub(crate) mod record {
        include!(concat!(env!("CARGO_MANIFEST_DIR"), "/proto/generated/procstate.record.rs"));
    }
}

/// The payloads of the store's own records, generated from `record.proto`.
pub(crate) use self::procstate::record;

/// The protocol between a program that has a store open and its clients.
#[cfg(feature = "http")]
pub(crate) use self::procstate::engine;

/// etcd's API, generated from `proto/etcd`.
#[cfg(feature = "etcd")]
#[allow(clippy::all, dead_code, missing_docs, unreachable_pub, unused_qualifications, reason = "generated")]
pub(crate) mod etcd {
    pub(crate) mod mvccpb {
        include!(concat!(env!("CARGO_MANIFEST_DIR"), "/proto/generated/mvccpb.rs"));
    }

    pub(crate) mod etcdserverpb {
        include!(concat!(env!("CARGO_MANIFEST_DIR"), "/proto/generated/etcdserverpb.rs"));
    }
}
