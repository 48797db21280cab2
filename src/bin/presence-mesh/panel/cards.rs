//! Where lamps stand: each site is a card, cards stand in bands, as many beside each other as fit.

use super::lamps::Site;

/// Lines of a card above its lamps: the site, and how its node stands.
pub const HEAD: usize = 2;
/// What is shared has no node.
const SHARED_HEAD: usize = 1;
/// Narrower, and names would be guessed.
const LEAST_WIDTH: usize = 16;
/// From here on a lamp has all its words on one line.
const ONE_LINE_WIDTH: usize = 38;

/// All cards, in lines counted from the top of the first.
#[derive(Debug, Default)]
pub struct Cards {
    pub bands: Vec<Band>,
    pub height: usize,
}

#[derive(Debug)]
pub struct Band {
    pub top: usize,
    pub height: usize,
    /// Lines above the lamps.
    pub head: usize,
    pub cards: Vec<Card>,
}

#[derive(Debug)]
pub struct Card {
    /// Number of the site.
    pub site: usize,
    pub x: usize,
    pub width: usize,
    /// The lamps, as rows of the site and where they stand.
    pub places: Vec<Place>,
}

/// Where a lamp stands; `y` is counted from the top of the first card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub site: usize,
    pub row: usize,
    pub x: usize,
    pub y: usize,
    pub width: usize,
    /// Lines it has.
    pub lines: usize,
}

impl Cards {
    /// `wanted` says which rows of a site; a site that it leaves out has no card.
    pub fn new(sites: &[Site], width: usize, wanted: impl Fn(&Site) -> Option<Vec<usize>>) -> Self {
        let all: Vec<(usize, Vec<usize>)> = sites
            .iter()
            .enumerate()
            .filter_map(|(number, site)| Some((number, wanted(site)?)))
            .collect();
        // What belongs to no single site stands below the others.
        let shared = all
            .last()
            .is_some_and(|(site, _)| all.len() > 1 && sites[*site].name == super::lamps::SHARED);
        let (mine, shared) = all.split_at(all.len() - usize::from(shared));
        let mut cards = Self::default();
        if !mine.is_empty() {
            let most = (width / LEAST_WIDTH).clamp(1, mine.len());
            let bands = mine.len().div_ceil(most);
            let columns = mine.len().div_ceil(bands);
            mine.chunks(columns)
                .for_each(|band| cards.push(band, columns, width, HEAD));
        }
        if !shared.is_empty() {
            cards.push(shared, 1, width, SHARED_HEAD);
        }
        cards
    }

    fn push(&mut self, sites: &[(usize, Vec<usize>)], columns: usize, width: usize, head: usize) {
        let top = match self.height {
            0 => 0,
            // An empty line keeps bands apart.
            height => height + 1,
        };
        let width = width / columns;
        let cards: Vec<Card> = sites
            .iter()
            .enumerate()
            .map(|(column, (site, rows))| Card::new(*site, rows, column * width, width, top + head))
            .collect();
        let bottom = |card: &Card| card.places.iter().map(|place| place.y + place.lines).max();
        let bottom = cards.iter().filter_map(bottom).max().unwrap_or(top + head);
        self.bands.push(Band {
            top,
            height: bottom - top,
            head,
            cards,
        });
        self.height = bottom;
    }

    pub fn places(&self) -> impl Iterator<Item = &Place> {
        self.bands
            .iter()
            .flat_map(|band| &band.cards)
            .flat_map(|card| &card.places)
    }
}

impl Card {
    fn new(site: usize, rows: &[usize], x: usize, width: usize, top: usize) -> Self {
        let columns = (width / ONE_LINE_WIDTH).max(1);
        let cell = width / columns;
        let lines = if cell < ONE_LINE_WIDTH { 2 } else { 1 };
        let per_column = rows.len().div_ceil(columns).max(1);
        let place = |(number, row): (usize, &usize)| Place {
            site,
            row: *row,
            x: x + number / per_column * cell,
            y: top + number % per_column * lines,
            // A gap at the right.
            width: cell.saturating_sub(1),
            lines,
        };
        Self {
            site,
            x,
            width: width.saturating_sub(1),
            places: rows.iter().enumerate().map(place).collect(),
        }
    }
}

/// A step from one lamp to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Up,
    Down,
    Left,
    Right,
}

/// The nearest lamp in a direction.
pub fn step(cards: &Cards, from: Place, step: Step) -> Option<Place> {
    let beyond = |to: &&Place| match step {
        Step::Up => to.y < from.y,
        Step::Down => to.y > from.y,
        Step::Left => to.x < from.x,
        Step::Right => to.x > from.x,
    };
    let far = |to: &&Place| {
        let (dx, dy) = (to.x.abs_diff(from.x), to.y.abs_diff(from.y));
        match step {
            // Straight on first; another column only where this one ends.
            Step::Up | Step::Down => (usize::from(dx != 0), dy, dx),
            Step::Left | Step::Right => (dx, dy, 0),
        }
    };
    cards.places().filter(beyond).min_by_key(far).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::panel::lamps::Lamps;
    use crate::panel::told::{Item, Space};
    use presence_mesh::DeviceState;

    fn lamps(sites: usize, each: usize) -> Lamps {
        let mut lamps = Lamps::default();
        let names: Vec<String> = (0..sites).map(|site| format!("s{site:02}")).collect();
        let all = (0..sites * each).map(|n| {
            let item = Item::Device(DeviceState::NotInUse);
            crate::panel::board::tests::object(&format!("P/{n}"), item, &[&names[n % sites]])
        });
        lamps.all(Space::Device, all.collect(), std::time::Instant::now());
        lamps.arrange(names.iter().map(String::as_str));
        lamps
    }

    fn cards(sites: usize, each: usize, width: usize) -> Cards {
        Cards::new(lamps(sites, each).sites(), width, |site| {
            Some((0..site.rows.len()).collect())
        })
    }

    /// The demonstration must be seen as a whole on the smallest screen.
    #[test]
    fn five_sites_of_eight_fit_eighty_columns() {
        let cards = cards(5, 8, 80);
        assert_eq!((cards.bands.len(), cards.height), (1, HEAD + 16));
        let wide: Vec<usize> = cards.bands[0].cards.iter().map(|card| card.x).collect();
        assert_eq!(wide, [0, 16, 32, 48, 64]);
    }

    #[test]
    fn cards_never_overlap_nor_leave_the_screen() {
        for (sites, each, width) in [
            (1, 7, 80),
            (2, 9, 80),
            (7, 3, 80),
            (16, 2, 120),
            (3, 0, 40),
            (1, 50, 200),
            (4, 4, 9),
        ] {
            let cards = cards(sites, each, width);
            let places: Vec<Place> = cards.places().copied().collect();
            assert_eq!(places.len(), sites * each);
            for (number, a) in places.iter().enumerate() {
                assert!(a.x + a.width <= width && a.y + a.lines <= cards.height);
                for b in &places[number + 1..] {
                    let apart = a.x + a.width <= b.x
                        || b.x + b.width <= a.x
                        || a.y + a.lines <= b.y
                        || b.y + b.lines <= a.y;
                    assert!(apart, "{a:?} {b:?}");
                }
            }
        }
    }

    #[test]
    fn every_lamp_can_be_reached_by_steps() {
        let cards = cards(7, 3, 80);
        let mut seen = vec![*cards.places().next().unwrap()];
        let mut next = 0;
        while let Some(from) = seen.get(next).copied() {
            next += 1;
            for to in
                [Step::Up, Step::Down, Step::Left, Step::Right].map(|way| step(&cards, from, way))
            {
                if let Some(to) = to.filter(|to| !seen.contains(to)) {
                    seen.push(to);
                }
            }
        }
        assert_eq!(seen.len(), 21);
    }
}
