// `/`: find a person, see whether they are free.

import { Feed, byId, clock, h, plain, say, span, title, value } from "./feed.js";
import { List, fill, look, parted, place, refill } from "./list.js";

const CHIPS = {
	all: ["All", () => true],
	free: ["Free", (view) => view.shape === "free"],
	call: ["On a call", (view) => view.call],
	mail: ["Messages", (view) => view.mail > 0],
};

const ROWS = ".site:not([hidden]) .list:not([hidden]) .row";
const search = byId("q");
const card = byId("card");
const sites = new Map(); // name -> section
const shut = new Set(JSON.parse(sessionStorage.getItem("shut") || "[]"));
let wanted = "all";
let filtering = 0;
let opened = null; // the row of which the card is open
let explained = null;

const feed = new Feed({
	rows: () => filter(),
	row(row, space) {
		fill(row, feed);
		filtering ||= setTimeout(filter, feed.rows.length > 1000 ? 1000 : 200);
		if (row === opened?.row) explain(), drawCard();
	},
	beat: (beat) => (byId("node").textContent = beat.status.node),
	line: () => refresh(),
	tick: refresh,
});

/** Shows those rows that are asked for, by site. */
function filter() {
	clearTimeout(filtering);
	filtering = 0;
	const words = plain(search.value).split(/\s+/).filter(Boolean);
	const counts = { all: 0, free: 0, call: 0, mail: 0 };
	const found = new Map();
	for (const row of feed.rows) {
		if (!found.has(row.site)) found.set(row.site, { rows: [], all: 0, stale: 0 });
		const site = found.get(row.site);
		const view = feed.view(row);
		site.all++;
		site.stale += view.stale;
		if (!words.every((word) => row.hay.includes(word))) continue;
		for (const chip in CHIPS) counts[chip] += CHIPS[chip][1](view);
		if (CHIPS[wanted][1](view)) site.rows.push(row);
	}
	for (const chip of byId("chips").children) chip.lastChild.textContent = counts[chip.dataset.chip];
	const focused = document.activeElement?.row;
	for (const [name, site] of sites) if (!found.has(name)) site.element.remove(), sites.delete(name);
	for (const [name, { rows, all, stale }] of found) {
		const site = sites.get(name) ?? addSite(name);
		const narrowed = words.length > 0 || wanted !== "all";
		site.element.hidden = !rows.length;
		site.list.show(rows);
		site.count.textContent = narrowed ? `${rows.length} of ${all}` : all;
		site.doubt.textContent = feed.live && stale ? `${stale === all ? "all" : stale} not up to date` : "";
	}
	place([...found.keys()].map((name) => sites.get(name).element));
	if (focused?.drawn) focused.drawn.body.focus({ preventScroll: true });
	else if (focused) document.activeElement.blur(); // its place may show somebody else now
	const none = byId("none");
	none.hidden = !feed.rows.length || counts[wanted] > 0;
	if (!none.hidden) none.textContent = search.value ? `Nobody matches “${search.value}”.` : `Nobody is in “${CHIPS[wanted][0]}” now.`;
	return counts[wanted];
}

function addSite(name) {
	const count = h("span", { class: "count" });
	const doubt = h("span", { class: "doubt" });
	const id = "site-" + sites.size;
	const button = h("button", { type: "button", "aria-controls": id }, h("span", { class: "fold", "aria-hidden": "true" }), h("span", {}, name), count, doubt);
	const root = h("div", { role: "list", id, "aria-label": name, class: "list" });
	const element = h("section", { class: "site" }, h("h2", {}, button), root);
	const fold = () => {
		button.setAttribute("aria-expanded", !shut.has(name));
		root.hidden = shut.has(name);
		look();
	};
	button.onclick = () => {
		if (!shut.delete(name)) shut.add(name);
		sessionStorage.setItem("shut", JSON.stringify([...shut]));
		fold();
	};
	fold();
	const site = { element, count, doubt, list: new List(root, "button", feed) };
	sites.set(name, site);
	return site;
}

function refresh() {
	refill(feed);
	if (opened) drawCard();
}

// The chips.
for (const chip in CHIPS) {
	const button = h("button", { type: "button", "data-chip": chip, "aria-pressed": chip === wanted }, CHIPS[chip][0], " ", h("span", { class: "count" }));
	button.onclick = () => {
		wanted = chip;
		for (const other of byId("chips").children) other.setAttribute("aria-pressed", other === button);
		const count = filter();
		say(`${CHIPS[chip][0]}: ${count}`);
	};
	byId("chips").append(button);
}
byId("chips").hidden = false;

// The search: at once for the eye, once it rests for the ear.
let telling = 0;
search.oninput = () => {
	const count = filter();
	clearTimeout(telling);
	telling = setTimeout(() => say(count === 1 ? "1 person found" : `${count} people found`), 800);
};
search.form.onsubmit = (event) => event.preventDefault();

document.addEventListener("keydown", (event) => {
	if (event.ctrlKey || event.metaKey || event.altKey || card.open) return;
	const row = document.activeElement?.row;
	if (event.key === "/" && document.activeElement !== search) {
		search.focus();
		search.select();
	} else if (event.key === "Escape" && document.activeElement === search) {
		search.value = "";
		filter();
	} else if (event.key === "ArrowDown" && document.activeElement === search) {
		document.querySelector(ROWS)?.focus();
	} else if (row && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
		const all = [...document.querySelectorAll(ROWS)];
		const next = all[all.indexOf(document.activeElement) + (event.key === "ArrowDown" ? 1 : -1)];
		(next ?? (event.key === "ArrowUp" ? search : null))?.focus();
	} else return;
	event.preventDefault();
});

// The card.
byId("sites").addEventListener("click", (event) => {
	const row = event.target.closest(".row")?.row;
	if (!row) return;
	opened = { row, ...layOut(row) };
	explained = null;
	explain();
	drawCard();
	card.showModal();
});
card.addEventListener("close", () => {
	const row = opened?.row;
	opened = null;
	card.replaceChildren();
	row?.drawn?.body.focus();
});
card.addEventListener("click", (event) => event.target === card && card.close());

function layOut(row) {
	const head = parted("div");
	head.name.id = "card-name";
	const facts = h("dl", {});
	const parts = h("ul", { class: "parts" });
	const why = h("p", { class: "why" });
	const stamps = h("ol", { class: "stamps" });
	const close = h("button", { type: "button", class: "close" }, h("span", { "aria-hidden": "true" }, "✕"), h("span", { class: "vh" }, "Close"));
	close.onclick = () => card.close();
	const body = h("div", { class: "sheet" }, h("div", { class: "cardhead" }, head.body, close), facts,
		h("h3", {}, "Who says so"), parts, h("h3", {}, "Why"), why, stamps, h("p", { class: "key" }, row.key));
	card.replaceChildren(body);
	return { head, facts, parts, why, stamps, seen: "" };
}

function drawCard() {
	const { row, head } = opened;
	const drawn = row.drawn;
	row.drawn = head;
	fill(row, feed);
	row.drawn = drawn;
	const main = row.device ?? row.presence ?? row.mailbox;
	const view = feed.view(row);
	const trust = !feed.live ? `No connection for ${span(feed.age(main))}: this is its last known state`
		: main.freshness === "live" ? "Live" : main.freshness === "gone" ? `Gone: last heard ${span(view.age)} ago` : `Stale: last heard ${span(view.age)} ago`;
	const changed = Date.parse(main.changed_at);
	const facts = [["State", view.label], ["Since", `${clock(changed)}, ${span(feed.now() - changed)} ago`], ["Trust", trust]];
	if (row.mailbox) facts.push(["Messages", `${row.mailbox.new} new, ${row.mailbox.old} old${view.mailStale ? `, as of ${span(feed.age(row.mailbox))} ago` : ""}`]);
	if (row.presence?.message) facts.push(["Says", row.presence.message]);
	const says = [row.device && ["", row.device], row.presence && ["Presence: ", row.presence], row.mailbox && ["Messages: ", row.mailbox]].filter(Boolean);
	const parts = says.flatMap(([what, object]) => object.contributions.map((part) => {
		const trusted = feed.live && part.freshness === "live";
		const old = feed.live ? part.age_ms + Date.now() - object.at : feed.age(object);
		return [title(part.node), what + value(part), trusted ? "live" : `${span(old)} ago`];
	}));
	const why = explained ?? { why: "Asking the node …", contributions: [] };
	const stamps = why.contributions.map((part) => [part.wins ? "✓ " : "", `${title(part.node)}: ${value(part)}, written ${clock(Date.parse(part.written_at))} by ${part.source}, stamp ${part.stamp.hlc}, seq ${part.stamp.seq}`,
		[part.wins && "decides", part.held && "from the future, held back", part.previous && "from an earlier life", part.own && "our own"].filter(Boolean).join(", ")]);
	// Drawn again only when it differs, so that what is selected or read out stays.
	const seen = JSON.stringify([facts, parts, why.why, stamps]);
	if (seen === opened.seen) return;
	opened.seen = seen;
	opened.facts.replaceChildren(...facts.map(([name, text]) => h("div", {}, h("dt", {}, name), h("dd", {}, text))));
	opened.parts.replaceChildren(...parts.map(([node, text, trust]) => h("li", {}, h("b", {}, node), " ", text, " ", h("span", { class: trust === "live" ? "ok" : "old" }, trust))));
	opened.why.textContent = why.why;
	opened.stamps.replaceChildren(...stamps.map(([mark, text, notes]) => h("li", {}, mark + text, notes ? h("span", { class: "dim" }, ` (${notes})`) : "")));
}

let asking = 0;
function explain() {
	clearTimeout(asking);
	asking = setTimeout(async () => {
		const row = opened?.row;
		if (!row) return;
		try {
			const answer = await fetch(`/api/v1/explain/${row.space}/${encodeURIComponent(row.key)}`);
			const told = await answer.json();
			if (row === opened?.row) explained = answer.ok ? told : { why: told.detail, contributions: [] };
		} catch {
			explained ??= { why: "The node does not answer.", contributions: [] };
		}
		if (opened) drawCard();
	}, explained ? 500 : 0);
}
