//! A wire between two processes that can be cut, or made long: what a partition and a distance are to them.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// It lasts until it is dropped.
#[derive(Debug)]
pub struct Wire {
    pub port: u16,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Nothing passes, and nobody is told: a partition.
    silent: AtomicBool,
    /// Milliseconds that each piece takes.
    delay: AtomicU64,
    over: AtomicBool,
}

const LOOK: Duration = Duration::from_millis(20);

impl Wire {
    pub fn to(target: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                if shared.over.load(Ordering::Relaxed) {
                    return;
                }
                let state = Arc::clone(&shared);
                std::thread::spawn(move || {
                    while state.silent.load(Ordering::Relaxed) {
                        std::thread::sleep(LOOK);
                    }
                    let Ok(far) = TcpStream::connect(("127.0.0.1", target)) else { return };
                    let (near_again, far_again) = (near.try_clone().unwrap(), far.try_clone().unwrap());
                    let back = Arc::clone(&state);
                    std::thread::spawn(move || carry(far_again, near_again, &back));
                    carry(near, far, &state);
                });
            }
        });
        Self { port, state }
    }

    pub fn cut(&self) {
        self.state.silent.store(true, Ordering::Relaxed);
    }

    pub fn mend(&self) {
        self.state.silent.store(false, Ordering::Relaxed);
    }

    pub fn delay(&self, milliseconds: u64) {
        self.state.delay.store(milliseconds, Ordering::Relaxed);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.state.over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, state: &State) {
    from.set_read_timeout(Some(LOOK)).unwrap();
    let _ = to.set_nodelay(true);
    let mut piece = [0_u8; 65_536];
    while !state.over.load(Ordering::Relaxed) {
        if state.silent.load(Ordering::Relaxed) {
            std::thread::sleep(LOOK);
            continue;
        }
        match from.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => {
                std::thread::sleep(Duration::from_millis(state.delay.load(Ordering::Relaxed)));
                // What is on its way when the wire is cut arrives when it is mended.
                while state.silent.load(Ordering::Relaxed) && !state.over.load(Ordering::Relaxed) {
                    std::thread::sleep(LOOK);
                }
                if to.write_all(&piece[..length]).is_err() {
                    break;
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => break,
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}
