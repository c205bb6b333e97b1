//! Who may read and write a file.

use std::fs::Metadata;
use std::os::unix::fs::PermissionsExt;

/// A file that is for its user alone.
pub(crate) const PRIVATE: u32 = 0o600;

/// A file that is for whom the umask lets.
pub(crate) const OPEN: u32 = 0o666;

/// The mode of a folder with files of this one: who may read them may look into it.
pub(crate) const fn of_folder(mode: u32) -> u32 {
    mode | ((mode & 0o444) >> 2)
}

/// The mode of a file, without what only programs have.
pub(crate) fn of_file(metadata: &Metadata) -> u32 {
    metadata.permissions().mode() & OPEN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_reads_the_files_may_look_into_the_folder() {
        let modes = [PRIVATE, 0o640, 0o660, 0o644, OPEN];
        assert_eq!(modes.map(of_folder), [0o700, 0o750, 0o770, 0o755, 0o777]);
    }
}
