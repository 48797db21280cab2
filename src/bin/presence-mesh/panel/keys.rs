//! What is pressed, read by a thread of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ratatui::crossterm::event::{self, Event, KeyEvent, KeyEventKind};
use tokio::sync::mpsc;

/// Keys that wait; of more, typed ahead, none is missed: the thread waits.
const QUEUE: usize = 64;
/// How long the thread may go on reading once nobody listens.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What came from the terminal.
#[derive(Debug)]
pub enum Press {
    Key(KeyEvent),
    /// The terminal has another size now.
    Resized,
}

/// Reads keys until dropped.
#[derive(Debug)]
pub struct Keys {
    presses: mpsc::Receiver<Press>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Keys {
    pub fn listen() -> Self {
        let (sender, presses) = mpsc::channel(QUEUE);
        let over = Arc::new(AtomicBool::new(false));
        let told = over.clone();
        let thread = thread::spawn(move || {
            while !told.load(Ordering::SeqCst) {
                let read =
                    event::poll(LOOK_EVERY).and_then(|some| some.then(event::read).transpose());
                let press = match read {
                    Ok(Some(Event::Key(key))) if key.kind != KeyEventKind::Release => {
                        Press::Key(key)
                    }
                    Ok(Some(Event::Resize(..))) => Press::Resized,
                    Ok(_) => continue,
                    // The terminal is gone.
                    Err(_) => return,
                };
                if sender.blocking_send(press).is_err() {
                    return;
                }
            }
        });
        Self {
            presses,
            over,
            thread: Some(thread),
        }
    }

    /// The next one; `None` when the terminal is gone. Cancel safe.
    pub async fn next(&mut self) -> Option<Press> {
        self.presses.recv().await
    }
}

impl Drop for Keys {
    /// What is typed from now on is for whoever has the terminal next.
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        self.presses.close();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
