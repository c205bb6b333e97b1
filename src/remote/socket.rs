//! The control socket `control.sock` in a store's folder, on which the program that has the store
//! open can be reached.
//!
//! Only the holder of `LOCK` creates and replaces it, so an existing socket was left by a program
//! that is gone. Anything that is not a socket, or belongs to another user, is left alone.

use std::fs::{self, Metadata, Permissions};
use std::io::{self, Error, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use tempfile::TempDir;
use tokio::net::UnixStream;

use crate::store::Store;

const NAME: &str = "control.sock";

/// The maximum number of connections waiting to be accepted.
const BACKLOG: i32 = 128;

/// Accessible to the user alone.
const MODE: u32 = 0o600;

/// A control socket, which is removed when dropped.
///
/// The store is open until then.
#[derive(Debug)]
pub(crate) struct ControlSocket {
    path: PathBuf,
    /// Device and inode, to check that the file is still this socket.
    id: (u64, u64),
    _store: Store,
}

impl ControlSocket {
    /// Creates the socket of a store that this program has open in a folder.
    pub(crate) fn bind(store: &Store) -> io::Result<(Self, UnixListener)> {
        let folder = store.path().filter(|_| !store.is_remote()).ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidInput,
                "only a store that this program has open in a folder has a control socket",
            )
        })?;
        let path = folder.join(NAME);
        let explained = |error: Error| Error::new(error.kind(), format!("{}: {error}", path.display()));
        remove_stale(&path).map_err(explained)?;
        let listener = listen(folder, &path).map_err(explained)?;
        let id = id(&fs::symlink_metadata(&path).map_err(explained)?);
        Ok((Self { path, id, _store: store.clone() }, listener))
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|found| id(&found) == self.id) {
            // A remaining socket does no harm.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn id(found: &Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}

/// The socket accepts connections only after its mode is set.
fn listen(folder: &Path, path: &Path) -> io::Result<UnixListener> {
    let short = ShortPath::of(folder)?;
    let socket =
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(&short.path)?)?;
    fs::set_permissions(path, Permissions::from_mode(MODE))?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket.into())
}

fn remove_stale(path: &Path) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    check(&found, rustix::process::geteuid().as_raw())?;
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Fails unless the file is a socket of `owner`.
fn check(found: &Metadata, owner: u32) -> io::Result<()> {
    let why = if found.is_symlink() {
        "it is a symbolic link"
    } else if !found.file_type().is_socket() {
        "it is not a socket"
    } else if found.uid() != owner {
        "it belongs to another user"
    } else {
        return Ok(());
    };
    Err(Error::other(format!("{why}, and was left as it is; move it away")))
}

/// Connects to the program that has the store in `folder` open.
pub(super) async fn connect(folder: &Path) -> io::Result<UnixStream> {
    let found = fs::symlink_metadata(folder.join(NAME)).map_err(|error| match error.kind() {
        ErrorKind::NotFound => Error::new(ErrorKind::NotFound, "it serves no control socket"),
        _ => error,
    })?;
    // A socket of another user could read all requests and forge answers.
    check(&found, fs::metadata(folder)?.uid()).or_else(|why| {
        let own = rustix::process::geteuid().as_raw();
        check(&found, own).map_err(|_| why)
    })?;
    let short = ShortPath::of(folder)?;
    UnixStream::connect(&short.path).await
}

/// A path of the socket that fits into a socket address.
struct ShortPath {
    path: PathBuf,
    /// Contains a link to the folder if its path is too long.
    _link: Option<TempDir>,
}

impl ShortPath {
    fn of(folder: &Path) -> io::Result<Self> {
        let path = folder.join(NAME);
        if SocketAddrUnix::new(&path).is_ok() {
            return Ok(Self { path, _link: None });
        }
        let link = tempfile::tempdir()?;
        symlink(std::path::absolute(folder)?, link.path().join("s"))?;
        Ok(Self { path: link.path().join("s").join(NAME), _link: Some(link) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(store: &Store) -> io::Result<(ControlSocket, UnixListener)> {
        ControlSocket::bind(store)
    }

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn is_private_and_removed_on_drop() {
        let temp = tempfile::tempdir().unwrap();
        let store = Store::builder().private(false).open(temp.path().join("s")).unwrap();
        let path = temp.path().join("s").join(NAME);
        let (socket, _listener) = bound(&store).unwrap();
        assert_eq!(mode(&path), 0o600);
        drop(socket);
        assert!(!path.exists());
        assert!(bound(&Store::in_memory()).is_err());
    }

    #[test]
    fn a_stale_socket_is_replaced_and_a_newer_one_kept() {
        let temp = tempfile::tempdir().unwrap();
        let store = Store::open(temp.path().join("s")).unwrap();
        let (old, _old) = bound(&store).unwrap();
        let (new, listener) = bound(&store).unwrap();
        drop(old);
        assert!(new.path.exists());
        std::os::unix::net::UnixStream::connect(&new.path).unwrap();
        listener.accept().unwrap();
    }

    #[test]
    fn other_files_are_left_alone() {
        let temp = tempfile::tempdir().unwrap();
        let store = Store::open(temp.path().join("s")).unwrap();
        let path = temp.path().join("s").join(NAME);
        fs::write(&path, "thesis").unwrap();
        assert!(bound(&store).unwrap_err().to_string().contains("it is not a socket, and was left"));
        assert_eq!(fs::read(&path).unwrap(), b"thesis");
        fs::remove_file(&path).unwrap();
        let elsewhere = temp.path().join("elsewhere");
        let _other = UnixListener::bind(&elsewhere).unwrap();
        symlink(&elsewhere, &path).unwrap();
        assert!(bound(&store).unwrap_err().to_string().contains("it is a symbolic link, and was left"));
        assert!(path.is_symlink() && elsewhere.exists());
    }

    #[test]
    fn long_paths_work() {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().join("x".repeat(100)).join("y".repeat(100));
        let store = Store::open(&folder).unwrap();
        let (_socket, listener) = bound(&store).unwrap();
        assert_eq!(mode(&folder.join(NAME)), 0o600);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(connect(&folder)).unwrap();
        listener.accept().unwrap();
    }
}
