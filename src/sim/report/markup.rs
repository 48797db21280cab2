//! Text inside markup. The page is HTML that is well-formed XML too.

use std::fmt;

/// Text that is shown as it is, in content and in attributes.
pub(super) struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                // Markup cannot hold these at all. The second group reorders the text around it.
                '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{fffe}' | '\u{ffff}' => {
                    f.write_char(if c == '\n' || c == '\t' {
                        ' '
                    } else {
                        '\u{fffd}'
                    })?;
                }
                '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => f.write_char('\u{fffd}')?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// At most `most` characters of a text.
pub(super) fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(most - 1).collect();
    short.push('…');
    short
}

/// At most `most` characters of a name: names of many nodes often differ at their ends only.
pub(super) fn middle_out(name: &str, most: usize) -> String {
    let all = name.chars().count();
    if all <= most {
        return name.to_owned();
    }
    let tail = most / 2;
    let head = most - 1 - tail;
    let (begin, end) = (name.chars().take(head), name.chars().skip(all - tail));
    begin.chain(['…']).chain(end).collect()
}

/// A number in an attribute: two digits after the point, without idle zeros.
pub(super) struct Short(pub f64);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:.2}", self.0);
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_keep_both_ends() {
        assert_eq!(middle_out("berlin", 6), "berlin");
        assert_eq!(middle_out("office-north-0004", 10), "offi…-0004");
        assert_eq!(shortened("office-north-0004", 10), "office-no…");
    }
}
