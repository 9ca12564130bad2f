//! SPDX licence expressions, as far as packages use them: names, `AND`, `OR` (also written `/`), `WITH`, brackets.

/// Whether a user may take the package under licences from `allowed` alone. An expression that cannot be read is
/// not acceptable.
pub fn acceptable(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    any_of(&mut rest, allowed).is_some_and(|holds| holds && rest.is_empty())
}

/// `a OR b`; the weakest binding.
fn any_of(rest: &mut &[&str], allowed: &[String]) -> Option<bool> {
    let mut holds = all_of(rest, allowed)?;
    while take(rest, "OR") {
        holds |= all_of(rest, allowed)?;
    }
    Some(holds)
}

/// `a AND b`.
fn all_of(rest: &mut &[&str], allowed: &[String]) -> Option<bool> {
    let mut holds = one(rest, allowed)?;
    while take(rest, "AND") {
        holds &= one(rest, allowed)?;
    }
    Some(holds)
}

/// A name with its exception, or a bracket.
fn one(rest: &mut &[&str], allowed: &[String]) -> Option<bool> {
    if take(rest, "(") {
        let inner = any_of(rest, allowed)?;
        return take(rest, ")").then_some(inner);
    }
    let mut name = next(rest)?.to_owned();
    if take(rest, "WITH") {
        name = format!("{name} WITH {}", next(rest)?);
    }
    Some(allowed.contains(&name))
}

fn take(rest: &mut &[&str], word: &str) -> bool {
    let found = rest.first() == Some(&word);
    if found {
        next(rest);
    }
    found
}

fn next<'w>(rest: &mut &[&'w str]) -> Option<&'w str> {
    let (first, others) = rest.split_first()?;
    *rest = others;
    Some(first)
}

#[test]
fn expressions_are_read_as_spdx_says() {
    let allowed = ["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned);
    for (expression, expected) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("MIT OR GPL-3.0", true),
        ("GPL-3.0/MIT", true),
        ("MIT AND GPL-3.0", false),
        ("MIT AND ISC", true),
        ("MIT OR GPL-3.0 AND AGPL-3.0", true),
        ("(MIT OR GPL-3.0) AND AGPL-3.0", false),
        ("(MIT OR GPL-3.0) AND (AGPL-3.0 OR ISC)", true),
        ("Apache-2.0", false),
        ("Apache-2.0 WITH LLVM-exception", true),
        ("", false),
        ("MIT OR", false),
        ("(MIT", false),
        ("MIT ISC", false),
    ] {
        assert_eq!(acceptable(expression, &allowed), expected, "{expression}");
    }
}
