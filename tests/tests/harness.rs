//! The harness itself: clusters of every version start fast, differ from each
//! other in nothing they share, and leave nothing behind.

use std::time::{Duration, Instant};

use tests::{Cluster, Load, Server, Stop, Transfers, choose, compare, digest};

#[test]
fn a_cluster_starts_from_the_template_and_leaves_nothing_behind() {
    drop(Cluster::start());
    let started = Instant::now();
    let cluster = Cluster::start();
    println!("started in {:?}", started.elapsed());
    assert_eq!(cluster.psql("postgres", "select 1"), "1");
    let (data, pid) = (cluster.data(), cluster.pid().unwrap());
    drop(cluster);
    assert!(!data.exists());
    assert!(!tests::pid_alive(pid));
}

#[test]
fn a_cluster_survives_stop_start_and_kill9() {
    let cluster = Cluster::builder(&Server::debian15()).durable().start();
    cluster.psql("postgres", "create table t (id int)");
    cluster.restart();
    cluster.psql("postgres", "insert into t values (1)");
    cluster.kill9();
    assert!(cluster.pid().is_none());
    cluster.start_again();
    cluster.stop(Stop::Immediate);
    cluster.start_again();
    assert_eq!(cluster.psql("postgres", "select count(*) from t"), "1");
}

#[test]
fn every_version_of_the_table_starts() {
    let majors = choose("versions", Server::majors().collect(), vec![10, 18]);
    for major in majors {
        let cluster = Cluster::builder(&Server::version(major)).start();
        let version = cluster.psql("postgres", "show server_version_num");
        assert!(version.starts_with(&major.to_string()), "{version}");
    }
}

#[test]
fn compare_shows_the_rows_that_differ_and_transfers_keep_their_total() {
    let (one, two) = (Cluster::start(), Cluster::start());
    Transfers::create(&one, "postgres");
    Transfers::create(&two, "postgres");
    let table = "public.checking";
    let digest_before = digest(&one, "postgres", table);
    assert_eq!(
        compare((&one, "postgres"), (&two, "postgres"), table),
        Ok(digest_before)
    );
    two.psql("postgres", "update checking set balance = 7 where id = 3");
    let difference = compare((&one, "postgres"), (&two, "postgres"), table).unwrap_err();
    assert!(difference.contains("'(3,1000)'") && difference.contains("'(3,7)'"));

    let reader = Transfers::read(&one, "postgres");
    let load = Load::start(&one, "postgres", 2, Duration::ZERO, &Transfers::writes());
    load.wait_for_more(500);
    one.restart();
    load.wait_for_more(500);
    let totals = load.stop();
    assert_eq!(totals.errors, Vec::<String>::new());
    assert!(totals.disconnects > 0);
    tests::wait_until("the reader to read", Duration::from_secs(120), || {
        reader.reads() > 0
    });
    reader.stop().unwrap();
}

/// Not a test of its own: the victim of the next one, which sets the variable.
#[test]
fn a_victim_sleeps_when_asked_to() {
    if std::env::var_os("TRUNKLINE_VICTIM").is_some() {
        let cluster = Cluster::start();
        println!(
            "victim {} {}",
            cluster.pid().unwrap(),
            cluster.data().display()
        );
        std::thread::sleep(Duration::from_secs(60));
    }
}

#[test]
fn a_killed_test_leaves_nothing_behind() {
    use std::io::{BufRead, BufReader};
    let mut victim = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_victim_sleeps_when_asked_to", "--nocapture"])
        .env("TRUNKLINE_VICTIM", "1")
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let line = BufReader::new(victim.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok)
        .find_map(|line| line.split_once("victim ").map(|(_, rest)| rest.to_owned()))
        .unwrap();
    let (pid, data) = line.split_once(' ').unwrap();
    victim.kill().unwrap();
    victim.wait().unwrap();
    tests::wait_until("the watchdog", Duration::from_secs(120), || {
        !tests::pid_alive(pid.parse().unwrap()) && !std::path::Path::new(data).exists()
    });
}
