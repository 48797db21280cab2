// `/wall`: everybody at a glance, from five metres, with nothing to click.

import { Feed, byId, clock, h } from "./feed.js";
import { List, fill, place, refill } from "./list.js";

const TURN_MS = 10_000; // how long each screenful stays when not all fits
const REST_MS = 30_000; // how long a person who scrolled is left alone
const query = new URLSearchParams(location.search);
const only = query.getAll("site").map((site) => site.toLowerCase());
const sites = new Map();
const news = [];
let last = null; // nodes in touch, as told last
let touched = -REST_MS;
let shift = 0;

if (query.has("theme")) document.documentElement.dataset.theme = query.get("theme");

const feed = new Feed({
	rows: arrange,
	row(row, space) {
		fill(row, feed);
		if (space === "device" && row.device.freshness === "live") tell(`${row.name} ${feed.view(row).label.toLowerCase()}`);
		counting ||= setTimeout(count, 250);
	},
	beat(beat) {
		const peers = new Map(beat.peers.map((peer) => [peer.node, peer.standing === "alive"]));
		for (const [node, alive] of peers) if (last?.has(node) && last.get(node) !== alive) tell(`${node} ${alive ? "in touch again" : "out of touch: its lamps show their last state"}`);
		last = peers;
		count();
	},
	line: count,
	tick: refresh,
});

function arrange(rows) {
	const found = new Map();
	for (const row of rows) {
		if (only.length && !only.includes(row.site.toLowerCase())) continue;
		if (!found.has(row.site)) found.set(row.site, []);
		found.get(row.site).push(row);
	}
	for (const [name, site] of sites) if (!found.has(name)) site.element.remove(), sites.delete(name);
	for (const [name, mine] of found) {
		if (!sites.has(name)) {
			const note = h("span", { class: "note" });
			const root = h("div", { role: "list", "aria-label": name, class: "list" });
			const element = h("section", { class: "site" }, h("h2", {}, h("span", {}, name), note), root);
			sites.set(name, { element, note, list: new List(root, "div", feed) });
		}
		sites.get(name).rows = mine;
	}
	place([...found.keys()].map((name) => sites.get(name).element));
	fit();
	for (const site of sites.values()) site.list.show(site.rows);
	count();
}

/** Rows as tall as fit. */
function fit() {
	const longest = Math.max(1, ...[...sites.values()].map((site) => site.rows.length));
	const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
	const room = (innerHeight - byId("sites").offsetTop) / rem - 8.5;
	document.body.style.setProperty("--row", Math.min(6, Math.max(4, room / longest)) / 1.2 + "rlh");
}

let counting = 0;
function count() {
	clearTimeout(counting);
	counting = 0;
	const sum = { people: 0, free: 0, call: 0, other: 0 };
	for (const site of sites.values()) {
		let free = 0, stale = 0;
		for (const row of site.rows) {
			const view = feed.view(row);
			stale += view.stale;
			if (view.shape === "mail") continue;
			sum.people++;
			if (view.shape === "free") sum.free++, free++;
			else if (view.call) sum.call++;
			else sum.other++;
		}
		const all = site.rows.length;
		site.element.classList.toggle("doubted", stale === all);
		site.note.textContent = !feed.live ? "last known" : stale === all ? "out of touch" : stale ? `${stale} not up to date` : site.rows[0]?.device ? `${free} free` : "";
	}
	const other = sum.other ? ` · ${sum.other} other` : "";
	if (feed.rows.length) byId("sum").textContent = `${sum.people} people · ${sum.free} free · ${sum.call} on a call${other}`;
	if (feed.live && feed.beat) {
		const [up, all] = feed.touch;
		byId("pill").textContent = `${up} of ${all} nodes in touch`;
		byId("pill").className = up === all ? "pill live" : "pill part";
	}
}

function tell(text) {
	news.unshift(`${clock(feed.now())} ${text}`);
	news.length = Math.min(news.length, 3);
}

function refresh() {
	const now = new Date();
	byId("time").textContent = now.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
	byId("time").dateTime = now.toISOString();
	byId("news").replaceChildren(...news.map((text) => h("span", {}, text)));
	refill(feed);
	if (!feed.live) count();
	const minute = now.getMinutes();
	// A pixel a minute, so that nothing burns in.
	if (minute !== shift) document.body.style.setProperty("--shift", ((shift = minute) % 8) - 8 + "px");
}

/** The next screenful, and after the last the first again; not while somebody scrolls. */
function turn() {
	const step = innerHeight - byId("sites").offsetTop - 120;
	const end = document.documentElement.scrollHeight - innerHeight;
	const pages = end > 24 ? Math.ceil(end / step) + 1 : 1;
	const at = Math.round(scrollY / step);
	byId("page").textContent = pages > 1 ? `${Math.min(at + 1, pages)} / ${pages}` : "";
	if (pages === 1 || performance.now() - touched < REST_MS) return;
	scrollTo({ top: scrollY >= end - 4 ? 0 : scrollY + step, behavior: "instant" });
}
setInterval(turn, TURN_MS);
for (const kind of ["wheel", "keydown", "pointerdown", "touchstart"]) addEventListener(kind, () => (touched = performance.now()), { passive: true });
addEventListener("resize", fit);

// A wall display does not go dark, where the browser lets it.
const wake = () => navigator.wakeLock?.request("screen").catch(() => {});
document.addEventListener("visibilitychange", () => document.hidden || wake());
wake();
