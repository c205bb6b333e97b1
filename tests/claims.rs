//! Ownership of a process: claims, takeovers, fencing.

mod common;

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::{TestStore, eager, won};
use jiff::SignedDuration;
use procstate::{
    Claim, ClaimOptions, ImportMode, Instance, ManualClock, Origin, Params, ProcessHandle, Progress, Run,
    Store,
};

const HOUR: Duration = Duration::from_secs(3600);

fn claim(process: &ProcessHandle) -> Claim {
    process.claim(&Instance::new()).unwrap()
}

fn hourly(store: &TestStore) -> ProcessHandle {
    let process = store.handle("p");
    process.set_schedule(Some(HOUR)).unwrap();
    process
}

/// Claims a run for `instance`, due or not.
fn won_by(process: &ProcessHandle, instance: &Instance) -> Run {
    match process.claim_with(instance, &eager()).unwrap() {
        Claim::Won(run) => run,
        other => panic!("the claim was not won: {other:?}"),
    }
}

on_every_engine! {
    fn a_loser_learns_owner_and_times(store: TestStore) {
        let process = hourly(&store);
        let first = Instance::named("first");
        let run = won_by(&process, &first);
        store.advance(5);
        let Claim::Held { by, since, until } = claim(&process) else { panic!("not held") };
        assert_eq!(by, first.id());
        assert_eq!(since.unwrap().to_string(), "2026-01-01T10:00:00Z");
        assert_eq!(until.to_string(), "2026-01-01T10:00:30Z");
        drop(run);
    }

    fn a_finished_process_is_due_in_the_next_slot(store: TestStore) {
        let process = hourly(&store);
        won(&process).finish().unwrap();
        let Claim::NotDue { at } = claim(&process) else { panic!("due twice in a slot") };
        assert_eq!(at.to_string(), "2026-01-01T11:00:00Z");
        store.advance(3600);
        assert!(matches!(claim(&process), Claim::Won(_)));
    }

    fn without_a_schedule_it_is_due_whenever_not_held(store: TestStore) {
        let process = store.handle("p");
        process.register("w", Params::new()).unwrap();
        for _ in 0..3 {
            let Claim::Won(run) = claim(&process) else { panic!("not due") };
            assert!(matches!(claim(&process), Claim::Held { .. }));
            run.finish().unwrap();
        }
    }

    fn changed_settings_and_new_work_make_it_due_at_once(store: TestStore) {
        let process = hourly(&store);
        won(&process).finish().unwrap();
        process.set_params(Params::new().int("n", 1)).unwrap();
        let Claim::Won(run) = claim(&process) else { panic!("not due after a change of settings") };
        process.register("w", Params::new()).unwrap();
        run.finish().unwrap();
        let Claim::Won(run) = claim(&process) else { panic!("not due after work came during the run") };
        run.finish().unwrap();
        process.register("w", Params::new()).unwrap();
        assert!(matches!(claim(&process), Claim::NotDue { .. }), "nothing changed");
    }

    fn a_slow_owner_keeps_its_process_across_a_slot_boundary(store: TestStore) {
        let process = hourly(&store);
        let run = won(&process);
        for _ in 0..200 {
            store.advance(29);
            assert!(matches!(claim(&process), Claim::Held { .. }));
            assert!(!run.is_lapsed());
            assert_eq!(run.progress().unwrap(), Progress::Updated);
        }
        run.finish().unwrap();
    }

    fn a_silent_owner_is_taken_over_after_the_timeout_and_fenced(store: TestStore) {
        let process = hourly(&store);
        process.register("w", Params::new()).unwrap();
        let first = Instance::named("first");
        let mut lost = won_by(&process, &first);
        let mut work = lost.next_work().unwrap().unwrap();
        work.add_stat("n", 1.0);
        store.advance(30);
        assert!(lost.is_lapsed());
        let second = Instance::named("second");
        let Claim::Won(run) = process.claim(&second).unwrap() else { panic!("not taken over") };
        let Origin::Resumed { from, .. } = run.origin() else { panic!("not resumed") };
        assert_eq!(from, first.id());
        assert!(run.token() > lost.token());

        let before = process.snapshot().unwrap();
        assert_eq!(lost.progress().unwrap(), Progress::Conflict);
        assert_eq!(lost.loss().unwrap().by, second.id());
        assert!(work.should_stop());
        work.add_error("late");
        let error = work.finish().unwrap_err();
        assert!(error.is_conflict(), "{error}");
        assert!(error.to_string().contains(second.id()), "{error}");
        assert!(lost.next_work().unwrap_err().is_conflict());
        assert!(lost.finish().unwrap_err().is_conflict());
        assert_eq!(process.snapshot().unwrap(), before);
        run.finish().unwrap();
    }

    fn a_lost_run_learns_it_from_its_next_call(store: TestStore) {
        let process = store.handle("p");
        process.register("w", Params::new()).unwrap();
        for first_call in 0..5 {
            let mut lost = won(&process);
            let work = lost.next_work().unwrap();
            store.advance(31);
            let run = won(&process);
            let before = process.snapshot().unwrap();
            match first_call {
                0 => assert_eq!(lost.progress_now().unwrap(), Progress::Conflict),
                1 => assert!(work.unwrap().finish().unwrap_err().is_conflict()),
                2 => assert!(lost.finish().unwrap_err().is_conflict()),
                3 => assert!(lost.hand_back().unwrap_err().is_conflict()),
                _ => drop((work, lost)),
            }
            assert_eq!(process.snapshot().unwrap(), before, "call {first_call}");
            run.finish().unwrap();
        }
    }

    fn a_run_that_lost_hands_out_no_cleanup(store: TestStore) {
        let process = store.handle("p");
        process.set_params(Params::new()).unwrap();
        process.unregister("w").unwrap();
        let mut lost = won(&process);
        store.advance(31);
        let mut run = won(&process);
        let work = run.next_work().unwrap().unwrap();
        assert!(lost.next_work().unwrap_err().is_conflict());
        work.finish().unwrap();
        run.finish().unwrap();
    }

    fn frequent_heartbeats_prevent_a_lapse(store: TestStore) {
        let process = hourly(&store);
        // Half a second, below the default progress interval of one second.
        let options = ClaimOptions::new().heartbeat_timeout(Duration::from_millis(500));
        let Claim::Won(run) = process.claim_with(&Instance::new(), &options).unwrap() else { panic!("not won") };
        for _ in 0..20 {
            store.clock.advance(Duration::from_millis(200));
            let _ = run.progress().unwrap();
            assert!(!run.is_lapsed());
            assert!(matches!(claim(&process), Claim::Held { .. }));
        }
        run.finish().unwrap();
        let none = ClaimOptions::new().heartbeat_timeout(Duration::ZERO);
        assert!(process.claim_with(&Instance::new(), &none).unwrap_err().is_invalid());
    }

    fn after_a_restart_no_claim_waits(store: TestStore) {
        if !store.is_on_disk() {
            return;
        }
        let mut store = store;
        let process = hourly(&store);
        process.register("w", Params::new()).unwrap();
        let run = won(&process);
        assert!(matches!(claim(&process), Claim::Held { .. }));
        // As in a crash: the run does not end.
        std::mem::forget(run);
        store.reopen();
        let Claim::Won(run) = claim(&store.handle("p")) else { panic!("a dead owner still holds the process") };
        assert!(matches!(run.origin(), Origin::Resumed { .. }));
    }

    fn a_clock_that_jumps_neither_locks_out_nor_lets_two_in(store: TestStore) {
        let process = hourly(&store);
        for jump in [SignedDuration::from_hours(-24), SignedDuration::from_hours(24)] {
            let run = won(&process);
            store.clock.jump(jump);
            assert!(matches!(claim(&process), Claim::Held { .. }), "two in after {jump}");
            store.advance(29);
            assert!(matches!(claim(&process), Claim::Held { .. }), "two in after {jump}");
            assert_eq!(run.progress().unwrap(), Progress::Updated);
            store.advance(30);
            let Claim::Won(next) = claim(&process) else { panic!("locked out after {jump}") };
            next.finish().unwrap();
            drop(run);
            store.advance(3600);
            let Claim::Won(next) = claim(&process) else { panic!("not due a slot after {jump}") };
            next.finish().unwrap();
        }
    }

    fn a_released_process_is_resumed_by_the_next_instance(store: TestStore) {
        let process = store.handle("p");
        process.register("w", Params::new()).unwrap();
        let first = Instance::new();
        let run = won_by(&process, &first);
        let error = process.release().unwrap_err();
        assert!(error.is_conflict(), "{error}");
        store.advance(30);
        assert_eq!(process.release().unwrap().unwrap().instance, first.id());
        assert_eq!(process.release().unwrap(), None);
        assert_eq!(run.progress().unwrap(), Progress::Conflict);
        assert_eq!(run.loss().unwrap().by, "");
        let next = won(&process);
        assert!(matches!(next.origin(), Origin::Resumed { from, .. } if from.is_empty()));
        next.finish().unwrap();
    }

    fn a_replaced_process_is_reported_without_an_owner(store: TestStore) {
        let process = store.handle("p");
        process.register("w", Params::new()).unwrap();
        let mut run = won(&process);
        store.advance(31);
        let mut message = process.snapshot().unwrap();
        message.instance = "imported".to_owned();
        store.import(message, ImportMode::Replace).unwrap();
        let error = run.next_work().unwrap_err();
        assert_eq!(
            error.to_string(),
            "process \"p\" was taken from this run: its lock was released, or an import replaced it; it can no longer write"
        );
        assert_eq!(run.loss().unwrap().by, "");
    }

    fn an_unknown_process_cannot_be_claimed(store: TestStore) {
        let error = store.handle("nobody").claim(&Instance::new()).unwrap_err();
        assert!(error.is_not_found());
        assert!(error.to_string().contains("\"nobody\""), "{error}");
    }

    fn a_run_may_begin_afresh(store: TestStore) {
        let process = store.handle("p");
        process.register("w", Params::new()).unwrap();
        let mut first = won(&process);
        first.add_stat("n", 1.0);
        assert!(first.next_work().unwrap().is_some());
        first.hand_back().unwrap();
        let options = ClaimOptions::new().afresh(true);
        let Claim::Won(run) = process.claim_with(&Instance::new(), &options).unwrap() else { panic!() };
        assert_eq!(run.origin(), &Origin::New);
        assert!(run.status().stats.is_empty());
        run.finish().unwrap();
    }
}

/// 8 threads claim the same processes concurrently: exactly one wins each time.
#[test]
fn of_eight_claimers_exactly_one_wins_ten_thousand_times() {
    const THREADS: usize = 8;
    const ROUNDS: usize = 10_000;
    let store = Store::in_memory();
    for round in 0..ROUNDS {
        store.process(&format!("p{round}")).unwrap().set_params(Params::new()).unwrap();
    }
    let barrier = Barrier::new(THREADS);
    let winners: Vec<AtomicUsize> = (0..ROUNDS).map(|_| AtomicUsize::new(0)).collect();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let instance = Instance::new();
                for (round, won) in winners.iter().enumerate() {
                    if round % 100 == 0 {
                        barrier.wait();
                    }
                    let process = store.process(&format!("p{round}")).unwrap();
                    if let Claim::Won(run) = process.claim(&instance).unwrap() {
                        won.fetch_add(1, Ordering::Relaxed);
                        // Keeps the run, so that later claimers find it held.
                        std::mem::forget(run);
                    }
                }
            });
        }
    });
    for (round, winners) in winners.iter().enumerate() {
        assert_eq!(winners.load(Ordering::Relaxed), 1, "round {round}");
    }
}

/// Threads keep taking over one process from each other, with a clock that makes every owner look
/// dead. A counter kept through the runs shows that no accepted write was lost, and no fenced-off
/// one landed.
#[test]
fn takeovers_in_a_race_keep_every_accepted_write_and_no_other() {
    let clock = ManualClock::new("2026-01-01T10:00:00Z".parse().unwrap());
    let store = Store::builder().clock(clock.clone()).in_memory();
    let process = store.process("p").unwrap();
    process.set_params(Params::new()).unwrap();
    let accepted = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let options = eager().heartbeat_timeout(Duration::from_nanos(1));
                for _ in 0..500 {
                    clock.advance(Duration::from_nanos(10));
                    let Claim::Won(run) = process.claim_with(&Instance::new(), &options).unwrap() else {
                        continue;
                    };
                    for _ in 0..4 {
                        run.add_stat("n", 1.0);
                        if run.progress_now().unwrap() == Progress::Conflict {
                            break;
                        }
                        accepted.fetch_add(1, Ordering::Relaxed);
                    }
                    // Neither finished nor handed back, as after a crash.
                    std::mem::forget(run);
                }
            });
        }
    });
    let status = process.snapshot().unwrap().process_status.unwrap();
    let counted = status.stats["n"];
    assert!(counted > 0.0);
    assert_eq!(counted, accepted.load(Ordering::Relaxed) as f64);
}
