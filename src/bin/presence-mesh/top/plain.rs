//! `top` as lines: what the panel's log would say, and each change.

use std::time::Instant;

use crate::output;
use crate::panel::{Board, FRAME, Scope, Space, Told};
use crate::run::Stop;

use super::feed::Feed;

pub async fn run(address: &str, mut feed: Feed, stop: &mut Stop) -> anyhow::Result<()> {
    let mut board = Board::new(Scope::Node(address.to_owned()), Instant::now());
    let mut ticks = tokio::time::interval(FRAME);
    let mut printed = 0;
    loop {
        tokio::select! {
            biased;
            _ = stop.next() => return Ok(()),
            told = feed.next() => take(&mut board, told)?,
            _ = ticks.tick() => drop(board.tick(Instant::now())),
        }
        for line in board.log.since(printed) {
            output::line(format_args!("{}  {}", line.at, line.text))?;
        }
        printed = board.log.pushed();
    }
}

/// A change is a line of its own.
fn take(board: &mut Board, told: Told) -> anyhow::Result<()> {
    let now = Instant::now();
    let Told::Change(space, key, _) = &told else {
        board.tell(told, now);
        return Ok(());
    };
    let (space, key) = (*space, key.clone());
    let before = said(board, space, &key);
    board.tell(told, now);
    let after = said(board, space, &key);
    if before == after {
        return Ok(());
    }
    let who = board.lamps.who(&key);
    output::line(format_args!(
        "{}  {who}  {before} -> {after}",
        board.clock(now)
    ))
}

fn said(board: &Board, space: Space, key: &str) -> String {
    board
        .lamps
        .said(space, key)
        .unwrap_or_else(|| "-".to_owned())
}
