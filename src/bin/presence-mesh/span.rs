//! Spans of time as people write and read them.

use std::time::Duration;

/// Reads `250ms`, `3s`, `5m`, `2h`, `7d`.
pub fn parse(text: &str) -> Result<Duration, String> {
    let problem = || {
        format!(
            "{text:?} is not a span of time: expected a whole number and ms, s, m, h or d, as in 250ms or 7d"
        )
    };
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .ok_or_else(problem)?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| problem())?;
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(problem()),
    };
    number
        .checked_mul(unit_ms)
        .map(Duration::from_millis)
        .ok_or_else(problem)
}

/// An age, for people: `0.4 s`, `42 s`, `5 min`, `3 h`, `2 d`.
pub fn age(age: Duration) -> String {
    let seconds = age.as_secs();
    match seconds {
        0..=9 => format!("{:.1} s", age.as_secs_f64()),
        10..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// An age where room is short: `0s`, `42s`, `5m`, `3h`, `2d`; rounded down.
pub fn short(age: Duration) -> String {
    let seconds = age.as_secs();
    match seconds {
        0..=119 => format!("{seconds}s"),
        120..=7_199 => format!("{}m", seconds / 60),
        7_200..=172_799 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// How long something took: `0.42 s`, `12.3 ms`.
pub fn took(took: Duration) -> String {
    let ms = took.as_secs_f64() * 1_000.0;
    if ms < 100.0 {
        format!("{ms:.1} ms")
    } else {
        format!("{:.2} s", took.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_a_number_and_a_unit() {
        let cases = [
            ("250ms", 250),
            ("3s", 3_000),
            ("5m", 300_000),
            ("2h", 7_200_000),
            ("7d", 604_800_000),
            ("0s", 0),
        ];
        for (text, ms) in cases {
            assert_eq!(parse(text), Ok(Duration::from_millis(ms)), "{text}");
        }
    }

    #[test]
    fn other_texts_are_no_spans() {
        for text in [
            "",
            "3",
            "s",
            "3 s",
            "-3s",
            "1.5s",
            "3sec",
            "3S",
            "99999999999999999999s",
            "18446744073709551615d",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn ages_read_like_speech() {
        let cases = [
            (400, "0.4 s"),
            (42_000, "42 s"),
            (300_000, "5 min"),
            (10_800_000, "3 h"),
            (200_000_000, "2 d"),
        ];
        for (ms, text) in cases {
            let span = Duration::from_millis(ms);
            assert_eq!(age(span), text);
            let whole = text.replace("0.4", "0").replace("min", "m");
            assert_eq!(short(span), whole.replace(' ', ""));
        }
    }
}
