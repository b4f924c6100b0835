//! The picture of the nodes and of the flow between them, drawn from left to right for a wide page and from top to
//! bottom for a narrow one. Pure.
//!
//! Each node has at most one node that it reads from, so the picture is a wood. A state is told by a word and a shape
//! as well as by its colour.

use std::collections::HashSet;

use maud::{Markup, html};

/// Nodes that are drawn; the rest is a number.
const DRAWN: usize = 40;

/// How well something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Health {
    /// All is well.
    Ok,
    /// It does nothing, as it should.
    Idle,
    /// Somebody should look.
    Warning,
    /// Somebody must act.
    Critical,
}

impl Health {
    pub(super) fn word(self) -> &'static str {
        match self {
            Health::Ok => "ok",
            Health::Idle => "idle",
            Health::Warning => "warning",
            Health::Critical => "critical",
        }
    }
}

/// A database, a queue, an archive or a consumer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    /// The name by which others follow it.
    pub(super) name: String,
    /// What it is.
    pub(super) kind: String,
    /// One line more.
    pub(super) note: String,
    pub(super) health: Health,
    /// Whom it reads from, and how that goes; None: nobody.
    pub(super) from: Option<Flow>,
}

/// What flows to a node.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Flow {
    /// The name of the node that it comes from.
    pub(super) node: String,
    /// How far behind.
    pub(super) lag: String,
    /// The state in a word or two.
    pub(super) state: String,
    pub(super) health: Health,
    /// Changes go over it, or would if there were some.
    pub(super) flows: bool,
}

/// A node with those that read from it, by their places among all nodes.
struct Tree {
    node: usize,
    below: Vec<Tree>,
}

/// The trees of the wood. A circle, and a node that reads from an unknown one, begin a tree.
fn trees(nodes: &[Node]) -> Vec<Tree> {
    let place = |name: &str| nodes.iter().position(|node| node.name == name);
    let upstream: Vec<Option<usize>> = nodes
        .iter()
        .map(|node| node.from.as_ref().and_then(|from| place(&from.node)))
        .collect();
    let mut seen = HashSet::new();
    let mut wood = Vec::new();
    let roots = (0..nodes.len()).filter(|place| upstream[*place].is_none());
    for root in roots.chain(0..nodes.len()) {
        if !seen.contains(&root) {
            wood.push(grow(root, &upstream, &mut seen));
        }
    }
    wood
}

fn grow(node: usize, upstream: &[Option<usize>], seen: &mut HashSet<usize>) -> Tree {
    seen.insert(node);
    let below = (0..upstream.len()).filter(|place| upstream[*place] == Some(node));
    let below: Vec<usize> = below.collect();
    let mut trees = Vec::new();
    for place in below {
        if !seen.contains(&place) {
            trees.push(grow(place, upstream, seen));
        }
    }
    Tree { node, below: trees }
}

fn depth(tree: &Tree) -> usize {
    1 + tree.below.iter().map(depth).max().unwrap_or(0)
}

/// Both drawings; the page's style shows the one that fits.
pub(super) fn draw(nodes: &[Node]) -> Markup {
    let shown = &nodes[..nodes.len().min(DRAWN)];
    let wood = trees(shown);
    html! {
        (wide(shown, &wood))
        (narrow(shown, &wood))
        @if nodes.len() > DRAWN {
            p.note { "and " (nodes.len() - DRAWN) " more, which are in the tables below" }
        }
    }
}

/// The picture in words.
fn words(nodes: &[Node]) -> String {
    let sentences = nodes.iter().map(|node| match &node.from {
        None => format!("{}, {}, {}.", node.name, node.kind, node.health.word()),
        Some(from) => format!(
            "From {} to {}, {}: {}, {}, {}.",
            from.node,
            node.name,
            node.kind,
            from.state,
            from.lag,
            from.health.word()
        ),
    });
    sentences.collect::<Vec<_>>().join(" ")
}

/// Height of a node's box.
const BOX: f64 = 68.0;

/// Height of a row of the wide drawing.
const ROW: f64 = 92.0;

/// A box with its place.
struct Placed {
    node: usize,
    x: f64,
    y: f64,
    width: f64,
}

/// An arrow: from a point to a point, and the place of its text.
struct Arrow {
    /// The node that it leads to.
    node: usize,
    path: String,
    head: String,
    text: (f64, f64),
    /// Whether the text stands around the line, or beside it.
    around: bool,
    /// How many pixels the text may be wide.
    room: f64,
}

#[derive(Default)]
struct Drawing {
    boxes: Vec<Placed>,
    arrows: Vec<Arrow>,
    /// The y of the next free row.
    next: f64,
}

fn wide(nodes: &[Node], wood: &[Tree]) -> Markup {
    let columns = wood.iter().map(depth).max().unwrap_or(1) as f64;
    // A gap is nearly as wide as a box, and all of it about 1,000 pixels.
    let width = (1000.0 / (columns + 0.85 * (columns - 1.0))).clamp(170.0, 290.0);
    let gap = (width * 0.85).max(150.0);
    let mut drawing = Drawing {
        next: 6.0,
        ..Drawing::default()
    };
    for tree in wood {
        across(tree, 0.0, (width, gap), &mut drawing);
    }
    let all = (
        columns * width + (columns - 1.0) * gap + 4.0,
        drawing.next - (ROW - BOX) + 6.0,
    );
    svg("flow wide-flow", nodes, &drawing, all)
}

/// Places a tree from left to right; gives the middle of its first box.
fn across(tree: &Tree, column: f64, (width, gap): (f64, f64), drawing: &mut Drawing) -> f64 {
    let middles: Vec<f64> = tree
        .below
        .iter()
        .map(|below| across(below, column + 1.0, (width, gap), drawing))
        .collect();
    let middle = match (middles.first(), middles.last()) {
        (Some(first), Some(last)) => f64::midpoint(*first, *last),
        _ => {
            drawing.next += ROW;
            drawing.next - ROW + BOX / 2.0
        }
    };
    let x = column * (width + gap) + 2.0;
    let (out, trunk) = (x + width, x + width + 18.0);
    let end = x + width + gap;
    for (below, to) in tree.below.iter().zip(&middles) {
        let path = if (to - middle).abs() < 1.0 {
            format!("M{out} {middle}H{}", end - 9.0)
        } else {
            let bend = if *to > middle { 8.0 } else { -8.0 };
            format!(
                "M{out} {middle}H{}Q{trunk} {middle} {trunk} {}V{}Q{trunk} {to} {} {to}H{}",
                trunk - 8.0,
                middle + bend,
                to - bend,
                trunk + 8.0,
                end - 9.0
            )
        };
        drawing.arrows.push(Arrow {
            node: below.node,
            path,
            head: format!(
                "M{} {}L{end} {to}L{} {}Z",
                end - 10.0,
                to - 6.0,
                end - 10.0,
                to + 6.0
            ),
            text: (f64::midpoint(trunk + 4.0, end - 10.0), *to),
            around: true,
            room: gap - 40.0,
        });
    }
    let y = middle - BOX / 2.0;
    drawing.boxes.push(Placed {
        node: tree.node,
        x,
        y,
        width,
    });
    middle
}

/// Width of the narrow drawing.
const NARROW: f64 = 340.0;

/// How far the boxes of the narrow drawing are moved to the right for each step.
const STEP: f64 = 26.0;

/// Height of an arrow of the narrow drawing, with its text beside it.
const FALL: f64 = 52.0;

fn narrow(nodes: &[Node], wood: &[Tree]) -> Markup {
    let mut drawing = Drawing {
        next: 4.0,
        ..Drawing::default()
    };
    for tree in wood {
        down(tree, 2.0, &mut drawing);
        drawing.next += 16.0;
    }
    let all = (NARROW, drawing.next - 12.0);
    svg("flow narrow-flow", nodes, &drawing, all)
}

/// Places a tree from top to bottom.
fn down(tree: &Tree, x: f64, drawing: &mut Drawing) {
    let (y, width) = (drawing.next, (NARROW - x - 2.0).max(160.0));
    drawing.boxes.push(Placed {
        node: tree.node,
        x,
        y,
        width,
    });
    let (bottom, trunk) = (y + BOX, x + 13.0);
    drawing.next = bottom;
    for below in &tree.below {
        let top = drawing.next + FALL;
        let middle = top + BOX / 2.0;
        let end = x + STEP;
        drawing.arrows.push(Arrow {
            node: below.node,
            path: format!(
                "M{trunk} {bottom}V{}Q{trunk} {middle} {} {middle}",
                middle - 8.0,
                end - 7.0
            ),
            head: format!(
                "M{} {}L{end} {middle}L{} {}Z",
                end - 9.0,
                middle - 6.0,
                end - 9.0,
                middle + 6.0
            ),
            text: (trunk + 14.0, drawing.next + FALL / 2.0),
            around: false,
            room: width - 40.0,
        });
        drawing.next = top;
        down(below, end, drawing);
    }
}

fn svg(class: &str, nodes: &[Node], drawing: &Drawing, (width, height): (f64, f64)) -> Markup {
    html! {
        svg class=(class) width=(width) height=(height) viewBox={ "0 0 " (width) " " (height) }
            role="img" aria-label=(words(nodes)) {
            // What is well is drawn last, over the way that all arrows of a node share.
            @for health in [Health::Critical, Health::Warning, Health::Idle, Health::Ok] {
                @for arrow in &drawing.arrows {
                    @let node = &nodes[arrow.node];
                    @if node.from.as_ref().is_some_and(|from| from.health == health) { (arrow.draw(node)) }
                }
            }
            @for placed in &drawing.boxes { (placed.draw(&nodes[placed.node])) }
        }
    }
}

impl Arrow {
    fn draw(&self, node: &Node) -> Markup {
        let Some(from) = &node.from else {
            return html! {};
        };
        let (x, y) = self.text;
        let anchor = if self.around { "middle" } else { "start" };
        let (above, below) = if self.around {
            (y - 9.0, y + 20.0)
        } else {
            (y - 2.0, y + 15.0)
        };
        html! {
            g class={ "arrow " (from.health.word()) @if from.flows { " flows" } } {
                // Hides the arrows below it, whose dashes would show in the gaps of its own.
                path.under d=(self.path) {}
                path.line d=(self.path) {}
                path.head d=(self.head) {}
                text.lag x=(x) y=(above) text-anchor=(anchor) { (cut(&from.lag, self.room, 7.6)) }
                text.state x=(x) y=(below) text-anchor=(anchor) { (cut(&from.state, self.room, 7.0)) }
            }
        }
    }
}

impl Placed {
    fn draw(&self, node: &Node) -> Markup {
        let (x, y, width) = (self.x, self.y, self.width);
        let room = width - 30.0;
        html! {
            g class={ "node " (node.health.word()) } {
                rect x=(x) y=(y) width=(width) height=(BOX) rx="10" {}
                rect.mark x=(x) y=(y + 10.0) width="4" height=(BOX - 20.0) rx="2" {}
                (sign(node.health, x + width - 17.0, y + 19.0))
                text.name x=(x + 16.0) y=(y + 24.0) { (cut(&node.name, room - 16.0, 8.4)) title { (node.name) } }
                text.kind x=(x + 16.0) y=(y + 42.0) { (cut(&node.kind, room, 6.8)) title { (node.kind) } }
                text.kind x=(x + 16.0) y=(y + 58.0) { (cut(&node.note, room, 6.8)) title { (node.note) } }
            }
        }
    }
}

/// A sign of the health, by its shape.
fn sign(health: Health, x: f64, y: f64) -> Markup {
    let path = match health {
        Health::Ok => format!("M{} {}l3.5 3.5l6 -7", x - 5.0, y),
        Health::Idle => format!("M{} {}h9", x - 4.5, y),
        Health::Warning => format!("M{x} {}v7M{x} {}v.5", y - 6.0, y + 5.0),
        Health::Critical => format!("M{} {}l8 8m0 -8l-8 8", x - 4.0, y - 4.0),
    };
    html! { path.sign d=(path) {} }
}

/// A text that is no wider than `room`, where a letter is about `letter` wide.
fn cut(text: &str, room: f64, letter: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "some hundred pixels"
    )]
    let most = (room / letter).max(4.0) as usize;
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most - 1).collect();
    format!("{}…", kept.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, from: Option<&str>) -> Node {
        Node {
            name: name.into(),
            kind: "standby".into(),
            note: String::new(),
            health: Health::Ok,
            from: from.map(|from| Flow {
                node: from.into(),
                lag: "0.20 s behind".into(),
                state: "level".into(),
                health: Health::Warning,
                flows: true,
            }),
        }
    }

    #[test]
    fn each_node_is_drawn_once_also_in_circles_and_from_nowhere() {
        let nodes = [
            node("a", None),
            node("b", Some("a")),
            node("c", Some("b")),
            node("d", Some("e")),
            node("e", Some("d")),
            node("f", Some("gone")),
        ];
        let wood = trees(&nodes);
        let roots: Vec<usize> = wood.iter().map(|tree| tree.node).collect();
        assert_eq!(roots, [0, 5, 3]);
        assert_eq!(wood.iter().map(depth).max(), Some(3));
        let drawn = draw(&nodes).into_string();
        assert_eq!(drawn.matches("class=\"node").count(), 12, "{drawn}");
        assert_eq!(
            drawn.matches("class=\"arrow warning flows").count(),
            6,
            "{drawn}"
        );
        assert!(
            drawn.contains("From a to b, standby: level, 0.20 s behind, warning."),
            "{drawn}"
        );
    }

    #[test]
    fn names_are_escaped_and_cut_and_many_nodes_are_a_number() {
        let long = "<b>".to_owned() + &"x".repeat(200);
        let mut nodes = vec![node(&long, None)];
        nodes.extend((0..100).map(|number| node(&number.to_string(), Some(&long))));
        let drawn = draw(&nodes).into_string();
        assert!(!drawn.contains("<b>") && drawn.contains("xxx…"), "{drawn}");
        assert!(drawn.contains("and 61 more"));
        assert_eq!(draw(&[]).into_string().matches("class=\"node").count(), 0);
    }
}
