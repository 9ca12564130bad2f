//! Mending a mirror's `packed-refs`. One line that git does not understand fails every call in the mirror, an order that
//! is not the one that the file claims hides refs, and replacements change the history that agents and tests see.

use std::collections::BTreeMap;

const HEADER: &[u8] = b"# pack-refs with: peeled fully-peeled sorted \n";
/// Id, and what it points to if that is a tag, by name.
type Refs<'a> = BTreeMap<&'a [u8], (&'a [u8], Option<&'a [u8]>)>;
const REPLACEMENTS: &[u8] = b"refs/replace/";

/// What the file should hold; `None`: just that. What cannot be read is left out.
pub(super) fn mended(bytes: &[u8]) -> Option<Vec<u8>> {
    let (mut refs, mut last, mut whole) = (Refs::new(), None, bytes.is_empty() || bytes.ends_with(b"\n"));
    let mut sorted = false;
    for line in bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
        if line.starts_with(b"#") {
            sorted |= line.windows(8).any(|word| word == b" sorted ");
            whole &= refs.is_empty();
        } else if let Some(peeled) = line.strip_prefix(b"^") {
            // Of the ref before.
            let of = last.filter(|_| is_id(peeled)).and_then(|name: &[u8]| refs.get_mut(name));
            whole &= of.map(|entry: &mut (&[u8], Option<&[u8]>)| entry.1 = Some(peeled)).is_some();
        } else {
            let Some((name, id)) = read(line) else {
                (whole, last) = (false, None);
                continue;
            };
            whole &= !sorted || refs.last_key_value().is_none_or(|(before, _)| *before < name);
            whole &= refs.insert(name, (id, None)).is_none();
            last = Some(name);
        }
    }
    (!whole).then(|| written(&refs))
}

fn read(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = line.iter().position(|b| *b == b' ')?;
    let (id, name) = (line.get(..space)?, line.get(space + 1..)?);
    let plain = name.starts_with(b"refs/") && !name.iter().any(|b| *b <= b' ' || *b == 0x7f || b"~^:?*[\\".contains(b));
    let odd = name.ends_with(b"/")
        || name.ends_with(b".lock")
        || [&b".."[..], b"//", b"/.", b"@{"].iter().any(|part| name.windows(2).any(|two| two == *part));
    (is_id(id) && plain && !odd && !name.starts_with(REPLACEMENTS)).then_some((name, id))
}

fn is_id(bytes: &[u8]) -> bool {
    matches!(bytes.len(), 40 | 64) && bytes.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Fully peeled as far as it said so: a ref whose tag is unknown would be taken for no tag.
fn written(refs: &Refs<'_>) -> Vec<u8> {
    let peeled = refs.values().any(|(_, peeled)| peeled.is_some());
    let mut text = if peeled { HEADER.to_vec() } else { b"# pack-refs with: sorted \n".to_vec() };
    for (name, (id, peeled)) in refs {
        text.extend([*id, b" ", *name, b"\n"].concat());
        if let Some(peeled) = peeled {
            text.extend([b"^", *peeled, b"\n"].concat());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_wrote_stays_and_what_it_cannot_read_or_must_not_see_goes() {
        let (a, b) = ("a".repeat(40), "b".repeat(64));
        let header = String::from_utf8(HEADER.to_vec()).unwrap();
        let plain = "# pack-refs with: sorted \n";
        let one = format!("{a} refs/heads/feature/ET-1\n");
        let two = format!("{b} refs/tags/v1\n");
        for fine in [
            String::new(),
            header.clone(),
            format!("{header}{one}{two}"),
            format!("{header}{one}{two}^{a}\n"),
            // As old versions wrote it: in no order, and not saying so.
            format!("{two}{one}"),
        ] {
            assert_eq!(mended(fine.as_bytes()), None, "{fine}");
        }
        for (hostile, wanted) in [
            (format!("{header}rubbish\n{one}"), format!("{plain}{one}")),
            (format!("{header}{one}{a} refs/replace/{a}\n{two}^{a}\n"), format!("{header}{one}{two}^{a}\n")),
            (format!("{header}{two}{one}"), format!("{plain}{one}{two}")),
            (format!("{header}{one}{one}"), format!("{plain}{one}")),
            (format!("{header}{one}{}", two.trim_end()), format!("{plain}{one}{two}")),
            (format!("{header}^{a}\n{one}"), format!("{plain}{one}")),
            (format!("{header}{one}^short\n"), format!("{plain}{one}")),
            (format!("{header}{one}{a} ../../config\n{a} refs/heads/..\n{a} refs/x y\n"), format!("{plain}{one}")),
            ("\0\0\0\0".into(), plain.into()),
        ] {
            let mended = mended(hostile.as_bytes()).map(|bytes| String::from_utf8(bytes).unwrap());
            assert_eq!(mended.as_deref(), Some(wanted.as_str()), "{hostile}");
            assert_eq!(super::mended(wanted.as_bytes()), None, "{wanted}");
        }
    }
}
