//! File permissions.

use std::fs::Metadata;
use std::os::unix::fs::PermissionsExt;

/// Readable and writable by the owner only.
pub(crate) const PRIVATE: u32 = 0o600;

/// Readable and writable by everyone whom the umask allows.
pub(crate) const OPEN: u32 = 0o666;

/// Returns the mode of a folder for files of this mode: a reader of the files may list it.
pub(crate) const fn of_folder(mode: u32) -> u32 {
    mode | ((mode & 0o444) >> 2)
}

/// Returns the permission bits of a file, without those that only programs use.
pub(crate) fn of_file(metadata: &Metadata) -> u32 {
    metadata.permissions().mode() & OPEN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_of_the_files_may_list_the_folder() {
        let modes = [PRIVATE, 0o640, 0o660, 0o644, OPEN];
        assert_eq!(modes.map(of_folder), [0o700, 0o750, 0o770, 0o755, 0o777]);
    }
}
