//! Faults in the files of a store.
//!
//! ```text
//! fault = kind (u8, modulo 9) file (u8) argument (u16) other (u16)
//! kind  = 0 flip    the bit `other` of the byte at `argument`
//!       | 1 zero    the page `argument`
//!       | 2 cut     at `argument`
//!       | 3 delete
//!       | 4 swap    the pages `argument` and `other`
//!       | 5 older   the file as it was at the moment `argument`
//!       | 6 fork    as it was at the moment `argument` of the copy that went on by itself
//!       | 7 foreign as it was at the moment `other` of the life `argument`
//!       | 8 random  `other` bytes from `argument` on overwritten
//! flags = 0 to 11 nothing | 12 the whole folder as it was at an earlier moment
//!       | 13 to 15 each file as it was when a copier came by, while the program went on
//! ```
//! Numbers that are too large wrap around; arguments that are positions in a file are in units of
//! 1/65,536 of its length.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use bytes::Buf;

use super::life::{Folder, Life, Moment};

const PAGE: usize = 4096;

/// The maximum number of faults.
const FAULTS_MAX: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Flip,
    Zero,
    Cut,
    Delete,
    Swap,
    Older,
    Fork,
    Foreign,
    Random,
}

const KINDS: [Kind; 9] = [
    Kind::Flip,
    Kind::Zero,
    Kind::Cut,
    Kind::Delete,
    Kind::Swap,
    Kind::Older,
    Kind::Fork,
    Kind::Foreign,
    Kind::Random,
];

#[derive(Debug, Clone)]
struct Fault {
    kind: Kind,
    file: PathBuf,
    argument: u16,
    other: u16,
}

/// The files of one moment after the damage.
pub(super) struct Damaged {
    pub(super) life: usize,
    /// The moment of the files, or the last one of several.
    pub(super) moment: usize,
    pub(super) files: Folder,
    /// The files that a fault may have changed.
    pub(super) touched: BTreeSet<PathBuf>,
    /// The earliest moment of a file, if the files are of several.
    pub(super) copied_from: Option<usize>,
    pub(super) has_fork: bool,
    /// Whether a file of another store was damaged too, which may have taken its store id.
    pub(super) has_damaged_foreign: bool,
    /// The files of other stores.
    foreign: BTreeSet<PathBuf>,
    what: String,
}

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl Damaged {
    pub(super) fn decode(lives: &[Life], mut bytes: &[u8]) -> Option<Self> {
        let life = usize::from(bytes.try_get_u8().ok()?) % lives.len();
        let moments = &lives[life].main.moments;
        let moment = usize::from(bytes.try_get_u8().ok()?) % moments.len();
        let flags = usize::from(bytes.try_get_u8().ok()?);
        let mut damaged = Self {
            life,
            moment,
            files: moments[moment].files.clone(),
            touched: BTreeSet::new(),
            copied_from: None,
            has_fork: false,
            has_damaged_foreign: false,
            foreign: BTreeSet::new(),
            what: format!("life {life}, moment {moment} of {}", moments.len()),
        };
        match flags % 16 {
            12 => damaged.roll_back(moments, moment, flags / 16),
            13.. => damaged.copy_live(moments, moment, flags / 16),
            _ => {}
        }
        for _ in 0..FAULTS_MAX {
            let Some(fault) = damaged.fault(&lives[life], &mut bytes) else { break };
            damaged.apply(lives, &fault);
        }
        Some(damaged)
    }

    /// Reports whether a fault may have changed a file or a folder.
    pub(super) fn touches(&self, name: &str) -> bool {
        self.touched.iter().any(|path| path.starts_with(name))
    }

    pub(super) fn has_foreign(&self) -> bool {
        !self.foreign.is_empty()
    }

    fn fault(&self, life: &Life, bytes: &mut &[u8]) -> Option<Fault> {
        let kind = KINDS[usize::from(bytes.try_get_u8().ok()?) % KINDS.len()];
        let file = usize::from(bytes.try_get_u8().ok()?);
        let (argument, other) = (bytes.try_get_u16().ok()?, bytes.try_get_u16().ok()?);
        // An earlier copy may restore a file that is gone by now.
        let all = life.main.moments.iter().flat_map(|moment| moment.files.keys());
        let paths: BTreeSet<_> = match kind {
            Kind::Older | Kind::Fork => self.files.keys().chain(all).collect(),
            _ => self.files.keys().collect(),
        };
        let file = paths.iter().nth(file % paths.len().max(1)).map(|path| (*path).clone())?;
        Some(Fault { kind, file, argument, other })
    }

    /// Replaces the whole folder by an earlier one.
    fn roll_back(&mut self, moments: &[Moment], moment: usize, back: usize) {
        let earlier = moment.saturating_sub(1 + back % 4);
        self.files = moments[earlier].files.clone();
        self.moment = earlier;
        self.what += &format!(", rolled back to moment {earlier}");
    }

    /// Copies file by file while another program writes.
    fn copy_live(&mut self, moments: &[Moment], moment: usize, back: usize) {
        let from = moment.saturating_sub(1 + back % 4);
        let span = &moments[from..=moment];
        let paths: BTreeSet<&PathBuf> = span.iter().flat_map(|moment| moment.files.keys()).collect();
        let count = paths.len().max(1);
        // The order of a folder listing is arbitrary.
        let paths: Vec<_> = if back.is_multiple_of(2) {
            paths.into_iter().collect()
        } else {
            paths.into_iter().rev().collect()
        };
        self.files = paths
            .into_iter()
            .enumerate()
            .filter_map(|(n, path)| {
                let at = (n * span.len()) / count;
                Some((path.clone(), span[at].files.get(path)?.clone()))
            })
            .collect();
        self.copied_from = Some(from);
        self.what += &format!(", copied file by file since moment {from}");
    }

    fn apply(&mut self, lives: &[Life], fault: &Fault) {
        let life = &lives[self.life];
        let Fault { kind, file, argument, other } = fault;
        let (argument, other) = (usize::from(*argument), usize::from(*other));
        let path = file.display();
        let mut what = format!("{path} {kind:?} {argument} {other}").to_lowercase();
        match kind {
            Kind::Delete => drop(self.files.remove(file)),
            Kind::Older => what = self.replace(&life.main.moments, file, argument),
            Kind::Fork => {
                self.has_fork = true;
                what = format!("{} of the fork", self.replace(&life.fork.moments, file, argument));
            }
            Kind::Foreign => {
                self.foreign.insert(file.clone());
                let of = argument % lives.len();
                what = format!("{} of life {of}", self.replace(&lives[of].main.moments, file, other));
            }
            Kind::Flip | Kind::Zero | Kind::Cut | Kind::Swap | Kind::Random => {
                let Some(bytes) = self.files.get_mut(file) else { return };
                edit(bytes, *kind, argument, other);
                self.has_damaged_foreign |= self.foreign.contains(file);
            }
        }
        self.touched.insert(file.clone());
        self.what += &format!("; {what}");
    }

    /// Replaces a file by its state at another moment, which may be absent.
    fn replace(&mut self, moments: &[Moment], file: &Path, moment: usize) -> String {
        let moment = moment % moments.len();
        match moments[moment].files.get(file) {
            Some(bytes) => drop(self.files.insert(file.to_owned(), bytes.clone())),
            None => drop(self.files.remove(file)),
        }
        format!("{} as at moment {moment}", file.display())
    }
}

fn edit(bytes: &mut Vec<u8>, kind: Kind, argument: usize, other: usize) {
    let length = bytes.len();
    if length == 0 {
        return;
    }
    let at = argument * length / 65_536;
    let page = |n: usize| {
        let from = (n * length / 65_536) / PAGE * PAGE;
        from..length.min(from + PAGE)
    };
    match kind {
        Kind::Flip => bytes[at] ^= 1 << (other % 8),
        Kind::Zero => bytes[page(argument)].fill(0),
        Kind::Cut => bytes.truncate(at),
        Kind::Swap => {
            let (one, next) = (page(argument), page(other));
            let shorter = one.len().min(next.len());
            for n in 0..shorter {
                bytes.swap(one.start + n, next.start + n);
            }
        }
        _ => {
            let end = length.min(at + 1 + other % 600);
            let mut random = fastrand::Rng::with_seed((argument << 16 | other) as u64);
            random.fill(&mut bytes[at..end]);
        }
    }
}
