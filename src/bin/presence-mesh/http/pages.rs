//! The pages: `/` for people, `/wall` for a wall display, `/mesh` for operators.
//!
//! Plain files within the program, and nothing from elsewhere: the headers let a page run these scripts and
//! speak with this server alone. Who runs no scripts gets a table.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;

use super::{App, room, served};

const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const ICON: &str = "image/svg+xml";

/// Path, kind, content.
const ASSETS: [(&str, &str, &str); 7] = [
    ("/web/style.css", CSS, include_str!("../web/style.css")),
    ("/web/icon.svg", ICON, include_str!("../web/icon.svg")),
    ("/web/feed.js", SCRIPT, include_str!("../web/feed.js")),
    ("/web/list.js", SCRIPT, include_str!("../web/list.js")),
    ("/web/panel.js", SCRIPT, include_str!("../web/panel.js")),
    ("/web/wall.js", SCRIPT, include_str!("../web/wall.js")),
    ("/web/mesh.js", SCRIPT, include_str!("../web/mesh.js")),
];
/// What the head of each page holds.
const HEAD: &str = include_str!("../web/head.html");
const PANEL: &str = include_str!("../web/panel.html");
const WALL: &str = include_str!("../web/wall.html");
const MESH: &str = include_str!("../web/mesh.html");
/// The shapes of the lamps; within each page, as they must be there when the server is not.
const LAMPS: &str = include_str!("../web/lamps.svg");

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

/// What a page without scripts is asked for.
#[derive(Debug, Default, Deserialize)]
struct Wanted {
    q: Option<String>,
}

pub fn routes() -> Router<App> {
    let page = |template: &'static str| {
        get(
            async move |State(app): State<App>, query: Result<Query<Wanted>, QueryRejection>| {
                let query = query
                    .ok()
                    .and_then(|Query(wanted)| wanted.q)
                    .unwrap_or_default();
                page(&app, template, &query)
            },
        )
    };
    let pages = Router::new()
        .route("/", page(PANEL))
        .route("/wall", page(WALL))
        .route("/mesh", page(MESH));
    ASSETS.iter().fold(pages, |router, (path, kind, content)| {
        let asset = async || ([(header::CONTENT_TYPE, *kind)], *content);
        router.route(path, get(asset))
    })
}

fn page(app: &App, template: &str, query: &str) -> Response {
    let mesh = app.mesh();
    let html = fill(template, |name| match name {
        "mesh" => escape(mesh.mesh_name()),
        "node" => escape(mesh.node()),
        "query" => escape(query),
        "demo" => app.stage.is_some().to_string(),
        "head" => HEAD.to_owned(),
        "sprite" => LAMPS.to_owned(),
        "table" => served::lamps(&mesh, &app.people, query),
        "nodes" => served::nodes(&mesh),
        other => unreachable!("the templates have no {other}"),
    });
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
    ];
    (
        headers.map(|(name, value)| (name, HeaderValue::from_static(value))),
        room::hold(html.into_bytes()),
    )
        .into_response()
}

/// Puts a text in the place of each `{{name}}`; once, so that no text can name another.
fn fill(template: &str, text: impl Fn(&str) -> String) -> String {
    let mut filled = String::with_capacity(template.len() * 2);
    let mut parts = template.split("{{");
    filled.push_str(parts.next().unwrap_or_default());
    let mut known = BTreeMap::new();
    for part in parts {
        let (name, rest) = part
            .split_once("}}")
            .expect("every {{ of a template is closed");
        filled.push_str(known.entry(name).or_insert_with(|| text(name)));
        filled.push_str(rest);
    }
    filled
}

/// A text that cannot be anything but text in HTML, also within quotes.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_pages_together_weigh_less_than_60_kb() {
        let assets: usize = ASSETS.iter().map(|(_, _, content)| content.len()).sum();
        let all = assets + HEAD.len() + PANEL.len() + WALL.len() + MESH.len() + LAMPS.len();
        assert!(all < 60_000, "{all} bytes");
    }

    /// A typing error in a template would be a panic in front of people.
    #[test]
    fn templates_name_what_there_is_and_load_nothing_from_elsewhere() {
        let names = [
            "mesh", "node", "query", "demo", "head", "sprite", "table", "nodes",
        ];
        for template in [HEAD, PANEL, WALL, MESH] {
            let filled = fill(template, |name| {
                assert!(names.contains(&name), "{name}");
                "{{mesh}}".to_owned()
            });
            assert!(
                template == HEAD || filled.contains("{{mesh}}"),
                "what is put in is not filled again"
            );
            for outside in ["http://", "https://", "//", "style=", "onclick", "<script>"] {
                assert!(!template.contains(outside), "{outside}");
            }
        }
    }

    #[test]
    fn a_text_stays_a_text() {
        assert_eq!(
            escape("<a href='x' b=\"y\">&"),
            "&lt;a href=&#39;x&#39; b=&quot;y&quot;&gt;&amp;"
        );
    }
}
