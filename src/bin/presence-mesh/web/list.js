// Rows, drawn only near the window: ten thousand scroll like ten.

import { byId, h, icon } from "./feed.js";

const CHUNK = 4; // see .chunk
const AHEAD = 0.6; // of a window is drawn beyond it
const A_FRAME = 3; // chunks of that at a time, so that none is long
const spare = []; // items to be filled anew
const lists = new Set();
let looking = 0;

/** By the next frame what is in sight is drawn. */
export const look = () => (looking ||= requestAnimationFrame(draw));
addEventListener("scroll", look, { passive: true });
addEventListener("resize", look);

function draw() {
	looking = 0;
	let left = A_FRAME;
	const seen = [...lists].map((list) => list.seen());
	const most = Math.max(0, ...seen.map((list) => list.beyond));
	for (const { drawn, first, last } of seen)
		for (const chunk of drawn) if (chunk.number < first - most - 1 || chunk.number > last + most + 1) chunk.clear();
	for (let step = 0; step <= most; step++)
		for (const { all, first, last } of seen)
			for (let at = first - step; at <= last + step; at++) {
				if (!all[at] || all[at].firstChild) continue;
				if (step && !left--) return look();
				all[at].draw();
			}
}

/** A list of rows within `root`. `tag`: what a row is made of. */
export class List {
	#root;
	#tag;
	#feed;
	#rows = [];
	#drawn = new Set();

	constructor(root, tag, feed) {
		this.#root = root;
		this.#tag = tag;
		this.#feed = feed;
		lists.add(this);
	}

	/** Which chunks would be in sight, were there no end to them. */
	seen() {
		if (!this.#root.isConnected) lists.delete(this);
		const all = this.#root.children;
		const { top, height } = this.#root.getBoundingClientRect();
		const each = height / all.length || NaN; // a folded list has none
		const at = (y) => Math.floor((y - top) / each);
		return { all, drawn: this.#drawn, first: at(0), last: at(innerHeight), beyond: Math.ceil((innerHeight * AHEAD) / each) || 0 };
	}

	show(rows) {
		look();
		if (rows.length === this.#rows.length && rows.every((row, at) => row === this.#rows[at])) return;
		this.#rows.forEach((row) => (row.drawn = null));
		this.#rows = rows;
		const all = this.#root.children;
		const wanted = Math.ceil(rows.length / CHUNK);
		while (all.length > wanted) {
			const last = this.#root.lastChild;
			this.#drawn.delete(last);
			spare.push(...last.children);
			last.remove();
		}
		this.#root.append(...Array.from({ length: wanted - all.length }, (_, at) => this.#chunk(all.length + at)));
		// The first are there at once.
		for (const chunk of [...this.#drawn, ...[...all].slice(0, 3)]) chunk.draw();
	}

	#chunk(number) {
		const chunk = h("div", { class: "chunk", role: "none" });
		const mine = () => this.#rows.slice(number * CHUNK, (number + 1) * CHUNK);
		chunk.number = number;
		chunk.draw = () => {
			this.#drawn.add(chunk);
			mine().forEach((row, at) => {
				const item = chunk.children[at] ?? chunk.appendChild(spare.pop() ?? this.#item());
				row.drawn = item.parts;
				row.drawn.body.row = row;
				fill(row, this.#feed);
				item.setAttribute("aria-posinset", number * CHUNK + at + 1);
				item.setAttribute("aria-setsize", this.#rows.length);
			});
			while (chunk.children.length > mine().length) spare.push(chunk.removeChild(chunk.lastChild));
		};
		chunk.clear = () => {
			if (chunk.contains(document.activeElement)) return;
			this.#drawn.delete(chunk);
			mine().forEach((row) => (row.drawn = null));
			spare.push(...chunk.children);
			chunk.replaceChildren();
		};
		return chunk;
	}

	#item() {
		const parts = parted(this.#tag);
		const item = this.#tag === "button" ? h("div", {}, parts.body) : parts.body;
		item.setAttribute("role", "listitem");
		item.parts = parts;
		return item;
	}
}

const mute = (text) => h("i", {}, text);

/** The elements of a row; in the order in which they are read out. */
export function parted(tag) {
	const use = icon("free", "shape");
	const parts = {
		use: use.firstChild, lamp: h("span", { class: "lamp" }, use), name: h("span", { class: "name" }), before: mute(""), ext: new Text(), site: mute(""),
		label: h("span", {}), more: h("span", {}), mail: h("span", { class: "mail" }), seen: {},
	};
	parts.words = h("span", { class: "words" }, parts.label, parts.more);
	parts.body = h(tag, tag === "button" ? { type: "button" } : {}, parts.lamp, parts.name, h("span", { class: "ext" }, parts.before, parts.ext, parts.site), parts.words, parts.mail);
	return parts;
}

/** Brings a drawn row up to date, touching what differs alone. */
export function fill(row, feed) {
	const parts = row?.drawn;
	if (!parts) return;
	const view = feed.view(row);
	const set = (what, value, change) => parts.seen[what] !== value && ((parts.seen[what] = value), change(value));
	const text = (what, value) => set(what, value, () => (parts[what].textContent = value));
	const mail = view.shape === "mail" ? 0 : view.mail;
	if (view.stale && !parts.clock) parts.lamp.append((parts.clock = icon("clock", "clock")));
	set("class", `row s-${view.shape}${view.stale ? " stale" : ""}${mail ? " mailed" : ""}`, (value) => (parts.body.className = value));
	set("shape", view.shape, (value) => parts.use.setAttribute("href", "#" + value));
	text("name", row.name);
	text("before", row.ext && ", extension ");
	text("ext", row.ext);
	text("site", `, ${row.site}, `);
	text("label", view.label);
	text("more", view.stale || parts.body.type ? feed.more(view) : "");
	const news = ` new message${mail === 1 ? "" : "s"}${view.mailStale ? ", not up to date" : ""}`;
	set("mail", mail && mail + news, () => parts.mail.replaceChildren(...(mail ? [mute(", "), icon("mail", ""), mail, mute(news)] : [])));
}

/** Puts the sites in order, if they are not. */
export function place(elements) {
	const root = byId("sites");
	if (elements.some((element, at) => element !== root.children[at])) root.replaceChildren(...elements);
}

/** Brings all drawn rows up to date. */
export function refill(feed) {
	for (const { row } of document.querySelectorAll(".row")) fill(row, feed);
}
