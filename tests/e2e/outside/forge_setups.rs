//! `orchctl doctor` at the forge: it says nothing against a right set-up and writes nothing there, and of each wrong one it names
//! the cause and the cure.

use super::place::{OURS, Place, line};
use orch_common::store::Conn;
use orch_common::store::deliveries::{self, NewDelivery, Source};
use orch_common::store::refusals::{self, Reason, Refused};
use orch_tests::fakes::{BranchRule, FakeGitea, Fault, Reply, Right, Server};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const HOOK: &str = "gitea.hook acme/widgets";
const REPO: &str = "gitea.repo acme/widgets";
const RULES: &str = "gitea.rules acme/widgets";
const PEOPLE: &str = "gitea.reviewers acme/widgets";
const APPROVED: &str = "review_gate = \"review_approved\"";
const MERGE: &str = "merge = \"on_deploy\"";

fn bare() -> Place {
    Place::new()
}

fn good() -> Place {
    bare().hook(&format!("{OURS}/webhook/gitea"))
}

fn now() -> i64 {
    i64::try_from(std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap()
}

fn came(conn: &mut Conn, at: i64) {
    let new = NewDelivery {
        source: Source::Gitea,
        key: b"k".to_vec(),
        order_key: None,
        repo: Some("acme/widgets".into()),
        payload: "{}".into(),
    };
    deliveries::insert(conn, &new, at).unwrap();
}

fn refused(conn: &mut Conn, reason: Reason, at: i64) {
    refusals::add(conn, &[Refused { source: Source::Gitea, reason, count: 3, first_at: at, last_at: at }]).unwrap();
}

fn second(token: &str) -> (String, String) {
    let own = format!("token = \"{}\"", FakeGitea::TOKEN);
    let both = format!("{own}\nreviewer_token = \"{token}\"");
    (own, both)
}

fn reviewing(place: Place, token: &str) -> Place {
    let (own, both) = second(token);
    place.with(&own, &both).project(APPROVED)
}

fn rule(change: impl FnOnce(&mut BranchRule)) -> BranchRule {
    let mut rule = BranchRule { mergers: Some(vec![FakeGitea::BOT.into()]), ..BranchRule::default() };
    change(&mut rule);
    rule
}

fn main_rule(change: impl FnOnce(&mut BranchRule)) -> impl FnOnce(&FakeGitea) {
    let rule = rule(change);
    move |forge| forge.set_rule("widgets", "main", rule)
}

fn version(version: (u32, u32), forgejo: bool) -> Place {
    let place = Place::of(FakeGitea::start_version(version));
    if forgejo {
        place.gitea.be_forgejo();
    }
    place.hook(&format!("{OURS}/webhook/gitea"))
}

#[test]
fn a_right_setup_is_met_with_silence_and_nothing_is_written() {
    let ci = |r: &mut BranchRule| r.contexts = vec!["ci / test".into()];
    let table: Vec<(&str, Place)> = vec![
        ("as `init` leaves it", good()),
        ("Gitea 1.22", version((1, 22), false)),
        ("Gitea 1.23", version((1, 23), false)),
        ("Forgejo", version((1, 22), true)),
        ("Forgejo with scopes that it does not name", version((1, 22), true).forge(|f| f.give_only(&["all"]))),
        ("no scope too many", good().forge(|f| f.give_only(&["write:repository", "write:issue", "read:user"]))),
        (
            "a bot that is no admin, and whose webhook works",
            bare().forge(|f| f.set_right(FakeGitea::BOT, Right::Write)).knowing(|c| came(c, now())),
        ),
        ("a bot of a private repository", good().forge(|f| f.make_private("widgets"))),
        ("a reviewer's account", reviewing(good(), FakeGitea::REVIEWER_TOKEN)),
        (
            "reviewers by name, and a team",
            good().project("reviewers = [\"hugo\", \"Tom\", \"team:core\"]").forge(|f| {
                f.make_private("widgets");
                f.set_team("core", &["maria"]);
            }),
        ),
        (
            "a rule that lets it in",
            good().forge(|f| {
                f.set_rule("widgets", "feature/**", rule(|r| r.pushers = Some(vec![FakeGitea::BOT.into()])));
            }),
        ),
        ("a protected base", good().forge(main_rule(|r| r.mergers = Some(Vec::new())))),
        (
            "a merge after approvals",
            good().project(&format!("{MERGE}\n{APPROVED}")).forge(main_rule(|r| r.required_approvals = 2)),
        ),
        (
            "a merge after checks of its own CI",
            good().project(MERGE).forge(|f| {
                f.set_rule("widgets", "main", rule(ci));
                f.add_folder("widgets", ".gitea/workflows");
            }),
        ),
        (
            "a merge after checks of another CI",
            good().project(MERGE).forge(|f| {
                f.set_rule("widgets", "main", rule(ci));
                f.ci("widgets", &"a".repeat(40), "ci / test", "success");
            }),
        ),
        (
            "a form, of all branches",
            good().forge(|f| {
                f.change_hooks("widgets", |h| {
                    h["config"]["content_type"] = json!("form");
                    h["branch_filter"] = json!("");
                })
            }),
        ),
        (
            "refused once, taken since",
            good().knowing(|c| {
                refused(c, Reason::WrongSignature, now() - 60_000);
                came(c, now());
            }),
        ),
    ];
    for (what, place) in table {
        place.gitea.forget_requests();
        let before = place.gitea.deliveries().len();
        let (lines, code) = place.examine();
        let loud = |(name, level, _): &&(String, String, String)| {
            (name.starts_with("gitea") || name.starts_with("git")) && level != "ok"
        };
        let loud: Vec<_> = lines.iter().filter(loud).collect();
        assert!(loud.is_empty() && code == 0, "{what}: {loud:#?}");
        assert!(lines.iter().any(|(name, _, _)| name == HOOK), "{what}: it went on to the end");
        let wrote = |r: &&orch_tests::fakes::Request| {
            // What nothing can come of, where a forge does not name a token's scopes.
            let probe =
                r.method == "PATCH" && r.path.ends_with("/issues/comments/0") || r.method == "POST" && r.status == 422;
            r.method != "GET" && !probe
        };
        let requests = place.gitea.requests();
        let wrote: Vec<_> = requests.iter().filter(wrote).map(|r| format!("{} {}", r.method, r.path)).collect();
        assert!(wrote.is_empty(), "{what}: {wrote:?}");
        assert_eq!(place.gitea.deliveries().len(), before, "{what}");
        assert!(requests.iter().all(|r| r.status < 500), "{what}: an error in the forge's log");
    }
}

/// What is wrong, the check that says so, its level, and words of its cause and of its cure.
type Wrong = (&'static str, Place, &'static str, &'static str, [&'static str; 2]);

fn judged(table: Vec<Wrong>) {
    for (what, place, check, level, words) in table {
        let (lines, code) = place.examine();
        let said = |(name, found, text): &(String, String, String)| {
            name == check && found == level && words.iter().all(|w| text.contains(w))
        };
        assert!(lines.iter().any(said), "{what}: {check} {level} {words:?} in {lines:#?}");
        assert_eq!(code, i32::from(level == "FAIL"), "{what}: {lines:#?}");
        // Nothing else is blamed for it; a repository that is not there cannot be cloned either.
        let others = lines.iter().filter(|(name, level, _)| level == "FAIL" && name != check);
        let others: Vec<_> = others.filter(|(name, _, _)| !name.starts_with("git ")).collect();
        assert!(others.is_empty(), "{what}: {others:#?}");
    }
}

#[test]
fn a_token_that_does_not_work_is_told_apart_from_a_forge_that_does_not() {
    let token = format!("token = \"{}\"", FakeGitea::TOKEN);
    let page = |status| {
        Fault::Answer(Reply {
            status,
            headers: vec![("content-type", "text/html".to_owned())],
            body: b"<html><head><title>Welcome</title></head></html>".to_vec(),
        })
    };
    let place = good();
    let url = format!("url = \"{}\"", place.gitea.url());
    let api = place.with(&url, &format!("{}/api/v1\"", url.trim_end_matches('"')));
    let place = good();
    let url = format!("url = \"{}\"", place.gitea.url());
    let nobody = place.with(&url, "url = \"http://127.0.0.1:1\"");
    let scoped = |scopes: &[&str]| good().forge(|f| f.give_only(scopes));
    let moved = Reply::json(301, Value::Null).with("location", "/api/v1/repos/acme/renamed");
    judged(vec![
        (
            "wrong or revoked",
            good().with(&token, "token = \"other\""),
            "gitea.token",
            "FAIL",
            ["does not know the token of gitea.token", "make a new token as the bot's account"],
        ),
        (
            "suspended",
            good().forge(|f| f.suspend(FakeGitea::BOT)),
            "gitea.token",
            "FAIL",
            ["may not sign in", "administrator"],
        ),
        (
            "must change its password",
            good().forge(|f| f.must_change_password(FakeGitea::BOT)),
            "gitea.token",
            "FAIL",
            ["must change its password", "in a browser"],
        ),
        (
            "no second factor",
            good().forge(FakeGitea::enforce_second_factor),
            REPO,
            "FAIL",
            ["second factor", "two-factor"],
        ),
        (
            "no scope for users",
            scoped(&["write:repository", "write:issue"]),
            "gitea.token",
            "FAIL",
            ["lacks the scope read:user: it has only write:repository, write:issue", "read:user"],
        ),
        (
            "a token that only reads",
            scoped(&["read:user", "read:repository"]),
            "gitea.scopes",
            "FAIL",
            ["lacks the scope write:repository, write:issue", "set gitea.token"],
        ),
        (
            "no scope for teams",
            scoped(&["read:user", "write:repository", "write:issue"]).project("reviewers = [\"team:core\"]"),
            "gitea.scopes",
            "FAIL",
            ["read:organization", "for teams"],
        ),
        (
            "a scope that is not named",
            version((1, 22), true).forge(|f| f.give_only(&["write:repository", "read:user", "read:issue"])),
            "gitea.scopes",
            "FAIL",
            ["lacks the scope write:issue", "set gitea.token"],
        ),
        (
            "the reviewer's token",
            reviewing(good(), "other"),
            "gitea.reviewer",
            "FAIL",
            ["does not know the token of gitea.reviewer_token", "as the reviewer's account"],
        ),
        (
            "the reviewer suspended",
            reviewing(good(), FakeGitea::REVIEWER_TOKEN).forge(|f| f.suspend(FakeGitea::REVIEWER)),
            "gitea.reviewer",
            "FAIL",
            ["the reviewer's account may not sign in", "administrator"],
        ),
        (
            "the reviewer may not write",
            reviewing(good(), FakeGitea::REVIEWER_TOKEN).forge(|f| f.set_right(FakeGitea::REVIEWER, Right::Read)),
            "gitea.reviewer",
            "FAIL",
            ["the reviewer's account may not", "write access"],
        ),
        (
            "one account twice",
            reviewing(good(), FakeGitea::TOKEN),
            "gitea.reviewer",
            "FAIL",
            ["both tokens", "second account"],
        ),
        (
            "an address within the API",
            api,
            "gitea",
            "FAIL",
            ["not the address of the forge", "set gitea.url to http://127.0.0.1"],
        ),
        ("nobody there", nobody, "gitea", "FAIL", ["nothing listens", "host and port"]),
        (
            "a page",
            good().forge(|f| f.fail_when("GET", "/version", 9, page(200))),
            "gitea",
            "FAIL",
            ["not the API of the forge", "as people open it"],
        ),
        (
            "a proxy's page",
            good().forge(|f| f.fail_when("GET", "/version", 9, page(502))),
            "gitea",
            "FAIL",
            ["a page, 'Welcome'", "log of the forge"],
        ),
        (
            "renamed",
            good().forge(|f| f.fail_when("GET", "/repos/acme/widgets", 99, Fault::Answer(moved))),
            REPO,
            "FAIL",
            ["another address now: /api/v1/repos/acme/renamed", "new name"],
        ),
    ]);
}

#[test]
fn a_repository_in_which_nothing_can_be_done_is_named_with_its_reason() {
    let forge = |change: fn(&FakeGitea)| good().forge(change);
    judged(vec![
        (
            "not there",
            good().with("acme/widgets\"\nid_prefix", "acme/nothing\"\nid_prefix"),
            "gitea.repo acme/nothing",
            "FAIL",
            ["is not there, or", "collaborator"],
        ),
        ("archived", forge(|f| f.archive("widgets", true)), REPO, "FAIL", ["archived", "unarchive"]),
        ("a mirror", forge(|f| f.make_mirror("widgets")), REPO, "FAIL", ["a mirror", "regular repository"]),
        ("empty", forge(|f| f.make_empty("widgets")), REPO, "FAIL", ["empty", "first commit"]),
        (
            "pull requests off",
            forge(|f| f.switch_pulls_off("widgets")),
            REPO,
            "FAIL",
            ["pull requests are switched off", "switch them on"],
        ),
        (
            "no right to push",
            forge(|f| f.set_right(FakeGitea::BOT, Right::Read)),
            REPO,
            "FAIL",
            ["may not push", "write access"],
        ),
        (
            "a rule for admins to see",
            forge(|f| f.set_rule("widgets", "feature/**", rule(|_| ()))),
            RULES,
            "FAIL",
            ["keeps the bot's account out", "the rule's lists"],
        ),
        (
            "somebody else may push",
            forge(|f| f.set_rule("widgets", "feature/**", rule(|r| r.pushers = Some(vec!["ada".into()])))),
            RULES,
            "FAIL",
            ["'feature/**' covers", "the rule's lists"],
        ),
        (
            "a rule that a writer sees by its branches",
            forge(|f| {
                f.set_right(FakeGitea::BOT, Right::Write);
                f.set_branch("widgets", "feature/ET-009-old", &"a".repeat(40));
                f.set_rule("widgets", "feature/**", rule(|_| ()));
            })
            .knowing(|c| came(c, now())),
            RULES,
            "FAIL",
            ["'feature/ET-009-old'", "the rule's lists"],
        ),
        (
            "no right to merge",
            good().project(MERGE).forge(main_rule(|r| r.mergers = Some(vec!["ada".into()]))),
            RULES,
            "FAIL",
            ["does not let the account merge", "merge list"],
        ),
        (
            "approvals that nobody asks for",
            good().project(MERGE).forge(main_rule(|r| r.required_approvals = 1)),
            RULES,
            "warn",
            ["asks for 1 approval", "review_approved"],
        ),
        (
            "our own check",
            good().project(MERGE).forge(main_rule(|r| r.contexts = vec!["orch/review".into()])),
            RULES,
            "warn",
            ["orch/review", "CI alone"],
        ),
        (
            "checks and no CI",
            good().project(MERGE).forge(main_rule(|r| r.contexts = vec!["ci / test".into()])),
            RULES,
            "warn",
            ["nothing there sets any", "set up the CI"],
        ),
        (
            "a style that is not allowed",
            good().project(MERGE).forge(|f| {
                f.set_merge_style("widgets", "squash");
                f.forbid_styles("widgets", &["squash"]);
            }),
            RULES,
            "FAIL",
            ["'squash' is not allowed", "prefer another"],
        ),
        (
            "a reviewer that is not there",
            good().project("reviewers = [\"hugo\", \"nobody\"]"),
            PEOPLE,
            "FAIL",
            ["no account 'nobody'", "mend the project's reviewers"],
        ),
        (
            "the bot as reviewer",
            good().project(&format!("reviewers = [\"{}\"]", FakeGitea::BOT)),
            PEOPLE,
            "FAIL",
            ["the bot's own", "take it out"],
        ),
        (
            "a reviewer who may not read",
            good().project("reviewers = [\"stranger\"]").forge(|f| f.make_private("widgets")),
            PEOPLE,
            "FAIL",
            ["'stranger' may not read", "collaborator"],
        ),
        (
            "a team that is not there",
            good().project("reviewers = [\"team:none\"]"),
            PEOPLE,
            "FAIL",
            ["the team 'none' is not there", "team's name"],
        ),
        (
            "a team of nobody",
            good().project("reviewers = [\"team:core\"]").forge(|f| f.set_team("core", &[])),
            PEOPLE,
            "FAIL",
            ["has no members", "add people"],
        ),
    ]);
}

#[test]
fn a_dead_webhook_is_found_and_what_came_is_the_proof() {
    let hook = |change: fn(&mut Value)| good().forge(|f| f.change_hooks("widgets", change));
    let without = |event: &'static str| {
        good().forge(|f| {
            f.change_hooks("widgets", |h| {
                let all = h["events"].as_array().unwrap().clone();
                h["events"] = all.into_iter().filter(|e| *e != json!(event)).collect();
            });
        })
    };
    let mends = "init --hooks-only";
    let inside = |url: &str| {
        let place = bare().hook(&format!("{url}/webhook/gitea"));
        place.with(&format!("public_url = \"{OURS}\""), &format!("public_url = \"{url}\""))
    };
    judged(vec![
        ("none", bare(), HOOK, "FAIL", ["none leads to", mends]),
        ("elsewhere", bare().hook("http://x.test/webhook/gitea"), HOOK, "FAIL", ["one leads to http://x.test", mends]),
        ("off", hook(|h| h["active"] = json!(false)), HOOK, "FAIL", ["switched off", mends]),
        ("slack", hook(|h| h["type"] = json!("slack")), HOOK, "FAIL", ["type slack", mends]),
        ("discord", hook(|h| h["type"] = json!("discord")), HOOK, "FAIL", ["type discord", mends]),
        ("main alone", hook(|h| h["branch_filter"] = json!("main")), HOOK, "FAIL", ["branch filter 'main'", mends]),
        ("xml", hook(|h| h["config"]["content_type"] = json!("xml")), HOOK, "FAIL", ["'xml'", mends]),
        ("no reviews", without("pull_request_review"), HOOK, "FAIL", ["does not tell of: pull_request_review", mends]),
        ("no status", without("status"), HOOK, "FAIL", ["does not tell of: status", mends]),
        ("no pushes", without("push"), HOOK, "FAIL", ["does not tell of: push", mends]),
        ("two", good().hook(&format!("{OURS}/webhook/gitea/")), HOOK, "warn", ["2 of them", mends]),
        (
            "another secret",
            good().knowing(|c| refused(c, Reason::WrongSignature, now())),
            "gitea.deliveries",
            "FAIL",
            ["3 came signed with another secret", "--replace-hooks"],
        ),
        (
            "another secret since",
            good().knowing(|c| {
                came(c, now() - 60_000);
                refused(c, Reason::WrongSignature, now());
            }),
            "gitea.deliveries",
            "FAIL",
            ["since the last that was taken", "--replace-hooks"],
        ),
        (
            "no secret there",
            good().knowing(|c| refused(c, Reason::Unsigned, now())),
            "gitea.deliveries",
            "FAIL",
            ["no secret is set", "--replace-hooks"],
        ),
        (
            "too large",
            good().knowing(|c| {
                came(c, now());
                refused(c, Reason::TooLarge, now());
            }),
            "gitea.deliveries",
            "warn",
            ["(413)", "found by asking"],
        ),
        (
            "of another repository",
            good().knowing(|c| refused(c, Reason::Unknown, now())),
            "gitea.deliveries",
            "warn",
            ["none about what a project names", "[[projects]]"],
        ),
        (
            "nothing came, of the inside",
            inside("http://10.0.0.7:8500").knowing(|_| ()).forge(|f| f.set_updated("widgets", now() + 120_000)),
            HOOK,
            "warn",
            ["nothing came", "ALLOWED_HOST_LIST = external,10.0.0.7"],
        ),
        (
            "nothing came",
            good().knowing(|_| ()).forge(|f| f.set_updated("widgets", now() + 120_000)),
            HOOK,
            "warn",
            ["nothing came", "Recent deliveries"],
        ),
        (
            "not seen, and nothing came",
            bare().forge(|f| f.set_right(FakeGitea::BOT, Right::Write)),
            HOOK,
            "warn",
            ["only an admin", "Test delivery"],
        ),
    ]);
}

#[test]
fn a_slow_forge_is_named_in_time_and_holds_no_other_check_up() {
    let place = good();
    for _ in 0..40 {
        place.gitea.fail_when("", "/api/v1", 1, Fault::Slow(Duration::from_secs(60)));
    }
    let began = Instant::now();
    let (lines, code) = place.examine();
    assert!(began.elapsed() < Duration::from_secs(25), "{:?}", began.elapsed());
    let (level, said) = line(&lines, "gitea");
    assert_eq!((level, code), ("FAIL", 1), "{lines:#?}");
    assert!(said.contains("did not answer in time"), "{said}");
    assert_eq!(line(&lines, "plane.token").0, "ok");
    assert_eq!(line(&lines, "telegram.chat").0, "ok");
}

#[test]
fn a_test_delivery_is_waited_for_and_is_the_one_sure_proof() {
    type Receives = fn(&mut Conn);
    let table: [(&str, Receives, &str, &str); 3] = [
        ("taken", |c| came(c, now()), "ok", "its test delivery came"),
        (
            "refused",
            |c| refused(c, Reason::WrongSignature, now()),
            "FAIL",
            "was refused -> `orchctl init --hooks-only --replace-hooks`",
        ),
        ("lost", |_| (), "FAIL", "did not come within 8 s"),
    ];
    for (what, receives, expected, words) in table {
        let mut place = good().knowing(|_| ());
        place.more = &["--deliver"];
        let store = place.store();
        let intake = Server::start(move |_| {
            receives(&mut store.connection().unwrap());
            Reply::empty(200)
        });
        place.gitea.webhook_to(&format!("{}/webhook/gitea", intake.url));
        let (lines, code) = place.examine();
        let (level, said) = line(&lines, HOOK);
        assert_eq!((level, code), (expected, i32::from(expected == "FAIL")), "{what}: {lines:#?}");
        assert!(said.contains(words), "{what}: {said}");
    }
}
