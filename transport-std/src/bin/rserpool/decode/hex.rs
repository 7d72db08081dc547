//! Bytes from text: hex digits with blanks, colons, hyphens or `0x` between them.

/// What is no hex, and where: "character 5, 'g': ...".
pub(super) fn parse(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(text.len() / 2);
    let mut high = None;
    let mut chars = text.char_indices().peekable();
    let mut previous_is_digit = false;
    while let Some((at, c)) = chars.next() {
        if c.is_whitespace() || matches!(c, ':' | '-' | ',') {
            previous_is_digit = false;
            continue;
        }
        if c == '0' && !previous_is_digit && chars.next_if(|(_, next)| matches!(next, 'x' | 'X')).is_some() {
            continue;
        }
        let Some(digit) = c.to_digit(16) else {
            let place = text[..at].chars().count() + 1;
            return Err(format!(
                "character {place}, '{}', is no hex digit; blanks, ':', '-', ',' and '0x' may stand between bytes",
                c.escape_default()
            ));
        };
        previous_is_digit = true;
        match high.take() {
            None => high = Some(digit),
            Some(high) => bytes.push((high << 4 | digit) as u8),
        }
    }
    match high {
        None => Ok(bytes),
        Some(_) => Err(format!("the number of hex digits is odd: {}", 2 * bytes.len() + 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn separators_may_stand_between_bytes() {
        for text in ["0500000c", "05 00 00 0c", "05:00:00:0C", "0x05 0x00 0x00 0x0c", "0x0500000c", "05,00\n000c"] {
            assert_eq!(parse(text), Ok(vec![5, 0, 0, 12]), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert!(parse("05 0g").unwrap_err().starts_with("character 5, 'g'"));
        assert!(parse("050").unwrap_err().contains("odd: 3"));
    }
}
