//! Access to the schema at run time.

use std::sync::OnceLock;

use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};

use crate::error::{Failure, Result};
use crate::proto::{Encode, Process, Status, Work, WorkResponse};

/// A message of the schema that has a JSON form.
pub trait Message: prost::Message + Default + sealed::Sealed {
    /// The name of the message in the schema.
    #[doc(hidden)]
    const NAME: &'static str;
}

mod sealed {
    /// Implemented only for messages of the schema.
    pub trait Sealed {
        fn bytes(&self) -> Vec<u8>;
    }
}

macro_rules! messages {
    ($($message:ty: $name:literal,)*) => {$(
        impl sealed::Sealed for $message {
            fn bytes(&self) -> Vec<u8> {
                self.encode_exactly()
            }
        }
        impl Message for $message {
            const NAME: &'static str = $name;
        }
    )*};
}

messages! {
    Process: "process.Process",
    Status: "process.Process.Status",
    Work: "process.Process.Work",
    WorkResponse: "process.WorkResponse",
}

/// Returns a message as bare protobuf binary, preserving every value, including negative zeros.
#[must_use]
pub fn to_binary<M: Message>(message: &M) -> Vec<u8> {
    message.bytes()
}

/// Returns the descriptor of a message type.
pub(super) fn descriptor<M: Message>() -> Result<MessageDescriptor> {
    static POOL: OnceLock<Option<DescriptorPool>> = OnceLock::new();
    let decode = || {
        let bytes = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/proto/generated/descriptors.bin"));
        DescriptorPool::decode(bytes.as_slice()).ok()
    };
    let pool = POOL.get_or_init(decode).as_ref();
    // The build generates descriptors and types from the same files.
    let missing = || Failure::Argument(format!("the schema of {} was not built in", M::NAME));
    Ok(pool.and_then(|pool| pool.get_message_by_name(M::NAME)).ok_or_else(missing)?)
}

/// Converts a message into its dynamic form.
pub(super) fn reflect<M: Message>(message: &M) -> Result<DynamicMessage> {
    let unfit = |error| Failure::Argument(format!("{} does not fit its schema: {error}", M::NAME));
    Ok(DynamicMessage::decode(descriptor::<M>()?, message.bytes().as_slice()).map_err(unfit)?)
}
