use super::*;

fn side(filter: Option<FilterNow>) -> Side {
    let column = |name: &str, type_name: &str| KeyColumn {
        name: name.into(),
        type_name: type_name.into(),
        is_bits: false,
    };
    Side {
        relation: "only public.t".into(),
        values: vec!["t.\"A\"".into(), "t.b".into(), "t.v".into()],
        key: vec![column("b", "integer"), column("A", "text")],
        key_values: vec![1, 0],
        filter,
        and_own: String::new(),
        converts: false,
    }
}

#[test]
fn a_stretch_has_its_last_key_and_not_the_one_before_it() {
    let range = Range {
        after: Some(vec!["1".into(), "it's".into()]),
        upto: Some(vec!["2".into(), "b".into()]),
    };
    assert_eq!(
        side(None).within(&range),
        [
            "(t.b, t.\"A\") > ('1'::integer, 'it''s'::text)",
            "(t.b, t.\"A\") <= ('2'::integer, 'b'::text)"
        ]
    );
    assert!(side(None).within(&Range::default()).is_empty());
    assert!(side(None).border(None, 10).ends_with("offset 9 limit 1"));
}

#[test]
fn a_filter_sees_its_columns_under_its_own_names_and_they_hide_none_of_ours() {
    let filter = FilterNow {
        condition: "(k > 1)".into(),
        names: vec![("now".into(), "k".into())],
    };
    let list = side(Some(filter)).list(&Range::default(), None, None);
    assert!(
        list.contains("row(t.b, t.\"A\")::text as k_, t.now as k from"),
        "{list}"
    );
    assert!(list.contains("f where ((k > 1)) offset 0"), "{list}");
}

#[test]
fn the_rows_of_a_job_are_told_from_others_with_or_without_another_condition() {
    let mut side = side(None);
    side.and_own = " and (t.k = 3)".into();
    let sums = side.sums(&Range::default(), None, None);
    assert!(sums.contains("t where true and (t.k = 3)"), "{sums}");
    let look = side.look(&["(1,a)"]);
    assert!(
        look.contains("t.b = w.w0::integer and t.\"A\" = w.w1::text and (t.k = 3)"),
        "{look}"
    );
}

#[test]
fn the_fields_of_a_key_are_read_as_a_record_writes_them() {
    assert_eq!(fields("(1,\"a \"\"b\"\" \\\\\")"), ["1", "a \"b\" \\"]);
    assert_eq!(fields("(\"\")"), [""]);
    assert!(has_null("()") && has_null("(1,)") && !has_null("(\"\",1)"));
}

#[test]
fn a_float_in_a_key_is_looked_up_by_its_value() {
    let mut side = side(None);
    side.key[0].is_bits = true;
    side.key[0].type_name = "double precision".into();
    let look = side.look(&["(3fb999999999999a,x)"]);
    assert!(look.contains("(0, '1e-1', 'x')"), "{look}");
    // An event has the number, also where it reads like bits.
    let list = side.list_of_keys(&["(12345678,x)"]);
    assert!(list.contains("(0, '12345678', 'x')"), "{list}");
    assert_eq!(side.shown("(NaN,x)"), "(\"NaN\",\"x\")");
    assert_eq!(float_of_bits("bf800000"), "-1e0");
}
