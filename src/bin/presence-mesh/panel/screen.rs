//! The terminal: taken when a panel begins, given back as it was, however the panel ends.

use std::io::{self, IsTerminal as _, Stdout};
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::Context as _;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
    disable_raw_mode, enable_raw_mode,
};

use super::board::Board;
use super::draw;
use super::theme::Theme;

/// Whether somebody sits before a terminal that can be painted on.
pub fn is_wanted(plain: bool) -> bool {
    let term = std::env::var("TERM").unwrap_or_default();
    let paints = !term.is_empty() && term != "dumb";
    !plain && paints && io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Whether the terminal is ours at the moment.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The terminal while it is ours. Dropping it gives it back.
pub struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    theme: Theme,
}

impl Screen {
    /// Takes the terminal. A panic of this thread gives it back before it is told.
    pub fn take(theme: Theme) -> anyhow::Result<Self> {
        give_back_on_panic();
        enable_raw_mode().context("cannot take the terminal")?;
        TAKEN.store(true, Ordering::SeqCst);
        let entered = execute!(io::stdout(), EnterAlternateScreen)
            .and_then(|()| Terminal::new(CrosstermBackend::new(io::stdout())));
        match entered {
            Ok(mut terminal) => {
                terminal.hide_cursor().context("cannot hide the cursor")?;
                Ok(Self { terminal, theme })
            }
            Err(error) => {
                give_back();
                Err(error).context("cannot take the terminal")
            }
        }
    }

    pub fn paint(&mut self, board: &mut Board, now: Instant) -> anyhow::Result<()> {
        let theme = self.theme;
        let mut paint = || -> io::Result<()> {
            // Terminals that know how show nothing half painted; others pass over it.
            execute!(io::stdout(), BeginSynchronizedUpdate)?;
            self.terminal
                .draw(|frame| draw::board(frame.buffer_mut(), board, &theme, now))?;
            execute!(io::stdout(), EndSynchronizedUpdate)
        };
        paint().context("cannot paint")
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// What cannot be done to a terminal that is no more needs not be done.
fn give_back() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        let _ = disable_raw_mode();
        let _ = execute!(
            io::stdout(),
            EndSynchronizedUpdate,
            LeaveAlternateScreen,
            Show
        );
    }
}

/// A panic elsewhere ends a task, not the panel: its words would only garble the screen, and go to the log.
fn give_back_on_panic() {
    let painter = thread::current().id();
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if thread::current().id() == painter {
            give_back();
        }
        if TAKEN.load(Ordering::SeqCst) {
            tracing::error!(%info, "a task has panicked");
        } else {
            before(info);
        }
    }));
}
