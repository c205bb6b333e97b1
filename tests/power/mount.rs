//! The simulated disk as a FUSE file system that can be cut off.
//!
//! Nothing is cached on the way: each write of the program arrives as one write, in order, even if
//! the program is killed right afterwards.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{
    BackgroundSession, BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags,
    Generation, INodeNo, LockOwner, MountOption, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyWrite, Request, Session, TimeOrNow, WriteFlags,
};

use super::disk::{Attributes, Disk, Result};

/// The prefix of our mounts and folders, followed by the pid of their program.
const SOURCE: &str = "procstate-power-";
const MEMORY: &str = "/dev/shm";
/// The kernel is the only client, so its caches stay valid.
const FOR_EVER: Duration = Duration::from_secs(3600);

/// A recorded call that changes something.
#[derive(Debug, Clone, Copy)]
pub struct Event {
    pub nanos: u64,
    pub what: &'static str,
    pub inode: u64,
    pub offset: u64,
    pub length: u64,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { nanos, what, inode, offset, length } = self;
        write!(f, "{nanos} {what} inode {inode} at {offset}, {length} bytes")
    }
}

#[derive(Debug)]
struct State {
    disk: Disk,
    events: Vec<Event>,
    /// The event at which the power is cut.
    cut_at: usize,
    is_cut: bool,
}

/// The state shared by file system and test.
#[derive(Debug, Clone)]
pub struct Power {
    shared: Arc<(Mutex<State>, Condvar)>,
}

impl Power {
    pub fn new(disk: Disk) -> Self {
        let state = State { disk, events: Vec::new(), cut_at: usize::MAX, is_cut: false };
        Self { shared: Arc::new((Mutex::new(state), Condvar::new())) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.0.lock().unwrap()
    }

    /// Cuts the power at the call number `calls` from now on.
    pub fn cut_after(&self, calls: usize) {
        let mut state = self.lock();
        state.cut_at = state.events.len() + calls;
    }

    /// Returns the number of changing calls so far.
    pub fn calls(&self) -> usize {
        self.lock().events.len()
    }

    /// Returns the disk as programs see it now.
    pub fn disk(&self) -> Disk {
        self.lock().disk.clone()
    }

    /// Cuts the power now, if it is still on.
    pub fn cut(&self) {
        self.lock().is_cut = true;
        self.shared.1.notify_all();
    }

    /// Waits for the power cut; false if `time` passes first.
    pub fn wait_for_cut(&self, time: Duration) -> bool {
        let (_state, timeout) =
            self.shared.1.wait_timeout_while(self.lock(), time, |state| !state.is_cut).unwrap();
        !timeout.timed_out()
    }

    /// Returns the disk as the program saw it last, and all recorded events.
    pub fn take(&self) -> (Disk, Vec<Event>) {
        let mut state = self.lock();
        (std::mem::replace(&mut state.disk, Disk::new()), std::mem::take(&mut state.events))
    }

    /// Makes a call that changes nothing. Without power there is no answer.
    fn look<T>(&self, call: impl FnOnce(&mut Disk) -> Result<T>) -> Result<T> {
        let mut state = self.lock();
        if state.is_cut { Err(Errno::EIO) } else { call(&mut state.disk) }
    }

    /// Makes a call that changes something.
    ///
    /// A write or name change interrupted by the cut may survive; a sync is not done.
    fn change<T>(
        &self,
        what: &'static str,
        (inode, offset, length): (u64, u64, u64),
        call: impl FnOnce(&mut Disk) -> Result<T>,
    ) -> Result<T> {
        let mut state = self.lock();
        if state.is_cut {
            return Err(Errno::EIO);
        }
        state.events.push(Event { nanos: now_nanos(), what, inode, offset, length });
        if state.events.len() != state.cut_at {
            return call(&mut state.disk);
        }
        if what != "sync" {
            let _ = call(&mut state.disk);
        }
        state.is_cut = true;
        self.shared.1.notify_all();
        Err(Errno::EIO)
    }
}

pub fn now_nanos() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64
}

/// A mounted disk, which is unmounted on drop, even in a panic.
pub struct Mounted {
    session: Option<BackgroundSession>,
    path: PathBuf,
}

impl Mounted {
    pub fn new(power: &Power, path: &Path) -> io::Result<Self> {
        let mut config = Config::default();
        let source = format!("{SOURCE}{}", std::process::id());
        config.mount_options =
            vec![MountOption::FSName(source), MountOption::RW, MountOption::NoAtime, MountOption::NoSuid];
        let session = Session::new(power.clone(), path, &config)?.spawn()?;
        Ok(Self { session: Some(session), path: path.to_owned() })
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Some(session) = self.session.take()
            && session.umount_and_join().is_err()
        {
            detach(&self.path);
        }
    }
}

/// Unmounts a folder even if it is in use or has lost its server.
fn detach(path: &Path) {
    let _ = Command::new("umount").arg("-l").arg(path).output();
}

/// Returns a folder for a chain of cuts, in memory if possible, where syncs cost nothing.
pub fn folder() -> tempfile::TempDir {
    let prefix = format!("{SOURCE}{}-", std::process::id());
    let builder = || tempfile::Builder::new().prefix(&prefix).to_owned();
    builder().tempdir_in(MEMORY).or_else(|_| builder().tempdir()).unwrap()
}

/// Reports whether a mount or a folder was left by a killed test program.
fn is_left_over(name: &str) -> bool {
    let pid = name.strip_prefix(SOURCE).and_then(|rest| rest.split('-').next());
    pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists())
}

/// Unmounts and deletes what killed test programs left.
pub fn clean_leftovers() {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    for line in mounts.lines() {
        let mut words = line.split(' ');
        if let (Some(source), Some(path)) = (words.next(), words.next())
            && is_left_over(source)
        {
            detach(Path::new(path));
        }
    }
    for parent in [PathBuf::from(MEMORY), std::env::temp_dir()] {
        let Ok(entries) = std::fs::read_dir(parent) else { continue };
        for entry in entries.flatten().filter(|entry| is_left_over(&entry.file_name().to_string_lossy())) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

fn attributes(found: Attributes) -> FileAttr {
    let (kind, perm) =
        if found.is_folder { (FileType::Directory, 0o755) } else { (FileType::RegularFile, 0o644) };
    FileAttr {
        ino: INodeNo(found.inode),
        size: found.length,
        blocks: found.length.div_ceil(512),
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind,
        perm,
        nlink: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}

fn reply_entry(found: Result<Attributes>, reply: ReplyEntry) {
    match found {
        Ok(found) => reply.entry(&FOR_EVER, &attributes(found), Generation(0)),
        Err(error) => reply.error(error),
    }
}

fn reply_empty(done: Result<()>, reply: ReplyEmpty) {
    match done {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}

impl Filesystem for Power {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let found = self.look(|disk| disk.attributes(disk.lookup(parent.0, name)?));
        reply_entry(found, reply);
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.look(|disk| disk.attributes(inode.0)) {
            Ok(found) => reply.attr(&FOR_EVER, &attributes(found)),
            Err(error) => reply.error(error),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        inode: INodeNo,
        _mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _handle: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let done = match size {
            Some(size) => self.change("set_length", (inode.0, 0, size), |disk| {
                disk.set_length(inode.0, size)?;
                disk.attributes(inode.0)
            }),
            None => self.look(|disk| disk.attributes(inode.0)),
        };
        match done {
            Ok(found) => reply.attr(&FOR_EVER, &attributes(found)),
            Err(error) => reply.error(error),
        }
    }

    fn mkdir(&self, _: &Request, parent: INodeNo, name: &OsStr, _: u32, _: u32, reply: ReplyEntry) {
        let found = self.change("mkdir", (parent.0, 0, 0), |disk| {
            let inode = disk.create_folder(parent.0, name)?;
            disk.attributes(inode)
        });
        reply_entry(found, reply);
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        reply_empty(self.change("unlink", (parent.0, 0, 0), |disk| disk.remove(parent.0, name)), reply);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        reply_empty(self.change("rmdir", (parent.0, 0, 0), |disk| disk.remove(parent.0, name)), reply);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        if !flags.is_empty() {
            return reply.error(Errno::EINVAL);
        }
        let done = self
            .change("rename", (parent.0, 0, 0), |disk| disk.rename(parent.0, name, new_parent.0, new_name));
        reply_empty(done, reply);
    }

    fn open(&self, _: &Request, inode: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.look(|disk| disk.attributes(inode.0)) {
            Ok(_) => reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO),
            Err(error) => reply.error(error),
        }
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        _mode: u32,
        _umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        let found = self.change("create", (parent.0, 0, 0), |disk| {
            let inode = match disk.lookup(parent.0, name) {
                Ok(inode) => inode,
                Err(_) => disk.create(parent.0, name)?,
            };
            disk.attributes(inode)
        });
        match found {
            Ok(found) => {
                let handle = FileHandle(0);
                reply.created(
                    &FOR_EVER,
                    &attributes(found),
                    Generation(0),
                    handle,
                    FopenFlags::FOPEN_DIRECT_IO,
                );
            }
            Err(error) => reply.error(error),
        }
    }

    fn read(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.look(|disk| Ok(disk.read(inode.0, offset, size as usize)?.to_owned())) {
            Ok(bytes) => reply.data(&bytes),
            Err(error) => reply.error(error),
        }
    }

    fn write(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let at = (inode.0, offset, data.len() as u64);
        match self.change("write", at, |disk| disk.write(inode.0, offset, data)) {
            Ok(()) => reply.written(data.len() as u32),
            Err(error) => reply.error(error),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        // After this answer the kernel does not ask again.
        reply.error(Errno::ENOSYS);
    }

    fn fsync(&self, _: &Request, inode: INodeNo, _: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        reply_empty(self.change("sync", (inode.0, 0, 0), |disk| disk.sync(inode.0)), reply);
    }

    fn fsyncdir(&self, _: &Request, inode: INodeNo, _: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        reply_empty(self.change("sync", (inode.0, 0, 0), |disk| disk.sync(inode.0)), reply);
    }

    fn readdir(&self, _: &Request, inode: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let listed = self.look(|disk| {
            let names = disk.list(inode.0)?;
            names.into_iter().map(|(name, inode)| Ok((name, disk.attributes(inode)?))).collect()
        });
        let listed: Vec<_> = match listed {
            Ok(listed) => listed,
            Err(error) => return reply.error(error),
        };
        for (at, (name, found)) in listed.iter().enumerate().skip(offset as usize) {
            let kind = if found.is_folder { FileType::Directory } else { FileType::RegularFile };
            if reply.add(INodeNo(found.inode), at as u64 + 1, kind, name) {
                break;
            }
        }
        reply.ok();
    }
}
