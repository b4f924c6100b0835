//! What programs beside a node are told: events, in order, without a shell, until they have taken them.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use tests::{Node, Session, wait_until};

use crate::SOON;
use crate::hosts::{Hosts, TABLE};

/// A handler as it was written for repmgr: it keeps lists of rules.
const HANDLER: &str = r#"#!/bin/bash
# event_notification_command = '/etc/repmgr/handler.sh %n %e %s "%t" "%d"'
NODE="$1"; EVENT="$2"; SUCCESS="$3"; TIME="$4"; DETAILS="$5"
RULES=RULES_FILE
[ "$SUCCESS" = 1 ] || exit 0
case "$EVENT" in
    primary_register|standby_promote)
        echo "iptables -t nat -F TRUNKLINE_REDIRECT # node $NODE" >> "$RULES" ;;
    standby_register|standby_follow)
        echo "iptables -t nat -A TRUNKLINE_REDIRECT -p tcp --dport 5432 -j DNAT # node $NODE" >> "$RULES" ;;
esac
"#;

/// A handler that keeps its arguments and variables, each with a line's end that no value can have. It fails while one
/// file is there, and hangs while another one is.
pub(crate) const KEEPER: &str = r#"#!/bin/bash
if [ -e KEPT.fail ]; then echo "no rules for $2"; exit 3; fi
if [ -e KEPT.hang ]; then sleep HANGS; fi
printf '%s\037' "$@" >> KEPT
printf '%s\037' "$TRUNKLINE_DETAILS" "$TRUNKLINE_EVENT" "$TRUNKLINE_NODE" "$TRUNKLINE_PROVIDER" >> KEPT
printf '\036' >> KEPT
"#;

/// For how many seconds a handler hangs: a number of this test alone, by which the sleep is found.
fn hangs() -> String {
    format!("9{}", std::process::id())
}

/// What a handler has been told.
pub(crate) struct Told(PathBuf);

impl Told {
    /// Writes the handler, and gives the file that it writes and its own path.
    pub(crate) fn handler(hosts: &Hosts, node: usize, name: &str, script: &str) -> (Told, String) {
        let scratch = &hosts.scratches[node];
        let kept = scratch.path().join(format!("{name}.kept"));
        let text = script
            .replace("KEPT", &kept.display().to_string())
            .replace("RULES_FILE", &kept.display().to_string())
            .replace("HANGS", &hangs());
        let path = scratch.file(name, &text);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        (Told(kept), path.display().to_string())
    }

    pub(crate) fn text(&self) -> String {
        std::fs::read_to_string(&self.0).unwrap_or_default()
    }

    /// Each call's arguments and variables.
    pub(crate) fn calls(&self) -> Vec<Vec<String>> {
        let text = self.text();
        let calls = text.split('\u{1e}').filter(|call| !call.is_empty());
        calls
            .map(|call| {
                let words = call.strip_suffix('\u{1f}').unwrap_or(call);
                words.split('\u{1f}').map(str::to_owned).collect()
            })
            .collect()
    }

    pub(crate) fn while_there(&self, what: &str, is_there: bool) {
        let path = self.0.with_extension(format!("kept.{what}"));
        if is_there {
            std::fs::write(path, "").unwrap();
        } else {
            std::fs::remove_file(path).unwrap();
        }
    }
}

/// Adds lines to a node's config.
pub(crate) fn configure(hosts: &Hosts, node: usize, lines: &str) {
    let config = &hosts.replays[node].config;
    let text = std::fs::read_to_string(config).unwrap();
    std::fs::write(config, format!("{text}\n{lines}\n")).unwrap();
}

fn tell(hosts: &Hosts, node: usize, event: &str, details: &str) {
    hosts.on(
        node,
        &format!("select trunkline.tell_event('q1', '{event}', true, $text${details}$text$, null)"),
    );
}

pub(crate) fn events(hosts: &Hosts, node: usize) -> String {
    hosts.on(
        node,
        "select coalesce(string_agg(event, ' ' order by event_id), '') from trunkline.event",
    )
}

pub(crate) fn wait_told(hosts: &Hosts, node: usize) {
    wait_until("all events to be told", SOON, || {
        hosts.on(
            node,
            "select count(*) from trunkline.event where told_at is null",
        ) == "0"
    });
}

fn operator(hosts: &Hosts, node: usize, args: &[&str]) -> String {
    let config = &hosts.replays[node].config;
    let operator = Node::new("trunkline", &hosts.scratches[node], config, "x");
    operator.run(args).ok().stdout
}

#[test]
fn a_handler_written_for_repmgr_is_run_for_each_event_of_its_node() {
    let hosts = Hosts::make(&[18, 10], "standby = true", TABLE);
    let mut told = Vec::new();
    for node in 0..2 {
        let (kept, path) = Told::handler(&hosts, node, "handler", HANDLER);
        let number = node + 1;
        configure(
            &hosts,
            node,
            &format!(
                "node_number = {number}\n\
                 event_notification_command = '{path} %n %e %s \"%t\" \"%d\"'"
            ),
        );
        told.push(kept);
    }
    hosts.replays[0].run(&["install", "--first"]).ok();
    hosts.replays[1].run(&["install"]).ok();
    for replay in &hosts.replays {
        replay.run(&["start", "-d"]).ok();
    }
    for (node, rule) in [
        (0, "iptables -t nat -F TRUNKLINE_REDIRECT # node 1\n"),
        (
            1,
            "iptables -t nat -A TRUNKLINE_REDIRECT -p tcp --dport 5432 -j DNAT # node 2\n",
        ),
    ] {
        wait_told(&hosts, node);
        assert_eq!(told[node].text(), rule);
    }
    hosts
        .operator(0)
        .run(&["fence", "q1", "--reason", "disk"])
        .ok();
    hosts.operator(0).run(&["unfence", "q1"]).ok();
    wait_told(&hosts, 0);
    assert_eq!(events(&hosts, 0), "primary_register fenced unfenced");
    assert_eq!(events(&hosts, 1), "standby_register");
    let said = operator(&hosts, 0, &["events", "--json", "--limit", "2"]);
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said.as_array().unwrap().len(), 2);
    assert_eq!(said[0]["event"], "unfenced");
    assert_eq!(
        (&said[1]["event"], &said[1]["details"]),
        (&"fenced".into(), &"disk".into())
    );
    assert!(
        said[1]["told"].is_string() && said[1]["tries"] == 0,
        "{said}"
    );
    let listed = operator(&hosts, 1, &["events", "q1"]);
    assert!(listed.contains(" q1 standby_register yes 1 "), "{listed}");
    hosts.wait_log(
        0,
        "event told id=2 event=fenced ok=true term=1 details=disk",
    );
    // Rows are kept in bounds, and what is not told is kept.
    hosts.replays[0].run(&["stop"]).ok();
    hosts.on(
        0,
        "select count(trunkline.tell_event('q1', 'fenced', true, 'x', null)) from generate_series(1, 1005); \
         update trunkline.event set told_at = now(); \
         update trunkline.event set told_at = now() - interval '31 days' where event_id > 1000; \
         update trunkline.event set told_at = null where event_id = 5; \
         select trunkline.tell_event('q1', 'fenced', true, 'x', null)",
    );
    let kept = hosts.on(
        0,
        "select min(event_id) || ' ' || count(*) from trunkline.event",
    );
    assert_eq!(kept, "5 993");
}

#[test]
fn hostile_details_arrive_as_they_are_and_letters_stand_for_the_state() {
    let hosts = Hosts::make(&[15; 2], "client_db = 'host=replay1 dbname=d'", TABLE);
    let (told, path) = Told::handler(&hosts, 0, "keeper", KEEPER);
    configure(
        &hosts,
        0,
        &format!(
            "event_notification_command = '{path} %e --details=%d \"%d\" %s %n %p %a %c %q %E 100%% \"a b\"'\n\
             node_number = 7\nevent_notifications = ['fenced', 'hopped']"
        ),
    );
    hosts.replays[0].run(&["install", "--first"]).ok();
    hosts.replays[1].run(&["install"]).ok();
    hosts.replays[0].run(&["start", "-d"]).ok();
    let trap = hosts.scratches[0].path().join("trap");
    let hostile = format!(
        "-rf \"it's\" $(touch {0}) `touch {0}`; touch {0} | & > < * ? ~ \\ %n %% ${{HOME}} !x\n\tü\u{1b}[2J",
        trap.display()
    );
    tell(&hosts, 0, "fenced", &hostile);
    // This one is not wanted, and is told by the log alone.
    tell(&hosts, 0, "lag_high", "x");
    tell(&hosts, 0, "hopped", "");
    wait_told(&hosts, 0);
    let calls = told.calls();
    let arguments = |event: &str, details: &str| {
        let with = format!("--details={details}");
        let words = [
            event,
            &with,
            details,
            "1",
            "7",
            "",
            "castor",
            "host=castor dbname=d",
            "q1",
            "1",
            "100%",
            "a b",
            // The environment.
            details,
            event,
            "7",
            "castor",
        ];
        words.map(str::to_owned).to_vec()
    };
    assert_eq!(
        calls,
        [arguments("fenced", &hostile), arguments("hopped", "")]
    );
    assert!(!trap.exists());
    hosts.wait_log(
        0,
        "event=lag_high ok=true term=1 details=x by_command=false",
    );
    // A database that is no set's node any more but a copy has nothing to say.
    tell(&hosts, 0, "hopped", "of the original");
    hosts.on(0, "update trunkline.node set system_identifier = 1");
    let next = hosts.on(0, "select count(*) from trunkline.next_event('q1')");
    assert_eq!(next, "0");

    for (line, says) in [
        (
            "event_notification_command = 'h %x'",
            "has %x, which stands for nothing",
        ),
        (
            "event_notification_command = 'h %n >> /log'",
            "is run without a shell",
        ),
        (
            "event_notification_command = \"sh -c 'h %d'\"",
            "its value would be code",
        ),
        (
            "redirect_command = 'h %e'",
            "there are %a, %c, %q, %E and %%",
        ),
        (
            "event_notification_command = 'h'\nevent_notifications = ['fence']",
            "did you mean \"fenced\"?",
        ),
        ("client_db = 'host=a password=b'", "without a password"),
    ] {
        let config = &hosts.replays[1].config;
        let before = std::fs::read_to_string(config).unwrap();
        std::fs::write(
            config,
            before.replace("client_db = 'host=pollux dbname=d'", "") + "\n" + line,
        )
        .unwrap();
        hosts.replays[1]
            .run(&["check-config"])
            .code(2)
            .says(&[says]);
        std::fs::write(config, before).unwrap();
    }
}

#[test]
fn a_handler_that_hangs_or_fails_is_run_again_and_holds_up_nothing_else() {
    let hosts = Hosts::make(&[15; 2], "standby = true", TABLE);
    let (told, path) = Told::handler(&hosts, 1, "keeper", KEEPER);
    let (redirected, redirect) = Told::handler(&hosts, 1, "redirect", KEEPER);
    configure(
        &hosts,
        1,
        &format!(
            "event_notification_command = '{path} %n %e %d'\nevent_timeout = 2\n\
             redirect_command = '{redirect} %a'"
        ),
    );
    hosts.replays[0].run(&["install", "--first"]).ok();
    hosts.replays[1].run(&["install"]).ok();
    told.while_there("hang", true);
    tell(&hosts, 1, "hopped", "first");
    tell(&hosts, 1, "hopped", "second");
    for replay in &hosts.replays {
        replay.run(&["start", "-d"]).ok();
    }
    hosts.wait_log(1, "event not told");
    // Replay and redirection go on.
    hosts.replays[1].run(&["add", "--all", "--wait"]).ok();
    hosts.on(0, "insert into t values (1, 'a')");
    hosts.assert_same(1);
    wait_until("the redirection", SOON, || redirected.calls().len() == 1);
    assert!(told.calls().is_empty());
    let failed = "select tries > 1 and error like 'has not ended within 2 s%' and told_at is null \
                    from trunkline.event order by event_id limit 1";
    wait_until("a second try", SOON, || hosts.on(1, failed) == "t");
    let listed = operator(&hosts, 1, &["events"]);
    assert!(listed.contains("no,failed:"), "{listed}");
    let waits = "3 events are not told, the oldest (standby_register) for";
    let said = hosts.operator(1).run(&["check", "role"]).code(1).stdout;
    assert!(said.contains(waits), "{said}");
    let said = operator(&hosts, 1, &["status"]);
    assert!(
        said.contains(waits) && said.contains("trunkline events"),
        "{said}"
    );
    // One that begins between the two would do what it should.
    told.while_there("fail", true);
    hosts.wait_log(1, "no rules for standby_register");
    told.while_there("hang", false);
    told.while_there("fail", false);
    wait_told(&hosts, 1);
    let calls = told.calls();
    let details: Vec<&str> = calls.iter().map(|call| call[2].as_str()).collect();
    assert_eq!(details, ["", "first", "second"]);
    hosts.operator(1).run(&["check", "role"]).ok();
    // A daemon that stops ends what runs, and the event is told by the next one.
    told.while_there("hang", true);
    let lines = "event_timeout = 2";
    let config = &hosts.replays[1].config;
    let text = std::fs::read_to_string(config).unwrap();
    std::fs::write(config, text.replace(lines, "event_timeout = 600")).unwrap();
    hosts.replays[1].run(&["reload"]).ok();
    tell(&hosts, 1, "hopped", "third");
    let sleeps = || {
        let named = format!("^sleep {}$", hangs());
        tests::run(std::process::Command::new("pgrep").args(["-f", "-c", &named])).text() != "0"
    };
    wait_until("the handler to hang", SOON, sleeps);
    hosts.replays[1].run(&["stop"]).ok();
    wait_until("it to be ended", SOON, || !sleeps());
    told.while_there("hang", false);
    hosts.replays[1].run(&["start", "-d"]).ok();
    wait_told(&hosts, 1);
    assert_eq!(told.calls().len(), 4);
}

#[test]
fn an_event_whose_mark_is_lost_by_a_kill_is_told_twice_and_never_lost() {
    let hosts = Hosts::make(&[15; 2], "", TABLE);
    let (told, path) = Told::handler(&hosts, 0, "keeper", KEEPER);
    configure(
        &hosts,
        0,
        &format!("event_notification_command = '{path} %e %d'"),
    );
    hosts.replays[0].run(&["install", "--first"]).ok();
    hosts.replays[0].run(&["start", "-d"]).ok();
    wait_told(&hosts, 0);
    tell(&hosts, 0, "hopped", "before");
    wait_told(&hosts, 0);
    // Whoever marks the next one waits.
    hosts.on(
        0,
        "create function public.hold() returns trigger language plpgsql as $$ begin \
           perform pg_advisory_xact_lock(77); return new; end $$; \
         create trigger hold before update on trunkline.event for each row execute procedure public.hold()",
    );
    let holder = Session::new(&hosts.nodes[0], crate::link::DB);
    holder.ask("select pg_advisory_lock(77)");
    tell(&hosts, 0, "hopped", "held");
    let waits =
        "select count(*) from pg_locks where locktype = 'advisory' and objid = 77 and not granted";
    wait_until("the mark to wait", SOON, || hosts.on(0, waits) == "1");
    let twice = |told: &Told| {
        let calls = told.calls();
        calls.iter().filter(|call| call[1] == "held").count()
    };
    assert_eq!(twice(&told), 1);
    hosts.replays[0].kill9();
    hosts.on(
        0,
        "select count(pg_terminate_backend(pid)) from pg_locks where locktype = 'advisory' and objid = 77 \
            and not granted",
    );
    drop(holder);
    hosts.replays[0].run(&["start", "-d"]).ok();
    wait_told(&hosts, 0);
    assert_eq!(twice(&told), 2);
    tell(&hosts, 0, "hopped", "after");
    wait_told(&hosts, 0);
    assert_eq!(
        told.calls().len(),
        5,
        "primary_register, before, twice held, after"
    );
}
