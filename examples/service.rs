//! A web service that bills 300 customers a day, steered under /admin and stopped by SIGTERM.
//!
//!     cargo run --features http --example service -- /tmp/service-state
//!     curl -X PUT localhost:3000/customers/customer-007/1250; curl localhost:3000/admin/v1/processes
//!
//! Kill it at any moment and start it again: it bills the customers that are not billed yet.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::routing::{get, put};
use axum::{Router, http::StatusCode};
use procstate::http::{Options, router};
use procstate::tokio::{AsyncProcess, AsyncRunner, AsyncRunnerBuilder, AsyncWork, AsyncWorker};
use procstate::{Params, ProcessHandle, Retry, Shutdown, Store, WorkResult};
use tokio::{net::TcpListener, signal::unix};

struct Billing;

impl AsyncWorker for Billing {
    async fn process(&self, work: AsyncWork) -> WorkResult {
        let cents = work.params().get_int("cents").ok_or("a customer without an amount")?;
        // Call the payment service here; `work.name()` and the day make the call idempotent.
        tokio::time::sleep(Duration::from_millis(200)).await;
        work.add_stat("cents", cents as f64);
        Ok(())
    }
}

fn runner(store: &Store) -> AsyncRunnerBuilder {
    AsyncRunner::builder(store, "billing")
        .every(Duration::from_secs(24 * 3600))
        .concurrency(4)
        .retry(Retry::attempts(3))
        .item_timeout(Duration::from_secs(30))
        .worker(Billing)
}

type Answer = Result<String, (StatusCode, String)>;
async fn status(State(billing): State<ProcessHandle>) -> Answer {
    let status = billing.status().map_err(failed)?.unwrap_or_default();
    Ok(format!("{} billed, {} errors\n", status.stats.get("workItems").unwrap_or(&0.0), status.total_errors))
}

async fn owes(State(billing): State<ProcessHandle>, Path((name, cents)): Path<(String, i64)>) -> Answer {
    AsyncProcess::new(&billing).register(&name, Params::new().int("cents", cents)).await.map_err(failed)?;
    Ok(format!("{name} owes {cents} cents\n"))
}

fn failed(error: procstate::Error) -> (StatusCode, String) {
    (StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
}
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let store = Store::open(std::env::args().nth(1).unwrap_or("service-state".to_owned()))?;
    let billing = store.process("billing")?;
    if !billing.exists()? {
        let customers = (0..300).map(|n| (format!("customer-{n:03}"), Params::new().int("cents", 990)));
        AsyncProcess::new(&billing).register_all(customers).await?;
    }
    let runner = runner(&store).spawn()?;
    let routes = Router::new().route("/", get(status)).route("/customers/{name}/{cents}", put(owes));
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    let admin = router(&store, Options::new()); // no token: only this machine can reach it
    let mut terminated = unix::signal(unix::SignalKind::terminate())?;
    tokio::select! {
        served = axum::serve(listener, routes.with_state(billing).nest("/admin", admin)) => served?,
        _ = terminated.recv() => {}
    }
    runner.shutdown(Shutdown::HandBack, Duration::from_secs(20)).await?;
    Ok(store.close()?)
}

#[tokio::test(start_paused = true)]
async fn bills_what_the_customer_owes() -> procstate::Result<()> {
    let store = Store::in_memory();
    store.process("billing")?.register("customer-1", Params::new().int("cents", 1250))?;
    let outcome = runner(&store).build()?.run_once().await?;
    assert!(matches!(outcome, procstate::Outcome::Finished(it) if it.stats["work.cents"] == 1250.0));
    Ok(())
}
