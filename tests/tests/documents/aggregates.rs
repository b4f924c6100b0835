//! What an aggregate gathers is in an order only if it names a value: `order by 1` within it sorts by the
//! constant 1, so the rows come as they are found, in most runs in the order that was meant.

use crate::pages;

/// The calls of aggregates in this text: the place of each, and its arguments without what stands in inner brackets.
fn calls(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("_agg(") {
        let (mut depth, mut own) = (0_usize, String::new());
        for letter in text[at + "_agg".len()..].chars() {
            match letter {
                '(' => depth += 1,
                ')' => depth -= 1,
                _ if depth == 1 => own.push(letter),
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
        found.push((at, own));
    }
    found
}

/// Whether the arguments sort by a number, which is a constant there.
fn is_sorted_by_a_constant(arguments: &str) -> bool {
    let words: Vec<&str> = arguments.split_whitespace().collect();
    words.windows(3).any(|three| {
        three[0].eq_ignore_ascii_case("order")
            && three[1].eq_ignore_ascii_case("by")
            && three[2].starts_with(|letter: char| letter.is_ascii_digit())
    })
}

#[test]
fn no_aggregate_is_sorted_by_a_constant() {
    let mut wrong = Vec::new();
    for extension in ["rs", "sql", "sh", "md"] {
        for page in pages::with_extension(extension) {
            if page.path.ends_with("documents/aggregates.rs") {
                continue;
            }
            for (at, arguments) in calls(&page.text) {
                if is_sorted_by_a_constant(&arguments) {
                    let line = page.text[..at].lines().count();
                    wrong.push(format!("{}:{line}", page.path));
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "sorted by a constant:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn an_aggregate_is_recognised_with_calls_and_sub_selects_in_it() {
    let sorted = |text: &str| -> Vec<bool> {
        let calls = calls(text);
        calls
            .iter()
            .map(|(_, own)| is_sorted_by_a_constant(own))
            .collect()
    };
    assert_eq!(sorted("select string_agg(f(x), ', ' order by 1)"), [true]);
    assert_eq!(sorted("select array_agg(x ORDER\n BY 2, y) from t"), [true]);
    assert_eq!(
        sorted("select string_agg(x, ' ' order by f(1), 1)"),
        [false]
    );
    assert_eq!(
        sorted("select array_agg((select a from b order by 1 limit 1)) from t order by 1"),
        [false]
    );
}
