//! Settings files: the lines that docker compose (`env_file`) and systemd (`EnvironmentFile`) read alike. Whatever they
//! read differently is refused, because a password would silently become another one.

use std::collections::BTreeMap;

/// The names and values of a settings file, and what is wrong with its lines. A problem never shows a value.
pub(super) fn parse(bytes: &[u8]) -> (Vec<(String, String)>, Vec<String>) {
    let (mut entries, mut problems, mut seen) = (Vec::new(), Vec::new(), BTreeMap::new());
    if bytes.starts_with("\u{feff}".as_bytes()) {
        problems.push("line 1: begins with a byte order mark; save the file as UTF-8 without one".to_owned());
        return (entries, problems);
    }
    for (number, line) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
        match line_entry(line) {
            Ok(None) => {}
            Ok(Some((name, value))) => match seen.insert(name.clone(), number) {
                None => entries.push((name, value)),
                Some(first) => problems.push(format!("line {number}: {name} is set in line {first} already")),
            },
            Err(why) => problems.push(format!("line {number}: {why}")),
        }
    }
    (entries, problems)
}

fn line_entry(line: &[u8]) -> Result<Option<(String, String)>, &'static str> {
    let line = std::str::from_utf8(line).map_err(|_| "is not UTF-8")?;
    let line = line.strip_suffix('\r').unwrap_or(line).trim_matches([' ', '\t']);
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    if line.starts_with("export ") {
        return Err("remove \"export\"; systemd ignores such lines");
    }
    let (name, value) = line.split_once('=').ok_or("has no \"=\"; write NAME=VALUE")?;
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !starts_well || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err(
            "does not begin with the name of a setting; write NAME=VALUE without spaces around \"=\"",
        );
    }
    if value.contains(|c: char| c.is_control() && c != '\t') {
        return Err("contains a control character");
    }
    value_of(value.trim_start_matches([' ', '\t'])).map(|value| Some((name.to_owned(), value.to_owned())))
}

fn value_of(text: &str) -> Result<&str, &'static str> {
    for quote in ['\'', '"'] {
        if let Some(rest) = text.strip_prefix(quote) {
            let (value, after) = rest.split_once(quote).ok_or("the closing quote is missing")?;
            return match quote {
                _ if !after.is_empty() => {
                    Err("has text after the closing quote; put comments on lines of their own")
                }
                // compose takes such a quote for an escaped one.
                '\'' if value.ends_with('\\') => {
                    Err("ends with a backslash, which cannot be written in a file")
                }
                '"' if value.contains(['$', '\\', '`']) => {
                    Err("contains $, \\ or ` in double quotes; put the value in single quotes")
                }
                _ => Ok(value),
            };
        }
    }
    let has_comment = text.starts_with('#') || text.contains(" #") || text.contains("\t#");
    match text {
        _ if text.contains(['$', '\\']) => Err("contains $ or \\; put the value in single quotes"),
        _ if has_comment => {
            Err("contains # after a space; put the value in quotes, or the comment on a line of its own")
        }
        _ => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines, and the value that compose and systemd read from them.
    const SAME: &[(&str, &str)] = &[
        ("A=b", "b"),
        ("A=", ""),
        ("A=''", ""),
        ("A=\"\"", ""),
        ("A= b\t ", "b"),
        ("  A=b", "b"),
        ("A=b\r", "b"),
        ("A=b c  d", "b c  d"),
        ("A=b=c==", "b=c=="),
        ("A=b#c", "b#c"),
        ("A=it's", "it's"),
        ("A=b\"c\"", "b\"c\""),
        ("A=Parkade <parkade@example.com>", "Parkade <parkade@example.com>"),
        ("A='SummerTime$ecret2026'", "SummerTime$ecret2026"),
        ("A='$HOME ${HOME} $$'", "$HOME ${HOME} $$"),
        ("A='b\\nc\\\\d'", "b\\nc\\\\d"),
        ("A='b # c'", "b # c"),
        ("A=' b '", " b "),
        ("A='say \"hi\"'", "say \"hi\""),
        ("A=\"it's\"", "it's"),
        ("A=\"b # c\"", "b # c"),
        ("A=\" b \"", " b "),
        ("A=Zürich, 東京", "Zürich, 東京"),
        ("A='ünusual'", "ünusual"),
        ("A=;b", ";b"),
        ("A=`b`", "`b`"),
        ("A=postgres://u:p%40@h:5432/n?x=1&y=2", "postgres://u:p%40@h:5432/n?x=1&y=2"),
    ];

    /// Lines that they read differently, or that one of them skips.
    const REFUSED: &[(&str, &str)] = &[
        ("A=SummerTime$ecret2026", "single quotes"),
        ("A=b$", "single quotes"),
        ("A=b\\c", "single quotes"),
        ("A=b\\", "single quotes"),
        ("A=\"b$c\"", "single quotes"),
        ("A=\"b\\nc\"", "single quotes"),
        ("A=\"b\\\"c\"", "after the closing quote"),
        ("A='b\\'", "backslash"),
        ("A='it'\\''s'", "after the closing quote"),
        ("A=b # c", "comment"),
        ("A=#b", "comment"),
        ("A='b' # c", "after the closing quote"),
        ("A='b'c", "after the closing quote"),
        ("A='b", "closing quote is missing"),
        ("A=\"b", "closing quote is missing"),
        ("export A=b", "export"),
        ("A =b", "without spaces"),
        ("A", "no \"=\""),
        ("; comment", "no \"=\""),
        ("=b", "NAME=VALUE"),
        ("1A=b", "NAME=VALUE"),
        ("A-B=c", "NAME=VALUE"),
        ("A=b\u{7}", "control character"),
    ];

    #[test]
    fn values_arrive_as_written_or_their_line_is_refused() {
        for (line, expected) in SAME {
            let (entries, problems) = parse(format!("# a comment\n\n{line}\n").as_bytes());
            assert_eq!(problems, Vec::<String>::new(), "{line:?}");
            assert_eq!(entries, [("A".to_owned(), (*expected).to_owned())], "{line:?}");
        }
        for (line, why) in REFUSED {
            let (entries, problems) = parse(format!("\n{line}\nB=c").as_bytes());
            assert_eq!(entries, [("B".to_owned(), "c".to_owned())], "{line:?}");
            assert!(problems.len() == 1 && problems[0].starts_with("line 2: "), "{line:?}: {problems:?}");
            assert!(problems[0].contains(why) && !problems[0].contains("ecret"), "{line:?}: {problems:?}");
        }
    }

    #[test]
    fn files_are_utf8_and_set_each_name_once() {
        assert_eq!(parse(b"A=b\r\nB=c\r\n").0.len(), 2);
        for (bytes, why) in [
            (&b"\xef\xbb\xbfA=b"[..], "line 1: begins with a byte order mark"),
            (b"A=b\nB=\xff", "line 2: is not UTF-8"),
            (b"A=b\n\nA=c", "line 3: A is set in line 1 already"),
        ] {
            let problems = parse(bytes).1;
            assert!(problems.len() == 1 && problems[0].contains(why), "{problems:?}");
        }
    }
}
