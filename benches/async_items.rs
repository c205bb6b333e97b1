//! Runs 10,000 async items of 100 ms at concurrency 1,000, compared with the ideal second, and
//! measures the memory of a run. `cargo bench --features tokio --bench async_items`

use std::time::{Duration, Instant};

use procstate::tokio::AsyncRunner;
use procstate::{Outcome, Params, Result, Store};

const ITEMS: usize = 10_000;
const CONCURRENCY: usize = 1000;
const ITEM: Duration = Duration::from_millis(100);

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

#[tokio::main]
async fn main() -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path().join("state"))?;
    let items = (0..ITEMS).map(|n| (format!("item-{n:05}"), Params::new()));
    store.process("p")?.register_all(items)?;
    let ideal = ITEM * u32::try_from(ITEMS / CONCURRENCY).unwrap_or(u32::MAX);
    for (what, time) in [("100 ms", ITEM), ("no-op", Duration::ZERO)] {
        let runner =
            AsyncRunner::builder(&store, "p").concurrency(CONCURRENCY).worker_fn(move |_| async move {
                if !time.is_zero() {
                    tokio::time::sleep(time).await;
                }
                Ok(())
            });
        let runner = runner.build()?;
        for _ in 0..3 {
            let (before, began) = (resident_kib(), Instant::now());
            let outcome = runner.run_now().await?;
            let took = began.elapsed();
            assert!(matches!(outcome, Outcome::Finished(_)), "{outcome:?}");
            println!(
                "{what}: {took:.3?}, {:.2} x the ideal {ideal:?}, {:.0} items a second, {} KiB more",
                took.as_secs_f64() / ideal.as_secs_f64(),
                ITEMS as f64 / took.as_secs_f64(),
                resident_kib().saturating_sub(before),
            );
        }
    }
    store.close()
}
