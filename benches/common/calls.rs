//! The measured calls, each prepared for repetition.

use std::hint::black_box;
use std::time::Duration;

use procstate::proto::State;
use procstate::{
    Claim, ClaimOptions, Durability, Effect, Instance, List, Params, ProcessHandle, Run, Store, WorkItem,
};

use super::sample;

/// A prepared call.
pub type Ready = Box<dyn FnMut() + Send>;

/// An operation on a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// A progress update: the item and the status of the run, fenced.
    Update,
    UpdateSynced,
    /// The next item of a run, begun and ended.
    Item,
    /// A new item.
    Register,
    /// A thousand new items in one commit.
    RegisterThousand,
    /// An existing item with the same parameters.
    RegisterUnchanged,
    /// A new item, and its removal: two commits.
    RegisterAndUnregister,
    /// Another instance claims the process, resumes its run, and hands it back.
    ClaimAndHandBack,
    /// A claim while another instance holds the process.
    ClaimInVain,
    ReadItem,
    ReadPage,
    /// All items, one after the other, not decoded.
    ReadItems,
    ReadProcess,
}

impl Call {
    /// Ordered so that none affects the measurement of the next: those that add items come last.
    pub const ALL: [Self; 13] = [
        Self::Update,
        Self::UpdateSynced,
        Self::Item,
        Self::ClaimAndHandBack,
        Self::ClaimInVain,
        Self::ReadItem,
        Self::ReadPage,
        Self::ReadItems,
        Self::ReadProcess,
        Self::RegisterUnchanged,
        Self::Register,
        Self::RegisterAndUnregister,
        Self::RegisterThousand,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Update => "one progress update, `Buffered`",
            Self::UpdateSynced => "one progress update, `Synced`",
            Self::Item => "begin and end the next item, `Buffered`",
            Self::Register => "register an item, `Synced`",
            Self::RegisterThousand => "register 1,000 items at once, `Synced`",
            Self::RegisterUnchanged => "register an existing item",
            Self::RegisterAndUnregister => "register and unregister, both `Synced`",
            Self::ClaimAndHandBack => "claim and hand back, both `Synced`",
            Self::ClaimInVain => "claim a held process",
            Self::ReadItem => "read one item",
            Self::ReadPage => "read a page of 100 items",
            Self::ReadItems => "go through all items, not decoded",
            Self::ReadProcess => "read the whole process",
        }
    }

    /// Prepares the first call on `process`.
    pub fn on(self, process: &ProcessHandle) -> Ready {
        let process = process.clone();
        match self {
            Self::Update => update(&process, Durability::Buffered),
            Self::UpdateSynced => update(&process, Durability::Synced),
            Self::Item => next_item(process),
            Self::Register => {
                let mut names = new_names("register");
                Box::new(move || register(&process, &names.next().unwrap()))
            }
            Self::RegisterThousand => register_thousand(process),
            Self::RegisterUnchanged => Box::new(move || {
                let effect = process.register(&sample::item_name(0), sample::params()).unwrap();
                assert_eq!(effect, Effect::Unchanged);
            }),
            Self::RegisterAndUnregister => {
                let mut names = new_names("unregister");
                Box::new(move || {
                    let name = names.next().unwrap();
                    register(&process, &name);
                    assert_eq!(process.unregister(&name).unwrap(), Effect::Changed);
                })
            }
            Self::ClaimAndHandBack => {
                Box::new(move || claim(&process, Durability::Buffered).hand_back().unwrap())
            }
            Self::ClaimInVain => claim_in_vain(process),
            Self::ReadItem => Box::new(move || {
                black_box(process.work(&sample::item_name(0)).unwrap());
            }),
            Self::ReadPage => Box::new(move || {
                assert_eq!(process.list(List::Active, None, 100).unwrap().items.len(), 100);
            }),
            Self::ReadItems => Box::new(move || {
                let queued = process
                    .items(List::Active)
                    .filter(|item| black_box(item.as_ref().unwrap().state() == Some(State::New)));
                black_box(queued.count());
            }),
            Self::ReadProcess => Box::new(move || {
                black_box(process.snapshot().unwrap());
            }),
        }
    }
}

pub fn claim(process: &ProcessHandle, durability: Durability) -> Run {
    let options =
        ClaimOptions::new().force(true).progress_interval(Duration::ZERO).progress_durability(durability);
    let Claim::Won(run) = process.claim_with(&Instance::new(), &options).unwrap() else {
        panic!("no other instance holds the process")
    };
    run
}

/// A run with an item in progress.
pub struct Hot {
    // Dropped in this order.
    work: WorkItem,
    run: Run,
}

impl Hot {
    pub fn claim(process: &ProcessHandle, durability: Durability) -> Self {
        let mut run = claim(process, durability);
        let work = run.next_work().unwrap().unwrap();
        Self { work, run }
    }

    /// One progress update.
    pub fn update(&mut self) {
        self.work.add_stat("keysRemoved", 1.0);
        let _ = black_box(self.run.progress().unwrap());
    }

    /// Ends the item and begins the next one; after the last one another run begins.
    pub fn next(self, process: &ProcessHandle) -> Self {
        let Self { work, mut run } = self;
        work.finish().unwrap();
        match run.next_work().unwrap() {
            Some(work) => Self { work, run },
            None => {
                run.finish().unwrap();
                Self::claim(process, Durability::Buffered)
            }
        }
    }
}

pub fn update(process: &ProcessHandle, durability: Durability) -> Ready {
    let mut hot = Hot::claim(process, durability);
    Box::new(move || hot.update())
}

/// Returns the bytes that one call adds to the log.
pub fn log_bytes(store: &Store, call: &mut Ready) -> usize {
    let written = || store.stats().unwrap().log_written_bytes;
    let before = written();
    call();
    (written() - before) as usize
}

fn next_item(process: ProcessHandle) -> Ready {
    let mut run = Some(claim(&process, Durability::Buffered));
    Box::new(move || {
        if let Some(work) = run.as_mut().unwrap().next_work().unwrap() {
            return work.finish().unwrap();
        }
        run.take().unwrap().finish().unwrap();
        run = Some(claim(&process, Durability::Buffered));
    })
}

fn new_names(label: &'static str) -> impl Iterator<Item = String> + Send {
    // Sorts after the sample's items, and differs from earlier registrations.
    let id = Instance::new();
    (0..).map(move |n| format!("{label}-{id}-{n:07}"))
}

fn register(process: &ProcessHandle, name: &str) {
    assert_eq!(process.register(name, sample::params()).unwrap(), Effect::Changed);
}

fn register_thousand(process: ProcessHandle) -> Ready {
    let mut names = new_names("thousand");
    Box::new(move || {
        let items = names.by_ref().take(1000).map(|name| (name, sample::params()));
        assert_eq!(process.register_all(items).unwrap().changed, 1000);
    })
}

fn claim_in_vain(process: ProcessHandle) -> Ready {
    let holder = claim(&process, Durability::Buffered);
    let (other, options) = (Instance::new(), ClaimOptions::new().force(true));
    Box::new(move || {
        let claim = process.claim_with(&other, &options).unwrap();
        assert!(matches!(claim, Claim::Held { by, .. } if by == holder.instance()));
    })
}

/// Changes the parameters of an item.
pub fn reparameterise(process: &ProcessHandle, item: usize, n: i64) {
    let params: Params = sample::params().int("keysPerAccount", n);
    process.register(&sample::item_name(item), params).unwrap();
}
