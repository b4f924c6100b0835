//! Sequences: their values as they are, before the first nextval too.

use crate::provider::{Provider, refused};

#[tokio::test]
async fn values_are_exact_before_and_after_the_first_nextval() {
    let p = Provider::start().await;
    p.run(
        "create sequence a start 5 increment 3; create sequence \"b c\"; create sequence d increment -1;
         create table t (id bigserial primary key); create sequence gone",
    )
    .await;
    for name in ["a", "b c", "d", "t_id_seq", "gone"] {
        for added in ["t", "f"] {
            assert_eq!(
                p.ask(&format!(
                    "select trunkline.add_sequence('q', 'job', 'public', '{name}')"
                ))
                .await,
                added
            );
        }
    }
    assert_eq!(
        refused(
            &p.client,
            "select trunkline.add_sequence('q', 'job', 'public', 't')"
        )
        .await
        .0,
        "42P01"
    );
    p.run("select setval('\"b c\"', 50, false), nextval('d'), nextval('d'); insert into t default values; drop sequence gone").await;
    let values = "select string_agg(format('%s %s %s %s', sequence_name, last_value, is_called, increment), ', ')
                    from trunkline.sequence_values('q', 'job')";
    assert_eq!(
        p.ask(values).await,
        "a 5 f 3, b c 50 f 1, d -2 t -1, t_id_seq 1 t 1"
    );
    p.run("select nextval('a')").await;
    assert!(p.ask(values).await.starts_with("a 5 t 3"));
    assert_eq!(
        p.ask("select trunkline.remove_sequence('q', 'job', 'public', 'a')")
            .await,
        "t"
    );
    assert_eq!(
        p.ask("select trunkline.remove_sequence('q', 'job', 'public', 'a')")
            .await,
        "f"
    );
    assert_eq!(
        p.ask("select count(*) from trunkline.captured_sequence")
            .await,
        "3"
    );
    assert_eq!(
        p.ask("select string_agg(sequence_name || ' ' || captured, ', ' order by sequence_name) from trunkline.sequence_candidates('q')").await,
        "a false, b c true, d true, t_id_seq true"
    );
}
