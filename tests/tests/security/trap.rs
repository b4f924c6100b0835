//! The trap itself: it is quiet where it is held, and tells where it is not.

use tests::{Cluster, trap};

#[test]
fn the_trap_tells_who_ran_it_and_which_way_out_it_found() {
    let cluster = Cluster::start();
    trap::lay(&cluster, "postgres");
    trap::lay(&cluster, "postgres");
    trap::as_trapper(&cluster, "postgres", "select trap.spring('home')");
    // Nothing can be set back inside a function that runs as its owner.
    cluster.psql(
        "postgres",
        "alter function trap.spring(text) security definer; select trap.spring('definer');
         alter function trap.spring(text) security invoker",
    );
    trap::assert_held(&cluster);
    assert_eq!(trap::sprung(&cluster), ["definer", "home"]);

    cluster.psql(
        "postgres",
        "begin; set local role trapper; select trap.yes('set role', 1); rollback",
    );
    let log = cluster.log();
    assert!(
        log.contains("trap escaped at set role by \"select"),
        "{log}"
    );
    cluster.psql("postgres", "begin; select trap.same('as is', 1); rollback");
    let log = cluster.log();
    assert!(
        log.contains("trap escaped at as is: it ran as postgres"),
        "{log}"
    );
    assert!(std::panic::catch_unwind(|| trap::assert_held(&cluster)).is_err());
}
