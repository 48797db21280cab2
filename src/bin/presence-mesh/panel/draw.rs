//! Paints a board into a buffer of cells: from the top the first line, the lamps, how quick things are, the
//! log, and the keys.

mod cards;
mod lines;
mod overlay;
mod pen;

use std::time::Instant;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::board::Board;
use super::theme::Theme;
use pen::Pen;

/// On less, nothing can be made out.
const LEAST: (u16, u16) = (40, 12);
/// Lines of the log that are always there.
const LEAST_LOG: usize = 3;

/// Paints all of it. Remembers in the board how much room there was.
pub fn board(buffer: &mut Buffer, board: &mut Board, theme: &Theme, now: Instant) {
    let area = buffer.area;
    let mut pen = Pen::new(buffer, *theme);
    if area.width < LEAST.0 || area.height < LEAST.1 {
        let text = format!("needs {} x {}", LEAST.0, LEAST.1);
        pen.text(0, 0, area.width.into(), &text, theme.strong());
        return;
    }
    let (width, height) = (usize::from(area.width), usize::from(area.height));
    board.focus.room.0 = width;
    let cards = board.cards(now);
    // One line above, one between, one below.
    let most = height - 3 - LEAST_LOG;
    let room = cards.height.clamp(1, most);
    board.focus.room.1 = room;
    board.focus.scroll = board.focus.scroll.min(cards.height.saturating_sub(room));

    lines::first(&mut pen, board, now);
    let hidden = cards::all(&mut pen, board, &cards, 1, now);
    lines::quickness(&mut pen, board, 1 + room, hidden, now);
    lines::log(&mut pen, board, 2 + room, height - 3 - room);
    lines::keys(&mut pen, board, height - 1, now);
    let rest = Rect {
        y: 1,
        height: area.height - 2,
        ..area
    };
    if board.focus.help {
        overlay::help(&mut pen, board, rest);
    } else if let Some(asked) = &board.focus.asked {
        overlay::why(&mut pen, asked, rest);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use presence_mesh::{DeviceState, Freshness, MessageCounts, Standing};
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use ratatui::crossterm::event::{KeyCode, KeyEvent};
    use ratatui::style::{Color, Modifier};

    use super::*;
    use crate::api::Object;
    use crate::panel::board::tests::{object, status};
    use crate::panel::board::{Network, Scope};
    use crate::panel::log::Weight;
    use crate::panel::node::{Link, Node};
    use crate::panel::told::{Item, Space, Told};

    const SITES: [&str; 5] = ["berlin", "paris", "london", "madrid", "oslo"];

    /// The demonstration: five sites of eight phones.
    fn demo(now: Instant) -> Board {
        let mut board = Board::new(Scope::Demo, now);
        board.status = Some(status("berlin"));
        let node = |name: &&str| Node {
            link: Link::Up,
            rtt: Some(Duration::from_micros(300)),
            ..Node::own(name)
        };
        let mut nodes: Vec<Node> = SITES.iter().map(node).collect();
        nodes[0] = Node::own("berlin");
        board.set_nodes(nodes);
        board.tell(Told::All(Space::Device, devices(Freshness::Live)), now);
        let mailbox = object(
            "100@default",
            Item::Mailbox(MessageCounts::new(3, 1)),
            &["berlin"],
        );
        board.tell(Told::All(Space::Mailbox, vec![mailbox]), now);
        board.note(
            now,
            "press x to cut the network in two, ? for help",
            Weight::Plain,
        );
        board.tick(now);
        board
    }

    /// The phones, those of the last three sites as fresh as told.
    fn devices(far: Freshness) -> Vec<Object<Item>> {
        let device = |n: usize| {
            let state = DeviceState::ALL[n % DeviceState::ALL.len()];
            let mut device = object(
                &format!("PJSIP/{}", 100 + n),
                Item::Device(state),
                &[SITES[n % 5]],
            );
            if n % 5 >= 2 {
                (device.freshness, device.age_ms) = (far, 700);
            }
            device
        };
        (0..40).map(device).collect()
    }

    fn painted(
        board: &mut Board,
        size: (u16, u16),
        theme: &Theme,
        now: Instant,
    ) -> Terminal<TestBackend> {
        let mut terminal = Terminal::new(TestBackend::new(size.0, size.1)).unwrap();
        board.tick(now);
        terminal
            .draw(|frame| super::board(frame.buffer_mut(), board, theme, now))
            .unwrap();
        terminal
    }

    fn lines(board: &mut Board, size: (u16, u16), now: Instant) -> Vec<String> {
        let terminal = painted(board, size, &Theme::bare(), now);
        let cells = terminal.backend().buffer().content();
        let line =
            |cells: &[ratatui::buffer::Cell]| cells.iter().map(|cell| cell.symbol()).collect();
        cells.chunks(size.0.into()).map(line).collect()
    }

    fn press(board: &mut Board, codes: &[KeyCode], now: Instant) {
        for code in codes {
            board.press(KeyEvent::from(*code), now);
        }
    }

    #[test]
    fn the_demonstration_is_seen_as_a_whole_on_the_smallest_screen() {
        let now = Instant::now();
        let lines = lines(&mut demo(now), (80, 24), now);
        let screen = lines.join("\n");
        assert!(
            lines[0].contains("5 nodes, 40 lamps, all live, digests equal"),
            "{screen}"
        );
        for site in SITES {
            assert!(lines[1].contains(site), "{screen}");
        }
        assert!(
            lines[2].contains("* this node") && lines[1].contains("= <1 ms"),
            "{screen}"
        );
        for n in 0..40 {
            assert!(
                screen.contains(&format!("PJSIP/{}", 100 + n)[..8]),
                "{n}:\n{screen}"
            );
        }
        assert!(
            lines[3].contains("m3") && screen.contains("[#]") && screen.contains("On a call"),
            "{screen}"
        );
        assert!(
            lines[20].contains("press x") && lines[23].contains("x cut  h heal  k kill oslo"),
            "{screen}"
        );
        assert!(screen.is_ascii(), "{screen}");
    }

    /// Never colour alone, and without colours none at all.
    #[test]
    fn every_state_has_its_words_and_nothing_is_coloured_where_nobody_wants_it() {
        let now = Instant::now();
        let mut board = demo(now);
        let screen = lines(&mut board, (120, 40), now).join("\n");
        for state in DeviceState::ALL {
            let word = &state.label()[..state.label().len().min(16)];
            assert!(screen.contains(word), "{word}:\n{screen}");
        }
        let bare = painted(&mut board, (120, 40), &Theme::bare(), now);
        let plain =
            |cell: &ratatui::buffer::Cell| cell.fg == Color::Reset && cell.bg == Color::Reset;
        assert!(bare.backend().buffer().content().iter().all(plain));
        let rich = painted(&mut board, (120, 40), &Theme::rich(), now);
        let green = |cell: &ratatui::buffer::Cell| {
            cell.symbol() == "○" && cell.fg == Color::Rgb(0, 0x9e, 0x73)
        };
        assert!(rich.backend().buffer().content().iter().any(green));
    }

    /// The promise: every lamp shown is right, or says that it is old and how old.
    #[test]
    fn far_lamps_are_hatched_with_their_age_and_near_ones_are_not() {
        let now = Instant::now();
        let mut board = demo(now);
        board.tell(Told::All(Space::Device, devices(Freshness::Stale)), now);
        let sides = [
            vec!["berlin".into(), "paris".into()],
            vec!["london".into(), "madrid".into(), "oslo".into()],
        ];
        board.network = Network::Cut { sides };
        let later = now + Duration::from_secs(4);
        let screen = lines(&mut board, (80, 24), later);
        assert!(
            screen[0].contains("CUT: berlin paris | london madrid oslo, 24 of 40 lamps old"),
            "{screen:#?}"
        );
        let ages: Vec<usize> = screen
            .iter()
            .map(|line| line.matches("~4s").count())
            .collect();
        assert_eq!(ages.iter().sum::<usize>(), 24, "{screen:#?}");
        for line in &screen[3..19] {
            assert!(!line[..32].contains('~'), "{line}");
        }
        let terminal = painted(&mut board, (80, 24), &Theme::rich(), later);
        let buffer = terminal.backend().buffer();
        let hatched = buffer.content().iter().filter(|cell| cell.symbol() == "░");
        assert_eq!(hatched.clone().count(), 2 * 24);
        assert!(
            hatched
                .into_iter()
                .all(|cell| cell.modifier.contains(Modifier::DIM))
        );
    }

    #[test]
    fn a_lost_node_is_said_in_the_first_line_and_every_lamp_is_old() {
        let now = Instant::now();
        let mut board = crate::panel::board::tests::top(now);
        let again_in = Duration::from_secs(2);
        board.tell(
            Told::Lost {
                why: "refused".into(),
                again_in,
            },
            now,
        );
        let screen = lines(&mut board, (80, 24), now + Duration::from_secs(1));
        assert!(screen[0].contains("NO CONNECTION for 1.0 s"), "{screen:#?}");
        let text = screen.join("\n");
        assert_eq!(text.matches("~1s").count(), 2, "{text}");
        assert!(text.contains("refused; trying again in 1 s"), "{text}");
        assert!(
            screen[2].contains("x lost") && screen[2].contains("~ not known"),
            "{text}"
        );
        assert!(
            !text.contains("alive") && !screen[1].contains("ms"),
            "{text}"
        );
    }

    #[test]
    fn a_filter_leaves_what_is_looked_for() {
        let now = Instant::now();
        let mut board = demo(now);
        lines(&mut board, (80, 24), now);
        press(
            &mut board,
            &"/13".chars().map(KeyCode::Char).collect::<Vec<_>>(),
            now,
        );
        let screen = lines(&mut board, (80, 24), now);
        let text = screen.join("\n");
        assert!(
            text.contains("PJSIP/113") && !text.contains("PJSIP/112"),
            "{text}"
        );
        assert!(screen[23].contains("/13_  11 found"), "{text}");
        press(
            &mut board,
            &"zz".chars().map(KeyCode::Char).collect::<Vec<_>>(),
            now,
        );
        assert!(lines(&mut board, (80, 24), now)[1].contains("nobody matches"));
    }

    #[test]
    fn help_fits_the_smallest_screen_and_names_keys_that_work() {
        let now = Instant::now();
        let mut board = demo(now);
        press(&mut board, &[KeyCode::Char('?')], now);
        let text = lines(&mut board, (80, 24), now).join("\n");
        for part in [
            "cut the network",
            "write a report",
            "quit",
            "/!\\ Ringing",
            "p50, p99",
            "new messages",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        let mut board = crate::panel::board::tests::top(now);
        press(&mut board, &[KeyCode::Char('?')], now);
        let text = lines(&mut board, (80, 24), now).join("\n");
        assert!(
            text.contains("quit")
                && !text.contains("cut the network")
                && !text.contains("call somebody"),
            "{text}"
        );
    }

    /// What does not fit is counted, and arrows bring it into sight.
    #[test]
    fn lamps_beyond_the_screen_are_counted_and_reached() {
        let now = Instant::now();
        let mut board = Board::new(Scope::Demo, now);
        board.set_nodes(vec![Node::own("berlin")]);
        let all = (0..200).map(|n| {
            object(
                &format!("P/{n}"),
                Item::Device(DeviceState::NotInUse),
                &["berlin"],
            )
        });
        board.tell(Told::All(Space::Device, all.collect()), now);
        let screen = lines(&mut board, (80, 24), now);
        assert!(screen[19].contains("168 more below"), "{screen:#?}");
        press(&mut board, &[KeyCode::Down, KeyCode::End], now);
        let screen = lines(&mut board, (80, 24), now);
        let text = screen.join("\n");
        assert!(
            text.contains("P/99") && !text.contains("P/0 ") && screen[1].contains("berlin"),
            "{text}"
        );
    }

    #[test]
    fn no_size_is_a_panic() {
        let now = Instant::now();
        let mut board = demo(now);
        let suspect = Node {
            standing: Standing::Suspect,
            link: Link::Cut,
            ..Node::own("paris")
        };
        board.set_nodes(vec![suspect]);
        for width in [1, 2, 39, 40, 41, 60, 77, 131, 300] {
            for height in [1, 2, 11, 12, 13, 24, 100] {
                for keys in [
                    &[][..],
                    &[KeyCode::Char('?')],
                    &[KeyCode::Esc, KeyCode::Char('e')],
                    &[KeyCode::Char('/'), KeyCode::Char('p')],
                ] {
                    press(&mut board, keys, now);
                    lines(&mut board, (width, height), now);
                    press(
                        &mut board,
                        &[
                            KeyCode::Down,
                            KeyCode::PageDown,
                            KeyCode::End,
                            KeyCode::Home,
                        ],
                        now,
                    );
                    lines(&mut board, (width, height), now);
                    press(&mut board, &[KeyCode::Esc, KeyCode::Esc], now);
                }
            }
        }
    }
}
