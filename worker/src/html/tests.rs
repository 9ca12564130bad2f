use super::*;
use orch_common::domain::words::{Command, parse_comment};

fn ada(id: &str) -> Option<String> {
    (id == "e520a80b").then(|| "Ada Lovelace".to_owned())
}

fn text(html: &str) -> String {
    page(html, &ada).text
}

#[test]
fn everything_that_is_written_arrives_as_markdown() {
    let table = [
        ("", ""),
        ("<p></p>", ""),
        ("<p>one</p>\n\n<p>two</p>", "one\n\ntwo"),
        ("a<br>b<br/>c", "a\nb\nc"),
        ("<h2>Goal</h2><p>Do it.</p><hr><p>x</p>", "## Goal\n\nDo it.\n\n---\n\nx"),
        ("<p><strong>a</strong> <em>b </em><s>c</s> <u>d</u></p>", "**a** *b* ~~c~~ d"),
        ("<p><strong>:appr</strong><strong>oved</strong></p>", "**:approved**"),
        ("<p>use <code>a_b</code>, <code>x`y</code></p>", "use `a_b`, ``x`y``"),
        (
            "<p>so:</p><pre><code class=\"language-rust\">fn main() {\n    x < 2 &amp;&amp; y;\n}\n</code></pre><p>done</p>",
            "so:\n\n```rust\nfn main() {\n    x < 2 && y;\n}\n```\n\ndone",
        ),
        ("<pre>plain ```\n  code</pre>", "````\nplain ```\n  code\n````"),
        ("<pre><code class=\"language-x&quot;\ny\">a</code></pre>", "```\na\n```"),
        (
            "<p>Steps:</p><ul><li><p>one</p><ul><li><p>deep</p></li></ul></li><li><p>two</p><p>more</p></li></ul><p>end</p>",
            "Steps:\n\n- one\n  - deep\n- two\n\n  more\n\nend",
        ),
        ("<ol start=\"9\"><li>a</li><li>b<pre>c\n d</pre></li></ol>", "9. a\n10. b\n\n    ```\n    c\n     d\n    ```"),
        (
            "<ul data-type=\"taskList\"><li data-checked=\"false\" data-type=\"taskItem\"><label><input type=\"checkbox\">\
             <span></span></label><div><p>todo</p></div></li><li data-checked=\"true\" data-type=\"taskItem\"><label><input \
             type=\"checkbox\" checked=\"checked\"><span></span></label><div><p>did</p></div></li></ul>",
            "- [ ] todo\n- [x] did",
        ),
        (
            "<ul><li><input type=\"checkbox\" checked> a</li><li><input type=\"checkbox\"> b</li></ul>",
            "- [x] a\n- [ ] b",
        ),
        ("<ul><li>a<ul><li><input type=\"checkbox\">b</li></ul></li></ul>", "- a\n  - [ ] b"),
        (
            "<table><tbody><tr><th><p>A</p></th><th>B</th></tr><tr><td><p>1</p><p>2</p></td><td>x|y</td></tr><tr><td \
             colspan=\"2\"><ul><li>i</li></ul></td></tr></tbody></table>",
            "| A | B |\n| --- | --- |\n| 1<br>2 | x\\|y |\n| - i |  |",
        ),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "| a | b |\n| --- | --- |\n| c |  |"),
        ("<blockquote><p>a</p><ul><li>b</li></ul></blockquote><p>c</p>", "> a\n>\n> - b\n\nc"),
        (
            "<p>see <a href=\"https://a.test/x (1)\">the <b>page</b></a>, <a href=\"https://b.test\">https://b.test</a></p>",
            "see [the page](https://a.test/x%20%281%29), <https://b.test>",
        ),
        (
            "<p><a href=\"javascript:alert(1)\">a</a> <a href=\"JaVa\tScript:x\">b</a> <a href=\"data:text/html,x\">c</a> \
             <a href=\"/acme/x\">d</a></p>",
            "a b c [d](/acme/x)",
        ),
        (
            "<p>ask <mention-component id=\"x1\" entity_identifier=\"e520a80b\" entity_name=\"user_mention\">\
             </mention-component> or <mention-component entity_identifier=\"77\" entity_name=\"user_mention\"/>!</p>",
            "ask @Ada Lovelace or @77!",
        ),
        ("<p><img src=\"https://a.test/i.png\" alt=\"a [plan]\"></p>", "![a plan](https://a.test/i.png)"),
        ("<image-component src=\"0f1e\" id=\"i\"></image-component>", "![](0f1e)"),
        ("<work-item-embed-component entity_identifier=\"42\"></work-item-embed-component>", "(work-item-embed: 42)"),
        ("<p><span data-name=\"tada\" data-type=\"emoji\"></span> <span data-name=\"x\">✅</span></p>", ":tada: ✅"),
        ("<p>x</p><script>no</script><style>p{}</style><p>y<!-- no --></p>", "x\n\ny"),
        ("<p>a<p>b<ul><li>c<li>d</ul>e", "a\n\nb\n\n- c\n- d\n\ne"),
        (
            "<p>keep_this, *that* [box] a[0] and <b>2 &lt; 3</b> &lt;b></p>",
            "keep_this, \\*that\\* \\[box] a\\[0] and **2 < 3** \\<b>",
        ),
        (
            "<p># no</p><p>1. no</p><p>- no</p><p>&gt; no</p><p>-5 1.5 #7</p>",
            "\\# no\n\n1\\. no\n\n\\- no\n\n\\> no\n\n-5 1.5 #7",
        ),
        ("plain\n- text &amp; more", "plain\n- text & more"),
        ("plain\ntext <b>unclosed", "plain\ntext **unclosed**"),
    ];
    for (html, want) in table {
        assert_eq!(text(html), want, "{html}");
    }
}

#[test]
fn pictures_are_named_with_their_addresses() {
    let page =
        page("<p>a <img src='https://a.test/1.png' alt='one'></p><image-component src='0f'></image-component>", &ada);
    let picture = |name: &str, address: &str| Picture { name: name.into(), address: address.into() };
    assert_eq!(page.pictures, [picture("one", "https://a.test/1.png"), picture("", "0f")]);
    assert_eq!(mentioned("<mention-component entity_identifier='7'></mention-component><b>x</b>"), ["7"]);
}

/// What a person sees in Plane, and whether they said it.
#[test]
fn a_person_and_a_program_read_the_same_words() {
    let yes = [
        "<p>:approved: looks good</p>",
        "<p class=\"editor-paragraph-block\"><strong>:appr</strong>oved:</p>",
        "<p>Nice.</p><p>:approved:</p>",
        "Nice.\n:approved:",
        "<p>Nice.<br>:approved:</p>",
        "<p>\u{200b}:approved:\u{feff}</p>",
        "<p>&#8203;&shy;:appro&#8288;ved:</p>",
        "<p><em>\u{2060}</em>:approved:</p>",
        "<h3>:approved:</h3>",
        "<ul><li><p>:approved:</p></li></ul>",
        "<ul data-type=\"taskList\"><li data-checked=\"true\" data-type=\"taskItem\"><div><p>:approved:</p></div></li></ul>",
        "<p>a</p><p><code></code>:approved:</p>",
        "<p><s></s>:approved:</p>",
        "<pre><code>:rejected:</code></pre><p>:approved:</p>",
        "<blockquote><p>:rejected: no</p></blockquote><p>:approved:</p>",
    ];
    for html in yes {
        assert_eq!(parse_comment(&words(html, &nobody)), Some(Command::Approve), "{html}: {}", words(html, &nobody));
    }
    let no = [
        "<p>write this:</p><pre><code class=\"language-plaintext\">:approved:</code></pre>",
        "<pre>:approved:</pre>",
        "<pre><code>a\n\n```\n:approved:\n</code></pre>",
        "<p><code>:approved:</code></p>",
        "<p><code>:approved</code>:</p>",
        "<p><s>:approved:</s></p>",
        "<p><del>:approved:</del> no</p>",
        "<p><span style=\"text-decoration: line-through\">:approved:</span></p>",
        "<s><p>:approved:</p></s>",
        "<p><s>old<p>:approved:</p>",
        "<ul data-type=\"taskList\"><li data-checked=\"false\" data-type=\"taskItem\"><div><p>:approved:</p></div></li></ul>",
        "<ul data-type=\"taskList\"><li><p>:approved:</p></li></ul>",
        "<ul><li><input type=\"checkbox\"> :approved:</li></ul>",
        "<p><mention-component entity_identifier=\"7\" entity_name=\"user_mention\"></mention-component> :approved: would you?</p>",
        "<p>please\n:approved: it</p>",
        "<p>please <b>:approved:</b></p>",
        "<p>&gt; :approved:</p>",
        "<blockquote><p>:approved:</p></blockquote>",
        "<blockquote>a<ul><li>:approved:</li></ul></blockquote>",
        "<table><tbody><tr><td>:approved:</td><td>b</td></tr></tbody></table>",
        "<p><img src=\"https://a.test/x.png\" alt=\"x\">:approved:</p>",
        "<img alt=\"\n:approved:\" src=\"https://a.test/x\">",
        "<p>x</p><script>:approved:</script><!-- :approved: -->",
        "<script>:approved:",
        "```\n:approved:\n```",
    ];
    for html in no {
        assert_eq!(parse_comment(&words(html, &nobody)), None, "{html}: {}", words(html, &nobody));
    }
}

#[test]
fn what_is_said_after_the_word_keeps_its_form() {
    let html = "<p>:rejected: see</p><ul><li>no <b>rollback</b></li></ul><pre><code class=\"language-sh\">:retry:</code></pre>";
    let Some(Command::Reject { reason }) = parse_comment(&words(html, &nobody)) else { panic!() };
    assert_eq!(reason, "see\n\n- no rollback\n\n```sh\n:retry:\n```");
}

#[test]
fn no_depth_and_no_length_ends_the_process() {
    let deep = |open: &str, close: &str| format!("{}x{}", open.repeat(30_000), close.repeat(30_000));
    let hostile = [
        format!("{}x{}", "<div>".repeat(200_000), "</div>".repeat(200_000)),
        deep("<blockquote>", ""),
        deep("<ul><li>", ""),
        deep("<b>", "</i>"),
        deep("<p><s>", ""),
        deep("<table><tr><td>", ""),
        "<a href='".repeat(100_000),
        format!("<pre>{}", "`".repeat(2_000_000)),
        "</p>".repeat(30_000),
        "&lt;".repeat(100_000),
    ];
    for html in hostile {
        let page = page(&html, &nobody);
        assert!(page.text.len() < 8_000_000, "{} of {}", page.text.len(), &html[..20]);
    }
    assert!(text(&deep("<div>", "</div>")).contains('x'), "what is deep is still read");
    assert!(text(&format!("<p>{}</p>", "é ".repeat(500_000))).ends_with("the rest was not read)"));
}
