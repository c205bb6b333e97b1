//! Serves a store over HTTP until standard input ends. The program needs no async runtime.
//!
//!     cargo run --features http --example http -- /tmp/state 127.0.0.1:8080
//!     curl localhost:8080/v1/processes
//!
//! If the variable `PROCSTATE_TOKEN` is set, clients must send that token.

use std::io::Read;
use std::time::Duration;

use procstate::Store;
use procstate::http::{Options, Server, Token};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("name the folder of the store")?;
    let address = arguments.next().unwrap_or("127.0.0.1:8080".to_owned());
    let mut options = Options::new();
    if std::env::var_os("PROCSTATE_TOKEN").is_some() {
        options = options.token(Token::from_env("PROCSTATE_TOKEN")?);
    }
    let store = Store::open(folder)?;
    let server = Server::builder(&store).options(options).listen(address).start()?;
    println!("http://{}", server.addresses()[0]);
    std::io::stdin().read_to_end(&mut Vec::new())?;
    server.shutdown(Duration::from_secs(5));
    Ok(store.close()?)
}
